"""The table of Wan 2.2 TI2V-5B's tensors against what is known of the published files."""

from __future__ import annotations

import json
import math

import pytest

from i2v.engines.wan.specs import WAN_TI2V_5B
from i2v.weights.tensors import published_shapes
from scripts.full_size.wan import CONFIGS, PUBLISHED_SIZES

TABLE = published_shapes(WAN_TI2V_5B)


def header_size(shapes: dict[str, tuple[int, ...]], dtype: str, item: int) -> int:
    """Return the bytes before the values of a safetensors file, as diffusers and transformers write it."""
    rows: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + item * math.prod(shape)
        rows[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    return 8 + -(-len(json.dumps(rows, separators=(",", ":"))) // 8) * 8


def numbers(part: str) -> int:
    return sum(math.prod(shape) for shape in TABLE[part].values())


def test_the_published_vae_has_these_tensors_to_the_byte() -> None:
    (size,) = PUBLISHED_SIZES["vae"]
    assert header_size(TABLE["vae"], "F32", 4) + 4 * numbers("vae") == size


def test_the_text_encoders_shards_have_these_tensors_and_headers() -> None:
    """Which tensor is in which shard was not seen: headers differ by some bytes with that."""
    left = sum(PUBLISHED_SIZES["text_encoder"]) - 2 * numbers("text_encoder")
    assert left == pytest.approx(header_size(TABLE["text_encoder"], "BF16", 2), abs=3 * 60)


def test_the_model_says_its_size() -> None:
    """The transformer in float32, as it is published."""
    known = sum(map(sum, PUBLISHED_SIZES.values()))
    assert WAN_TI2V_5B.published_bytes == pytest.approx(known + 4 * numbers("transformer"), rel=0.001)
    assert len(CONFIGS["vae/config.json"]["latents_mean"]) == 48


def test_the_built_parts_have_the_tables_names_and_shapes() -> None:
    import torch

    from scripts.full_size.wan import build

    with torch.device("meta"):
        parts = build()
    for part, model in parts.items():
        assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == TABLE[part]
