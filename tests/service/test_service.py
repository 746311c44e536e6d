"""i2v.service.service: what is accepted is settled and kept, and what is refused leaves nothing."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from i2v.core.errors import I2VError, InvalidRequest, ModelUnavailable, QueueFull
from i2v.core.memory_plan import DeviceInfo
from i2v.core.settings import Settings
from i2v.core.settings_sources import ROOT
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.jobs.store import JobStore
from i2v.media.decoder import DecodedFile, thumbnail_of
from i2v.media.image import decode_picture
from i2v.media.picture_facts import PictureFacts
from i2v.service.service import Service
from tests.job_crew import result_of
from tests.rehearsal import ENGINES, picture, submit
from tests.service.waiting import FIELDS, Waiting


def inputs(settings: Settings) -> list[str]:
    return sorted(path.name for path in settings.inputs.iterdir())


# --- submit


def test_a_job_is_settled_kept_and_announced(service: Service, settings: Settings, executor: Waiting) -> None:
    job = service.submit({**FIELDS, "num_frames": "5"}, picture())
    assert (job.status, job.queue_position, executor.woken) == ("queued", 0, 1)
    generation = job.generation
    assert generation is not None
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
    assert "image.transparent" in [notice.code for notice in job.notices]


def test_jobs_of_one_second_have_videos_of_their_own(service: Service) -> None:
    outputs = [service.submit(FIELDS, picture()).output for _ in range(3)]
    assert len(set(outputs)) == 3


def test_a_name_tells_what_the_pattern_asks_for_and_letters_of_another_case_are_another_name(
    service: Service, settings: Settings
) -> None:
    fields = {**FIELDS, "seed": 7}
    for sent, name in (("C:\\photos\\Cat 1.JPG", "Cat_1_7"), ("cat_1.png", "cat_1_7_2"), ("", "picture_7")):
        output = settings.output.model_copy(update={"prefix": "", "name": "{picture}_{seed}"})
        service._submissions._settings = settings.model_copy(update={"output": output})
        job = service.submit(fields, picture(), picture_name=sent)
        assert Path(job.output).name == f"{name}.mp4"
        assert job.picture_name == sent.rpartition("\\")[2]


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
    both = threading.Barrier(2, timeout=60)  # broken where one is alone

    def decode(data: bytes, limits: object, output: Path) -> DecodedFile:
        nonlocal busy
        busy += 1
        at_once.append(busy)
        both.wait()
        time.sleep(0.05)
        busy -= 1
        for file in (output, thumbnail_of(output)):
            file.write_bytes(b"")
        return DecodedFile((64, 64), ())

    monkeypatch.setattr("i2v.service.inputs.decode_to_file", decode)

    def submit_one(_: int) -> None:
        with suppress(QueueFull):  # the fourth, whose picture is decoded all the same
            service.submit(FIELDS, b"")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(submit_one, range(4)))
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
    both = threading.Barrier(2, timeout=60)  # broken where one is alone

    def look(data: bytes, limits: object) -> PictureFacts:
        nonlocal busy
        busy += 1
        at_once.append(busy)
        both.wait()
        time.sleep(0.05)
        busy -= 1
        return PictureFacts(64, 64, 64, 0.0)

    monkeypatch.setattr("i2v.service.service.examine_bytes", look)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(service.examine, [b""] * 4))
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
    monkeypatch.setattr("i2v.service.submission.PATIENCE", 0.2)
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


def test_a_submitted_job_becomes_a_video_and_takes_its_files_with_it(
    working: Service, settings: Settings
) -> None:
    job = working.get(working.submit(FIELDS, picture()).id)
    assert job.status == "succeeded", job.error
    assert working.video(job.id) == Path(job.output)
    assert job.result is not None
    assert str(job.result.path) == job.output
    assert inputs(settings) == [f"{Path(job.input).stem}.jpg", job.input]
    working.delete(job.id)
    assert inputs(settings) == []
    assert not Path(job.output).exists()


def test_a_job_without_a_video_says_so(service: Service, settings: Settings) -> None:
    store = JobStore(settings.database)
    failed, done = (submit(store, settings) for _ in range(2))
    for job in (failed, done):
        claim = store.claim("somebody")
        assert claim is not None
        if job is failed:
            store.fail(claim, {"code": "x", "params": {}, "message": ""})
        else:
            store.finish(claim, result_of(job.id))
    for job, code in ((failed, "job.no_video"), (done, "job.video_missing")):
        with pytest.raises(InvalidRequest) as caught:
            service.video(job.id)
        assert caught.value.code == code
    assert service.retry(failed.id).status == "queued"
    store.close()


# --- pictures


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


def test_a_job_has_a_small_picture_as_long_as_it_is_kept(service: Service, settings: Settings) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (800, 400), "teal").save(buffer, "PNG")
    job = service.submit(FIELDS, buffer.getvalue())
    with Image.open(io.BytesIO(service.thumbnail(job.id))) as small:
        assert (small.format, small.size) == ("JPEG", (256, 128))
    (settings.inputs / job.input).with_suffix(".jpg").unlink()
    with pytest.raises(InvalidRequest, match="is gone"):
        service.thumbnail(job.id)


def test_the_service_is_there_without_torch() -> None:
    code = (
        "import sys, i2v.service.service, i2v.workers.executors.process;"
        "print({'torch', 'diffusers'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# --- deleting


def test_a_job_that_has_not_ended_is_not_deleted(service: Service, settings: Settings) -> None:
    job = service.submit(FIELDS, picture())
    with pytest.raises(InvalidRequest) as caught:
        service.delete(job.id)
    assert caught.value.code == "job.not_finished"
    assert service.picture(job) is not None


CUT_OFF = """
import os, sys
from pathlib import Path
import i2v.service.service
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.jobs.store import JobStore
from tests.rehearsal import ENGINES, stage

settings = stage(Path(sys.argv[1]))
store = JobStore(settings.database)
{cut} = lambda *arguments: os._exit(9)
service = i2v.service.service.Service(settings, store, None, ENGINES)
service.delete(sys.argv[2])
"""


@pytest.mark.parametrize(
    "cut", ["store.delete", pytest.param("i2v.service.inputs._remove", marks=pytest.mark.slow)]
)
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
        working.stop()
        again = Service(settings, working._store, Waiting(), ENGINES)
        again.start()  # it sweeps what no job owns
        again.stop()
    assert working.page().jobs == ()
    assert inputs(settings) == []


def test_a_picture_that_cannot_be_removed_is_reported_and_keeps_no_job(
    service: Service, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    job = service.submit(FIELDS, picture())
    service.cancel(job.id)
    file = settings.inputs / job.input
    file.unlink()
    file.mkdir()
    assert service.picture(job) is None
    service.delete(job.id)
    assert service.page().jobs == ()
    assert str(file) in caplog.text


def test_a_job_whose_model_is_not_installed_is_refused_at_once(settings: Settings) -> None:
    engines = {**ENGINES, I2VGEN_XL.name: I2VGEN_XL}
    service = Service(settings, JobStore(settings.database), Waiting(), engines)
    service.start()
    with pytest.raises(ModelUnavailable) as refused:
        service.submit({**FIELDS, "engine": I2VGEN_XL.name}, picture())
    assert refused.value.code == "weights.missing_folder"
    folder = settings.models.directory / I2VGEN_XL.name
    folder.mkdir(parents=True)
    (folder / I2VGEN_XL.files[0]).write_text("{}")  # as after a download that stopped half-way
    with pytest.raises(ModelUnavailable) as incomplete:
        service.submit({**FIELDS, "engine": I2VGEN_XL.name}, picture())
    assert "feature_extractor" in incomplete.value.message
    assert service.counts()["queued"] == 0
    assert inputs(settings) == []
    service.stop()


def test_a_job_whose_model_another_machine_has_is_accepted(settings: Settings) -> None:
    engines = {**ENGINES, I2VGEN_XL.name: I2VGEN_XL}
    device = DeviceInfo("cpu", "CPU", 2**33, models=(I2VGEN_XL.name,))
    service = Service(settings, JobStore(settings.database), Waiting(device_info=device), engines)
    service.start()
    assert service.submit({**FIELDS, "engine": I2VGEN_XL.name}, picture()).status == "queued"
    service.stop()


def test_a_job_says_what_its_engine_does_not_do(settings: Settings) -> None:
    engines = {**ENGINES, "limited": replace(ENGINES["rehearsal"], name="limited", files=(), max_guidance=2)}
    service = Service(settings, JobStore(settings.database), Waiting(), engines)
    service.start()
    job = service.submit({**FIELDS, "engine": "limited", "guidance_scale": 3}, picture())
    assert "advice.high_guidance" in [notice.code for notice in job.notices]
    service.stop()


def test_the_job_of_a_video_is_found_wherever_its_file_lies(working: Service, tmp_path: Path) -> None:
    job = working.submit(FIELDS, picture())
    moved = Path(job.output).rename(tmp_path / "moved.mp4")
    found = working.job_of(moved)
    assert found is not None
    assert found.id == job.id
    working.library.delete(job.id)
    assert working.job_of(moved) is None
