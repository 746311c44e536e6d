"""Training the decoder: it learns from what the UNet leaves, and nothing else changes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch

from i2v.weights import EMBEDDED_FOLDER as FOLDER
from scripts.train_embedded import checkpoints
from scripts.train_embedded.decoder import Decoding, shaken
from scripts.train_embedded.export import restore
from scripts.train_embedded.motions import EASY
from scripts.train_embedded.plans import Recipe, draw_plan
from scripts.train_embedded.rendering import Photos


@pytest.mark.slow
def test_steps_on_one_batch_go_downhill_and_change_the_decoder_alone(tmp_path: Path) -> None:
    restore(FOLDER, tmp_path)
    generator = torch.Generator().manual_seed(0)
    picture = torch.randint(0, 256, (3, 100, 120), dtype=torch.uint8, generator=generator)
    photos = Photos([[picture]], torch.device("cpu"))
    decoding = Decoding(tmp_path, photos, checkpoints.read(tmp_path / "unet.pt").unet(True), rate=1e-3)
    before = {name: value.clone() for name, value in decoding.conditions.vae.state_dict().items()}
    plan = draw_plan(photos.sizes, decoding.conditions.tokenizer, 2, Recipe(EASY, 8, 2, view=(64, 64)),
                     random.Random(0))  # fmt: skip
    frames = photos.render(plan)
    batch = decoding.conditions.batch(plan, frames)
    losses = []
    for _ in range(5):
        torch.manual_seed(0)  # the same noise
        losses.append(decoding.step(batch, frames, 0.0, random.Random(0)).item())
    assert losses[-1] < 0.98 * losses[0]
    after = decoding.conditions.vae.state_dict()
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"decoder", "post_quant_conv"}


def test_each_frame_has_noise_of_another_size() -> None:
    torch.manual_seed(0)
    noise = shaken(torch.zeros(40, 4, 16, 16)).std((1, 2, 3))
    assert 0.015 < noise.min() < 0.05
    assert 0.09 < noise.max() < 0.13
