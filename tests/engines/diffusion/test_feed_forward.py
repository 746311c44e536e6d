"""Feed-forward layers in chunks, against diffusers' own."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention import FeedForward

from i2v.engines.diffusion.feed_forward import (
    ChunkedFeedForward,
    set_chunk_tokens,
    use_chunked_feed_forward,
)
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


def test_a_number_of_tokens_is_for_every_layer() -> None:
    unet = tiny_unet()
    names = unet.state_dict().keys()
    use_chunked_feed_forward(unet)
    assert unet.state_dict().keys() == names
    set_chunk_tokens(unet, 5)
    layers = [module for module in unet.modules() if isinstance(module, ChunkedFeedForward)]
    assert {layer.chunk_tokens for layer in layers} == {5}
    assert not any(isinstance(module, FeedForward) for module in unet.modules())
