"""What may be asked for."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from i2v.core.generation import Generation
from i2v.engines.wan.options import WanOptions, options_of
from i2v.engines.wan.specs import WAN_TI2V_5B
from scripts.full_size.wan import CONFIGS


def test_the_default_is_the_published_one(clip: Generation) -> None:
    assert (
        options_of(WAN_TI2V_5B, clip).flow_shift == CONFIGS["scheduler/scheduler_config.json"]["flow_shift"]
    )


@pytest.mark.parametrize("given", [{"flow_shift": 0.5}, {"flow_shift": 21}, {"dolly": 1}])
def test_what_the_model_does_not_know_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        WanOptions.model_validate(given)
