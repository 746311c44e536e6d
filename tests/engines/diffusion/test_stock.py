"""diffusers' pipelines as engines: each family's keeps to the contract that its own engine keeps to."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from i2v.bench.against_stock import STOCK
from i2v.engines.diffusion.stock import Stock, to_uint8


@pytest.mark.parametrize("place", STOCK.values())
def test_every_familys_stock_is_one_and_says_what_computes_it(place: str) -> None:
    module, _, name = place.partition(":")
    engine = getattr(importlib.import_module(module), name)
    assert issubclass(engine, Stock)
    assert engine.kernels == "torch"


def test_frames_are_rounded_and_not_cut() -> None:
    assert to_uint8(np.array([0, 0.4 / 255, 0.6 / 255, 1], np.float32)).tolist() == [0, 0, 1, 255]
