"""i2v.web.api.library: stars, places in the queue, the trash, over a real socket."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
import requests

from i2v.core.errors import InsufficientMemory
from i2v.core.memory_plan import DeviceInfo
from i2v.workers.devices import DeviceState
from tests.web.house import House


def patch(house: House, path: str, **body: object) -> requests.Response:
    return house.session.patch(f"{house.api}{path}", json=body, timeout=30)


def delete(house: House, job_id: str, how: str) -> requests.Response:
    return house.session.delete(f"{house.api}/jobs/{job_id}?{how}=true", timeout=30)


def ids(house: House, query: str = "") -> list[str]:
    response = house.get(f"/jobs?{query}")
    assert response.status_code == 200, response.text
    return [job["id"] for job in response.json()["jobs"]]


def made(house: House, **fields: object) -> str:
    job_id = house.submit_id(**fields)  # type: ignore[arg-type]
    assert house.executor.run_next()
    return job_id


def test_a_star_is_set_and_looked_for_and_sorted_by(house: House) -> None:
    first, second, third = (made(house) for _ in range(3))
    starred = patch(house, f"/jobs/{second}", starred=True)
    assert (starred.status_code, starred.json()["starred"]) == (200, True)
    assert ids(house, "starred=true") == [second]
    assert ids(house, "order=starred") == [second, third, first]
    assert ids(house, "order=oldest") == [first, second, third]
    assert patch(house, f"/jobs/{second}", starred=False).json()["starred"] is False
    assert ids(house, "starred=true") == []
    assert patch(house, f"/jobs/{'0' * 32}", starred=True).status_code == 404


def test_tags_are_given_and_looked_for(house: House) -> None:
    first, second = made(house), made(house)
    tagged = patch(house, f"/jobs/{first}", add_tags=["Night", "cat"], starred=True)
    assert (tagged.json()["tags"], tagged.json()["starred"]) == (["cat", "night"], True)
    patch(house, f"/jobs/{second}", add_tags=["cat"])
    assert house.get("/tags").json() == {"tags": {"cat": 2, "night": 1}}
    assert ids(house, "tag=NIGHT") == [first]
    assert patch(house, f"/jobs/{first}", remove_tags=["night", "dog"]).json()["tags"] == ["cat"]
    assert patch(house, f"/jobs/{first}", add_tags=["a,b"]).json()["code"] == "request.invalid"


def test_a_change_that_is_refused_changes_nothing(house: House) -> None:
    jobs = [house.submit_id() for _ in range(2)]
    assert patch(house, f"/jobs/{jobs[1]}", queue_position=0, add_tags=["a,b"]).status_code == 422
    assert [house.get(f"/jobs/{job}").json()["queue_position"] for job in jobs] == [0, 1]


def test_jobs_are_looked_for_by_engine_and_date(house: House) -> None:
    job_id = made(house)
    created = datetime.fromisoformat(house.get(f"/jobs/{job_id}").json()["created_at"])
    assert ids(house, "engine=rehearsal") == [job_id]
    assert ids(house, "engine=other") == []
    for name, found in (("since", True), ("until", False)):
        earlier = (created - timedelta(seconds=1)).isoformat().replace("+", "%2B")
        assert ids(house, f"{name}={earlier}") == ([job_id] if found else [])
    assert house.get("/jobs?since=2026-01-01T00:00:00").status_code == 422, "no time zone"
    assert house.get("/jobs?order=random").status_code == 422


@pytest.mark.parametrize(
    "body", [{"starred": "perhaps"}, {"queue_position": -1}, {"queue_position": 1e9}, {"prompt": "x"}]
)
def test_what_cannot_be_changed_is_refused(house: House, body: dict[str, object]) -> None:
    assert patch(house, f"/jobs/{house.submit_id()}", **body).status_code == 422


def test_a_waiting_job_is_moved(house: House) -> None:
    first, second, third = (house.submit_id() for _ in range(3))
    assert patch(house, f"/jobs/{third}", queue_position=0).json()["queue_position"] == 0
    positions = [house.get(f"/jobs/{each}").json()["queue_position"] for each in (first, second, third)]
    assert positions == [1, 2, 0]
    assert house.executor.run_next()
    refused = patch(house, f"/jobs/{third}", queue_position=0, starred=True)
    assert (refused.status_code, refused.json()["code"]) == (409, "job.not_queued")
    assert house.get(f"/jobs/{third}").json()["starred"] is False


def test_a_paused_queue_says_so_and_is_no_fault(house: House) -> None:
    job_id = house.submit_id()
    queue = house.get("/queue").json()
    assert (queue["paused"], queue["running"], queue["queued"]) == (False, 0, 1)
    assert patch(house, "/queue", paused=True).json()["paused"] is True
    assert not house.executor.run_next()
    assert house.submit().json()["expected_start_seconds"] is None
    ready = requests.get(f"{house.url}/readyz", timeout=30)
    assert (ready.status_code, ready.text) == (200, "ok, but the queue is paused")
    queue = patch(house, "/queue", paused=False).json()
    assert (queue["paused"], queue["running"], queue["queued"]) == (False, 0, 2)
    assert house.executor.run_next()
    assert house.get(f"/jobs/{job_id}").json()["status"] == "succeeded"
    assert patch(house, "/queue").status_code == 422


def test_each_device_is_there_with_its_job(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    device = {"id": "cpu", "worker": 1, "type": "cpu", "name": "CPU", "memory_bytes": 2**33}
    free = {**device, "state": "ready", "job_id": None, "problem": None, "models": None, "fetch": None}
    assert house.get("/devices").json() == {"devices": [free]}
    card = DeviceInfo("cuda", "RTX 4090", 24 * 2**30, id="cuda:0")
    states = (
        DeviceState("cuda:0", 1, card, "busy", job_id="a"),
        DeviceState("cuda:1", 1, None, "set_aside", problem=InsufficientMemory("device.no_cuda")),
    )
    monkeypatch.setattr(house.executor, "devices", lambda: states)
    busy, aside = house.get("/queue").json()["devices"]
    assert (busy["state"], busy["job_id"], busy["memory_bytes"]) == ("busy", "a", 24 * 2**30)
    assert (aside["state"], aside["type"]) == ("set_aside", None)
    assert "CUDA" in aside["problem"]
    ready = requests.get(f"{house.url}/readyz", timeout=30)
    assert (ready.status_code, ready.text) == (200, "ok, but 1 of 2 workers are set aside")
    patch(house, "/queue", paused=True)
    ready = requests.get(f"{house.url}/readyz", timeout=30)
    assert ready.text == "ok, but the queue is paused and 1 of 2 workers are set aside"
    patch(house, "/queue", paused=False)


def test_a_job_may_ask_for_a_device_and_is_made_again_where_it_is_gone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = house.submit(device="cuda:1")
    assert (refused.status_code, refused.json()["field"]) == (422, "device")
    states = tuple(DeviceState(f"cuda:{number}", 1, None, "ready") for number in range(2))
    with monkeypatch.context() as patched:
        patched.setattr(house.executor, "devices", lambda: states)
        accepted = house.submit(device="cuda:1")
    assert accepted.json()["request"]["device"] == "cuda:1"
    again = house.post(f"/jobs/{accepted.json()['id']}/rerun")
    assert again.status_code == 202
    assert "device" not in again.json()["request"]


def test_a_clip_is_made_again_with_another_seed(house: House) -> None:
    job_id = made(house, prompt="an otter dives", seed=7)
    again = house.post(f"/jobs/{job_id}/rerun")
    assert again.status_code == 202
    assert (again.json()["request"]["prompt"], again.json()["status"]) == ("an otter dives", "queued")
    new = house.store.get(again.json()["id"])
    assert new.generation is not None
    assert new.generation.seed != 7
    for file in house.settings.inputs.iterdir():
        file.unlink()
    gone = house.post(f"/jobs/{job_id}/rerun")
    assert (gone.status_code, gone.json()["code"]) == (410, "job.no_thumbnail")


def test_what_was_put_into_the_trash_is_unknown_until_it_is_restored(house: House) -> None:
    job_id = made(house)
    before = house.get(f"/jobs/{job_id}").json()
    body = delete(house, job_id, "trash").json()
    assert (body["deleted"], body["video"]) == (True, "removed")
    assert datetime.fromisoformat(body["kept_until"]) > datetime.fromisoformat(before["finished_at"])
    for what in ("", "/video", "/poster", "/events"):
        assert house.get(f"/jobs/{job_id}{what}").status_code == 404
    assert house.get(f"/jobs/{job_id}/thumbnail").status_code == 200, "by which one knows it in the trash"
    assert ids(house) == []
    [trashed] = house.get("/jobs?deleted=true").json()["jobs"]
    assert (trashed["id"], trashed["video_available"]) == (job_id, False)
    assert datetime.fromisoformat(trashed["deleted_at"])
    restored = house.post(f"/jobs/{job_id}/restore")
    assert (restored.status_code, restored.json()) == (200, before)
    assert house.get(f"/jobs/{job_id}/video").status_code == 200
    assert delete(house, job_id, "trash").status_code == 200
    assert delete(house, job_id, "purge").json()["kept_until"] is None
    assert house.post(f"/jobs/{job_id}/restore").status_code == 404
    assert not Path(body["path"]).exists()
