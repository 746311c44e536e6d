"""Facts of the weights, and whose spec has them."""

from __future__ import annotations

import pytest

from i2v.engines.animatediff.facts import facts_of
from i2v.engines.animatediff.specs import ANIMATEDIFF
from i2v.engines.svd.specs import SVD


def test_the_noise_is_the_motion_adapters() -> None:
    assert facts_of(ANIMATEDIFF).beta_schedule == "linear"
    assert not facts_of(ANIMATEDIFF).sample_posterior


def test_another_familys_spec_is_refused() -> None:
    with pytest.raises(TypeError, match="svd"):
        facts_of(SVD)
