"""i2v batch: in a process of its own, and against a server over a real socket."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from i2v.cli import batch_makers
from i2v.cli.batch_makers import RemoteMaker
from i2v.core.errors import I2VError
from i2v.core.settings_sources import ROOT
from i2v.jobs.store import JobStore
from i2v.media.video import probe
from tests import batching
from tests.rehearsal import picture
from tests.web.house import House, running

RIGHT = "the-right-token-of-it"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RemoteMaker, "poll_seconds", 0.05)
    monkeypatch.setattr(batch_makers, "_PAUSE", 0.05)
    monkeypatch.setattr(batch_makers, "PATIENCE", 0.2)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with running(tmp_path / "house", picture(), service__max_queued=2) as started, started.executor.working():
        yield started


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in ("a.png", "b.png", "c.png", "d.png"):
        (folder / name).write_bytes(picture())
    return folder


def batch(tmp_path: Path, *arguments: object) -> int:
    given = [str(argument) for argument in arguments]
    return batching.main(tmp_path, [*given, "--output", str(tmp_path / "out")])


def videos(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "out").glob("*.mp4"))


def report(tmp_path: Path) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = json.loads((tmp_path / "out/report.json").read_text("utf-8"))["rows"]
    return rows


def jobs(house: House) -> int:
    return sum(house.store.counts().values())


def test_a_server_makes_all_and_nothing_is_made_twice(
    house: House, tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pictures / "b.txt").write_text("its own")
    asked = (pictures, "--prompt", "all", "--seed", "7", "--name", "{stem}_{seed}", "--server", house.url)
    assert batch(tmp_path, *asked) == 0
    assert videos(tmp_path) == ["a_7.mp4", "b_7.mp4", "c_7.mp4", "d_7.mp4"]
    assert sorted(map(Path, capsys.readouterr().out.split())) == sorted((tmp_path / "out").glob("*.mp4"))
    assert {probe(path).num_frames for path in (tmp_path / "out").glob("*.mp4")} == {4}
    assert [(row["outcome"], row["seed"]) for row in report(tmp_path)] == [("made", 7)] * 4
    prompts = [job.request["prompt"] for job in reversed(house.store.page().jobs)]
    assert prompts == ["all", "its own", "all", "all"]
    (pictures / "e.png").write_bytes(picture())
    (tmp_path / "out/a_7.mp4").unlink()
    assert batch(tmp_path, *asked) == 0
    assert jobs(house) == 5, "the new one alone"
    assert len(videos(tmp_path)) == 5, "and what was deleted is fetched again"
    assert len(house.service.batches.page()) == 1
    assert [path.suffix for path in (tmp_path / "out").iterdir() if path.name.startswith(".")] == []


def test_rows_that_fail_are_reported_and_tried_again(
    house: House, tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = ["image,prompt", "a.png,step: fail once", "b.png,x", "b.png,x"]
    source = pictures / "clips.csv"
    source.write_text("\n".join(rows))
    assert batch(tmp_path, source, "--server", house.url) == 3
    assert f"{source}, row 1: Internal error" in capsys.readouterr().err
    assert videos(tmp_path) == ["b.mp4", "b_2.mp4"], "rows that are alike are two clips"
    assert [row["outcome"] for row in report(tmp_path)] == ["failed", "made", "made"]
    assert batch(tmp_path, source, "--server", house.url) == 0
    assert videos(tmp_path) == ["a.mp4", "b.mp4", "b_2.mp4"]
    assert jobs(house) == 3


def test_all_rows_are_checked_before_the_first_clip(
    house: House, tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = pictures / "clips.jsonl"
    lines: list[dict[str, object]] = [
        {"image": "a.png", "prompt": "x"},
        {"image": "a.png", "prompt": "x", "fps": 0},
        {"image": "gone.png", "prompt": "x"},
        {"image": "a.png"},
    ]
    source.write_text("\n".join(map(json.dumps, lines)))
    assert batch(tmp_path, source, "--server", house.url) == 2
    message = capsys.readouterr().err
    for row, words in ((2, "fps must be"), (3, "gone.png"), (4, "prompt is required")):
        assert f"{source}, row {row}: " in message
        assert words in message
    assert "3 of 4 rows are wrong. Nothing was made." in message
    assert (jobs(house), house.service.batches.page()) == (0, [])
    assert not (tmp_path / "out/report.csv").exists()


def test_what_keeps_a_server_from_it_is_said(tmp_path: Path, pictures: Path, house: House) -> None:
    for url, code in (("studio:7860", 2), ("ftp://studio", 2), ("http://127.0.0.1:9", 1)):
        assert batch(tmp_path, pictures, "--prompt", "x", "--server", url) == code
    with running(tmp_path / "locked", picture(), security__token=RIGHT) as locked:
        for token, code in (("wrong", 2), (RIGHT, 0)):
            with locked.executor.working():
                asked = (pictures, "--prompt", "x", "--server", locked.url, "--token", token)
                assert batch(tmp_path, *asked) == code


def is_running(database: Path) -> bool:
    with suppress(I2VError), closing(JobStore(database, create=False)) as store:
        return store.counts()["running"] > 0
    return False


def start(tmp_path: Path, pictures: Path, prompt: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable, "-m", "tests.batching", str(tmp_path), str(pictures), "--prompt", prompt,
            "--output", str(tmp_path / "out"),
        ],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_ctrl_c_ends_in_order_and_the_next_one_goes_on(tmp_path: Path, pictures: Path) -> None:
    wait = tmp_path / "go on"
    with start(tmp_path, pictures, f"step: sleep 0.05; frame 2: wait {wait} once") as process:
        deadline = time.monotonic() + 60
        database = tmp_path / "out" / batch_makers.HOME / "jobs.db"
        while not is_running(database):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert {row["outcome"] for row in report(tmp_path)} == {"left"}
    wait.touch()
    with start(tmp_path, pictures, f"step: sleep 0.05; frame 2: wait {wait} once") as process:
        out, err = process.communicate(timeout=120)
    assert (process.returncode, len(out.split())) == (0, 4), err
    assert videos(tmp_path) == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
