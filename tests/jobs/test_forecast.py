"""i2v.jobs.forecast: how long jobs take, by what others took."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.results import MadeWith, Result
from i2v.jobs.forecast import Forecast as AnyForecast
from i2v.jobs.model import Progress
from i2v.jobs.store import JobStore
from i2v.media import interpolation
from i2v.media.upscale import guessed_seconds
from i2v.memory.model import denoising_work
from tests.rehearsal import stage, submit

Forecast = partial(AnyForecast, work=denoising_work({}))  # no engine was measured
PLAIN = Generation("", "", 64, 64, 64, 64, "keep", 8, 8, 8, 10, 1.0, seed=0, engine="rehearsal")


def run(denoise: float, rest: float, **fields: object) -> tuple[Generation, Result]:
    seconds = {
        "picture": 0.0,
        "load": 99.0,
        "condition": 0.0,
        "denoise": denoise,
        "decode": rest,
        "encode": 0.0,
    }
    return like(**fields), Result(Path("clip.mp4"), like(**fields), seconds=seconds)


def like(**fields: object) -> Generation:
    return replace(PLAIN, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("generation", "seconds"),
    [
        (like(), 12.0),
        (like(num_inference_steps=20), 22.0),
        (like(num_frames=16), 24.0),
        (like(guidance_scale=7.5), 22.0),
        (like(generated_width=128), 24.0),
        (like(engine="another"), None),
    ],
)
def test_time_grows_with_what_is_asked_and_loading_is_not_counted(
    generation: Generation, seconds: float | None
) -> None:
    assert Forecast([run(10, 2)]).seconds(generation) == pytest.approx(seconds)


def test_each_phase_has_its_share_of_the_time() -> None:
    phases = Forecast([run(10, 2)]).phases(like(num_frames=16, num_inference_steps=20))
    assert phases == pytest.approx({"picture": 0, "condition": 0, "denoise": 40, "decode": 4, "encode": 0})
    assert Forecast([run(10, 2)]).phases(like(engine="another")) is None


def test_a_run_whose_memory_ran_out_on_the_way_tells_nothing() -> None:
    generation, result = run(10, 2)
    notices = (Notice("ladder.short", {}), Notice("ladder.denoise", {}))
    assert Forecast([(generation, replace(result, notices=notices[:1]))]).seconds(like()) == pytest.approx(12)
    assert Forecast([(generation, replace(result, notices=notices))]).seconds(like()) is None


def test_the_nearest_run_counts() -> None:
    untimed = (like(num_inference_steps=36), Result(Path("clip.mp4"), like()))
    runs = [run(10, 2), run(30, 4, num_inference_steps=40), untimed]
    assert Forecast(runs).seconds(like(num_inference_steps=36)) == pytest.approx(30 * 36 / 40 + 4)
    assert Forecast([]).seconds(like()) is None


def test_enlarging_takes_what_it_took_by_the_same_upscaler_and_all_else_what_the_nearest_run_took() -> None:
    generation, result = run(1, 1, num_inference_steps=5, upscaler="span")
    upscaled = (generation, replace(result, seconds={**result.seconds, "upscale": 3.0}))
    forecast = Forecast([run(10, 2), upscaled])
    assert forecast.seconds(like(upscaler="span", num_frames=16)) == pytest.approx(2 * (10 + 2 + 3))
    assert forecast.seconds(like(upscaler="real-esrgan")) == pytest.approx(
        12 + guessed_seconds(like(upscaler="real-esrgan"))
    ), "not known, so guessed"
    assert forecast.phases(like(num_inference_steps=5)) == pytest.approx(
        {"picture": 0, "condition": 0, "denoise": 1, "decode": 1, "encode": 0}
    )


def test_frames_in_between_take_what_they_took_by_the_same_method() -> None:
    smooth = {"output_fps": 24, "interpolation": "motion"}
    generation, result = run(1, 1, **smooth)
    measured = (generation, replace(result, seconds={**result.seconds, "interpolate": 3.0}))
    asked = like(**smooth, width=128, height=128)
    ratio = interpolation.guessed_seconds(asked) / interpolation.guessed_seconds(generation)
    assert Forecast([measured]).phases(asked) == pytest.approx(
        {"picture": 0, "condition": 0, "denoise": 1, "decode": 1, "encode": 0, "interpolate": 3 * ratio}
    )
    faded = replace(asked, interpolation="blend")
    phases = Forecast([measured]).phases(faded)
    assert phases is not None
    assert phases["interpolate"] == interpolation.guessed_seconds(faded), "not known, so guessed"
    assert "interpolate" not in (Forecast([measured]).phases(like()) or {})


def test_a_job_starts_when_those_before_it_have_ended(tmp_path: Path) -> None:
    settings = stage(tmp_path)
    store = JobStore(settings.database)
    for steps in (10, 10, 20):
        submit(store, settings, num_frames=8, num_inference_steps=steps)
    runs = [run(10, 2)]
    assert Forecast(runs).starts(store.unfinished()) == pytest.approx([0, 12, 24])
    claim = store.claim("test")
    assert claim is not None
    assert Forecast(runs).starts(store.unfinished()) == pytest.approx([None, 12, 24])
    store.heartbeat(claim, Progress("denoising", 0.5, 5, 10, eta_seconds=7.5))
    assert Forecast(runs).starts(store.unfinished()) == pytest.approx([None, 7.5, 19.5])
    assert Forecast([]).starts(store.unfinished()) == [None, 7.5, None]  # what is not known hides the rest
    store.close()


def test_several_workers_take_turns_and_a_job_waits_for_the_device_that_it_wants(tmp_path: Path) -> None:
    settings = stage(tmp_path)
    store = JobStore(settings.database)
    for steps in (10, 20, 10, 10):
        submit(store, settings, num_frames=8, num_inference_steps=steps)
    accept = store.submit
    store.submit = lambda new: accept(replace(new, wanted_device="b"))  # type: ignore[method-assign]
    submit(store, settings, num_frames=8, num_inference_steps=10)
    forecast, lanes = Forecast([run(10, 2)]), ("a", "b")
    assert forecast.starts(store.unfinished(), lanes) == pytest.approx([0, 0, 12, 22, 34])
    assert forecast.ends(store.unfinished(), lanes) == pytest.approx([12, 22, 24, 34, 46])
    claim = store.claim("test", "b")
    assert claim is not None
    store.heartbeat(claim, Progress("denoising", 0.5, 5, 10, eta_seconds=30))
    starts = forecast.starts(store.unfinished(), lanes)
    assert starts == pytest.approx([None, 0, 22, 30, 42]), "b is busy"
    assert Forecast([]).starts(store.unfinished(), lanes) == [None, 0, 30, None, None]
    store.close()


def test_one_slow_job_among_many_changes_little_and_the_spread_is_that_of_most() -> None:
    runs = [run(94, 2), *(run(seconds, 2) for seconds in (10, 11, 12, 10, 11, 4, 12, 10))]
    expected = Forecast(runs).expected(like())
    assert expected is not None
    assert expected.seconds == pytest.approx(13, abs=1)
    assert (expected.low, expected.high) == pytest.approx((12, 14))


def beside_others(seconds: float, busy_cpus: float) -> tuple[Generation, Result]:
    generation, result = run(seconds, 0)
    return generation, replace(result, made_with=MadeWith("CPU", "float32", busy_cpus=busy_cpus))


def test_a_job_is_expected_to_have_as_much_of_the_cpus_as_the_last_ones() -> None:
    alone, crowded = beside_others(10, 2.0), beside_others(40, 0.5)
    for runs, seconds in [([alone, crowded, alone, crowded], 10), ([crowded, crowded, alone, alone], 40)]:
        expected = Forecast(runs).expected(like())
        assert expected is not None
        assert (expected.low, expected.seconds, expected.high) == pytest.approx((seconds,) * 3)
    assert Forecast([run(10, 0), crowded]).seconds(like()) == pytest.approx(25), "not known of one"


def test_with_few_jobs_the_spread_is_not_known_and_told_as_wide() -> None:
    expected = Forecast([run(10, 2)]).expected(like())
    assert expected is not None
    assert (expected.low, expected.seconds, expected.high) == pytest.approx((8, 12, 18))
    assert Forecast([]).expected(like()) is None


def test_jobs_of_much_less_work_do_not_count_beside_like_ones() -> None:
    runs = [run(1, 1, num_inference_steps=2)] * 8 + [run(30, 4)]
    assert Forecast(runs).seconds(like()) == pytest.approx(34)
