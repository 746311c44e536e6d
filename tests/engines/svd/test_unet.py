"""One prediction with lean transformers, against diffusers' UNet as it is."""

from __future__ import annotations

import pytest
import torch

from i2v.engines.diffusion.feed_forward import set_chunk_tokens
from i2v.engines.svd.conditioning import Conditioning
from i2v.engines.svd.transformer import use_lean_transformers
from i2v.engines.svd.unet import predict
from tests.tiny_svd import tiny_unet


@pytest.mark.parametrize("shape", [(6, 8), (5, 7)], ids=["even sides", "odd sides"])
def test_each_rows_prediction_is_diffusers(shape: tuple[int, int]) -> None:
    torch.manual_seed(4)
    unet = tiny_unet().eval()
    latents, picture = torch.randn(1, 3, 4, *shape), torch.randn(2, 4, *shape)
    rows = Conditioning(torch.randn(2, 1, 16), picture, torch.tensor([[6.0, 127.0, 0.02]] * 2))
    time = torch.tensor(1.6)
    with torch.inference_mode():
        expected = unet(
            torch.cat([latents.repeat(2, 1, 1, 1, 1), picture[:, None].repeat(1, 3, 1, 1, 1)], dim=2),
            time,
            encoder_hidden_states=rows.image_embeddings,
            added_time_ids=rows.added_time_ids,
        ).sample
        use_lean_transformers(unet)
        set_chunk_tokens(unet, 10)
        assert torch.allclose(predict(unet, latents, time, rows), expected, atol=1e-5)
        for part, whole in zip(rows.split(2), expected.split(1), strict=True):
            assert torch.allclose(predict(unet, latents, time, part), whole, atol=1e-5)
