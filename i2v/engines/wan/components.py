"""A folder in the Hugging Face layout -> the parts of the model, or an error naming file and tensor.

Owns which parts there are, how each is built, and where each is at home. How a file is read is
`diffusion.folder`'s business; what a component computes is not known here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed
from torch import nn
from transformers import AutoTokenizer, PreTrainedTokenizerBase, UMT5Config, UMT5EncoderModel

from i2v.core.engine_spec import EngineSpec
from i2v.core.schema import MemoryPlan, StorageDtype
from i2v.engines.diffusion.float8 import linear_weights
from i2v.engines.diffusion.folder import Folder
from i2v.engines.diffusion.gguf import Quantized, assign_gguf, read_gguf
from i2v.engines.diffusion.placement import DTYPES, LateWeights, PlacedParts, homes
from i2v.engines.wan.transformer import use_lean_blocks
from i2v.engines.wan.vae import use_lean_layers
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
    transformer: WanTransformer3DModel
    scheduler_config: dict[str, Any]
    device: torch.device
    home: torch.device
    encoders_home: torch.device
    dtype: torch.dtype
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
        return (self.transformer,)

    @property
    def vae_scale_factor(self) -> int:
        return int(self.vae.config.scale_factor_spatial)

    def blocks_of(self, part: nn.Module) -> Sequence[nn.Module]:
        if part is self.text_encoder:
            return (part.get_submodule("shared"), *part.get_submodule("encoder.block").children())
        return tuple(part.get_submodule("blocks").children()) if part is self.transformer else ()

    def scheduler(self, flow_shift: float) -> UniPCMultistepScheduler:
        """Return a scheduler of its own for each run, since diffusers' schedulers carry state."""
        return UniPCMultistepScheduler.from_config(self.scheduler_config, flow_shift=flow_shift)


def load_components(spec: EngineSpec, folder: Path, plan: MemoryPlan) -> Components:
    """Load every component from `folder` in the plan's dtype, straight to where it is at home.

    Raises:
        ModelUnavailable: a file is missing or unreadable, or a tensor is missing, unexpected or misshapen.
    """
    source = Folder(spec, folder)
    source.check_class("WanPipeline")  # of text to video: diffusers' class for pictures reads the same files
    if not source.json("model_index.json").get("expand_timesteps"):
        raise source.unreadable(folder / "model_index.json", "expand_timesteps is not set: another Wan model")
    device, dtype = torch.device(plan.device), DTYPES[plan.dtype]
    home, encoders_home = homes(device, plan.offload)

    transformer = source.build("transformer", WanTransformer3DModel.from_config)
    text_encoder = source.build("text_encoder", lambda config: UMT5EncoderModel(UMT5Config(**config)))
    vae = source.build("vae", AutoencoderKLWan.from_config)
    _set_positions(transformer)
    kept = transformer._keep_in_fp32_modules  # by diffusers too
    in_float8 = plan.storage_dtype == "float8_e4m3fn"
    quantized = gguf_in(spec, folder, "transformer/diffusion_pytorch_model.safetensors")
    if quantized is not None:
        fill_from_gguf(spec, transformer, quantized, home, dtype)
    else:
        packed = linear_weights(transformer, "blocks") if in_float8 else ()
        transformer = source.filled("transformer", transformer, home, dtype, kept, packed)
    text_weights = late_text_encoder(source, text_encoder, dtype, in_float8)
    vae = source.filled("vae", vae, home, torch.float32)
    use_lean_blocks(transformer)
    use_lean_layers(vae)
    return Components(
        tokenizer=load_tokenizer(source),
        text_encoder=text_encoder,
        text_weights=text_weights,
        vae=vae,
        transformer=transformer,
        scheduler_config=source.scheduler(UniPCMultistepScheduler, _SCHEDULE, _SAMPLED),
        device=device,
        home=home,
        encoders_home=encoders_home,
        dtype=dtype,
        storage_dtype=plan.storage_dtype,
    )


def fill_from_gguf(
    spec: EngineSpec, transformer: WanTransformer3DModel, path: Path, home: torch.device, dtype: torch.dtype
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
