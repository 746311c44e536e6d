"""Latents to frames: how many together, what is said of it, and NaN."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from i2v.core.errors import I2VError
from i2v.engines.svd.decode import decode_frames
from i2v.engines.svd.engine import SVDEngine


@pytest.fixture
def latents() -> torch.Tensor:
    return torch.randn((1, 5, 4, 6, 8), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    ("chunk", "few", "counts"),
    [(0, False, [5]), (2, False, [2, 2, 1]), (9, False, [5]), (0, True, [2, 2, 1]), (1, True, [1] * 5)],
)
def test_so_many_frames_are_decoded_together(
    engine: SVDEngine, latents: torch.Tensor, chunk: int, few: bool, counts: list[int]
) -> None:
    parts = list(decode_frames(engine.components.vae, latents, chunk, few))
    assert [part.frames.shape for part in parts] == [(count, 48, 64, 3) for count in counts]
    codes = [notice.code for part in parts for notice in part.notices]
    assert codes == (["svd.few_frames"] if few and chunk == 0 else [])


def test_what_decodes_to_nan_is_decoded_in_float32(
    engine: SVDEngine, latents: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    vae = engine.components.vae
    plain = next(decode_frames(vae, latents, 0)).frames
    calls: list[None] = []

    def overflow_once(_: torch.nn.Module, given: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        calls.append(None)
        return (given[0] * torch.nan if len(calls) == 1 else given[0],)

    with vae.decoder.conv_in.register_forward_pre_hook(overflow_once):
        (part,) = decode_frames(vae, latents, 0)
    assert [notice.code for notice in part.notices] == ["decode.nan"]
    assert np.array_equal(part.frames, plain)


def test_nan_in_float32_too_is_an_error(engine: SVDEngine, latents: torch.Tensor) -> None:
    with pytest.raises(I2VError) as caught:
        list(decode_frames(engine.components.vae, latents * torch.nan, 0))
    assert caught.value.code == "decode.nan_float32"
