"""service.backup: all jobs with their files as one file, whoever is killed, and a service made of it."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from i2v.core.errors import I2VError
from i2v.core.settings import Settings
from i2v.core.settings_sources import ROOT
from i2v.host.archive import reading
from i2v.service.backup import KIND, Backup, back_up
from i2v.service.restore import restore
from tests.clips import names
from tests.rehearsal import picture, stage
from tests.servers import environment_in, launched, staged
from tests.service.moving import full_house, in_child, kill_at, quiet, states, working
from tests.service.waiting import FIELDS
from tests.web.house import wait_for


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return full_house(tmp_path_factory.mktemp("home"))


def command(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "i2v", *map(str, words)],
        env=environment_in(folder), cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("part", [0.0, 0.5, 1.0])
def test_a_backup_that_is_killed_leaves_nothing_under_its_name(
    home: Settings, tmp_path: Path, part: float
) -> None:
    target = tmp_path / "house.zip"
    assert in_child(lambda: back_up(home, target, False, kill_at(part))) == signal.SIGKILL
    assert not target.exists()
    back_up(home, target, False, quiet)
    assert names(tmp_path) == ["house.zip"]
    with reading(target, KIND) as archive:
        archive.check()


def test_a_job_that_is_deleted_meanwhile_is_not_in_it(tmp_path: Path) -> None:
    settings, there = stage(tmp_path / "home"), stage(tmp_path / "there")
    with working(settings) as service:
        stays, goes = (service.submit(FIELDS, picture(colour)).id for colour in ("red", "blue"))

        def delete(done: int, total: int) -> None:
            if goes in [job.id for job in service.page().jobs]:  # the first bytes: the copy is made
                service.delete(goes)

        found = back_up(settings, tmp_path / "x.zip", False, delete)
    assert found == Backup(1, 1, 0, found.size)
    restore(there, tmp_path / "x.zip", False, quiet)
    assert [row[0] for row in states(there)] == [stays]


def test_without_a_house_there_is_nothing_to_keep(tmp_path: Path) -> None:
    with pytest.raises(I2VError) as caught:
        back_up(stage(tmp_path), tmp_path / "x.zip", False, quiet)
    assert caught.value.code == "backup.nothing"


@pytest.mark.slow
def test_a_backup_of_a_service_at_work_becomes_a_service_that_answers(tmp_path: Path) -> None:
    """Over real sockets and processes: a clip is done, one is being made, one waits, a batch too."""
    here, there, gate = tmp_path / "here", tmp_path / "there", tmp_path / "gate"
    here.mkdir()
    there.mkdir()

    def jobs(url: str) -> dict[str, dict[str, object]]:
        found = requests.get(f"{url}/api/v1/jobs", timeout=60).json()["jobs"]
        return {job["id"]: job for job in found}

    def submit(url: str, prompt: str) -> str:
        files = {"image": ("a.png", picture())}
        answer = requests.post(f"{url}/api/v1/jobs", data={"prompt": prompt}, files=files, timeout=60)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    with launched(staged(here), here) as server:
        done = submit(server.url, "nothing")
        wait_for(lambda: jobs(server.url)[done]["status"] == "succeeded")
        running = submit(server.url, f"step 2: wait {gate}")
        wait_for(lambda: jobs(server.url)[running]["status"] == "running")
        waiting = submit(server.url, "nothing")
        made = command(here, "backup", tmp_path / "house.zip")
        assert made.returncode == 0, made.stderr
        assert "3 jobs, 1 video" in made.stdout
        video = requests.get(f"{server.url}/api/v1/jobs/{done}/video", timeout=60).content
        refused = command(here, "restore", tmp_path / "house.zip", "--replace")
        assert (refused.returncode, "Another server" in refused.stderr) == (1, True), refused.stderr
        gate.touch()
        wait_for(lambda: jobs(server.url)[waiting]["status"] == "succeeded")
    put_back = command(there, "restore", tmp_path / "house.zip")
    assert put_back.returncode == 0, put_back.stderr
    with launched(staged(there), there) as server:
        wait_for(lambda: {job["status"] for job in jobs(server.url).values()} == {"succeeded"})
        assert list(jobs(server.url)) == [waiting, running, done]
        assert requests.get(f"{server.url}/api/v1/jobs/{done}/video", timeout=60).content == video
        assert requests.get(f"{server.url}/readyz", timeout=60).text == "ok"
