"""What the networks are filled with, and what a clip has changed: another base, motion module, or LoRAs.

A checkpoint in Stable Diffusion's own format is renamed by diffusers' converters. Which files fit is checked
before (`i2v.weights.checkpoints`, `i2v.weights.loras`); here a tensor that does not is named.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers import MotionAdapter, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_clip_checkpoint,
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
)
from torch import nn

from i2v.core.engine_spec import EngineSpec
from i2v.core.generation import Generation
from i2v.engines.animatediff.facts import Facts, facts_of
from i2v.engines.animatediff.ip_adapter import use_style
from i2v.engines.animatediff.options import options_of
from i2v.engines.base import Inputs
from i2v.engines.diffusion.folder import Folder, assign, read_tensors
from i2v.weights.checkpoints import PARTS, checkpoint_files
from i2v.weights.loras import LoraFile

if TYPE_CHECKING:
    from i2v.engines.animatediff.components import Components

_ADAPTER = "motion_adapter"
_STEM = "diffusion_pytorch_model"


def build_adapter(source: Folder, facts: Facts) -> MotionAdapter:
    """Return the motion module without values: as its config.json says, or as its base is (Lightning's)."""
    if not facts.motion_files:
        return source.build(_ADAPTER, MotionAdapter.from_config)
    return source.build("unet", _adapter_of)


def _adapter_of(unet: dict[str, Any]) -> MotionAdapter:
    """For Stable Diffusion 1.5 this is diffusers' default, which Lightning's card makes."""
    return MotionAdapter(
        block_out_channels=unet["block_out_channels"],
        motion_layers_per_block=unet["layers_per_block"],
        motion_num_attention_heads=unet["attention_head_dim"],
        motion_norm_num_groups=unet["norm_num_groups"],
    )


def motion_file(facts: Facts, num_inference_steps: int | None = None) -> str:
    """Return the stem of the motion module's file: where there is one a number of steps, of that number."""
    if not facts.motion_files:
        return _STEM
    known = dict(facts.motion_files)
    return known.get(num_inference_steps or 0, facts.motion_files[0][1])


def fill_motion(source: Folder, unet: nn.Module, stem: str, home: torch.device, dtype: torch.dtype) -> None:
    """Put the motion module of the file into the UNet."""
    adapter = build_adapter(source, facts_of(source.spec))
    assign(adapter, *source.tensors(_ADAPTER, stem), home, dtype)
    unet.load_state_dict(adapter.state_dict(), strict=False, assign=True)


def fill_base(source: Folder, unet: nn.Module, home: torch.device, dtype: torch.dtype) -> None:
    """Put the base's own weights into the UNet."""
    _fill_still(source, unet, *source.tensors("unet", _STEM), home, dtype)


def _fill_still(
    source: Folder,
    unet: nn.Module,
    path: Path,
    tensors: Mapping[str, torch.Tensor],
    home: torch.device,
    dtype: torch.dtype,
) -> None:
    still = source.build("unet", UNet2DConditionModel.from_config)
    assign(still, path, tensors, home, dtype)
    unet.load_state_dict(still.state_dict(), strict=False, assign=True)


def prepare(components: Components, spec: EngineSpec, generation: Generation, inputs: Inputs) -> None:
    """Have the weights that the clip asks for; raises `ModelUnavailable`.

    Where this ends early, the next call begins with the model's own weights.
    """
    facts, filled = facts_of(spec), components.filled
    motion = motion_file(facts, generation.num_inference_steps)
    wanted: dict[str, object] = {"checkpoint": _state_of(inputs.checkpoint), "motion": motion}
    if filled != wanted:
        components.loras.undo()
        filled = components.filled
        components.filled = {}  # in between
        if filled.get("checkpoint", "") != wanted["checkpoint"]:
            _use_base(components, inputs.checkpoint)
        if filled.get("motion") != motion:
            fill_motion(components.source, components.unet, motion, components.home, components.dtype)
        components.filled = wanted
    own = tuple(LoraFile(components.source.path / name, strength) for name, strength in facts.own_loras)
    modules = {"unet": components.unet, "text_encoder": components.text_encoder}
    components.loras.use(spec, modules, (*own, *inputs.loras))
    if (inputs.style_image is None) != (inputs.style_model is None):
        raise ValueError("a style picture and the model that reads it come together")
    scale = options_of(generation).ip_adapter_scale or 0.0
    use_style(components, spec.input_models["style_image"], inputs.style_model, scale)


def _state_of(checkpoint: Path | None) -> tuple[tuple[Path, int], ...] | None:
    """Return what is another where the checkpoint's files are others; `None` for the model's own base."""
    if checkpoint is None:
        return None
    try:
        files = checkpoint_files(checkpoint).values()
        return tuple((path, path.stat().st_mtime_ns) for path in files)
    except (OSError, ValueError):  # reading it says what is wrong
        return ()


def _use_base(components: Components, checkpoint: Path | None) -> None:
    """Fill UNet, text encoder and VAE; what a checkpoint does not have is the model's own."""
    source, dtype = components.source, components.dtype
    parts = {} if checkpoint is None else read_checkpoint(source, checkpoint)
    for part in PARTS:
        path, tensors = parts.get(part) or source.tensors(part, "model" if part == "text_encoder" else _STEM)
        if part == "unet":
            _fill_still(source, components.unet, path, tensors, components.home, dtype)
        elif part == "text_encoder":
            assign(components.text_encoder, path, tensors, components.encoders_home, dtype)
        else:
            assign(components.vae, path, tensors, components.home, dtype)


def read_checkpoint(source: Folder, checkpoint: Path) -> dict[str, tuple[Path, dict[str, torch.Tensor]]]:
    """Return the tensors of a checkpoint by part, as diffusers names them, each with the file it is from."""
    try:
        files = checkpoint_files(checkpoint)
    except ValueError as error:
        raise source.unreadable(checkpoint, error) from error
    if "" not in files:
        return {part: (path, read_tensors(source.spec, path)) for part, path in files.items()}
    whole = read_tensors(source.spec, checkpoint)
    try:
        converted = {
            "unet": convert_ldm_unet_checkpoint(whole, source.json("unet/config.json")),
            "text_encoder": convert_ldm_clip_checkpoint(whole),
            "vae": convert_ldm_vae_checkpoint(_vae_of(whole), source.json("vae/config.json")),
        }
    except (KeyError, IndexError, AttributeError) as error:  # a converter that misses a tensor
        raise source.unreadable(checkpoint, f"{type(error).__name__}: {error}") from error
    return {part: (checkpoint, tensors) for part, tensors in converted.items() if tensors}


def _vae_of(whole: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the VAE's tensors alone: the converter takes a file without a VAE for one as a whole."""
    return {name: tensor for name, tensor in whole.items() if name.startswith(("first_stage_model.", "vae."))}
