"""Dockerfile, .dockerignore and compose.yaml, as far as they can be tried without a Docker engine.

The slow test runs the Dockerfile's own install steps in an empty folder, with this machine's Python in place
of the image's, then its command, and then its health check.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from i2v.core.settings_sources import ROOT, load_settings
from i2v.launcher.main import build_parser
from tests.launcher.conftest import free_port
from tests.servers import environment_in
from tests.web.house import wait_for

FOLDERS = ("data", "logs", "models", "outputs")


@dataclass(frozen=True)
class Step:
    word: str
    rest: str

    @property
    def arguments(self) -> list[str]:
        """The list of an instruction in its JSON form."""
        found: list[str] = json.loads(self.rest[self.rest.index("[") :])
        return found


def read_dockerfile() -> list[Step]:
    text = (ROOT / "Dockerfile").read_text()
    text = re.sub(r"^#.*\n", "", text, flags=re.M).replace("\\\n", " ")
    return [Step(*line.split(maxsplit=1)) for line in text.splitlines() if line]


STEPS = read_dockerfile()


def the(word: str) -> Step:
    (step,) = [step for step in STEPS if step.word == word]
    return step


def context() -> set[str]:
    """Return the repository's files that the build gets. Of .dockerignore's rules the last to fit wins."""
    rules = [
        line
        for line in (ROOT / ".dockerignore").read_text().splitlines()
        if line and not line.startswith("#")
    ]
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    tracked = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")

    def is_wanted(path: str) -> bool:
        parents = ["/".join(path.split("/")[:depth]) for depth in range(1, path.count("/") + 2)]
        wanted = True
        for rule in rules:
            pattern = rule.removeprefix("!")
            places = [part for part in parents if pattern.count("/") == part.count("/")]
            if any(fnmatch(place, pattern) for place in places):
                wanted = rule.startswith("!")
        return wanted

    return {path for path in tracked if path and (ROOT / path).is_file() and is_wanted(path)}


# --- the image


def test_the_build_gets_what_runs_the_application_and_no_more() -> None:
    files = context()
    assert {"i2v/serve.py", "configs/default.yaml", "scripts/setup.sh", "scripts/start_app.sh"} <= files
    assert any(path.startswith("i2v/embedded/unet/") for path in files)
    tops = {path.split("/")[0] for path in files}
    assert not tops & {"tests", "benchmarks", "data", "outputs", "logs", "models", ".git", ".venv"}
    assert not any(path.startswith("scripts/train_embedded") for path in files)


def test_what_is_copied_by_name_is_there() -> None:
    files = context()
    named = {name for step in STEPS if step.word == "COPY" for name in step.rest.split()[:-1]} - {"."}
    assert named
    assert named <= files


def test_the_service_does_not_run_as_root_and_owns_what_it_writes() -> None:
    words = [step.word for step in STEPS]
    assert the("USER").rest == "$UID"
    assert "ARG UID=1000" in (ROOT / "Dockerfile").read_text()
    assert max(index for index, word in enumerate(words) if word in ("RUN", "COPY")) < words.index("USER")
    assert tuple(the("VOLUME").arguments) == tuple(f"/app/{folder}" for folder in FOLDERS)
    made = " ".join(step.rest for step in STEPS if step.word == "RUN")
    assert f"mkdir -p {' '.join(FOLDERS)}" in made
    assert f"chown -R i2v:i2v {' '.join(FOLDERS)}" in made


def test_the_command_is_one_that_the_launcher_takes() -> None:
    bash, script, *options = the("CMD").arguments
    assert (bash, script) == ("bash", "scripts/start_app.sh")
    taken = build_parser().parse_args(options)
    assert (taken.foreground, taken.host, taken.port) == (True, "0.0.0.0", None)
    assert load_settings().server.port == int(the("EXPOSE").rest)


def health_check(port: int) -> list[str]:
    name, *arguments = the("HEALTHCHECK").arguments
    assert name == "python"
    return [sys.executable, *(each.replace(":7860/", f":{port}/") for each in arguments)]


@pytest.mark.slow
def test_the_health_check_tells_a_server_that_answers_from_none(tmp_path: Path) -> None:
    port = free_port()
    environment = environment_in(tmp_path) | {"http_proxy": "http://127.0.0.1:9"}
    check = health_check(port)
    assert subprocess.run(check, env=environment, capture_output=True, check=False).returncode != 0
    server = [sys.executable, "-m", "tests.staged", str(tmp_path), str(port)]
    with subprocess.Popen(server, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert any("i2v listens at" in line for line in process.stdout)
            assert subprocess.run(check, env=environment, check=False).returncode == 0
        finally:
            process.terminate()


# --- compose


@pytest.mark.parametrize(("name", "torch"), [("cpu", "cpu"), ("cuda", "cuda")])
def test_each_profile_builds_its_torch_and_keeps_what_must_be_kept(name: str, torch: str) -> None:
    composed = yaml.safe_load((ROOT / "compose.yaml").read_text())
    service = composed["services"][name]
    assert service["profiles"] == [name]
    arguments = service["build"]["args"]
    assert arguments["TORCH"] == torch
    declared = {step.rest.split("=")[0] for step in STEPS if step.word == "ARG"}
    assert set(arguments) <= declared
    mounts = dict(mount.split(":") for mount in service["volumes"])
    assert mounts == {folder: f"/app/{folder}" for folder in FOLDERS}
    assert set(composed["volumes"]) == set(mounts)
    assert service["ports"] == ["${BIND:-127.0.0.1}:${PORT:-7860}:7860"]
    load_settings(environ=dict.fromkeys(service["environment"], ""))
    has_card = "deploy" in service
    assert has_card == (torch == "cuda")
    if has_card:
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}


# --- the build, without Docker


def in_folder(command: str, folder: Path) -> str:
    """Return the command of a RUN without Docker's own options, and with the folder in place of /app."""
    command = re.sub(r"--mount=\S+", "", command)
    return command.replace("/app", shlex.quote(str(folder)))


@pytest.mark.slow
def test_the_install_steps_make_a_service_that_is_healthy(tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("I2V_", "VIRTUAL_ENV"))
    } | {"TORCH": "cpu"}
    files = context()
    for step in STEPS:
        if step.word == "COPY":
            *sources, target = step.rest.split()
            for path in files if sources == ["."] else sources:
                goal = app / (path if sources == ["."] else Path(target) / Path(path).name)
                goal.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / path, goal)
        elif step.word == "RUN" and "useradd" not in step.rest:  # no users are made on this machine
            command = re.sub(r"&& chown .*", "", in_folder(step.rest, app))
            done = subprocess.run(
                ["sh", "-ec", command], cwd=app, env=environment, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stderr[-3000:]
    port = free_port()
    python = str(app / ".venv/bin/python")
    served = environment_in(tmp_path) | {"I2V_PYTHON": python, "I2V_SERVER__PAGE": "true"}
    command = [*the("CMD").arguments, f"--port={port}"]
    with subprocess.Popen(command, cwd=app, env=served, stdout=subprocess.PIPE, text=True) as process:
        try:
            check = [python, *health_check(port)[1:]]
            wait_for(lambda: subprocess.run(check, capture_output=True, check=False).returncode == 0, 120)
            token = (tmp_path / "data" / "token").read_text().strip()
        finally:
            process.terminate()
            said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert f"The access token is {token}" in said
    assert list((app / "logs").glob("app_*.log")), "it runs from its own folder, not from this one"
