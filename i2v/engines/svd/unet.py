"""What the UNet predicts at one step: diffusers' own forward, over leaner transformers (`transformer`).

This knows nothing of schedulers, guidance scales or pixels.
"""

from __future__ import annotations

import torch
from diffusers import UNetSpatioTemporalConditionModel

from i2v.engines.svd.conditioning import Conditioning


def predict(
    unet: UNetSpatioTemporalConditionModel,
    latents: torch.Tensor,
    timestep: torch.Tensor,
    rows: Conditioning,
) -> torch.Tensor:
    """Return the (B, F, C, h, w) prediction for `latents` (1, F, C, h, w), scaled, under each of the B rows.

    Args:
        timestep: of no dimension.
    """
    count, num_frames = len(rows.image_latents), latents.shape[1]
    picture = rows.image_latents[:, None].expand(-1, num_frames, -1, -1, -1)
    prediction: torch.Tensor = unet(
        torch.cat([latents.expand(count, -1, -1, -1, -1), picture], dim=2),
        timestep,
        encoder_hidden_states=rows.image_embeddings,
        added_time_ids=rows.added_time_ids,
        return_dict=False,
    )[0]
    return prediction
