"""A batch of 60 whose command is killed five times at seeded moments: 60 clips, none twice, none lost.

`python -m pytest tests/test_batch_survival.py -m slow -s` prints what happened.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from i2v.cli.batch_makers import HOME
from i2v.core.settings_sources import ROOT
from i2v.jobs.store import JobStore
from i2v.media.video import probe, read_tags
from i2v.workers.cleanup import JOB_TAG, tag_of
from tests.rehearsal import picture

PICTURES, KILLS, SEED = 60, 5, 25
PROMPT = "step: sleep 0.03; frame: sleep 0.02"


def start(folder: Path) -> subprocess.Popen[bytes]:
    arguments = [folder, folder / "in", "--prompt", PROMPT, "--output", folder / "out"]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.batching", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )


def count(folder: Path) -> int:
    return len(list((folder / "out").glob("*.mp4")))


def kill_at(process: subprocess.Popen[bytes], folder: Path, videos: int, delay: float) -> None:
    deadline = time.monotonic() + 300
    while count(folder) < videos:
        assert process.poll() is None, "it ended before it was killed"
        assert time.monotonic() < deadline, "it stands still"
        time.sleep(0.01)
    time.sleep(delay)
    process.kill()
    process.wait(60)


@pytest.mark.slow
def test_a_batch_of_sixty_is_killed_five_times_and_finished(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(PICTURES):
        (tmp_path / "in" / f"{number}.png").write_bytes(picture())
    chance = random.Random(SEED)
    moments = sorted(chance.sample(range(PICTURES - 5), KILLS))
    begun = time.monotonic()
    made = []
    for videos in moments:
        process = start(tmp_path)
        kill_at(process, tmp_path, videos, chance.uniform(0, 1.5))
        made.append(count(tmp_path))
    process = start(tmp_path)
    assert process.wait(600) == 0
    seconds = time.monotonic() - begun

    videos = sorted((tmp_path / "out").glob("*.mp4"))
    with closing(JobStore(tmp_path / "out" / HOME / "jobs.db", create=False)) as store:
        jobs = store.page(limit=1000).jobs
        (batch,) = store.batches.page()
        assert dict(batch.counts)["succeeded"] == batch.total == PICTURES
    assert [path.name for path in videos] == sorted(f"{number}.mp4" for number in range(PICTURES))
    assert len(jobs) == PICTURES, "a row became two jobs"
    assert {job.status for job in jobs} == {"succeeded"}
    endings = Counter(attempt.ending for job in jobs for attempt in job.history)
    assert endings["succeeded"] == PICTURES, "a clip was finished twice"
    assert {probe(path).num_frames for path in videos} == {4}
    tags = [read_tags(path)[JOB_TAG] for path in videos]
    assert sorted(tags) == sorted(map(tag_of, jobs)), "a clip is there twice, and another one not"
    report = json.loads((tmp_path / "out" / "report.json").read_text("utf-8"))
    assert (report["made"], report["failed"], report["left"]) == (PICTURES, 0, 0)
    assert {row["video"] for row in report["rows"]} == {str(path) for path in videos}
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")] == [HOME]
    print(f"\n{PICTURES} rows, killed with {made} clips there; attempts: {dict(endings)}; {seconds:.0f} s")
