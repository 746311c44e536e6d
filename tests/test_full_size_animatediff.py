"""The table of AnimateDiff's tensors against what is known of the published files."""

from __future__ import annotations

import json
import math

import pytest

from i2v.engines.animatediff.specs import ANIMATEDIFF, ANIMATEDIFF_LIGHTNING, ANIMATELCM, IP_ADAPTER
from i2v.weights.tensors import published_shapes
from scripts.full_size.animatediff import DISTILLED_SIZE, PUBLISHED_SIZES, STYLE_SIZES

TABLE = published_shapes(ANIMATEDIFF)
_BYTES = {"F16": 2, "F32": 4, "I64": 8}


def file_size(
    shapes: dict[str, tuple[int, ...]], others: dict[str, tuple[int, ...]] | None = None, of: str = "F16"
) -> int:
    """Return the bytes of a safetensors file, as diffusers and transformers write it; `others` are int64."""
    rows: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for dtype, tensors in (("I64", others or {}), (of, shapes)):
        for name, shape in tensors.items():
            start, end = end, end + _BYTES[dtype] * math.prod(shape)
            rows[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    header = len(json.dumps(rows, separators=(",", ":")))
    return 8 + -(-header // 8) * 8 + end


@pytest.mark.parametrize("part", ["unet", "vae"])
def test_the_bases_published_files_have_these_tensors_to_the_byte(part: str) -> None:
    assert file_size(TABLE[part]) == PUBLISHED_SIZES[part]


def test_the_text_encoders_file_does_under_the_names_of_transformers_4() -> None:
    shapes = {
        f"text_model.{name.removeprefix('text_model.')}": s for name, s in TABLE["text_encoder"].items()
    }
    positions = {"text_model.embeddings.position_ids": (1, 77)}
    assert file_size(shapes, positions) == PUBLISHED_SIZES["text_encoder"]


def test_each_repository_says_its_size_in_half_precision() -> None:
    base, adapter, sparse = ANIMATEDIFF.published
    assert adapter.size == pytest.approx(file_size(TABLE["motion_adapter"]), rel=0.001)
    assert sparse.size == pytest.approx(file_size(TABLE["controlnet"]), rel=0.001)
    assert base.size == pytest.approx(sum(PUBLISHED_SIZES.values()), rel=0.001)


def test_the_distilled_motion_modules_have_the_size_that_their_pages_say() -> None:
    distilled = published_shapes(ANIMATEDIFF_LIGHTNING)
    assert file_size(distilled["motion_adapter"]) == pytest.approx(DISTILLED_SIZE, rel=0.001)
    assert {part: rows for part, rows in distilled.items() if part != "motion_adapter"} == {
        part: rows for part, rows in TABLE.items() if part != "motion_adapter"
    }
    assert published_shapes(ANIMATELCM) == distilled
    assert ANIMATEDIFF_LIGHTNING.published[1].size == 2 * DISTILLED_SIZE == 2 * ANIMATELCM.published[1].size


def test_ip_adapters_files_have_these_tensors_and_its_repository_says_their_size() -> None:
    shapes = published_shapes(IP_ADAPTER)
    positions = {"vision_model.embeddings.position_ids": (1, 257)}
    encoder = file_size(shapes["models/image_encoder"], positions, "F32")
    assert encoder == STYLE_SIZES["models/image_encoder"]
    adapter = file_size(shapes["models"])
    assert adapter == pytest.approx(STYLE_SIZES["models"], rel=0.002)
    assert IP_ADAPTER.published_bytes == pytest.approx(encoder + adapter, rel=0.001)


def test_the_built_parts_have_the_tables_names_and_shapes() -> None:
    import torch

    from scripts.full_size.animatediff import build, build_style_model

    with torch.device("meta"):
        parts = build() | build_style_model()
    table = TABLE | published_shapes(IP_ADAPTER)
    for part, model in parts.items():
        assert {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()} == table[part]
