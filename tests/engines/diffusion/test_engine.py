"""i2v.engines.diffusion.engine: what all families do alike. The families' own tests run the rest of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InsufficientMemory
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.diffusion.engine import preview
from i2v.engines.svd.components import Components
from i2v.engines.svd.engine import SVDEngine
from i2v.engines.svd.specs import SVD

PLAN = MemoryPlan("cpu", "float32")


class Failing(SVDEngine):
    error: Exception = MemoryError()

    @staticmethod
    def load_parts(spec: EngineSpec, folder: Path, plan: MemoryPlan) -> Components:
        raise Failing.error


def test_a_lack_of_memory_while_loading_is_reported_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Failing, "error", torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.raises(InsufficientMemory) as caught:
        Failing.load(SVD, Path(), PLAN)
    assert caught.value.params["reason"] == "CUDA out of memory."
    assert caught.value.__context__ is None, "nothing holds what was being loaded"


def test_another_error_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Failing, "error", KeyError("unet"))
    with pytest.raises(KeyError):
        Failing.load(SVD, Path(), PLAN)


def test_a_folder_is_needed() -> None:
    with pytest.raises(ValueError, match="a folder"):
        SVDEngine.load(SVD, None, PLAN)


def test_a_preview_is_a_small_picture_of_each_frame() -> None:
    latents = torch.zeros(1, 4, 3, 2, 5)
    latents[0, 0, 1] = 10
    shown = preview(latents, SVD.preview_factors)
    assert shown.shape == (3, 2, 5, 3)
    assert (shown[0] == 128).all()
    assert (shown[1] > 200).all()
