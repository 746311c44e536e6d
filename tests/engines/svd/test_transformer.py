"""Transformers with less to do, against diffusers' own."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention_processor import Attention

from i2v.engines.svd.transformer import SingleTokenAttention, use_lean_transformers
from tests.tiny_svd import tiny_unet


def test_attending_to_one_token_needs_no_question() -> None:
    attention = Attention(query_dim=16, cross_attention_dim=8, heads=2, dim_head=8).eval()
    states, context = torch.randn(3, 5, 16), torch.randn(3, 1, 8)
    with torch.inference_mode():
        expected = attention(states, encoder_hidden_states=context)
        attention.set_processor(SingleTokenAttention())
        output = attention(states, encoder_hidden_states=context)
    assert torch.allclose(output.expand_as(expected), expected, atol=1e-6)


def test_several_tokens_are_refused() -> None:
    attention = Attention(query_dim=16, cross_attention_dim=8, processor=SingleTokenAttention())
    with pytest.raises(ValueError, match="not 2"):
        attention(torch.randn(1, 5, 16), encoder_hidden_states=torch.randn(1, 2, 8))


def test_the_unets_tensors_keep_their_names() -> None:
    unet = tiny_unet()
    names = unet.state_dict().keys()
    use_lean_transformers(unet)
    assert unet.state_dict().keys() == names
    attentions = [m for name, m in unet.named_modules() if name.endswith("attn2")]
    assert attentions
    assert all(isinstance(m.processor, SingleTokenAttention) for m in attentions)
