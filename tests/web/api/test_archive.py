"""i2v.web.api.archive: several videos in one file, whole, and never in memory at once."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from i2v.web.api import archive
from i2v.web.api.archive import named
from tests.web.house import House


def made(house: House) -> str:
    job_id = house.submit_id()
    assert house.executor.run_next()
    return job_id


def test_videos_come_whole_in_one_file_under_their_names(house: House) -> None:
    ids = [made(house) for _ in range(2)]
    response = house.get(f"/archive?jobs={','.join([*ids, ids[0]])}")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "application/zip")
    assert response.headers["Content-Disposition"].startswith('attachment; filename="i2v_')
    with zipfile.ZipFile(io.BytesIO(response.content)) as packed:
        assert packed.testzip() is None
        outputs = [Path(house.store.get(job_id).output) for job_id in ids]
        assert packed.namelist() == [path.name for path in outputs]
        assert [packed.read(path.name) for path in outputs] == [path.read_bytes() for path in outputs]


@pytest.mark.parametrize(
    ("jobs", "status"), [("", 422), (",", 422), ("0" * 32, 404), (",".join("a" * 201), 404)]
)
def test_what_cannot_be_packed_is_refused(house: House, jobs: str, status: int) -> None:
    assert house.get(f"/archive?jobs={jobs}").status_code == status


def test_too_many_are_refused(house: House) -> None:
    many = ",".join(str(number) for number in range(archive.MAX_JOBS + 1))
    assert house.get(f"/archive?jobs={many}").status_code == 422


def test_a_video_that_is_gone_is_reported_before_anything_is_sent(house: House) -> None:
    there, gone = made(house), made(house)
    Path(house.store.get(gone).output).unlink()
    response = house.get(f"/archive?jobs={there},{gone}")
    assert (response.status_code, response.json()["code"]) == (410, "job.video_missing")


def test_names_of_two_folders_do_not_meet() -> None:
    paths = [Path("/a/x.mp4"), Path("/b/X.mp4"), Path("/c/x.mp4")]
    assert [name for name, _ in named(paths)] == ["x.mp4", "X_2.mp4", "x_3.mp4"]
