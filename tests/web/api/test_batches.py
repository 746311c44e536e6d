"""The REST API of batches, over a real socket."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import pytest
import requests

from tests.web.house import House, wait_for


def create(house: House, body: object, **headers: str) -> requests.Response:
    return house.session.post(f"{house.api}/batches", json=body, headers=headers, timeout=60)


def create_id(house: House, **fields: object) -> str:
    response = create(house, {"name": "all", "fields": {"prompt": "a pan", **fields}})
    assert response.status_code == 201, response.text
    assert response.headers["Location"] == f"{house.api}/batches/{response.json()['id']}"
    return str(response.json()["id"])


def join(house: House, batch: str, name: str, key: str | None = None, **fields: object) -> requests.Response:
    return house.session.post(
        f"{house.api}/batches/{batch}/jobs",
        params={"name": name},
        data=fields,
        files={"image": ("x.png", house.picture)},
        headers={} if key is None else {"Idempotency-Key": key},
        timeout=60,
    )


def batch_of(house: House, batch: str) -> Any:
    response = house.get(f"/batches/{batch}")
    assert response.status_code == 200
    return response.json()


def counts(body: Any) -> dict[str, int]:
    return {status: count for status, count in body["counts"].items() if count}


def test_a_batch_from_its_first_picture_to_its_archive(house: House) -> None:
    batch = create_id(house, fps=5)
    own = join(house, batch, "b.png", prompt="its own")
    assert own.status_code == 202
    assert own.headers["Location"] == f"{house.api}/jobs/{own.json()['id']}"
    assert own.json()["batch_id"] == batch
    assert {name: own.json()["request"][name] for name in ("prompt", "fps")} == {
        "prompt": "its own",
        "fps": 5,
    }
    assert join(house, batch, "a 照片.png").json()["request"]["prompt"] == "a pan"
    body = batch_of(house, batch)
    assert (body["total"], body["progress"], body["finished"], body["seconds_left"]) == (2, 0, False, None)
    assert counts(body) == {"queued": 2}
    early = house.get(f"/batches/{batch}/zip")
    assert (early.status_code, early.json()["code"]) == (409, "batch.no_videos")
    assert house.executor.run_next()
    body = batch_of(house, batch)
    assert body["progress"] == 0.5
    assert body["seconds_left"] > 0
    assert house.executor.run_next()
    body = batch_of(house, batch)
    assert (body["finished"], body["progress"], body["seconds_left"]) == (True, 1, 0)
    rows = [(row["number"], row["name"], row["status"], row["error"]) for row in body["rows"]]
    assert rows == [(1, "b.png", "succeeded", None), (2, "a 照片.png", "succeeded", None)]
    videos = [house.session.get(row["video_url"], timeout=60).content for row in body["rows"]]
    answer = house.get(f"/batches/{batch}/zip")
    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="i2v-batch-{batch[:8]}.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.namelist() == ["0001_b.mp4", "0002_a 照片.mp4"]
        assert [archive.read(name) for name in archive.namelist()] == videos


def test_who_sends_again_after_a_lost_answer_makes_nothing_twice(house: House) -> None:
    made = [create(house, {"name": "x"}, **{"Idempotency-Key": "k"}).json()["id"] for _ in range(2)]
    assert made[0] == made[1]
    assert len({join(house, made[0], "a.png", key="row 1", prompt="x").json()["id"] for _ in range(2)}) == 1
    assert batch_of(house, made[0])["total"] == 1
    other = create(house, {"name": "y"}, **{"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["code"]) == (422, "job.idempotency_conflict")


def test_cancel_retry_and_delete(house: House) -> None:
    batch = create_id(house)
    jobs = [join(house, batch, name).json()["id"] for name in ("a.png", "b.png")]
    refused = house.session.delete(f"{house.api}/batches/{batch}?clips=true", timeout=60)
    assert (refused.status_code, refused.json()["code"]) == (409, "batch.not_finished")
    assert counts(house.post(f"/batches/{batch}/cancel").json()) == {"cancelled": 2}
    assert counts(house.post(f"/batches/{batch}/retry").json()) == {"queued": 2}
    while house.executor.run_next():
        pass
    removed = house.session.delete(f"{house.api}/jobs/{jobs[0]}?purge=true", timeout=60)
    assert removed.status_code == 200
    assert counts(batch_of(house, batch)) == {"deleted": 1, "succeeded": 1}
    gone = house.session.delete(f"{house.api}/batches/{batch}", timeout=60)
    assert gone.json() == {"id": batch, "deleted": True}
    assert house.get(f"/batches/{batch}").status_code == 404
    assert house.get(f"/jobs/{jobs[1]}").json()["batch_id"] is None
    other = create_id(house)
    job = join(house, other, "c.png").json()["id"]
    assert house.executor.run_next()
    assert house.session.delete(f"{house.api}/batches/{other}?clips=true", timeout=60).status_code == 200
    assert house.get(f"/jobs/{job}").status_code == 404


def test_the_list_goes_from_page_to_page(house: House) -> None:
    made = [create_id(house) for _ in range(3)]
    first = house.get("/batches?limit=2").json()
    assert [each["id"] for each in first["batches"]] == made[:0:-1]
    rest = house.get(f"/batches?limit=2&cursor={first['next_cursor']}").json()
    assert [each["id"] for each in rest["batches"]] == made[:1]
    assert rest["next_cursor"] is None


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"fields": {"speeed": 1}}, "speeed"),
        ({"fields": {"fps": 0}}, "fps"),
        ({"fields": "x"}, "fields"),
        ({"name": 7}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"title": "x"}, "title"),
    ],
)
def test_what_is_wrong_is_named(shared_house: House, body: object, field: str) -> None:
    answer = create(shared_house, body)
    assert answer.status_code == 422
    assert answer.json()["field"] == field


def test_a_full_queue_says_when_to_come_again_and_the_batch_has_nothing_of_it(start_house: Any) -> None:
    with start_house(service__max_queued=1) as house:
        batch = create_id(house)
        assert join(house, batch, "a.png").status_code == 202
        refused = join(house, batch, "b.png")
        assert (refused.status_code, refused.headers["Retry-After"]) == (429, "30")
        assert batch_of(house, batch)["total"] == 1
        with house.executor.working():
            wait_for(lambda: join(house, batch, "b.png", key="b").status_code == 202)
            wait_for(lambda: batch_of(house, batch)["finished"])
        assert counts(batch_of(house, batch)) == {"succeeded": 2}


def test_an_unknown_batch_is_404_everywhere(shared_house: House) -> None:
    session, url = shared_house.session, f"{shared_house.api}/batches/{'0' * 32}"
    answers = [
        session.get(url, timeout=60),
        session.get(f"{url}/zip", timeout=60),
        session.post(f"{url}/cancel", timeout=60),
        session.post(f"{url}/retry", timeout=60),
        session.delete(url, timeout=60),
        session.get(f"{shared_house.api}/batches?cursor={'0' * 32}", timeout=60),
        join(shared_house, "0" * 32, "a.png", prompt="x"),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(404, "batch.unknown")}


def test_a_job_knows_its_picture_s_name_with_and_without_one_of_its_row(house: House) -> None:
    batch = create_id(house)
    for name, known in (("Sea", "Sea"), ("", "x.png")):
        job = join(house, batch, name).json()["id"]
        assert house.get(f"/jobs/{job}").json()["picture_name"] == known
        house.service.cancel(job)
