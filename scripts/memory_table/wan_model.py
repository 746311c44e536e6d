"""What each stage of a clip of Wan 2.2 TI2V-5B or I2V-A14B takes, counted by its engine on fake tensors.

As `simulate` does for I2VGen-XL, whose words on what is counted hold here too, with one difference: norms are
computed in float32 whatever the type, so that memory is counted in bytes, once for each size of a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import UMT5EncoderModel

from i2v.engines.diffusion.float8 import linear_weights, pack, take
from i2v.engines.wan.conditioning import Conditioning
from i2v.engines.wan.decode import decode_latents
from i2v.engines.wan.encode import encode_groups
from i2v.engines.wan.solver import FlowSolver
from i2v.engines.wan.transformer import predict, use_lean_blocks
from i2v.engines.wan.vae import use_lean_layers
from scripts.full_size import wan, wan_a14b
from scripts.memory_table.simulate import Cost, counting

PROMPT_TOKENS = 512
SIGMAS = (0.99, 0.9, 0.8, 0.7, 0.0)


@dataclass(frozen=True)
class Model:
    """The parts without values; all but the VAE in `dtype`. Costs are in bytes here.

    Of two experts, `transformer` is the first, and the other one takes as much.
    """

    transformer: WanTransformer3DModel
    text_encoder: UMT5EncoderModel
    vae: AutoencoderKLWan
    dtype: torch.dtype
    experts: int = 1

    @property
    def parts(self) -> dict[str, nn.Module]:
        second = {"transformer_2": self.transformer} if self.experts > 1 else {}
        return {
            "transformer": self.transformer, **second, "text_encoder": self.text_encoder, "vae": self.vae,
        }  # fmt: skip

    @property
    def scale(self) -> int:
        """Pixels a latent, in each direction."""
        return int(self.vae.config.scale_factor_spatial)

    @property
    def channels(self) -> int:
        return int(self.vae.config.z_dim)

    def weights(self) -> dict[str, int]:
        """Return how many numbers each part holds."""
        return {name: count_of([part]) for name, part in self.parts.items()}

    def streamed(self) -> dict[str, int]:
        """Return how many numbers of a part are on the device at once where its blocks come one by one."""
        text_blocks = (self.text_encoder.shared, *self.text_encoder.encoder.block)
        found = {}
        for name in (name for name in self.parts if name != "vae"):
            blocks = text_blocks if name == "text_encoder" else self.transformer.blocks
            sizes = [count_of([block]) for block in blocks]
            found[name] = count_of([self.parts[name]]) - sum(sizes) + max(sizes)
        return found

    def lora(self, rank: int) -> int:
        """Return how many numbers a LoRA of all linear layers of the transformer's blocks holds."""
        layers = [each for each in self.transformer.blocks.modules() if isinstance(each, nn.Linear)]
        return sum(rank * (layer.in_features + layer.out_features) for layer in layers)

    def float8(self) -> dict[str, dict[str, int]]:
        """Return what of a part is kept in float8 where that is asked for: numbers, and rows with a scale.

        `streamed`: the same of the part's largest block; `layer`: numbers of the largest weight, which is
        there in the type that it computes in while it does.
        """
        found = {}
        for name in (name for name in self.parts if name != "vae"):
            part, place = self.parts[name], "encoder.block" if name == "text_encoder" else "blocks"
            sizes = {weight: part.get_parameter(weight).shape for weight in linear_weights(part, place)}
            depth = place.count(".") + 2
            blocks: dict[str, list[torch.Size]] = {}
            for weight, shape in sizes.items():
                blocks.setdefault(".".join(weight.split(".")[:depth]), []).append(shape)
            largest = max(blocks.values(), key=lambda shapes: sum(shape.numel() for shape in shapes))
            if name == "text_encoder":
                largest = []  # its embedding, which stays as it is, is larger than any block
            found[name] = {
                "numbers": sum(shape.numel() for shape in sizes.values()),
                "rows": sum(shape[0] for shape in sizes.values()),
                "streamed_numbers": sum(shape.numel() for shape in largest),
                "streamed_rows": sum(shape[0] for shape in largest),
                "layer": max(shape.numel() for shape in sizes.values()),
            }
        return found

    def step(
        self, height: int, width: int, frames: int, rows: int = 1, passes: int = 1, chunk_tokens: int = 0
    ) -> Cost:
        """Run one step, the fourth, of `frames` latent frames of `height` x `width` latents."""
        solver, shape = FlowSolver(SIGMAS), (1, self.channels, frames, height, width)
        texts = torch.empty(rows, PROMPT_TOKENS, 4096, dtype=self.dtype).chunk(passes)
        with counting_bytes() as counted:
            latents, history = torch.empty(shape), tuple(torch.empty(shape) for _ in range(3))
            given, time = self._conditioning(shape).given(latents), torch.tensor(900)
            still = self.experts == 1
            velocity = torch.cat(
                [
                    predict(self.transformer, given, time, text, chunk_tokens, first_is_still=still)
                    for text in texts
                ]
            )
            if rows == 2:
                unconditional, conditional = velocity.chunk(2)
                velocity = unconditional + 5.0 * (conditional - unconditional)
            denoised = solver.denoised(2, latents, velocity)
            solver.advance(2, latents, denoised, history)
        return counted[0]

    def _conditioning(self, shape: tuple[int, ...]) -> Conditioning:
        _, channels, frames, height, width = shape
        texts = torch.empty(0)
        if self.experts == 1:
            return Conditioning(texts, first_frame=torch.empty(1, channels, 1, height, width))
        return Conditioning(texts, beside=torch.empty(1, channels + 4, frames, height, width))

    def step_as_stock(self, height: int, width: int, frames: int) -> Cost:
        """Run one step as diffusers does; with one expert, each token has a time of its own."""
        latents = torch.empty(1, self.transformer.config.in_channels, frames, height, width)
        text = torch.empty(1, PROMPT_TOKENS, 4096, dtype=self.dtype)
        times = torch.empty(1, frames * height * width // 4) if self.experts == 1 else torch.empty(1)
        with counting_bytes() as counted:
            self.transformer(latents.to(self.dtype), times, text, return_dict=False)
        return counted[0]

    def encode_as_stock(self, height: int, width: int, frames: int) -> Cost:
        """Encode what diffusers does: a picture, or with two experts a clip of so many latent frames."""
        with counting_bytes() as counted:
            count = 1 if self.experts == 1 else 4 * (frames - 1) + 1
            self.vae.encode(torch.empty(1, 3, count, height, width)).latent_dist.mode()
        return counted[0]

    def decode_as_stock(self, height: int, width: int, frames: int) -> Cost:
        """Decode so many latent frames of `height` x `width` pixels as diffusers does, into one tensor."""
        latents = torch.empty(1, self.channels, frames, height // self.scale, width // self.scale)
        with counting_bytes() as counted:
            self.vae.decode(latents).sample.float()
        return counted[0]

    def read(self, rows: int) -> Cost:
        """Encode `rows` prompts."""
        ids = torch.zeros(rows, PROMPT_TOKENS, dtype=torch.int64)
        with counting_bytes() as counted:
            self.text_encoder(ids, torch.ones_like(ids)).last_hidden_state.clone()
        return counted[0]

    def encode(self, height: int, width: int, frames: int = 1) -> Cost:
        """Encode a picture of `height` x `width` pixels; with two experts a clip of so many `frames`."""
        if self.experts > 1:
            return self.encode_clip(height, width, frames)
        with counting_bytes() as counted:
            self.vae.encode(torch.empty(1, 3, 1, height, width)).latent_dist.mode()
        return counted[0]

    def encode_clip(self, height: int, width: int, frames: int) -> Cost:
        """Encode a clip of so many latent frames, whose other frames are grey but for the last one."""
        with counting_bytes() as counted:
            picture = torch.empty(1, 3, 1, height, width)
            encode_groups(self.vae, picture, picture, frames - 1)
        return counted[0]

    def decode(self, height: int, width: int, frames: int) -> Cost:
        """Decode so many latent frames of `height` x `width` pixels, one after the other."""
        latents = torch.empty(1, self.channels, frames, height // self.scale, width // self.scale)
        with counting_bytes() as counted:
            for pixels in decode_latents(self.vae, latents):
                del pixels
        return counted[0]


def put_into(model: nn.Module, dtype: torch.dtype, in_float32: Sequence[str] = ()) -> None:
    """Put the model's parameters into `dtype`, as `diffusion.folder` does."""
    for prefix, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not {*prefix.split("."), name} & set(in_float32):
                module._parameters[name] = nn.Parameter(parameter.to(dtype), requires_grad=False)


def count_of(modules: Sequence[nn.Module]) -> int:
    tensors = {id(tensor): tensor for module in modules for tensor in module.parameters()}
    return sum(tensor.numel() for tensor in tensors.values())


@contextmanager
def counting_bytes() -> Iterator[list[Cost]]:
    """As `counting`, whose numbers are of the default dtype: one byte each here."""
    counted: list[Cost] = []
    with counting() as found:
        yield counted
    item = torch.get_default_dtype().itemsize
    counted.append(Cost(found[0].elements * item, found[0].flops))


@contextmanager
def build(
    dtype: torch.dtype = torch.bfloat16,
    layers: int | None = None,
    as_the_engine: bool = True,
    experts: int = 1,
    in_float8: bool = False,
) -> Iterator[Model]:
    """Have a published model as the engine runs it, or as diffusers does; tensors made inside are fake.

    experts: 1 for TI2V-5B, 2 for I2V-A14B. in_float8: the weights that can be are kept so.
    layers: how many a transformer has, fewer to be faster: each takes the same, one after the other.
    """
    with FakeTensorMode(), torch.inference_mode():
        made = wan.build() if experts == 1 else wan_a14b.build()
        parts = {name: part.eval() for name, part in made.items()}
        transformer, text_encoder = parts["transformer"], parts["text_encoder"]
        transformer.blocks = transformer.blocks[:layers]
        put_into(transformer, dtype, transformer._keep_in_fp32_modules)
        put_into(text_encoder, dtype)
        if in_float8:
            for part, place in ((transformer, "blocks"), (text_encoder, "encoder.block")):
                for name in linear_weights(part, place):
                    layer = part.get_submodule(name.rpartition(".")[0])
                    take(layer, pack(layer.weight))
        if as_the_engine:
            use_lean_blocks(transformer)
            use_lean_layers(parts["vae"])
        text_encoder.encoder.embed_tokens = text_encoder.shared
        yield Model(transformer, text_encoder, parts["vae"], dtype, experts)  # type: ignore[arg-type]
