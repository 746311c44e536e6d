"""The UNet's transformers, in less memory and with less work: the same numbers up to rounding.

Each cross-attention attends to the picture's one embedding, and a softmax over one is 1, so its result is
that of its value and output projections, whatever asks. Feed-forward layers take so many tokens at a time.
"""

from __future__ import annotations

import torch
from diffusers import UNetSpatioTemporalConditionModel
from diffusers.models.attention_processor import Attention

from i2v.engines.diffusion.feed_forward import use_chunked_feed_forward


class SingleTokenAttention:
    """A processor of diffusers' `Attention` for a context of one token."""

    def __call__(
        self,
        attention: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Return (N, 1, C): what each of the (N, L, C) queries would get from (N, 1, D)."""
        if encoder_hidden_states.shape[1] != 1 or attention_mask is not None:
            raise ValueError(f"one token is attended to, not {encoder_hidden_states.shape[1]}")
        output: torch.Tensor = attention.to_out[0](attention.to_v(encoder_hidden_states))
        return output


def use_lean_transformers(unet: UNetSpatioTemporalConditionModel) -> None:
    """Put both into the transformers of `unet`, whose tensors keep their names and values."""
    use_chunked_feed_forward(unet)
    for module in list(unet.modules()):
        for name, child in module.named_children():
            if isinstance(child, Attention) and name == "attn2":
                child.set_processor(SingleTokenAttention())
