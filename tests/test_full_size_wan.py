"""The tables of Wan 2.2's tensors, TI2V-5B's and I2V-A14B's, against what is known of the published files."""

from __future__ import annotations

import json
import math

import pytest

from i2v.engines.wan.specs import WAN_I2V_A14B, WAN_TI2V_5B
from i2v.weights.tensors import published_shapes
from scripts.full_size import wan, wan_a14b
from scripts.full_size.wan import CONFIGS, PUBLISHED_SIZES

TABLE = published_shapes(WAN_TI2V_5B)
TABLE_A14B = published_shapes(WAN_I2V_A14B)


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


def test_the_published_vaes_have_these_tensors_to_the_byte() -> None:
    for table, sizes in ((TABLE, PUBLISHED_SIZES), (TABLE_A14B, wan_a14b.PUBLISHED_SIZES)):
        (size,) = sizes["vae"]
        values = 4 * sum(math.prod(shape) for shape in table["vae"].values())
        assert header_size(table["vae"], "F32", 4) + values == size


def test_the_experts_of_a14b_have_the_published_size_and_its_text_encoder_is_the_others() -> None:
    """57.2 GB in float32 is what the hub shows for each of them, here and at Wan-AI/Wan2.2-I2V-A14B."""
    assert TABLE_A14B["transformer"] == TABLE_A14B["transformer_2"]
    expert = 4 * sum(math.prod(shape) for shape in TABLE_A14B["transformer"].values())
    assert expert == pytest.approx(57.2e9, abs=5e7)
    assert TABLE_A14B["text_encoder"] == TABLE["text_encoder"]
    rest = sum(wan_a14b.PUBLISHED_SIZES["text_encoder"]) + sum(wan_a14b.PUBLISHED_SIZES["vae"])
    assert WAN_I2V_A14B.published_bytes == pytest.approx(2 * expert + rest, rel=0.001)


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

    for build, table in ((wan.build, TABLE), (wan_a14b.build, TABLE_A14B)):
        with torch.device("meta"):
            parts = build()
        assert parts.keys() == table.keys()
        for part, model in parts.items():
            assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == table[part]
