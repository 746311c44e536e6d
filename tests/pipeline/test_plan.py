"""i2v.pipeline.plan: a clip is planned once, and again only where the plan does not hold any more."""

from __future__ import annotations

from dataclasses import replace

import pytest

from i2v.core.errors import InvalidRequest
from i2v.core.memory_plan import DeviceInfo, PlannedMemory
from i2v.core.schema import GenerationRequest
from i2v.core.settings_sources import load_settings
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.engines.registry import engines
from i2v.memory.model import GIB
from i2v.pipeline.plan import ClipPlan, ClipPlanner, plan_again

CPU = DeviceInfo("cpu", "CPU", 16 * GIB, 12 * GIB, 12 * GIB)
LARGE = DeviceInfo("cuda", "NVIDIA RTX 4090", 24 * GIB, 23 * GIB, 60 * GIB)
SETTINGS = load_settings()


def plan(device: DeviceInfo = CPU, **fields: object) -> ClipPlan:
    planner = ClipPlanner(SETTINGS, engines())
    return planner.plan_clip(planner.parse({"prompt": "the camera pans left", **fields}), (900, 600), device)


def again(
    before: ClipPlan, device: DeviceInfo, deaths: int = 0, **changes: object
) -> tuple[ClipPlan, list[str]]:
    """Return the plan that is made of the stored one, and the codes of what is said."""
    planned = PlannedMemory(before.memory.plan, before.device.type, before.device.name)
    options = SETTINGS.engine.model_copy(update=changes)
    after = plan_again(before.asked, before.spec, before.generation, planned, device, options, deaths)
    return after, [notice.code for notice in after.notices]


def test_a_plan_has_all_that_a_clip_needs() -> None:
    clip = plan(seed=7, engine="embedded")
    assert (clip.spec, clip.device, clip.generation.seed) == (EMBEDDED, CPU, 7)
    assert clip.asked["prompt"] == "the camera pans left"
    assert "options" not in clip.asked
    assert clip.memory.fits is True
    assert clip.memory.plan.device == "cpu"


def test_the_settings_engine_is_taken_where_none_is_named() -> None:
    settings = load_settings(flags={"engine.name": "i2vgen-xl"})
    planner = ClipPlanner(settings, engines())
    assert planner.parse({"prompt": "x"}).engine == "i2vgen-xl"
    assert planner.parse({"prompt": "x", "engine": "embedded"}).engine == "embedded"


def test_what_does_not_fit_is_said_and_not_refused() -> None:
    clip = plan(replace(LARGE, free_memory=2 * GIB), engine="i2vgen-xl", preset="extreme")
    assert clip.memory.fits is False
    assert "plan.too_large" in {notice.code for notice in clip.notices}


def test_what_the_engine_cannot_do_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        plan(engine="embedded", num_frames=129)
    assert caught.value.params["field"] == "num_frames"
    with pytest.raises(InvalidRequest):
        ClipPlanner(SETTINGS, engines()).spec_for(GenerationRequest.parse({"engine": "embedded"}), CPU)


def test_a_stored_plan_is_kept_as_long_as_it_holds() -> None:
    before = plan(LARGE, engine="i2vgen-xl", preset="extreme")
    same, said = again(before, LARGE)
    assert (same.memory.plan, said) == (before.memory.plan, [])
    roomier, said = again(before, replace(LARGE, free_memory=40 * GIB))
    assert (roomier.memory.plan, said) == (before.memory.plan, []), "a faster one was not promised"


def test_a_plan_is_made_again_where_it_does_not_hold_and_that_is_said() -> None:
    before = plan(LARGE, engine="i2vgen-xl", preset="extreme")
    tight, said = again(before, replace(LARGE, free_memory=9 * GIB))
    assert said == ["plan.made_again"]
    assert tight.memory.fits is True
    assert tight.memory.plan != before.memory.plan
    other, said = again(before, DeviceInfo("cuda", "NVIDIA RTX 4060", 8 * GIB, 7 * GIB, 60 * GIB))
    assert said == ["plan.other_device"]
    assert other.memory.plan != before.memory.plan
    by_hand, said = again(before, LARGE, offload="model")
    assert (by_hand.memory.plan.offload, said) == ("model", ["plan.made_again"])


def test_a_job_of_an_earlier_version_has_no_plan_and_gets_one() -> None:
    before = plan(LARGE, engine="i2vgen-xl")
    after = plan_again(before.asked, I2VGEN_XL, before.generation, None, LARGE, SETTINGS.engine)
    assert (after.memory.plan, after.notices) == (before.memory.plan, ())


def test_after_a_workers_death_a_clip_begins_with_the_lowest_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("i2v.pipeline.ladder.measure_free", lambda device: device)
    before = plan(LARGE, engine="i2vgen-xl", preset="extreme")
    after, said = again(before, LARGE, deaths=1)
    assert said[0] == "ladder.after_death"
    assert after.memory.plan.cfg_passes == 2
    assert after.memory.plan.chunk_tokens > 0
