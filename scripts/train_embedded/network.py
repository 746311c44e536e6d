"""The embedded UNet and image encoder: their shape, where training starts, and quick kernels to train with.

Knows neither pictures nor losses.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from diffusers import I2VGenXLUNet
from diffusers.models.attention_processor import Attention
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from scripts.train_embedded.motions import FPS
from scripts.train_embedded.text import WIDTH

VISION_SIDE = 32  # pixels of the picture that the image encoder sees

# The published scheduler's configuration, key by key.
SCHEDULER = {
    "num_train_timesteps": 1000, "beta_start": 0.0001, "beta_end": 0.02, "beta_schedule": "squaredcos_cap_v2",
    "trained_betas": None, "clip_sample": False, "clip_sample_range": 1.0, "set_alpha_to_one": True,
    "steps_offset": 1,
    "prediction_type": "v_prediction",
    "thresholding": False, "dynamic_thresholding_ratio": 0.995, "sample_max_value": 1.0,
    "timestep_spacing": "leading", "rescale_betas_zero_snr": True,
}  # fmt: skip


def new_image_encoder() -> CLIPVisionModelWithProjection:
    """A small vision tower, left at its random initial weights: the UNet learns to read what it gives."""
    return CLIPVisionModelWithProjection(
        CLIPVisionConfig(
            hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
            image_size=VISION_SIDE,
            patch_size=8, projection_dim=WIDTH,
        )
    ).requires_grad_(False)  # fmt: skip


def damp(unet: I2VGenXLUNet) -> None:
    """Start from zero output, temporal convolutions that see one frame, and the first frame at full strength.

    With torch's default weights the picture's latents shrink some twentyfold on their way to `conv_in` and
    drown in the noise beside them; here they arrive unchanged, since silu(x) - silu(-x) = x.
    """
    nn.init.zeros_(unet.conv_out.weight)
    nn.init.zeros_(unet.conv_out.bias)
    with torch.no_grad():
        for module in unet.modules():
            if isinstance(module, nn.Conv3d):
                module.weight[:, :, 0].zero_()
                module.weight[:, :, 2].zero_()
        first, _, second, _, third = unet.image_latents_proj_in
        for convolution, rows in ((first, 8), (second, 8), (third, 4)):
            convolution.weight[:rows].zero_()
            convolution.bias[:rows].zero_()
        for c in range(4):
            for sign, offset in ((1.0, 0), (-1.0, 4)):
                first.weight[offset + c, c, 1, 1] = sign
                second.weight[offset + c, c, 1, 1], second.weight[offset + c, 4 + c, 1, 1] = sign, -sign
            third.weight[c, c, 1, 1], third.weight[c, 4 + c, 1, 1] = 1.0, -1.0


@torch.no_grad()
def boost_text(unet: I2VGenXLUNet, factor: float) -> None:
    """Scale what cross-attention adds.

    At its default size the text is lost beside the picture for a long time.
    """
    for name, module in unet.named_modules():
        if isinstance(module, Attention) and name.endswith("attn2") and ".attentions." in name:
            module.to_out[0].weight *= factor


@torch.no_grad()
def boost_fps(unet: I2VGenXLUNet, factor: float) -> None:
    """Scale what another fps than the usual one changes; the usual one's embedding stays what it is."""
    usual = unet.fps_embedding(unet.time_proj(torch.tensor([FPS])).float())[0]
    last = unet.fps_embedding[-1]
    last.weight *= factor
    last.bias.mul_(factor).add_((1 - factor) * usual)


class TrainingAttention:
    """Plain attention, quick for very short sequences, where fused kernels cost more than they save."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
    ) -> torch.Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        batch, length, _ = hidden_states.shape
        head = attn.to_q.out_features // attn.heads
        q, k, v = (
            layer(states).view(batch, -1, attn.heads, head).transpose(1, 2)
            for layer, states in ((attn.to_q, hidden_states), (attn.to_k, context), (attn.to_v, context))
        )
        if k.shape[2] <= 16:
            out = torch.softmax((q @ k.transpose(-1, -2)) * attn.scale, dim=-1) @ v
        else:
            out = F.scaled_dot_product_attention(q, k, v)
        return attn.to_out[0](out.transpose(1, 2).reshape(batch, length, -1))


def prepare_for_training(unet: I2VGenXLUNet) -> dict[str, bool]:
    """Swap in quick, equal kernels; return the switch that confines temporal convolutions to one frame."""
    confined = {"on": False}
    unet.set_attn_processor(TrainingAttention())
    for module in unet.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(module, nn.Conv3d):
            # (B, C, F, H, W): a kernel of (3, 1, 1) is a Conv2d of (3, 1) over (B, C, F, H*W)
            def forward(x: torch.Tensor, conv: nn.Conv3d = module) -> torch.Tensor:
                batch, _, frames, height, width = x.shape
                weight = conv.weight[:, :, :, :, 0]
                if confined["on"]:
                    out = F.conv2d(x.reshape(batch, -1, frames, height * width), weight[:, :, 1:2], conv.bias)
                else:
                    out = F.conv2d(
                        x.reshape(batch, -1, frames, height * width), weight, conv.bias, padding=(1, 0)
                    )
                return out.view(batch, -1, frames, height, width)

            module.forward = forward
    return confined
