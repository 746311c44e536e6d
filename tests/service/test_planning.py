"""i2v.service.planning: what a request would take, as far as that is known, and when it would begin."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.durations import duration
from i2v.core.errors import InvalidRequest
from i2v.core.memory_plan import DeviceInfo
from i2v.core.results import Result
from i2v.core.settings import Settings
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.jobs.forecast import Forecast
from i2v.jobs.store import JobStore
from i2v.service.service import Service
from i2v.workers.devices import Activity, DeviceState
from i2v.workers.executors.inline import InlineExecutor
from tests.contrary import CONTRARY
from tests.rehearsal import ENGINES, REHEARSAL, picture, submit
from tests.service.waiting import FIELDS, Waiting


def test_a_plan_is_honest_about_what_it_does_not_know(working: Service) -> None:
    plan = working.plan(FIELDS, (64, 64))
    assert (plan.fits, plan.bytes, plan.seconds) == (None, None, None)
    assert "No estimate yet" in plan.notice.message
    working.submit({"prompt": "step: sleep 0.05"}, picture())
    same, known = (working.plan({"prompt": "x", "num_inference_steps": steps}, (64, 64)) for steps in (4, 40))
    assert same.seconds is not None
    assert known.seconds is not None
    assert known.seconds >= 40 * 0.05
    assert known.seconds > same.seconds
    assert known.options["num_inference_steps"] == 40


def test_a_guess_for_a_card_has_each_segment_once_and_what_follows_the_frames(settings: Settings) -> None:
    card = DeviceInfo("cuda", "NVIDIA H200", 140 * 2**30, 139 * 2**30, 64 * 2**30)
    engines = {I2VGEN_XL.name: replace(I2VGEN_XL, files=())}  # as if they were here
    service = Service(settings, JobStore(settings.database), Waiting(device_info=card), engines)
    asked = {"prompt": "x", "engine": "i2vgen-xl"}
    story, smooth = {**asked, "story": "4\n4"}, {**asked, "output_fps": 60}
    one, several, smoother = (service.plan(fields) for fields in (asked, story, smooth))
    assert one.notice.code == "plan.seconds_guess"
    assert one.seconds is not None
    assert several.seconds == pytest.approx(6 * one.seconds)
    assert smoother.seconds is not None
    assert smoother.seconds > one.seconds + 1
    service.stop()


def test_an_engine_that_is_not_named_is_the_settings_and_a_named_one_is_itself(settings: Settings) -> None:
    service = Service(settings, JobStore(settings.database), Waiting(), {**ENGINES, CONTRARY.name: CONTRARY})
    assert service.engine() is REHEARSAL
    assert service.engine("contrary") is CONTRARY
    with pytest.raises(InvalidRequest) as caught:
        service.engine("gone")
    assert caught.value.code == "request.unknown_engine"
    service.stop()


def test_a_plan_tells_what_fits_the_card_and_a_job_that_may_not_fit_is_accepted_with_a_notice(
    settings: Settings,
) -> None:
    card = DeviceInfo("cuda", "NVIDIA GeForce RTX 4090", 24 * 2**30, 8 * 2**30, 64 * 2**30)
    engines = {**ENGINES, I2VGEN_XL.name: replace(I2VGEN_XL, files=())}  # as if they were here
    service = Service(settings, JobStore(settings.database), Waiting(device_info=card), engines)
    service.start()
    asked = {"prompt": "x", "engine": "i2vgen-xl", "preset": "extreme"}
    plan = service.plan(asked)
    assert plan.fits is True
    assert plan.bytes is not None
    assert 6 * 2**30 < plan.bytes <= 8 * 2**30
    assert plan.seconds is not None
    assert plan.message.startswith(
        "Fits in memory: 7.4 of 7.5 GB. Computes in small chunks. Computes guidance in two passes."
    )
    assert plan.message.endswith(
        f"About {duration(plan.seconds)} (a rough estimate until the first job has finished)."
    )
    too_large = service.plan({**asked, "num_frames": 128})
    assert (too_large.fits, too_large.options["num_frames"]) == (False, 128)
    reported = [notice.code for notice in too_large.memory]
    assert reported == [
        "plan.too_large", "plan.fewer_frames", "plan.smaller", "request.untrained_frames",
        "speed.not_measured",
    ]  # fmt: skip
    job = service.submit({**asked, "num_frames": 128}, picture())
    assert job.generation.num_frames == 128
    assert set(reported) <= {notice.code for notice in job.notices}
    service.stop()


def test_the_expected_start_is_the_sum_of_those_before(settings: Settings) -> None:
    store = JobStore(settings.database)
    finished = Service(settings, store, InlineExecutor(settings, store, ENGINES), ENGINES)
    finished.start()
    finished.submit({"prompt": "step: sleep 0.05"}, picture())
    waiting = Service(settings, store, Waiting(), ENGINES)
    first, second, third = (waiting.submit(FIELDS, picture()) for _ in range(3))
    assert waiting.expected_start(first) == 0
    start = waiting.expected_start(second)
    assert start is not None
    assert start >= 0.2
    assert waiting.expected_start(third) == pytest.approx(2 * start)
    listed = waiting.unfinished()
    assert [each.job for each in listed] == [waiting.get(job.id) for job in (first, second, third)]
    assert [each.starts_in for each in listed] == pytest.approx([0, start, 2 * start])
    finished.stop()


def test_jobs_of_other_versions_break_no_plan(settings: Settings) -> None:
    """One has a field more, and one cannot be read; both stand in the way of none."""
    store = JobStore(settings.database)
    service = Service(settings, store, InlineExecutor(settings, store, ENGINES), ENGINES)
    service.start()
    first, second = (service.submit(FIELDS, picture()) for _ in range(2))
    waiting = Service(settings, store, Waiting(), ENGINES)
    third = waiting.submit(FIELDS, picture())
    with closing(sqlite3.connect(settings.database)) as raw:
        newer = "UPDATE jobs SET generation = json_set(generation, '$.masks', json('[1]')) WHERE id IN (?, ?)"
        raw.execute(newer, [first.id, third.id])
        raw.execute("UPDATE jobs SET generation = '{' WHERE id = ?", [second.id])
        raw.commit()
    assert waiting.plan(FIELDS).seconds is not None
    assert [each.job.id for each in waiting.unfinished()] == [third.id]
    assert waiting.expected_start(third) == 0
    assert {job.id for job in waiting.page().jobs} == {first.id, second.id, third.id}
    assert waiting.delete(second.id).video == "removed"
    service.stop()


def test_presets_are_those_of_the_engine(service: Service) -> None:
    presets = service.presets(REHEARSAL)
    assert presets["standard"] == REHEARSAL.presets["standard"]
    assert presets["extreme"].num_frames == 32


def test_a_time_is_a_range_as_long_as_jobs_differ(settings: Settings) -> None:
    store = JobStore(settings.database)
    service = Service(settings, store, Waiting(), ENGINES)

    def finish(seconds: float) -> None:
        job = submit(store, settings)
        claim = store.claim("test")
        assert claim is not None
        store.finish(claim, Result(Path(job.output), claim.generation, seconds={"denoise": seconds}))

    codes = []
    for _ in range(4):
        finish(20.0)
        codes.append(service.plan(FIELDS, (64, 64)).notice.code)
    assert codes == ["plan.range", "plan.range", "plan.seconds", "plan.seconds"]  # of two, who knows?
    service.stop()


# --- several devices


def card_state(number: int, gib: int, activity: Activity = "ready") -> DeviceState:
    size = gib * 2**30
    info = DeviceInfo("cuda", f"a card of {gib} GB", size, size, 64 * 2**30, id=f"cuda:{number}")
    return DeviceState(info.id, 1, info, activity)


def with_cards(settings: Settings, *states: DeviceState) -> Service:
    assert states[0].info is not None
    engines = {**ENGINES, I2VGEN_XL.name: replace(I2VGEN_XL, files=())}
    executor = Waiting(device_info=states[0].info, states=states)
    return Service(settings, JobStore(settings.database), executor, engines)


def test_of_cards_that_differ_a_plan_takes_the_first_that_it_fits(settings: Settings) -> None:
    service = with_cards(settings, card_state(0, 6), card_state(1, 24))
    asked = {"prompt": "x", "engine": "i2vgen-xl", "preset": "extreme"}
    assert service.plan(asked).fits is True
    assert service.plan({**asked, "device": "cuda:0"}).fits is False
    job = service.submit(asked, picture())
    assert job.plan is not None
    assert job.plan.device_name == "a card of 24 GB"
    store = service._store
    store.devices.replace(["cuda:0", "cuda:1"])
    for number, gib in ((0, 6), (1, 24)):
        store.devices.measured(f"cuda:{number}", gib * 2**30)
    assert store.claim("owner", "cuda:0") is None, "what it needs at the least is more"
    assert store.claim("owner", "cuda:1") is not None
    service.stop()


def test_where_no_card_is_large_enough_the_largest_is_told_of(settings: Settings) -> None:
    service = with_cards(settings, card_state(0, 4), card_state(1, 6), card_state(2, 4))
    plan = service.plan({"prompt": "x", "engine": "i2vgen-xl", "preset": "extreme"})
    assert plan.fits is False
    assert "only 5.5 GB" in plan.message
    service.stop()


def test_a_device_that_there_is_not_is_refused_with_those_that_there_are(settings: Settings) -> None:
    service = with_cards(settings, card_state(0, 24), card_state(1, 24))
    with pytest.raises(InvalidRequest) as caught:
        service.submit({"prompt": "x", "device": "cuda:2"}, picture())
    assert caught.value.params == {
        "field": "device", "value": "cuda:2", "allowed": "auto or one of cuda:0, cuda:1",
    }  # fmt: skip
    assert service.submit({"prompt": "x", "device": "cuda:1"}, picture()).wanted_device == "cuda:1"
    assert service.submit({"prompt": "x", "device": "auto"}, picture()).wanted_device is None
    service.stop()


def test_workers_that_take_jobs_count_in_forecasts(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two, one is set aside: then it is as with one."""
    monkeypatch.setattr(Forecast, "seconds", lambda forecast, generation: 12.0)
    states = (card_state(0, 24), card_state(1, 24))
    for aside, starts in ((False, [0, 0, 12]), (True, [0, 12, 24])):
        second = replace(states[1], activity="set_aside" if aside else "ready")
        service = with_cards(settings, states[0], second)
        while len(service.unfinished()) < 3:
            service.submit({"prompt": "x"}, picture())
        assert [each.starts_in for each in service.unfinished()] == pytest.approx(starts)
        service.stop()
