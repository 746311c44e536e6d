"""i2v backup, restore, export and import, as a person runs them; what they do is `service`'s to show."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

from i2v.jobs.store import JobStore
from i2v.service.service import Service
from i2v.workers.executors.inline import InlineExecutor
from tests.cli.running import command, read_terminal, run_here
from tests.rehearsal import ENGINES, picture, stage


def with_a_job(environment: dict[str, str], folder: Path) -> str:
    """Make a clip where the command line of the environment looks for one; return the job's id."""
    settings = stage(
        folder,
        service__data_dir=environment["I2V_DATA_DIR"],
        output__directory=environment["I2V_OUTPUT__DIRECTORY"],
    )
    store = JobStore(settings.database)
    service = Service(settings, store, InlineExecutor(settings, store, ENGINES), ENGINES)
    service.start()
    job = service.submit({"prompt": "nothing"}, picture()).id
    service.stop()
    return job


def elsewhere(environment: dict[str, str], folder: Path) -> dict[str, str]:
    return environment | {
        "I2V_DATA_DIR": str(folder / "data"), "I2V_OUTPUT__DIRECTORY": str(folder / "videos"),
    }  # fmt: skip


def test_a_backup_is_made_and_restored(environment: dict[str, str], tmp_path: Path) -> None:
    with_a_job(environment, tmp_path)
    file, there = tmp_path / "all.zip", elsewhere(environment, tmp_path / "there")
    done = run_here(environment, "backup", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{file}: 1 job, 1 video, ")
    again = run_here(environment, "backup", file)
    assert (again.returncode, "already exists" in again.stderr) == (2, True)
    told = json.loads(run_here(environment, "backup", file, "--force", "--json").stdout)
    assert (told["path"], told["jobs"], told["missing"]) == (str(file), 1, 0)
    restored = run_here(there, "restore", file)
    assert (restored.returncode, restored.stderr) == (0, "")
    assert restored.stdout == f"{tmp_path}/there/data: 1 job, 1 video in {tmp_path}/there/videos.\n"
    refused = run_here(there, "restore", file)
    assert (refused.returncode, "--replace" in refused.stderr) == (2, True)
    assert json.loads(run_here(there, "restore", file, "--replace", "--json").stdout)["jobs"] == 1


def test_jobs_are_exported_and_imported(environment: dict[str, str], tmp_path: Path) -> None:
    job = with_a_job(environment, tmp_path)
    file, there = tmp_path / "some.zip", elsewhere(environment, tmp_path / "there")
    assert run_here(environment, "export", job, file).stdout == f"{file}: 1 job, 1 video.\n"
    assert json.loads(run_here(environment, "export", "--all", file, "--force", "--json").stdout)["jobs"] == 1
    for words in ([file], [job, file, "--all"]):
        wrong = run_here(environment, "export", *words)
        assert (wrong.returncode, "--all" in wrong.stderr) == (2, True)
    assert run_here(there, "import", file).stdout == f"{file}: 1 job added, 0 already here.\n"
    assert json.loads(run_here(there, "import", file, "--json").stdout)["present"] == 1
    other = run_here(there, "restore", file, "--replace")
    assert (other.returncode, "i2v import for exports" in other.stderr) == (2, True)


def test_a_terminal_is_shown_how_far_it_is(environment: dict[str, str], tmp_path: Path) -> None:
    with_a_job(environment, tmp_path)
    ours, theirs = pty.openpty()
    with subprocess.Popen(command("backup", tmp_path / "all.zip"), env=environment, stderr=theirs, stdout=-3):
        os.close(theirs)
        shown = read_terminal(ours, b"nothing that is ever said")
    os.close(ours)
    assert b"backing up: 100 % of " in shown
