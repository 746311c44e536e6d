"""What the networks predict at one step: diffusers' own forwards, over feed-forward layers in chunks.

SparseCtrl looks at the pictures and at the time, not at the latents; what it says is added to the UNet's skip
connections. This knows nothing of schedulers, guidance scales or pixels.
"""

from __future__ import annotations

import torch
from diffusers import SparseControlNetModel, UNetMotionModel

from i2v.engines.animatediff.conditioning import Conditioning


def predict(
    unet: UNetMotionModel,
    controlnet: SparseControlNetModel,
    latents: torch.Tensor,
    timestep: torch.Tensor,
    rows: Conditioning,
    conditioning_scale: float,
) -> torch.Tensor:
    """Return the (B, C, F, h, w) prediction for `latents` (1, C, F, h, w) under each of the B rows.

    Args:
        timestep: of no dimension.
        conditioning_scale: how much of what SparseCtrl says is added.
    """
    count, num_frames = len(rows.prompt_embeds), latents.shape[2]
    given = latents.expand(count, -1, -1, -1, -1)
    context = rows.prompt_embeds.repeat_interleave(num_frames, dim=0)
    down, middle = controlnet(
        given,
        timestep,
        encoder_hidden_states=context,
        controlnet_cond=rows.pictures,
        conditioning_mask=rows.mask,
        conditioning_scale=conditioning_scale,
        return_dict=False,
    )
    seen: torch.Tensor | tuple[torch.Tensor, list[torch.Tensor]] = context
    if rows.style is not None:  # in the form that `IPAdapterAttnProcessor2_0` takes them
        seen = (context, [rows.style.repeat_interleave(num_frames, dim=0)])
    prediction: torch.Tensor = unet(
        given,
        timestep,
        encoder_hidden_states=seen,
        down_block_additional_residuals=down,
        mid_block_additional_residual=middle,
        return_dict=False,
    )[0]
    return prediction
