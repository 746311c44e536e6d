"""i2v.service.service: what is accepted is settled and kept, and what is refused leaves nothing."""

from __future__ import annotations

import hashlib
import io
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from PIL import Image

from i2v.core.errors import I2VError, InvalidRequest, QueueFull
from i2v.core.schema import DeviceInfo, Generation
from i2v.core.settings import ROOT, Settings
from i2v.engines.specs import I2VGEN_XL
from i2v.jobs.store import JobStore
from i2v.media.decoder import DecodedFile, thumbnail_of
from i2v.media.image import decode_picture
from i2v.media.outputs import OutputFile
from i2v.media.picture_facts import PictureFacts
from i2v.media.video import Mp4Writer
from i2v.service.service import Service
from i2v.workers.executors.inline import InlineExecutor
from tests.clips import SIZE, make_frames, write
from tests.rehearsal import ENGINES, REHEARSAL, picture, stage, submit


@dataclass
class Waiting:
    """See `i2v.service.executor.Executor`: counts how often it is woken, and runs nothing."""

    woken: int = 0
    device_info: DeviceInfo = field(default_factory=lambda: DeviceInfo("cpu", "CPU", 2**33))

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def wake(self) -> None:
        self.woken += 1

    def device(self) -> DeviceInfo:
        return self.device_info

    def problem(self) -> None:
        return None

    def is_alive(self) -> bool:
        return True


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return stage(tmp_path)


@pytest.fixture
def executor() -> Waiting:
    return Waiting()


@pytest.fixture
def service(settings: Settings, executor: Waiting) -> Iterator[Service]:
    """A service whose jobs stay in the queue."""
    made = Service(settings, JobStore(settings.database, max_queued=3), executor, ENGINES)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def working(settings: Settings) -> Iterator[Service]:
    """A service that has done its jobs when `submit` returns."""
    store = JobStore(settings.database)
    made = Service(settings, store, InlineExecutor(settings, store, ENGINES), ENGINES)
    made.start()
    yield made
    made.stop()


FIELDS: dict[str, object] = {"prompt": "nothing"}


def inputs(settings: Settings) -> list[str]:
    return sorted(path.name for path in settings.inputs.iterdir())


# --- submit


def test_a_job_is_settled_kept_and_announced(service: Service, settings: Settings, executor: Waiting) -> None:
    job = service.submit({**FIELDS, "num_frames": "5"}, picture())
    assert (job.status, job.queue_position, executor.woken) == ("queued", 0, 1)
    generation = Generation(**job.generation)  # type: ignore[arg-type]
    assert (generation.engine, generation.num_frames, generation.width) == ("rehearsal", 5, 64)
    assert 0 <= generation.seed < 2**32
    assert job.request["num_frames"] == 5
    assert Path(job.output).parent == settings.output.directory
    with Image.open(settings.inputs / job.input) as kept:
        assert (kept.format, kept.size, kept.getpixel((3, 3))) == ("PNG", (64, 64), (0, 128, 128))


def test_only_pixels_of_the_picture_are_kept(service: Service, settings: Settings) -> None:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "a secret place"  # ImageDescription
    Image.new("RGB", (64, 64)).save(buffer, "JPEG", exif=exif)
    job = service.submit(FIELDS, buffer.getvalue() + b"<script>")
    data = (settings.inputs / job.input).read_bytes()
    assert b"secret" not in data
    assert b"<script>" not in data


def test_what_the_picture_needed_is_in_the_notices(service: Service) -> None:
    buffer = io.BytesIO()
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(buffer, "PNG")
    job = service.submit(FIELDS, buffer.getvalue())
    assert "image.transparent" in [notice["code"] for notice in job.notices]


def test_jobs_of_one_second_have_videos_of_their_own(service: Service) -> None:
    outputs = [service.submit(FIELDS, picture()).output for _ in range(3)]
    assert len(set(outputs)) == 3


def test_a_name_that_a_file_has_is_not_given_to_a_job(
    service: Service, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Path(service.submit(FIELDS, picture()).output)
    service.cancel(service.page().jobs[0].id)
    service.delete(service.page().jobs[0].id)
    first.write_text("precious")
    monkeypatch.setattr(
        "i2v.media.outputs.OutputName.candidates",
        lambda name: iter([first, first.with_stem("other"), first.with_stem("another")]),
    )
    assert service.submit(FIELDS, picture()).output == str(first.with_stem("other"))


@pytest.mark.parametrize(
    ("fields", "data", "code"),
    [
        ({"prompt": "x", "num_frames": "3"}, picture(), "request.invalid"),
        ({"prompt": "x", "steps": 3}, picture(), "request.unknown_field"),
        ({}, picture(), "request.missing_field"),
        ({"prompt": " "}, picture(), "request.blank_prompt"),
        ({"prompt": "x", "engine": "sora"}, picture(), "request.unknown_engine"),
        (FIELDS, b"", "image.empty"),
        (FIELDS, b"hello", "image.unknown_format"),
        (FIELDS, picture()[:-30], "image.damaged"),
    ],
)
def test_what_is_refused_leaves_nothing(
    service: Service,
    settings: Settings,
    executor: Waiting,
    fields: dict[str, object],
    data: bytes,
    code: str,
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        service.submit(fields, data)
    assert caught.value.code == code
    assert service.page().jobs == ()
    assert inputs(settings) == []
    assert executor.woken == 0


def test_a_full_queue_refuses_and_keeps_what_it_has(service: Service, settings: Settings) -> None:
    for _ in range(3):
        service.submit(FIELDS, picture())
    with pytest.raises(QueueFull):
        service.submit(FIELDS, picture())
    assert len(inputs(settings)) == 2  # the same picture


def test_a_picture_is_kept_once_until_its_last_job_goes(service: Service, settings: Settings) -> None:
    jobs = [service.submit({**FIELDS, "seed": seed}, picture()) for seed in (1, 2)]
    other = service.submit(FIELDS, picture() + b"\0")
    name = jobs[0].input
    assert (jobs[1].input, Path(name).stem) == (name, hashlib.sha256(picture()).hexdigest())
    assert len(inputs(settings)) == 2 * 2
    for job in (*jobs, other):
        service.cancel(job.id)
    service.delete(jobs[0].id)
    assert name in inputs(settings)
    assert service.thumbnail(jobs[1].id)
    service.delete(jobs[1].id)
    assert inputs(settings) == sorted([other.input, f"{Path(other.input).stem}.jpg"])


def test_a_deletion_takes_no_picture_from_who_submits_it_meanwhile(settings: Settings) -> None:
    service = Service(settings, JobStore(settings.database), Waiting(), ENGINES)
    service.start()
    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):
            first = service.submit(FIELDS, picture())
            service.cancel(first.id)
            again = pool.submit(service.submit, FIELDS, picture())
            pool.submit(service.delete, first.id).result()
            second = again.result()
            assert service.picture(second) is not None
            service.cancel(second.id)
            service.delete(second.id)
            assert inputs(settings) == []
    service.stop()


def test_what_is_kept_is_no_larger_than_what_was_sent(service: Service, settings: Settings) -> None:
    data = (ROOT / "examples" / "cat.jpg").read_bytes()
    job = service.submit(FIELDS, data)
    assert (settings.inputs / job.input).stat().st_size <= len(data)
    png = service.picture(job)
    assert png is not None
    with Image.open(io.BytesIO(png)) as shown:
        assert (shown.format, shown.info) == ("PNG", {})
        assert shown.tobytes() == decode_picture(data).image.tobytes()


def test_a_picture_that_an_earlier_version_kept_is_read(service: Service, settings: Settings) -> None:
    job = service.submit(FIELDS, picture())
    old = replace(job, input=f"{job.id}.png")
    (settings.inputs / old.input).write_bytes(picture())
    assert service.picture(old) is not None
    (settings.inputs / old.input).unlink()
    assert service.picture(old) is None


def test_a_repeated_key_is_the_same_job(service: Service, settings: Settings) -> None:
    first = service.submit(FIELDS, picture(), "key")
    assert service.submit(FIELDS, picture(), "key").id == first.id
    assert inputs(settings) == [f"{Path(first.input).stem}.jpg", first.input]
    for fields, data in (({"prompt": "other"}, picture()), (FIELDS, picture() + b" ")):
        with pytest.raises(InvalidRequest) as caught:
            service.submit(fields, data, "key")
        assert caught.value.code == "job.idempotency_conflict"
    assert inputs(settings) == [f"{Path(first.input).stem}.jpg", first.input]


def test_two_pictures_are_decoded_at_a_time_whoever_submits(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once: list[int] = []
    busy = 0

    def decode(data: bytes, limits: object, output: Path) -> DecodedFile:
        nonlocal busy
        busy += 1
        at_once.append(busy)
        time.sleep(0.1)
        busy -= 1
        for file in (output, thumbnail_of(output)):
            file.write_bytes(b"")
        return DecodedFile((64, 64), ())

    monkeypatch.setattr("i2v.service.inputs.decode_to_file", decode)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: service.submit(FIELDS, b""), range(3)))
    assert max(at_once) == 2


def test_a_picture_is_examined_and_not_kept(service: Service, settings: Settings) -> None:
    assert service.examine(picture()) == PictureFacts(64, 64, 64, 0.0)
    for data, code in ((b"", "image.empty"), (b"hello", "image.unknown_format")):
        with pytest.raises(InvalidRequest) as caught:
            service.examine(data)
        assert caught.value.code == code
    assert inputs(settings) == []


def test_examining_waits_for_its_turn_among_the_decoders(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_once: list[int] = []
    busy = 0

    def look(data: bytes, limits: object) -> PictureFacts:
        nonlocal busy
        busy += 1
        at_once.append(busy)
        time.sleep(0.1)
        busy -= 1
        return PictureFacts(64, 64, 64, 0.0)

    monkeypatch.setattr("i2v.service.service.examine_bytes", look)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(service.examine, [b""] * 3))
    assert max(at_once) == 2


def test_headers_and_advice_do_not_wait_for_submissions_and_submissions_not_for_ever(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    entered, may_end = threading.Semaphore(0), threading.Event()

    def decode(data: bytes, limits: object, output: Path) -> DecodedFile:
        entered.release()
        may_end.wait(60)
        raise InvalidRequest("image.too_slow", allowed=1)

    monkeypatch.setattr("i2v.service.inputs.decode_to_file", decode)
    monkeypatch.setattr("i2v.service.service.PATIENCE", 0.2)
    with ThreadPoolExecutor(2) as pool:
        stuck = [pool.submit(service.submit, FIELDS, picture()) for _ in range(2)]
        for _ in stuck:
            assert entered.acquire(timeout=60)
        try:
            assert service.inspect(picture()).size == (64, 64)
            assert service.examine(picture()).width == 64
            assert service.plan(FIELDS).options["width"]
            with pytest.raises(I2VError) as caught:
                service.submit(FIELDS, picture())
            assert caught.value.code == "image.decoders_busy"
        finally:
            may_end.set()
        assert {each.exception(60).code for each in stuck} == {"image.too_slow"}  # type: ignore[union-attr]


# --- the whole way, and after


def test_a_submitted_job_becomes_a_video(working: Service) -> None:
    job = working.get(working.submit(FIELDS, picture()).id)
    assert job.status == "succeeded", job.error
    assert working.video(job.id) == Path(job.output)
    assert job.result is not None
    assert job.result["path"] == job.output


def test_a_job_without_a_video_says_so(working: Service) -> None:
    failed = working.submit({"prompt": "step 1: refuse"}, picture())
    done = working.submit(FIELDS, picture())
    Path(done.output).unlink()
    for job, code in ((failed, "job.no_video"), (done, "job.video_missing")):
        with pytest.raises(InvalidRequest) as caught:
            working.video(job.id)
        assert caught.value.code == code
    assert working.retry(failed.id).status in ("queued", "failed")


def test_a_deleted_job_takes_its_files_with_it(working: Service, settings: Settings) -> None:
    job = working.submit(FIELDS, picture())
    assert inputs(settings) == [f"{Path(job.input).stem}.jpg", job.input]
    working.delete(job.id)
    assert inputs(settings) == []
    assert not Path(job.output).exists()


# --- the settings in a video


def test_a_video_gives_back_the_settings_that_it_was_made_with(working: Service) -> None:
    asked = {"prompt": "镜头 = 左;", "negative_prompt": "blur", "seed": 7, "num_frames": 9, "fit": "pad"}
    job = working.submit(asked, picture())
    fields = working.settings_of(Path(job.output))
    assert fields.items() >= asked.items()
    assert (fields["engine"], fields["preset"], fields["num_inference_steps"]) == ("rehearsal", "standard", 4)
    again = working.get(working.submit(fields, picture()).id)
    assert again.generation == working.get(job.id).generation


def test_prompts_that_were_left_out_of_a_video_are_missing(tmp_path: Path) -> None:
    settings = stage(tmp_path, output__prompts=False)
    store = JobStore(settings.database)
    service = Service(settings, store, InlineExecutor(settings, store, ENGINES), ENGINES)
    service.start()
    job = service.submit({"prompt": "nothing", "negative_prompt": "blur", "seed": 7}, picture())
    fields = service.settings_of(Path(job.output))
    assert fields["seed"] == 7
    assert fields.keys().isdisjoint({"prompt", "negative_prompt"})
    service.stop()


def tagged(path: Path, **changed: object) -> Path:
    """Write a video whose provenance says what is `changed`."""
    generation = {"prompt": "x", "engine": "rehearsal", "seed": 1, **changed}
    made = {"generation": generation, "size": {}, "plan": {}, "versions": {}, "device": ""}
    tag = json.dumps({**made, "picture_sha256": "", "weights_sha256": ""})
    with Mp4Writer(OutputFile(path), fps=8, size=SIZE, tags={"i2v": tag}) as writer:
        writer.append(make_frames(1))
        return writer.finish().path


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"engine": "sora"}, "sora"),
        ({"num_frames": 10**9}, "num_frames = 1000000000"),
        ({"seed": "'; DROP TABLE"}, "seed"),
        ({"prompt": "x" * 3000}, "prompt"),
        ({"fit": {"a": 1}}, "fit"),
    ],
)
def test_settings_that_nobody_could_have_asked_for_are_refused(
    service: Service, tmp_path: Path, changed: dict[str, object], told: str
) -> None:
    assert service.settings_of(tagged(tmp_path / "fine.mp4"))["seed"] == 1
    with pytest.raises(InvalidRequest, match=re.escape(told)) as caught:
        service.settings_of(tagged(tmp_path / "odd.mp4", **changed))
    assert caught.value.code == "provenance.unreadable"
    assert caught.value.params["path"] == "odd.mp4"  # and not where it lies on this machine


def test_what_is_no_video_of_ours_says_so_by_its_name(service: Service, tmp_path: Path) -> None:
    write(OutputFile(tmp_path / "other.mp4"))
    (tmp_path / "text.mp4").write_text("no video")
    for name, code in (("other.mp4", "provenance.none"), ("text.mp4", "clip.unreadable")):
        with pytest.raises(InvalidRequest) as caught:
            service.settings_of(tmp_path / name)
        assert (caught.value.code, caught.value.params["path"]) == (code, name)


def test_files_that_no_job_owns_are_swept_at_the_start(settings: Settings, executor: Waiting) -> None:
    store = JobStore(settings.database)
    service = Service(settings, store, executor, ENGINES)
    job = service.submit(FIELDS, picture())
    for orphan in ("orphan.png", "orphan.jpg"):
        (settings.inputs / orphan).write_bytes(b"x")
    claim = store.claim("somebody who died")
    assert claim is not None
    part = Path(job.output).parent / f".{Path(job.output).stem}.0123456789ab.part.mp4"
    part.write_bytes(b"half a video")
    service.start()
    assert inputs(settings) == [f"{Path(job.input).stem}.jpg", job.input]
    assert not part.exists()
    again = service.get(job.id)
    assert (again.status, again.interruptions) == ("queued", 1)
    service.stop()


# --- what it would take


def test_a_plan_is_honest_about_what_it_does_not_know(working: Service) -> None:
    plan = working.plan(FIELDS, (64, 64))
    assert (plan.fits, plan.bytes, plan.seconds) == (None, None, None)
    assert "Not known yet" in plan.notice.message
    working.submit({"prompt": "step: sleep 0.05"}, picture())
    known = working.plan({"prompt": "x", "num_inference_steps": 40}, (64, 64))
    assert known.seconds is not None
    assert 2.0 <= known.seconds < 20
    assert known.options["num_inference_steps"] == 40


def test_a_plan_tells_what_fits_the_card_and_a_job_that_may_not_fit_is_accepted_with_a_notice(
    settings: Settings,
) -> None:
    card = DeviceInfo("cuda", "NVIDIA GeForce RTX 4090", 24 * 2**30, 8 * 2**30, 64 * 2**30)
    engines = {**ENGINES, I2VGEN_XL.name: I2VGEN_XL}
    service = Service(settings, JobStore(settings.database), Waiting(device_info=card), engines)
    service.start()
    asked = {"prompt": "x", "engine": "i2vgen-xl", "preset": "extreme"}
    plan = service.plan(asked)
    assert plan.fits is True
    assert plan.bytes is not None
    assert 6 * 2**30 < plan.bytes <= 8 * 2**30
    assert plan.seconds is not None
    assert plan.message.startswith("Fits: 7.4 of 7.5 GB. Guidance takes two passes. The encoders wait in")
    assert plan.message.endswith(f"About {plan.seconds:.0f} s at a first guess; finished jobs will tell.")
    too_large = service.plan({**asked, "num_frames": 128})
    assert (too_large.fits, too_large.options["num_frames"]) == (False, 128)
    told = [notice.code for notice in too_large.memory]
    assert told == ["plan.too_large", "plan.fewer_frames", "plan.smaller", "speed.not_measured"]
    job = service.submit({**asked, "num_frames": 128}, picture())
    assert job.generation["num_frames"] == 128
    assert set(told) <= {notice["code"] for notice in job.notices}
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


def test_a_job_has_a_small_picture_as_long_as_it_is_kept(service: Service, settings: Settings) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (800, 400), "teal").save(buffer, "PNG")
    job = service.submit(FIELDS, buffer.getvalue())
    with Image.open(io.BytesIO(service.thumbnail(job.id))) as small:
        assert (small.format, small.size) == ("JPEG", (256, 128))
    (settings.inputs / job.input).with_suffix(".jpg").unlink()
    with pytest.raises(InvalidRequest, match="is gone"):
        service.thumbnail(job.id)


def test_presets_are_those_of_the_engine(service: Service) -> None:
    presets = service.presets(REHEARSAL)
    assert presets["standard"] == REHEARSAL.presets["standard"]
    assert presets["extreme"].num_frames == 32


def test_the_service_is_there_without_torch() -> None:
    code = (
        "import sys, i2v.service.service, i2v.workers.executors.process;"
        "print({'torch', 'diffusers'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# --- deleting


def test_what_a_deleted_job_did_not_make_is_left(working: Service) -> None:
    job = working.submit(FIELDS, picture())
    Path(job.output).write_text("precious")
    assert working.delete(job.id).video == "kept"
    assert Path(job.output).read_text() == "precious"
    assert working.page().jobs == ()


def test_a_job_that_has_not_ended_is_not_deleted(service: Service, settings: Settings) -> None:
    job = service.submit(FIELDS, picture())
    with pytest.raises(InvalidRequest) as caught:
        service.delete(job.id)
    assert caught.value.code == "job.not_finished"
    assert service.picture(job) is not None


def test_all_that_came_to_nothing_is_deleted_at_once(
    settings: Settings, executor: Waiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2v.service.service.DELETED_AT_ONCE", 2)
    store = JobStore(settings.database)
    service = Service(settings, store, executor, ENGINES)
    done, *failed = (submit(store, settings) for _ in range(4))
    for job in (done, *failed):
        claim = store.claim("somebody")
        assert claim is not None
        if job is done:
            store.finish(claim, {"seconds": {}})
        else:
            store.fail(claim, {"code": "x", "params": {}, "message": ""})
    waiting, cancelled = (submit(store, settings) for _ in range(2))
    service.cancel(cancelled.id)
    assert service.delete_unsuccessful() == 4
    assert [job.id for job in service.page().jobs] == [waiting.id, done.id]
    assert inputs(settings) == sorted([done.input, waiting.input])
    assert service.delete_unsuccessful() == 0
    service.stop()


CUT_OFF = """
import os, sys
from pathlib import Path
import i2v.service.service
from i2v.jobs.store import JobStore
from tests.rehearsal import ENGINES, stage

settings = stage(Path(sys.argv[1]))
store = JobStore(settings.database)
{cut} = lambda *arguments: os._exit(9)
service = i2v.service.service.Service(settings, store, None, ENGINES)
service.delete(sys.argv[2])
"""


@pytest.mark.parametrize("cut", ["store.delete", "i2v.service.inputs._remove"])
def test_a_delete_that_is_cut_off_is_finished_by_the_next_one(
    working: Service, settings: Settings, tmp_path: Path, cut: str
) -> None:
    job = working.submit(FIELDS, picture())
    order = [sys.executable, "-c", CUT_OFF.format(cut=cut), str(tmp_path), job.id]
    assert subprocess.run(order, check=False).returncode == 9
    assert not Path(job.output).exists()
    if cut == "store.delete":  # it still stands in the list, and says that its video is gone
        with pytest.raises(InvalidRequest) as caught:
            working.video(job.id)
        assert caught.value.code == "job.video_missing"
        assert working.delete(job.id).video == "missing"
    else:
        working.start()  # the next start sweeps what no job owns
    assert working.page().jobs == ()
    assert inputs(settings) == []


def test_a_picture_that_cannot_be_removed_is_told_and_keeps_no_job(
    working: Service, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    job = working.submit(FIELDS, picture())
    file = settings.inputs / job.input
    file.unlink()
    file.mkdir()
    assert working.picture(job) is None
    working.delete(job.id)
    assert working.page().jobs == ()
    assert str(file) in caplog.text
