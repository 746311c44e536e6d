"""What each stage of a clip of Wan 2.2 TI2V-5B takes, counted by running its engine on fake tensors.

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
from i2v.engines.wan.decode import decode_latents
from i2v.engines.wan.solver import FlowSolver
from i2v.engines.wan.transformer import predict, use_lean_blocks
from i2v.engines.wan.vae import use_lean_layers
from scripts.full_size import wan
from scripts.memory_table.simulate import Cost, counting

SCALE = 16  # pixels a latent, in each direction
CHANNELS = 48
PROMPT_TOKENS = 512
SIGMAS = (0.99, 0.9, 0.8, 0.7, 0.0)


@dataclass(frozen=True)
class Model:
    """The parts without values; all but the VAE in `dtype`. Costs are in bytes here."""

    transformer: WanTransformer3DModel
    text_encoder: UMT5EncoderModel
    vae: AutoencoderKLWan
    dtype: torch.dtype

    @property
    def parts(self) -> dict[str, nn.Module]:
        return {"transformer": self.transformer, "text_encoder": self.text_encoder, "vae": self.vae}

    def weights(self) -> dict[str, int]:
        """Return how many numbers each part holds."""
        return {name: count_of([part]) for name, part in self.parts.items()}

    def streamed(self) -> dict[str, int]:
        """Return how many numbers of a part are on the device at once where its blocks come one by one."""
        text_blocks = (self.text_encoder.shared, *self.text_encoder.encoder.block)
        found = {}
        for name, blocks in (("transformer", self.transformer.blocks), ("text_encoder", text_blocks)):
            sizes = [count_of([block]) for block in blocks]
            found[name] = count_of([self.parts[name]]) - sum(sizes) + max(sizes)
        return found

    def float8(self) -> dict[str, dict[str, int]]:
        """Return what of a part is kept in float8 where that is asked for: numbers, and rows with a scale.

        `streamed`: the same of the part's largest block; `layer`: numbers of the largest weight, which is
        there in the type that it computes in while it does.
        """
        found = {}
        for name, place in (("transformer", "blocks"), ("text_encoder", "encoder.block")):
            part = self.parts[name]
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
        solver, shape = FlowSolver(SIGMAS), (1, CHANNELS, frames, height, width)
        texts = torch.empty(rows, PROMPT_TOKENS, 4096, dtype=self.dtype).chunk(passes)
        with counting_bytes() as counted:
            latents, history = torch.empty(shape), tuple(torch.empty(shape) for _ in range(3))
            first = torch.empty(1, CHANNELS, 1, height, width)
            given = torch.cat([first, latents[:, :, 1:]], dim=2)
            time = torch.tensor(900)
            velocity = torch.cat(
                [predict(self.transformer, given, time, text, chunk_tokens) for text in texts]
            )
            if rows == 2:
                unconditional, conditional = velocity.chunk(2)
                velocity = unconditional + 5.0 * (conditional - unconditional)
            denoised = solver.denoised(2, latents, velocity)
            solver.advance(2, latents, denoised, history)
        return counted[0]

    def step_as_stock(self, height: int, width: int, frames: int) -> Cost:
        """Run one step as diffusers does, each of whose tokens has a time of its own."""
        latents = torch.empty(1, CHANNELS, frames, height, width)
        text = torch.empty(1, PROMPT_TOKENS, 4096, dtype=self.dtype)
        times = torch.empty(1, frames * height * width // 4)
        with counting_bytes() as counted:
            self.transformer(latents.to(self.dtype), times, text, return_dict=False)
        return counted[0]

    def decode_as_stock(self, height: int, width: int, frames: int) -> Cost:
        """Decode so many latent frames of `height` x `width` pixels as diffusers does, into one tensor."""
        latents = torch.empty(1, CHANNELS, frames, height // SCALE, width // SCALE)
        with counting_bytes() as counted:
            self.vae.decode(latents).sample.float()
        return counted[0]

    def read(self, rows: int) -> Cost:
        """Encode `rows` prompts."""
        ids = torch.zeros(rows, PROMPT_TOKENS, dtype=torch.int64)
        with counting_bytes() as counted:
            self.text_encoder(ids, torch.ones_like(ids)).last_hidden_state.clone()
        return counted[0]

    def encode(self, height: int, width: int) -> Cost:
        """Encode a picture of `height` x `width` pixels."""
        with counting_bytes() as counted:
            self.vae.encode(torch.empty(1, 3, 1, height, width)).latent_dist.mode()
        return counted[0]

    def decode(self, height: int, width: int, frames: int) -> Cost:
        """Decode so many latent frames of `height` x `width` pixels, one after the other."""
        latents = torch.empty(1, CHANNELS, frames, height // SCALE, width // SCALE)
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
    in_float8: bool = False,
) -> Iterator[Model]:
    """Have the published model as the engine runs it, or as diffusers does; tensors made inside are fake.

    in_float8: the weights that can be are kept so.
    layers: how many the transformer has, fewer to be faster: each takes the same, one after the other.
    """
    with FakeTensorMode(), torch.inference_mode():
        parts = {name: part.eval() for name, part in wan.build().items()}
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
        yield Model(transformer, text_encoder, parts["vae"], dtype)  # type: ignore[arg-type]
