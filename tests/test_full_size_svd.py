"""The table of Stable Video Diffusion's tensors against what is known of the published files."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from i2v.engines.svd.specs import SVD, SVD_XT
from i2v.weights.tensors import published_shapes
from scripts.full_size.svd import PUBLISHED_SIZES

TABLE = published_shapes(SVD)


def file_size(shapes: dict[str, tuple[int, ...]]) -> int:
    """Return the bytes of a safetensors file in fp16, as diffusers and transformers write it."""
    rows: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        rows[name] = {"dtype": "F16", "shape": shape, "data_offsets": [start, end]}
    header = len(json.dumps(rows, separators=(",", ":")))
    return 8 + -(-header // 8) * 8 + end


@pytest.mark.parametrize("part", PUBLISHED_SIZES)
def test_the_published_files_have_these_tensors_to_the_byte(part: str) -> None:
    assert file_size(TABLE[part]) == PUBLISHED_SIZES[part]


def test_both_models_have_the_same_parts_and_say_their_size() -> None:
    assert published_shapes(SVD_XT) == TABLE
    assert TABLE.keys() == PUBLISHED_SIZES.keys()
    for spec in (SVD, SVD_XT):
        assert spec.published_bytes == pytest.approx(sum(PUBLISHED_SIZES.values()), rel=0.001)


def test_the_image_encoder_is_i2vgen_xls() -> None:
    """Whose names are those that transformers 4 gave: 5 gives them too."""
    lines = (Path(__file__).parents[1] / "i2v/weights/i2vgen-xl.tsv").read_text().splitlines()
    theirs = {line for line in lines if line.startswith("image_encoder\t")}
    ours = (Path(__file__).parents[1] / "i2v/weights/svd.tsv").read_text().splitlines()
    assert theirs == {line for line in ours if line.startswith("image_encoder\t")}


def test_the_built_parts_have_the_tables_names_and_shapes() -> None:
    import torch

    from scripts.full_size.svd import build

    with torch.device("meta"):
        parts = build()
    for part, model in parts.items():
        assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == TABLE[part]
