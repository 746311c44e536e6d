"""Which model a checkpoint or a LoRA is of, told by the names and shapes of its tensors.

For messages: a file that does not fit is refused with what it is. Whether it fits is found by comparing
shapes with the model's own (`checkpoints`, `loras`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from i2v.weights.model_files import Shape

UNKNOWN = "another model"
# The width of what the UNet's cross-attention reads: of CLIP-L, OpenCLIP-H, and both of SDXL.
_BY_CONTEXT = {
    768: "Stable Diffusion 1.5", 1024: "Stable Diffusion 2", 2048: "Stable Diffusion XL",
    1280: "Stable Diffusion XL (refiner)",
}  # fmt: skip
# The channels of the UNet's first layer where they are not the latents' four.
_BY_CHANNELS = {9: "an inpainting model", 8: "an InstructPix2Pix model", 5: "a depth-guided model"}
# How Wan's own code and diffusers name its modules in LoRAs, and the width of its attention.
_OF_WAN = re.compile(
    r"(?:base_model\.model\.)?(?:(?:transformer|diffusion_model)\.|lora_(?:unet|transformer)_)?"
    r"blocks[._]\d+[._](?:self_attn|cross_attn|attn[12])[._](?:to_)?q[._]lora_(?:down|A)\b.*"
)
_WANS = {1536: "Wan 2.1 1.3B", 3072: "Wan 2.2 TI2V-5B", 5120: "Wan 14B (2.1 or 2.2 A14B)"}
_TRANSFORMERS = {
    "double_blocks": "FLUX", "joint_blocks": "Stable Diffusion 3", "blocks.0.cross_attn": "Wan",
}  # fmt: skip
# kohya's `ss_base_model_version` and ModelSpec's `modelspec.architecture`, by their beginnings.
_NOTED = {
    "stable-diffusion-xl": "Stable Diffusion XL", "sdxl": "Stable Diffusion XL",
    "stable-diffusion-v1": "Stable Diffusion 1.5", "sd_v1": "Stable Diffusion 1.5",
    "stable-diffusion-v2": "Stable Diffusion 2", "sd_v2": "Stable Diffusion 2",
    "stable-diffusion-3": "Stable Diffusion 3", "sd3": "Stable Diffusion 3", "flux": "FLUX", "wan": "Wan",
}  # fmt: skip


def of_checkpoint(context: int | None, channels: int | None, names: Iterable[str]) -> str:
    """Return what a checkpoint is.

    context: what the UNet's cross-attention reads; channels: of its input; `None`: it has no such UNet.
    """
    if channels in _BY_CHANNELS:
        kind = _BY_CONTEXT.get(context or 0)
        return _BY_CHANNELS[channels] + (f" ({kind})" if kind else "")
    if context is not None:
        return _BY_CONTEXT.get(context, UNKNOWN)
    return _transformer(names)


def of_lora(shapes: Mapping[str, Shape], metadata: Mapping[str, str]) -> str:
    """Return which model a LoRA is for, as its file says, else by what it changes."""
    noted = [metadata.get(key, "").lower() for key in ("modelspec.architecture", "ss_base_model_version")]
    for beginning, title in _NOTED.items():
        if any(text.startswith(beginning) for text in noted):
            return _wan(shapes) or title if title == "Wan" else title
    if wan := _wan(shapes):
        return wan
    if any(name.startswith(("lora_te2_", "text_encoder_2.")) for name in shapes):
        return "Stable Diffusion XL"
    for name, shape in shapes.items():
        is_down = any(mark in name for mark in ("lora_down", "lora_A", "lora.down", "linear_layer.down"))
        if is_down and ("attn2_to_k" in name or "attn2.to_k" in name) and "motion_modules" not in name:
            return _BY_CONTEXT.get(shape[-1], UNKNOWN)
    return _transformer(shapes)


def _wan(shapes: Mapping[str, Shape]) -> str:
    """Return which of Wan's sizes a LoRA is for, "" where it is for another model."""
    widths = (shape[-1] for name, shape in shapes.items() if shape and _OF_WAN.fullmatch(name))
    return next((_WANS.get(width, "Wan") for width in widths), "")


def _transformer(names: Iterable[str]) -> str:
    for name in names:
        for mark, title in _TRANSFORMERS.items():
            if mark in name or mark.replace(".", "_") in name:
                return title
    return UNKNOWN
