"""The job store's benchmark at a small size: it runs, measures every operation, and fills what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from benchmarks.jobs import fill, submission
from i2v.core.settings_sources import ROOT
from i2v.jobs.store import JobStore


def test_the_table_is_filled_with_jobs_that_the_store_can_go_on_with(tmp_path: Path) -> None:
    fill(tmp_path / "jobs.db", jobs=300, queued=20)
    with closing(JobStore(tmp_path / "jobs.db")) as store:
        assert store.counts() == {"queued": 20, "running": 0, "succeeded": 280, "failed": 0, "cancelled": 0}
        jobs = store.page(limit=1000).jobs
        assert len({job.id for job in jobs}) == len({job.output for job in jobs}) == 300
        assert jobs[0].queue_position == 19
        added = store.submit(submission())
        assert added.queue_position == 20
        assert store.page(limit=1).jobs == (added,)
        held = store.claim("owner")
        assert held is not None
        assert held.generation.engine == "i2vgen-xl"


def test_it_reports_each_operation(tmp_path: Path) -> None:
    report = tmp_path / "jobs.json"
    size = ["--jobs", "200", "--queued", "10", "--samples", "5"]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.jobs", "--json", report, "--folder", tmp_path, *size],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    figures = json.loads(report.read_text())
    assert figures["setting"]["jobs"] == 200
    for name in ("fsync", "submit", "claim", "finish", "progress, preview", "page of 50, newest"):
        times = figures["times"][name]
        assert times["samples"] == 5
        assert 0 < times["p50_us"] <= times["p99_us"]
        assert f"\n{name} " in f"\n{done.stdout}"
    assert figures["share_of_a_step"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["jobs.json"], "the store is left behind"
