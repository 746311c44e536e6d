"""i2v.web.api.v1: jobs over a real socket, from the submission to the video."""

from __future__ import annotations

import base64
import errno
import io
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from PIL import Image

from i2v.jobs.model import Job, Progress
from i2v.media.decoder import DecodedFile, decode_to_file
from i2v.media.video import probe
from tests.clips import read_frames
from tests.contrary import CONTRARY
from tests.rehearsal import ENGINES, picture, submit
from tests.web.house import House, running, wait_for
from tests.web.pages import Gates

FIELDS = {
    "id", "status", "phase", "progress", "eta_seconds", "queue_position", "attempt", "batch_id", "device",
    "owner", "error", "notices", "request", "video_available", "result", "picture_name", "starred", "tags",
    "created_at", "started_at", "finished_at", "deleted_at",
}  # fmt: skip


# --- submitting


def test_a_form_becomes_a_job_and_says_where_it_is(house: House) -> None:
    response = house.submit(seed=5)
    assert response.status_code == 202
    job = response.json()
    assert job.keys() == FIELDS | {"expected_start_seconds"}
    assert (job["status"], job["phase"], job["queue_position"], job["attempt"]) == ("queued", "queued", 0, 0)
    assert (job["progress"], job["result"], job["error"]) == (0, None, None)
    assert job["expected_start_seconds"] == 0
    assert job["request"]["seed"] == 5
    location = response.headers["Location"]
    assert location == f"{house.api}/jobs/{job['id']}"
    body = requests.get(location, timeout=30).json()
    assert body == {name: job[name] for name in FIELDS}


def test_json_with_base64_is_the_same_request(house: House) -> None:
    text = base64.b64encode(house.picture).decode()
    wrapped = "\n".join(text[start : start + 76] for start in range(0, len(text), 76))
    for image in (text, wrapped, f"data:image/png;base64,{text}"):
        body = {"image": image, "prompt": "镜头向左移动", "num_frames": 4, "guidance_scale": 1.5}
        response = house.session.post(f"{house.api}/jobs", json=body, timeout=30)
        assert response.status_code == 202, response.text
        assert response.json()["request"]["prompt"] == "镜头向左移动"
    with_form = house.submit("x", num_frames=" 16 ", fps="8.0", guidance_scale="1.5")
    assert with_form.json()["request"] | {"num_frames": 16, "fps": 8} == with_form.json()["request"]


def test_a_key_makes_a_second_submission_the_first_ones_job(house: House) -> None:
    def send(**fields: object) -> requests.Response:
        return house.session.post(
            f"{house.api}/jobs",
            data={"prompt": "x", **fields},
            files={"image": ("anything.png", house.picture)},
            headers={"Idempotency-Key": "k-1"},
            timeout=30,
        )

    first, again, other = send(), send(), send(seed=1)
    assert first.status_code == again.status_code == 202
    assert first.json()["id"] == again.json()["id"]
    assert first.headers["Location"] == again.headers["Location"]
    assert other.status_code == 422
    assert (other.json()["code"], other.json()["field"]) == ("job.idempotency_conflict", "Idempotency-Key")
    assert len(house.get("/jobs").json()["jobs"]) == 1


def test_what_was_accepted_is_in_the_store_before_the_answer(house: House) -> None:
    job = house.store.get(house.submit_id())
    assert job.status == "queued"
    assert (house.settings.inputs / job.input).is_file()


def test_a_full_queue_says_when_to_come_back(
    start_house: Callable[..., AbstractContextManager[House]],
) -> None:
    with start_house(service__max_queued=1) as house:
        house.submit_id()
        response = house.submit()
        assert response.status_code == 429
        assert int(response.headers["Retry-After"]) > 0
        assert response.json()["code"] == "job.queue_full"


# --- following


def test_a_job_runs_to_its_video(house: House) -> None:
    before = datetime.now(UTC)
    job_id = house.submit_id(seed=3)
    assert house.executor.run_next()
    job = house.get(f"/jobs/{job_id}").json()
    assert (job["status"], job["progress"], job["eta_seconds"], job["attempt"]) == ("succeeded", 1, None, 1)
    result = job["result"]
    assert Path(result["path"]).is_absolute()
    assert result.keys() >= {"seed", "width", "height", "num_inference_steps", "seconds", "notices"}
    assert result["seed"] == 3
    assert result["video_url"] == f"{house.api}/jobs/{job_id}/video"
    video = requests.get(result["video_url"], timeout=30)
    assert video.content == Path(result["path"]).read_bytes()
    assert video.headers["Content-Type"] == "video/mp4"
    assert probe(Path(result["path"])).num_frames == 4
    reported = [job[f"{name}_at"] for name in ("created", "started", "finished")]
    assert all(time.endswith("Z") for time in reported)
    moments = [before, *map(datetime.fromisoformat, reported), datetime.now(UTC)]
    assert moments == sorted(moments)


def test_a_failed_job_says_why_and_what_to_do(house: House) -> None:
    job_id = submit(house.store, house.settings).id
    (house.settings.models.directory / "rehearsal" / "model_index.json").unlink()
    house.executor.run_next()
    job = house.get(f"/jobs/{job_id}").json()
    assert job["status"] == "failed"
    assert job["error"].keys() == {"code", "message", "hint"}
    assert job["error"]["code"] == "weights.missing_folder"
    assert house.get(f"/jobs/{job_id}/video").status_code == 404


def test_jobs_are_listed_newest_first_in_pages_and_by_status(house: House) -> None:
    ids = [submit(house.store, house.settings, f"prompt {number}").id for number in range(5)]
    house.executor.run_next()
    first = house.get("/jobs?limit=3").json()
    assert [job["id"] for job in first["jobs"]] == ids[:1:-1]
    rest = house.get(f"/jobs?limit=3&cursor={first['next_cursor']}").json()
    assert [job["id"] for job in rest["jobs"]] == ids[1::-1]
    assert rest["next_cursor"] is None
    done = house.get("/jobs?status=succeeded").json()["jobs"]
    assert [job["id"] for job in done] == ids[:1]
    assert [job["queue_position"] for job in first["jobs"]] == [3, 2, 1]


def test_jobs_are_searched_by_their_prompts(house: House) -> None:
    prompts = ("a Cat walks", "50% of a dog", "猫在走")
    ids = [submit(house.store, house.settings, prompt).id for prompt in prompts]
    for search, found in (("cAT", ids[:1]), ("%25", ids[1:2]), ("%E7%8C%AB", ids[2:]), ("", ids[::-1])):
        jobs = house.get(f"/jobs?search={search}").json()["jobs"]
        assert [job["id"] for job in jobs] == found
    house.executor.run_next()
    finished = house.get("/jobs?status=finished").json()["jobs"]
    assert [job["id"] for job in finished] == ids[:1]


def test_the_expected_start_counts_the_jobs_before(house: House) -> None:
    house.submit_id()
    assert house.submit().json()["expected_start_seconds"] is None  # nothing is known yet
    assert house.executor.run_next()
    assert house.submit().json()["expected_start_seconds"] > 0


# --- cancelling and trying again


def test_a_queued_job_is_cancelled_at_once_and_can_be_retried(house: House) -> None:
    job_id = house.submit_id()
    cancelled = house.session.delete(f"{house.api}/jobs/{job_id}", timeout=30)
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    again = house.session.delete(f"{house.api}/jobs/{job_id}", timeout=30)
    assert (again.status_code, again.json()["code"]) == (409, "job.already_finished")
    retried = house.post(f"/jobs/{job_id}/retry")
    assert (retried.status_code, retried.json()["status"]) == (202, "queued")
    assert retried.headers["Location"] == f"{house.api}/jobs/{job_id}"
    assert house.post(f"/jobs/{job_id}/retry").status_code == 409


def test_a_running_job_stops_at_its_next_step(house: House, tmp_path: Path) -> None:
    gates = Gates(tmp_path)
    job_id = house.submit_id(f"{gates.prompt(2)}; step 3: fail")
    with house.executor.working():
        wait_for(lambda: house.get(f"/jobs/{job_id}").json()["progress"] > 0.05)
        assert house.session.delete(f"{house.api}/jobs/{job_id}", timeout=30).json()["status"] == "running"
        gates.open(2)
        wait_for(lambda: house.get(f"/jobs/{job_id}").json()["status"] == "cancelled")
    assert not list(house.settings.output.directory.glob("*.mp4"))


# --- deleting


def purge(house: House, job_id: str) -> requests.Response:
    return house.session.delete(f"{house.api}/jobs/{job_id}?purge=true", timeout=30)


def finished_job(house: House, prompt: str = "") -> Job:
    job = submit(house.store, house.settings, prompt)
    assert house.executor.run_next()
    return house.store.get(job.id)


def test_an_ended_job_is_purged_with_its_video_picture_and_row_and_only_once(house: House) -> None:
    other = finished_job(house)
    job_id = house.submit_id()
    assert house.executor.run_next()
    job = house.store.get(job_id)
    response = purge(house, job.id)
    answer = {"id": job.id, "deleted": True, "video": "removed", "path": job.output, "kept_until": None}
    assert (response.status_code, response.json()) == (200, answer)
    assert not Path(job.output).exists()
    assert job.id not in str(list(house.settings.inputs.iterdir()))
    assert house.get(f"/jobs/{job.id}").status_code == 404
    again = purge(house, job.id)
    assert (again.status_code, again.json()["code"]) == (404, "job.unknown")
    assert [each["id"] for each in house.get("/jobs").json()["jobs"]] == [other.id]
    assert house.get(f"/jobs/{other.id}/video").status_code == 200
    assert house.service.picture(other) is not None


def test_a_job_that_cannot_be_read_is_shown_as_such_and_can_be_purged(house: House) -> None:
    done, waiting, other = finished_job(house), submit(house.store, house.settings), house.submit_id()
    with closing(sqlite3.connect(house.settings.database)) as raw:
        for column in ("generation", "request"):
            raw.execute(f"UPDATE jobs SET {column} = '{{' WHERE id IN (?, ?)", [done.id, waiting.id])
        raw.execute("UPDATE jobs SET phase = 'dreaming', result = '[]' WHERE id = ?", [done.id])
        raw.commit()
    listed = {job["id"]: job for job in house.get("/jobs?search=").json()["jobs"]}
    assert listed.keys() == {done.id, waiting.id, other}
    assert [job["id"] for job in house.get("/jobs?search=camera").json()["jobs"]] == [other]
    for job in (done, waiting):
        answer = house.get(f"/jobs/{job.id}").json()
        assert answer == listed[job.id]
        assert (answer["request"], answer["result"], answer["status"]) == ({}, None, job.status)
        assert answer["notices"][-1]["code"] == "job.unreadable"
    body = {"prompt": "x", "engine": "rehearsal"}
    assert house.session.post(f"{house.api}/plan", json=body, timeout=30).status_code == 200
    assert house.executor.run_next()
    assert house.get(f"/jobs/{waiting.id}").json()["error"]["code"] == "job.unreadable"
    assert house.get(f"/jobs/{other}").json()["status"] == "succeeded"
    assert purge(house, done.id).json()["video"] == "removed"
    assert purge(house, waiting.id).json()["video"] == "none"


def test_what_has_not_ended_is_not_purged_but_cancelled_first(house: House) -> None:
    job_id = submit(house.store, house.settings).id
    refused = purge(house, job_id)
    assert (refused.status_code, refused.json()["code"]) == (409, "job.not_finished")
    assert house.get(f"/jobs/{job_id}").json()["status"] == "queued"
    assert house.session.delete(f"{house.api}/jobs/{job_id}", timeout=30).status_code == 202
    response = purge(house, job_id)
    assert (response.status_code, response.json()["video"]) == (200, "none")
    assert list(house.settings.inputs.iterdir()) == []


def test_purge_is_yes_or_no(house: House) -> None:
    job = finished_job(house, "step 1: refuse")
    for value, status in (("false", 409), ("", 422), ("maybe", 422), ("1", 200)):
        response = house.session.delete(f"{house.api}/jobs/{job.id}?purge={value}", timeout=30)
        assert response.status_code == status
    assert house.get("/jobs").json()["jobs"] == []


def test_a_purge_that_cannot_remove_the_video_can_be_tried_again(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = finished_job(house)

    def refuse(path: Path) -> None:
        raise PermissionError(errno.EROFS, "Read-only file system", str(path))

    with monkeypatch.context() as patch:  # whom the tests run as may be allowed everything
        patch.setattr(Path, "unlink", refuse)
        refused = purge(house, job.id)
    assert (refused.status_code, refused.json()["code"]) == (503, "job.not_removed")
    assert job.output in refused.json()["detail"]
    assert house.get(f"/jobs/{job.id}").json()["video_available"] is True
    assert purge(house, job.id).json()["video"] == "removed"


def test_a_video_that_is_being_fetched_is_fetched_to_its_end(house: House) -> None:
    job = finished_job(house)
    path = Path(job.output)
    with path.open("ab") as file:  # a box that players skip, larger than all buffers on the way
        file.write((2**26 + 8).to_bytes(4) + b"free" + bytes(2**26))
    whole = path.stat().st_size
    with requests.get(f"{house.api}/jobs/{job.id}/video", stream=True, timeout=60) as response:
        chunks = response.iter_content(2**16)
        count = len(next(chunks))
        assert purge(house, job.id).json()["video"] == "removed"
        assert count + sum(map(len, chunks)) == whole
    assert house.get(f"/jobs/{job.id}/video").status_code == 404


# --- server-sent events


def events_of(response: requests.Response) -> Iterator[tuple[str, str, dict[str, object]]]:
    """Yield (event, id, data) as they come."""
    fields: dict[str, str] = {}
    for line in response.iter_lines(chunk_size=1, decode_unicode=True):
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "event" in fields:
            yield fields["event"], fields["id"], json.loads(fields["data"])
            fields = {}


def follow(house: House, job_id: str, last_id: str | None = None) -> requests.Response:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    return requests.get(f"{house.api}/jobs/{job_id}/events", headers=headers, stream=True, timeout=30)


def test_events_tell_every_state_and_end_with_the_job(house: House) -> None:
    job_id = house.submit_id(num_inference_steps=4)
    with follow(house, job_id) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        stream = events_of(response)
        name, _, data = next(stream)
        assert (name, data["status"], data.keys()) == ("state", "queued", FIELDS)
        claim = house.store.claim("test")
        assert claim is not None
        name, _, data = next(stream)
        assert (name, data["status"]) == ("state", "running")
        house.store.heartbeat(claim, Progress("denoising", 0.25, 1, 4, eta_seconds=3.5))
        name, _, data = next(stream)
        assert (name, data["phase"]) == ("state", "denoising")
        house.store.heartbeat(claim, Progress("denoising", 0.5, 2, 4, eta_seconds=2.5, preview=b"webp"))
        name, _, data = next(stream)
        assert name == "progress"
        assert data == {
            "phase": "denoising", "progress": 0.5, "step": 2, "total": 4, "eta_seconds": 2.5,
            "queue_position": None,
        }  # fmt: skip
        name, _, data = next(stream)
        assert name == "preview"
        shown = requests.get(str(data["url"]), timeout=30)
        assert (shown.content, shown.headers["Content-Type"]) == (b"webp", "image/webp")
        house.store.fail(claim, {"code": "job.internal", "params": {}, "message": "boom"})
        (last,) = stream
        assert (last[0], last[2]["status"]) == ("state", "failed")


def test_a_rung_of_the_ladder_is_reported_while_the_job_runs(house: House, tmp_path: Path) -> None:
    gates = Gates(tmp_path)
    job_id = house.submit_id(f"step 3: memory once; {gates.prompt(4)}")
    rung = ["ladder.denoise", "ladder.chunk_tokens"]
    reported = []
    with follow(house, job_id) as response, house.executor.working():
        for name, _, data in events_of(response):
            if name == "state" and [notice["code"] for notice in data["notices"]][-2:] == rung:  # type: ignore[attr-defined]
                reported.append(data["status"])
                gates.open(4)
    assert (reported[0], reported[-1]) == ("running", "succeeded")
    job = house.get(f"/jobs/{job_id}").json()
    assert job["status"] == "succeeded"
    assert [notice["code"] for notice in job["notices"]][-2:] == rung
    assert [notice["code"] for notice in job["result"]["notices"]][-2:] == rung
    assert [stage["name"] for stage in job["result"]["stages"]] == ["condition", "denoise", "decode"]


def test_who_comes_back_gets_what_is_new_and_nothing_twice(house: House) -> None:
    job_id = house.submit_id()
    with follow(house, job_id) as response:
        _, last_id, _ = next(events_of(response))
    claim = house.store.claim("test")
    assert claim is not None
    house.store.heartbeat(claim, Progress("denoising", 0.5, 1, 2, preview=b"webp"))
    with follow(house, job_id, last_id) as response:
        stream = events_of(response)
        name, state_id, data = next(stream)
        assert (name, data["phase"]) == ("state", "denoising")
        name, preview_id, _ = next(stream)
        assert name == "preview"
    with follow(house, job_id, state_id) as response:  # the connection broke before the preview arrived
        assert next(events_of(response))[0] == "preview"
    with follow(house, job_id, preview_id) as response:
        house.store.fail(claim, {"code": "job.internal", "params": {}, "message": "boom"})
        ((name, last_id, data),) = events_of(response)
        assert (name, data["status"]) == ("state", "failed")
    with follow(house, job_id, last_id) as response:
        assert (response.status_code, response.content) == (204, b"")


@pytest.mark.parametrize("last_id", ["", "7", "x-y-z", "1-2-3-4", "9" * 30 + "-0-0", "٣-0-0"])
def test_a_strange_last_event_id_is_a_new_beginning(shared_house: House, last_id: str) -> None:
    house, job_id = shared_house, shared_house.submit_id()
    headers = {"Last-Event-ID": last_id.encode()}
    with requests.get(
        f"{house.api}/jobs/{job_id}/events", headers=headers, stream=True, timeout=30
    ) as response:
        name, _, data = next(events_of(response))
        assert (name, data["id"]) == ("state", job_id)


def test_a_queued_job_hears_of_its_place(house: House) -> None:
    first, second = house.submit_id(), house.submit_id()
    with follow(house, second) as response:
        stream = events_of(response)
        assert next(stream)[2]["queue_position"] == 1
        house.session.delete(f"{house.api}/jobs/{first}", timeout=30)
        name, _, data = next(stream)
        assert (name, data["queue_position"]) == ("progress", 0)


def test_events_end_when_the_job_is_deleted_or_the_server_closes(house: House) -> None:
    first, second = house.submit_id(), house.submit_id()
    with follow(house, first) as response:
        stream = events_of(response)
        next(stream)
        house.service.cancel(first)
        house.service.delete(first)
        assert list(stream) == []
    with follow(house, second) as response:
        stream = events_of(response)
        next(stream)
        house.closing.set()
        assert list(stream) == []


# --- what a job gives


@pytest.fixture(scope="module")
def finished(shared_house: House) -> tuple[str, bytes]:
    """The address of a finished video, and the video."""
    for waiting in shared_house.service.unfinished():  # of the tests before
        shared_house.service.cancel(waiting.job.id)
    job_id = shared_house.submit_id()
    assert shared_house.executor.run_next()
    video = Path(shared_house.store.get(job_id).output).read_bytes()
    return f"{shared_house.api}/jobs/{job_id}/video", video


@pytest.mark.parametrize(
    ("asked", "start", "end"), [("bytes=0-3", 0, 4), ("bytes=5-", 5, None), ("bytes=-7", -7, None)]
)
def test_a_player_can_seek(finished: tuple[str, bytes], asked: str, start: int, end: int | None) -> None:
    url, video = finished
    part = requests.get(url, headers={"Range": asked}, timeout=30)
    assert (part.status_code, part.content) == (206, video[start:end])
    assert part.headers["Content-Range"].endswith(f"/{len(video)}")


@pytest.mark.parametrize(
    "asked", ["bytes=9-2", "bytes=", "bytes=x-y", "frames=1-2", "junk", "bytes=-", "bytes=1"]
)
def test_a_range_that_makes_no_sense_is_ignored(finished: tuple[str, bytes], asked: str) -> None:
    url, video = finished
    whole = requests.get(url, headers={"Range": asked}, timeout=30)
    assert (whole.status_code, whole.content) == (200, video)


def test_a_range_beyond_the_end_is_told_the_size(finished: tuple[str, bytes]) -> None:
    url, video = finished
    beyond = requests.get(url, headers={"Range": "bytes=99999999-"}, timeout=30)
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, f"bytes */{len(video)}")


def test_head_tells_type_and_size(finished: tuple[str, bytes]) -> None:
    url, video = finished
    head = requests.head(url, timeout=30)
    assert (head.status_code, head.content) == (200, b"")
    assert (head.headers["Content-Type"], int(head.headers["Content-Length"])) == ("video/mp4", len(video))
    assert head.headers["X-Content-Type-Options"] == "nosniff"


def test_the_last_frame_is_the_last_one(finished: tuple[str, bytes]) -> None:
    response = requests.get(finished[0].replace("/video", "/last-frame"), timeout=30)
    assert response.headers["Content-Type"] == "image/png"
    frame = Image.open(io.BytesIO(response.content)).convert("L")
    assert frame.getpixel((5, 5)) == pytest.approx(40, abs=3)  # the frames are 10, 20, 30 and 40


def test_the_poster_is_the_first_frame(finished: tuple[str, bytes]) -> None:
    response = requests.get(finished[0].replace("/video", "/poster"), timeout=30)
    assert response.headers["Content-Type"] == "image/jpeg"
    assert response.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    poster = Image.open(io.BytesIO(response.content)).convert("L")
    assert poster.getpixel((5, 5)) == pytest.approx(10, abs=3)


def test_the_thumbnail_is_the_picture_that_was_given(shared_house: House) -> None:
    job_id = shared_house.submit_id()
    response = shared_house.get(f"/jobs/{job_id}/thumbnail")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "image/jpeg")
    assert response.headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert Image.open(io.BytesIO(response.content)).size == (96, 64)
    (shared_house.settings.inputs / shared_house.service.get(job_id).input).with_suffix(".jpg").unlink()
    gone = shared_house.get(f"/jobs/{job_id}/thumbnail")
    assert (gone.status_code, gone.json()["code"]) == (410, "job.no_thumbnail")


def test_what_is_not_there_yet_is_not_found(shared_house: House) -> None:
    house, job_id = shared_house, shared_house.submit_id()
    for what in ("video", "preview", "last-frame", "poster"):
        response = house.get(f"/jobs/{job_id}/{what}")
        assert (response.status_code, response.json()["hint"] is not None) == (404, True)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_an_unknown_job_is_not_found(shared_house: House, method: str) -> None:
    house = shared_house
    for path in ("", "/events", "/video", "/preview", "/last-frame", "/thumbnail", "/picture", "/poster"):
        if method == "DELETE" and path:
            continue
        response = house.session.request(method, f"{house.api}/jobs/%00%ff'x{path}", timeout=30)
        assert (response.status_code, response.json()["code"]) == (404, "job.unknown")
    assert house.post("/jobs/nothing/retry").status_code == 404


# --- what can be asked for, and the service itself


@pytest.fixture(scope="module")
def both_house(tmp_path_factory: pytest.TempPathFactory, picture: bytes) -> Iterator[House]:
    """One with a second engine, which differs from the first in everything."""
    folder, engines = tmp_path_factory.mktemp("both"), {**ENGINES, CONTRARY.name: CONTRARY}
    with running(folder, picture, engines) as started:
        yield started


def test_each_engine_tells_what_can_be_asked_of_it(both_house: House) -> None:
    first, second = both_house.get("/engines").json()["engines"]
    assert (first["name"], first["available"], first["trained_frames"]) == ("rehearsal", True, [1, 128])
    assert (first["needs_weights"], first["requires_prompt"]) == (True, True)
    assert first["options"]["properties"] == {}
    assert (second["available"], second["needs_weights"], second["chosen_by_auto"]) == (True, False, False)
    can = second["capabilities"]
    assert (can["prompt"], can["seed"], can["fps"], can["largest_side"]) == ("none", False, [24, 60], 4096)
    assert can["num_frames"] == {"least": 24, "most": 3600, "step": 1, "only": []}
    bucket = second["options"]["properties"]["bucket"]
    assert (bucket["minimum"], bucket["maximum"], bucket["default"]) == (1, 255, 127)


def test_options_come_as_json_or_as_the_text_of_a_form_and_are_the_same_request(both_house: House) -> None:
    options = {"shift": 0.25, "path": "arc", "points": [1.5]}
    form = both_house.submit("", engine="contrary", options=json.dumps(options))
    assert form.status_code == 202, form.text
    image = base64.b64encode(both_house.picture).decode()
    body = {"prompt": "", "engine": "contrary", "options": options, "image": image}
    as_json = both_house.session.post(f"{both_house.api}/jobs", json=body, timeout=60)
    assert form.json()["request"] == as_json.json()["request"]
    assert form.json()["request"]["options"] == options


@pytest.mark.parametrize(("options", "field"), [
    ('{"shift": 3}', "options.shift"), ('{"path": "zigzag"}', "options.path"),
    ('{"speed": 1}', "options.speed"), ('{"points": [NaN]}', "options.points"),
    ('{"points": [[1e999]]}', "options.points"), ('{"words": "a\\u0000"}', "options.words"),
    ('{"words": "\\ud800"}', "options.words"), ("[1]", "options"), ("{", "options"), ("pan=1", "options"),
])  # fmt: skip
def test_what_is_wrong_with_an_option_names_it(both_house: House, options: str, field: str) -> None:
    response = both_house.submit("", engine="contrary", options=options)
    assert (response.status_code, response.json()["field"]) == (422, field)


def test_an_option_of_an_engine_that_has_none_is_refused_by_its_name(both_house: House) -> None:
    response = both_house.submit("x", options='{"shift": 1}')
    assert (response.status_code, response.json()["code"]) == (422, "request.not_supported")
    assert response.json()["field"] == "options.shift"


# --- pictures besides the image


def test_a_last_image_by_form_or_json_ends_the_clip_and_goes_with_its_job(both_house: House) -> None:
    house, grey = both_house, picture("#8f8f8f")  # which no other test sends
    data = {"engine": "contrary", "num_frames": 24}
    files = {"image": ("a.png", house.picture), "last_image": ("b.png", grey)}
    form = house.session.post(f"{house.api}/jobs", data=data, files=files, timeout=60)
    assert form.status_code == 202, form.text
    image, last = (base64.b64encode(each).decode() for each in (house.picture, grey))
    body = {**data, "image": image, "inputs": [{"role": "last_image", "image": last}]}
    as_json = house.session.post(f"{house.api}/jobs", json=body, timeout=60)
    assert form.json()["request"] == as_json.json()["request"]
    assert form.json()["request"]["inputs"] == [{"role": "last_image"}]
    jobs = [house.store.get(each.json()["id"]) for each in (form, as_json)]
    assert jobs[0].inputs == jobs[1].inputs
    while house.executor.run_next():
        pass
    done = house.get(f"/jobs/{jobs[0].id}").json()
    assert done["result"]["inputs"] == [{"role": "last_image"}], done["error"]
    frame = house.session.get(f"{house.api}/jobs/{jobs[0].id}/last-frame", timeout=60).content
    assert abs(Image.open(io.BytesIO(frame)).convert("L").getpixel((0, 0)) - 0x8F) <= 3
    for job in jobs:
        assert (house.settings.inputs / jobs[0].inputs[1]).exists()
        assert house.session.delete(f"{house.api}/jobs/{job.id}?purge=true", timeout=60).status_code == 200
    assert not (house.settings.inputs / jobs[0].inputs[1]).exists()


@pytest.mark.parametrize(("inputs", "code", "field"), [
    ([{"role": "last_image"}], "request.missing_field", "last_image"),
    ([{"role": "last_image", "image": 7}], "request.invalid", "inputs.image"),
    ([{"role": "first_image", "image": "AAAA"}], "request.invalid", "inputs.role"),
    ([{"role": "keyframe"}], "request.missing_field", "inputs.frame"),
    ([{"role": "keyframe", "frame": 0}], "request.invalid", "inputs.frame"),
    ([{"role": "keyframe", "frame": 5}] * 2, "request.invalid", "inputs.frame"),
    ([{"role": "keyframe", "frame": 5, "at": 1}], "request.unknown_field", "inputs.at"),
    ([{"role": "keyframe", "frame": 24}], "request.missing_field", "keyframe"),
    ([{"role": "last_image", "frame": 3}], "request.unknown_field", "inputs.frame"),
    ([{"role": "last_image"}] * 2, "request.invalid", "inputs"),
    ([{"role": "style_image", "image": "AAAA"}], "request.not_supported", "inputs"),
    (["last_image"], "request.invalid", "inputs"), ("last_image", "request.invalid", "inputs"),
    (7, "request.invalid", "inputs"), ([{"role": "last_image"}] * 17, "request.invalid", "inputs"),
])  # fmt: skip
def test_what_is_wrong_with_another_picture_names_it(
    both_house: House, inputs: object, code: str, field: str
) -> None:
    image = base64.b64encode(both_house.picture).decode()
    body = {"engine": "contrary", "image": image, "inputs": inputs}
    response = both_house.session.post(f"{both_house.api}/jobs", json=body, timeout=60)
    assert (response.status_code, response.json()["code"], response.json()["field"]) == (422, code, field)


def test_keyframes_by_form_or_json_are_their_frames_of_the_clip(both_house: House) -> None:
    house, grey, dark = both_house, picture("#909090"), picture("#202020")
    data = {"engine": "contrary", "num_frames": 24}
    files = {"image": ("a.png", house.picture), "keyframe_8": ("b.png", grey), "keyframe_3": ("c.png", dark)}
    form = house.session.post(f"{house.api}/jobs", data=data, files=files, timeout=60)
    assert form.status_code == 202, form.text
    image, *others = (base64.b64encode(each).decode() for each in (house.picture, grey, dark))
    reported = [{"role": "keyframe", "frame": frame} for frame in (8, 3)]
    inputs = [{**each, "image": other} for each, other in zip(reported, others, strict=True)]
    as_json = house.session.post(
        f"{house.api}/jobs", json={**data, "image": image, "inputs": inputs}, timeout=60
    )
    assert form.json()["request"] == as_json.json()["request"]
    assert form.json()["request"]["inputs"] == reported
    while house.executor.run_next():
        pass
    job = house.store.get(form.json()["id"])
    done = house.get(f"/jobs/{job.id}").json()
    assert done["result"]["inputs"] == reported, done["error"]
    frames = read_frames(Path(job.output))
    assert [abs(int(frames[at].mean()) - grey) <= 3 for at, grey in ((8, 0x90), (3, 0x20))] == [True, True]


def test_a_keyframe_beyond_the_clip_is_refused_before_there_is_a_job(both_house: House) -> None:
    files = {"image": ("a.png", both_house.picture), "keyframe_24": ("b.png", both_house.picture)}
    data = {"engine": "contrary", "num_frames": 24}
    answer = both_house.session.post(f"{both_house.api}/jobs", data=data, files=files, timeout=60)
    assert (answer.status_code, answer.json()["field"]) == (422, "inputs.frame")
    assert "1 to 23" in answer.text
    files["last_image"] = ("c.png", both_house.picture)
    files["keyframe_23"] = files.pop("keyframe_24")
    answer = both_house.session.post(f"{both_house.api}/jobs", data=data, files=files, timeout=60)
    assert "1 to 22" in answer.text


def test_a_picture_that_the_engine_does_not_take_is_refused(both_house: House) -> None:
    files = {"image": ("a.png", both_house.picture), "last_image": ("b.png", both_house.picture)}
    response = both_house.session.post(
        f"{both_house.api}/jobs", data={"prompt": "x"}, files=files, timeout=60
    )
    assert (response.status_code, response.json()["code"]) == (422, "request.not_supported")
    assert (response.json()["field"], response.json()["value"]) == ("inputs", "last_image")


def test_presets_are_reported_as_each_engine_has_them(house: House) -> None:
    presets = house.get("/presets").json()["presets"]["rehearsal"]
    assert presets["quick"] == {
        "area_side": 512, "num_frames": 8, "num_inference_steps": 30, "fps": 8, "guidance_scale": 9.0,
        "loras": [], "options": {},
    }  # fmt: skip


def test_a_plan_tells_what_would_be_run_and_how_long(house: House) -> None:
    def plan(**fields: object) -> dict[str, object]:
        response = house.session.post(f"{house.api}/plan", json=fields, timeout=30)
        assert response.status_code == 200, response.text
        return dict(response.json())

    unknown = plan(prompt="x", preset="quick", picture_size=[300, 600])
    assert unknown.keys() == {"fits", "bytes", "seconds", "options", "message"}
    assert (unknown["fits"], unknown["bytes"], unknown["seconds"]) == (None, None, None)
    options = unknown["options"]
    assert isinstance(options, dict)
    assert (options["num_frames"], options["height"] > options["width"]) == (8, True)
    house.submit_id()
    house.executor.run_next()
    seconds = plan(prompt="x", preset="quick")["seconds"]
    assert isinstance(seconds, float)
    assert seconds > 0
    assert house.get("/jobs").json()["jobs"][0]["status"] == "succeeded"  # a plan is no job


def test_health_and_readiness_are_told_apart(house: House) -> None:
    assert requests.get(f"{house.url}/healthz", timeout=30).text == "ok"
    assert requests.get(f"{house.url}/readyz", timeout=30).text == "ok"
    house.executor.ready = False
    assert requests.get(f"{house.url}/healthz", timeout=30).text == "ok"
    response = requests.get(f"{house.url}/readyz", timeout=30)
    assert (response.status_code, response.json()["code"]) == (503, "server.not_ready")
    assert int(response.headers["Retry-After"]) > 0


def test_the_page_at_docs_tells_every_address_and_loads_nothing(shared_house: House) -> None:
    house = shared_house
    page = requests.get(house.url, timeout=30)
    assert page.url == f"{house.url}/docs"
    for path, methods in requests.get(f"{house.url}/openapi.json", timeout=30).json()["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}" in page.text
    assert "://" not in page.text
    assert "<script" not in page.text


def test_the_page_at_docs_says_whole_bounds_and_each_engines_options(both_house: House) -> None:
    page = requests.get(f"{both_house.url}/docs", timeout=60).text
    assert "integer, 64 to 4096" in page
    assert "integer, 1 to 3600" in page
    assert ".0 to " not in page
    assert "with contrary: strength (0 to 2, 1.0 if it is left out), shift (-1 to 1)" in page


def test_many_submissions_at_once_leave_the_others_answered(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end = threading.Event()

    def decode(*given: object) -> DecodedFile:
        assert may_end.wait(60)
        return decode_to_file(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("i2v.service.inputs.decode_to_file", decode)
    threads = [threading.Thread(target=house.submit_id) for _ in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(3):  # while all of them wait
        assert requests.get(f"{house.url}/healthz", timeout=30).status_code == 200
        assert house.get("/jobs").json()["jobs"] == []
    may_end.set()
    for thread in threads:
        thread.join()
    assert len(house.get("/jobs").json()["jobs"]) == 6
