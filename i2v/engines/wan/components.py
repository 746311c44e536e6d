"""A folder in the Hugging Face layout -> the parts of a model, or an error naming file and tensor.

Owns which parts there are, how each is built, and where each is at home. How a file is read is
`diffusion.folder`'s business; what a component computes is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed
from torch import nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase, UMT5Config, UMT5EncoderModel

from i2v.core.engine_spec import EngineSpec
from i2v.core.memory_plan import MemoryPlan, StorageDtype
from i2v.core.model_spec import ModelSpec
from i2v.engines.diffusion.float8 import linear_weights
from i2v.engines.diffusion.folder import Folder
from i2v.engines.diffusion.gguf import Quantized, assign_gguf, read_gguf
from i2v.engines.diffusion.loras import AppliedLoras
from i2v.engines.diffusion.placement import DTYPES, LateWeights, PlacedParts, homes
from i2v.engines.wan.facts import Facts, facts_of
from i2v.engines.wan.transformer import use_lean_blocks
from i2v.engines.wan.vae import use_lean_layers
from i2v.weights.loras import LoraFile
from i2v.weights.parts import gguf_in

# What decides over the noise, and what the sampler has code for (`solver`).
_SCHEDULE = ("num_train_timesteps", "prediction_type", "use_flow_sigmas")
_SAMPLED: dict[str, tuple[object, ...]] = {
    "prediction_type": ("flow_prediction",),
    "use_flow_sigmas": (True,),
    "use_dynamic_shifting": (False,),
    "shift_terminal": (None,),
    "solver_order": (2,),
    "solver_type": ("bh2",),
    "predict_x0": (True,),
    "lower_order_final": (True,),
    "disable_corrector": ([],),
    "thresholding": (False,),
    "final_sigmas_type": ("zero",),
}


@dataclass
class Components(PlacedParts):
    """The loaded model in `dtype`, but for the VAE, which is in float32 as it is published."""

    tokenizer: PreTrainedTokenizerBase
    text_encoder: UMT5EncoderModel
    text_weights: LateWeights
    vae: AutoencoderKLWan
    transformers: tuple[WanTransformer3DModel, ...]  # of the highest noise first (`Facts`)
    scheduler_config: dict[str, Any]
    device: torch.device
    home: torch.device
    encoders_home: torch.device
    dtype: torch.dtype
    loras: tuple[AppliedLoras, ...]  # of each transformer
    storage_dtype: StorageDtype = "auto"
    is_settled: bool = True

    @property
    def encoders(self) -> tuple[nn.Module, ...]:
        return (self.text_encoder,)

    @property
    def late(self) -> tuple[LateWeights, ...]:
        return (self.text_weights,)

    @property
    def denoisers(self) -> tuple[nn.Module, ...]:
        return self.transformers

    @property
    def transformer(self) -> WanTransformer3DModel:
        return self.transformers[0]

    @property
    def vae_scale_factor(self) -> int:
        return int(self.vae.config.scale_factor_spatial)

    def home_of(self, part: nn.Module) -> torch.device:
        """Of two experts, none stays on the device: there is no room for both, nor need."""
        if len(self.transformers) > 1 and any(part is expert for expert in self.transformers):
            return torch.device("cpu") if self.device.type != "cpu" else self.device
        return super().home_of(part)

    def blocks_of(self, part: nn.Module) -> Sequence[nn.Module]:
        if part is self.text_encoder:
            return (part.get_submodule("shared"), *part.get_submodule("encoder.block").children())
        if self.home == self.device or part is self.vae:
            return ()  # an expert comes as a whole where the plan offloads no model
        return tuple(part.get_submodule("blocks").children())

    def use_loras(self, spec: EngineSpec, files: Sequence[LoraFile]) -> None:
        """Have exactly these on the transformers, each with its own strength; raises `ModelUnavailable`."""
        for number, (transformer, loras) in enumerate(zip(self.transformers, self.loras, strict=True)):
            strengths = [
                file.strength_2 if number and file.strength_2 is not None else file.strength for file in files
            ]
            here = [
                replace(file, strength=strength)
                for file, strength in zip(files, strengths, strict=True)
                if strength
            ]
            loras.use(spec, {"transformer": transformer}, here)

    def scheduler(self, flow_shift: float) -> UniPCMultistepScheduler:
        """Return a scheduler of its own for each run, since diffusers' schedulers carry state."""
        return UniPCMultistepScheduler.from_config(self.scheduler_config, flow_shift=flow_shift)


def load_components(spec: EngineSpec, folder: Path, plan: MemoryPlan) -> Components:
    """Load every component from `folder` in the plan's dtype, straight to where it is at home.

    Raises:
        ModelUnavailable: a file is missing or unreadable, or a tensor is missing, unexpected or misshapen.
    """
    source, facts = Folder(spec, folder), facts_of(spec)
    _check_kind(source, facts)
    device, dtype = torch.device(plan.device), DTYPES[plan.dtype]
    home, encoders_home = homes(device, plan.offload)
    experts_home = home if len(facts.transformers) == 1 else torch.device("cpu")

    in_float8 = plan.storage_dtype == "float8_e4m3fn"
    transformers = tuple(
        _load_transformer(source, part, experts_home, dtype, in_float8) for part in facts.transformers
    )
    text_encoder = source.build("text_encoder", lambda config: UMT5EncoderModel(UMT5Config(**config)))
    vae = source.build("vae", AutoencoderKLWan.from_config)
    text_weights = late_text_encoder(source, text_encoder, dtype, in_float8)
    vae = source.filled("vae", vae, home, torch.float32)
    use_lean_layers(vae)
    return Components(
        tokenizer=load_tokenizer(source),
        text_encoder=text_encoder,
        text_weights=text_weights,
        vae=vae,
        transformers=transformers,
        scheduler_config=source.scheduler(UniPCMultistepScheduler, _SCHEDULE, _SAMPLED),
        device=device,
        home=home,
        encoders_home=encoders_home,
        dtype=dtype,
        loras=tuple(AppliedLoras(beside=dtype) for _ in transformers),
        storage_dtype=plan.storage_dtype,
    )


def _check_kind(source: Folder, facts: Facts) -> None:
    """Raise `ModelUnavailable` where the folder has another of Wan's models, whose files have these names."""
    source.check_class(facts.pipeline)
    index = source.json("model_index.json")
    found = (bool(index.get("expand_timesteps")), index.get("boundary_ratio") is not None)
    if found != (facts.expand_timesteps, facts.boundary_ratio is not None):
        reason = f"expand_timesteps is {index.get('expand_timesteps')}, boundary_ratio" + (
            f" {index.get('boundary_ratio')}: another Wan model"
        )
        raise source.unreadable(source.path / "model_index.json", reason)


def _load_transformer(
    source: Folder, part: str, home: torch.device, dtype: torch.dtype, in_float8: bool
) -> WanTransformer3DModel:
    transformer = source.build(part, WanTransformer3DModel.from_config)
    _set_positions(transformer)
    quantized = gguf_in(source.spec, source.path, f"{part}/diffusion_pytorch_model.safetensors")
    if quantized is not None:
        fill_from_gguf(source.spec, transformer, quantized, home, dtype)
    else:
        kept = transformer._keep_in_fp32_modules  # by diffusers too
        packed = linear_weights(transformer, "blocks") if in_float8 else ()
        transformer = source.filled(part, transformer, home, dtype, kept, packed)
    use_lean_blocks(transformer)
    return transformer


def fill_from_gguf(
    spec: ModelSpec, transformer: WanTransformer3DModel, path: Path, home: torch.device, dtype: torch.dtype
) -> None:
    """Give the transformer, built without values, those of a GGUF file; raises `ModelUnavailable`.

    Its tensors are named as by Wan's own code, or by diffusers.
    """
    tensors: dict[str, Quantized] = read_gguf(spec, path)
    if any("self_attn" in name for name in tensors):
        tensors = convert_wan_transformer_to_diffusers(tensors)  # it renames, and looks into none
    kept = frozenset(transformer._keep_in_fp32_modules)
    assign_gguf(transformer, path, tensors, home, dtype, kept)
    transformer.eval().requires_grad_(False)


def late_text_encoder(
    source: Folder, encoder: UMT5EncoderModel, dtype: torch.dtype, in_float8: bool
) -> LateWeights:
    """Return the weights of `encoder`, built without values; those that do not fit are refused now.

    Raises `ModelUnavailable`.
    """
    encoder.encoder.embed_tokens = None  # the file has it once
    source.check("text_encoder", encoder)
    # float16 is too narrow for the end of its feed-forward layers, which transformers keeps in float32 then
    kept = ["wo"] if dtype == torch.float16 else []
    packed = linear_weights(encoder, "encoder.block") if in_float8 else ()

    def fill(home: torch.device) -> None:
        source.filled("text_encoder", encoder, home, dtype, kept, packed)
        encoder.encoder.embed_tokens = encoder.shared

    return LateWeights(encoder, fill)


def load_tokenizer(source: Folder) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a model's folder; raises `ModelUnavailable`."""
    source.file("tokenizer/tokenizer.json")
    folder = source.path / "tokenizer"
    try:
        return cast("PreTrainedTokenizerBase", AutoTokenizer.from_pretrained(folder, local_files_only=True))
    except (OSError, ValueError, KeyError) as error:
        raise source.unreadable(folder, error) from error


def _set_positions(transformer: WanTransformer3DModel) -> None:
    """Give the rotary embedding, which no file holds, its values: it was built without."""
    config = transformer.config
    transformer.rope = WanRotaryPosEmbed(
        config.attention_head_dim, tuple(config.patch_size), config.rope_max_seq_len
    )
