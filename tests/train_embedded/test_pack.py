"""One file of photographs holds what the folder of them does."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from scripts.train_embedded import pack, photos
from scripts.train_embedded.photos import Photo


def test_a_packed_photograph_is_the_photograph_made_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = {
        "wide": Image.linear_gradient("L").resize((1200, 400)).convert("RGB"),
        "tall": Image.new("RGB", (300, 420), (200, 30, 30)),
    }
    monkeypatch.setattr(
        photos, "manifest", lambda split: [Photo(split, "", name, "", "") for name in pictures]
    )
    monkeypatch.setattr(photos, "open_photo", lambda photo: pictures[photo.path])
    file = tmp_path / "photos.safetensors"
    pack.pack(file, side=320)
    wide, tall = pack.load(file, "train", smallest=200)
    assert [tuple(level.shape[1:]) for level in wide] == [(320, 576), (226, 407)]
    assert [tuple(level.shape[1:]) for level in tall] == [(420, 300), (297, 212)]
    assert (tall[0].float().mean((1, 2)) - 0).tolist() == pytest.approx([200, 30, 30], abs=3)
    assert wide[0][0, -1].float().mean() > 240, "the gradient runs from black to white, downward"
    assert len(pack.load(file, "heldout")) == 2
