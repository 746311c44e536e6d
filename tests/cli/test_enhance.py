"""i2v enhance: a file becomes a better one here, a job a new job of its server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from i2v.media.provenance import Provenance
from i2v.media.video import probe, read_tags
from tests.cli.running import run_here
from tests.rehearsal import picture
from tests.web.house import House, running


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with running(tmp_path / "server", picture()) as started:
        yield started


def test_a_clip_is_enhanced_here_and_by_its_server(
    environment: dict[str, str], house: House, tmp_path: Path
) -> None:
    job = house.submit_id("an otter dives")
    assert house.executor.run_next()
    words = ("--output-fps", "24", "--interpolation", "blend", "--scale", "2")
    clip, better = Path(house.store.get(job).output), tmp_path / "better.mp4"
    done = run_here(environment, "enhance", clip, *words, "--output", better, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["path"], told["video_fps"], told["width"]) == (str(better), 24, 128)
    info = probe(better)
    assert (info.width, info.fps, info.num_frames) == (128, 24, 12)
    assert Provenance.from_tags(read_tags(better), better).generation["source"] == told["source"]

    asked = run_here(environment, "enhance", job, *words, "--server", house.url)
    assert asked.returncode == 0, asked.stderr
    made = house.store.get(asked.stdout.strip())
    assert made.request["source_job"] == job
    again = house.post(f"/jobs/{made.id}/rerun")
    assert (again.status_code, again.json()["request"]["source_job"]) == (202, job)
    assert house.session.delete(f"{house.api}/jobs/{job}?purge=true", timeout=60).status_code < 300
    gone = house.post(f"/jobs/{made.id}/rerun")
    assert (gone.status_code, gone.json()["code"]) == (410, "job.source_deleted")
    named = run_here(environment, "enhance", job, *words, "--output", better, "--server", house.url)
    assert (named.returncode, "--output" in named.stderr) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--scale", "2"), "none.mp4: there is no such file"),
        ((), "Nothing to enhance"),
        (("--scale", "9"), "scale must be a number from 1 to 4 (got 9)"),
    ],
)
def test_what_is_wrong_is_said(
    environment: dict[str, str], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = run_here(environment, "enhance", tmp_path / "none.mp4", *words)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
