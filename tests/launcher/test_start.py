"""i2v.launcher.start: a real server in the background, how its start is told, and how it fails."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import requests

from i2v.host.service_lock import NAME, find_holder
from i2v.launcher.start import Launcher, start
from i2v.launcher.terminal import Terminal
from tests.launcher.conftest import holding_port, make_launcher
from tests.rehearsal import picture
from tests.web.house import wait_for

Captured = pytest.CaptureFixture[str]
pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")


def test_a_start_tells_what_it_found_and_where_the_page_is_and_a_second_one_that_it_runs(
    launcher: Launcher, capsys: Captured
) -> None:
    answer = {"pid": os.getppid(), "urls": ["http://127.0.0.1:1"], "log": None}
    (launcher.data_dir / NAME).write_text(json.dumps(answer))  # a stale one is no obstacle
    assert start(launcher) == 0
    said, complaints = capsys.readouterr()
    url = f"http://127.0.0.1:{launcher.settings.server.port}"
    assert complaints == ""
    found = re.findall(r"^\[SUCCESS\].*?(Port|Folders|RAM|Videos|ffmpeg|Ready)\b", said, re.M)
    assert found == ["Port", "Folders", "RAM", "Videos", "ffmpeg", "Ready"]
    assert f"On this machine: {url}\n" in said
    assert requests.get(f"{url}/healthz", timeout=30).text == "ok"
    holder = find_holder(launcher.data_dir)
    assert holder is not None
    assert holder.urls == (url,)
    assert f"Log: {holder.log}\n" in said
    assert os.getsid(holder.pid) == holder.pid != os.getsid(0), "a closed terminal must not end it"

    assert start(replace(launcher, flags=("--port=1",))) == 0
    said, _ = capsys.readouterr()
    assert f"i2v is already running (process {holder.pid})" in said
    assert url in said
    assert "--restart --port=1" in said
    assert find_holder(launcher.data_dir) == holder


def test_the_log_tells_of_each_job_but_not_of_its_prompt(launcher: Launcher) -> None:
    assert start(launcher) == 0
    api = f"http://127.0.0.1:{launcher.settings.server.port}/api/v1/jobs"

    def run(prompt: str, status: str) -> str:
        answer = requests.post(api, data={"prompt": prompt}, files={"image": picture()}, timeout=60)
        job = str(answer.json()["id"])
        wait_for(lambda: requests.get(f"{api}/{job}", timeout=30).json()["status"] == status, 60)
        return job

    good, bad = run("a secret wish", "succeeded"), run("step: refuse", "failed")
    holder = find_holder(launcher.data_dir)
    assert holder is not None
    assert holder.log is not None
    log = Path(holder.log)
    wait_for(lambda: f"{bad}: failed (weights.missing_file)" in log.read_text())
    lines = [line.split(f"{good}: ")[1] for line in log.read_text().splitlines() if f"{good}: " in line]
    of_good = [re.sub(r" \[\w+\]$", "", line) for line in lines]  # without the request's id
    assert len({line.rpartition(" [")[2] for line in lines}) == 1, "which is the same in the worker's log"
    assert of_good[:4] == ["accepted", "attempt 1", "loading", "conditioning"]
    assert of_good[4].startswith("denoising, step 1 of 4, about ") or of_good[4] == "denoising, step 0 of 4"
    assert of_good[5].startswith("decoding, step 0 of 4, about ")
    assert of_good[6] == "encoding"
    assert re.fullmatch(rf"succeeded after \d+\.\d s: {launcher.settings.output.directory}/\S+", of_good[7])
    assert len(of_good) == 8
    assert "secret" not in log.read_text()


@pytest.mark.slow
def test_a_new_token_is_shown_to_the_person_and_kept_out_of_the_log(
    tmp_path: Path, launcher: Launcher, capsys: Captured
) -> None:
    assert start(make_launcher(tmp_path, launcher.settings.server.port, "0.0.0.0")) == 0
    said, _ = capsys.readouterr()
    token = (launcher.data_dir / "token").read_text().strip()
    assert re.search(rf"^\[INFO\] .*{re.escape(token)}", said, re.M)
    holder = find_holder(launcher.data_dir)
    assert holder is not None
    assert holder.log is not None
    assert token not in Path(holder.log).read_text()
    shown = re.findall(r"On .*: +(http\S+)", said)
    assert shown
    assert set(shown) <= set(holder.urls)


# --- no start


def test_a_taken_port_is_not_evaded_but_its_holder_and_another_one_are_named(
    launcher: Launcher, capsys: Captured
) -> None:
    port = launcher.settings.server.port
    with holding_port(port) as holder:
        assert start(launcher) == 1
        assert start(replace(launcher, terminal=Terminal("zh-CN", colours=False))) == 1
    said, complaints = capsys.readouterr()
    assert re.search(rf"^\[ERROR\] Port {port} is in use by \S+ \(process {holder.pid}\)", complaints, re.M)
    assert re.search(rf"^Process {holder.pid}: .*python.* -c .*create_server", said, re.M)
    other = re.search(r"bash scripts/start_app.sh --port=(\d+) \(clients", said)
    assert other is not None
    assert int(other[1]) > port
    assert re.search(rf"^\[ERROR\] 端口 {port} .*{holder.pid}", complaints, re.M)
    assert "或换一个端口：bash scripts/start_app.sh --port=" in said
    assert find_holder(launcher.data_dir) is None


def test_a_death_before_the_page_answers_is_reported_with_its_last_words(
    launcher: Launcher, capsys: Captured
) -> None:
    (launcher.data_dir / "jobs.db").write_bytes(b"no database" * 1000)
    assert start(launcher) == 1
    complaints = capsys.readouterr().err
    assert f"{launcher.data_dir / 'jobs.db'} is damaged" in complaints
    assert complaints.splitlines()[-1] == "[ERROR] The server exited during startup (status 1)"


def test_a_server_that_never_answers_is_ended(launcher: Launcher, capsys: Captured) -> None:
    silent = replace(launcher, server=("sh", "-c", "echo $$; exec sleep 600"), patience=1)
    assert start(silent) == 1
    said, complaints = capsys.readouterr()
    assert complaints.startswith("[ERROR] The server was not ready after 1 s")
    (pid,) = re.findall(r"^\[INFO\] (\d+)$", said, re.M)
    assert not psutil.pid_exists(int(pid))
