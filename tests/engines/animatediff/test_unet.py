"""One prediction: each row alone is what both together are, at any strength and at sides that are odd."""

from __future__ import annotations

import torch

from i2v.engines.animatediff.conditioning import Conditioning
from i2v.engines.animatediff.engine import AnimateDiffEngine
from i2v.engines.animatediff.unet import predict


@torch.inference_mode()
def test_rows_do_not_know_of_each_other_and_no_strength_is_no_picture(engine: AnimateDiffEngine) -> None:
    torch.manual_seed(4)
    parts, time = (engine.components.unet, engine.components.controlnet), torch.tensor(500)
    latents, mask = torch.randn(1, 4, 3, 6, 10), torch.zeros(1, 1, 3, 6, 10)
    mask[:, :, 0] = 1
    rows = Conditioning(torch.randn(2, 77, 16), mask * torch.randn(1, 4, 3, 6, 10), mask)
    both = predict(*parts, latents, time, rows, 1.0)
    for part, whole in zip(rows.split(2), both.split(1), strict=True):
        assert torch.allclose(predict(*parts, latents, time, part, 1.0), whole, atol=1e-5)
    blind = Conditioning(rows.prompt_embeds, torch.zeros_like(rows.pictures), torch.zeros_like(mask))
    assert not torch.allclose(predict(*parts, latents, time, blind, 1.0), both, atol=1e-3)
    without = [predict(*parts, latents, time, each, 0.0) for each in (rows, blind)]
    assert torch.equal(*without)
