"""Transformers with less to do, against diffusers' own."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention import FeedForward
from diffusers.models.attention_processor import Attention

from i2v.engines.svd.transformer import ChunkedFeedForward, SingleTokenAttention, set_chunk_tokens
from tests.tiny_svd import tiny_unet


@pytest.mark.parametrize("chunk", [1, 7, 20, 1000])
def test_a_feed_forward_in_chunks_is_the_same(chunk: int) -> None:
    module = FeedForward(16, activation_fn="geglu").eval()
    states = torch.randn(4, 5, 16)
    chunked = ChunkedFeedForward(module)
    chunked.chunk_tokens = chunk
    with torch.inference_mode():
        assert torch.allclose(chunked(states), module(states), atol=1e-6)
    assert chunked.state_dict().keys() == module.state_dict().keys()


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


def test_a_number_of_tokens_is_for_every_layer() -> None:
    from i2v.engines.svd.transformer import use_lean_transformers

    unet = tiny_unet()
    names = unet.state_dict().keys()
    use_lean_transformers(unet)
    assert unet.state_dict().keys() == names
    set_chunk_tokens(unet, 5)
    layers = [module for module in unet.modules() if isinstance(module, ChunkedFeedForward)]
    assert {layer.chunk_tokens for layer in layers} == {5}
    assert not any(isinstance(module, FeedForward) for module in unet.modules())
