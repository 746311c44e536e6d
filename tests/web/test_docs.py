"""docs/api.md, docs/automation.md, the README: each example is run; the README's with the embedded model."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from i2v.core.settings_sources import ROOT
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.media.video import probe
from tests.rehearsal import ENGINES
from tests.servers import APP, Server, launched
from tests.web.house import House, running

PAGE = (ROOT / "docs" / "api.md").read_text("utf-8")
AUTOMATION = (ROOT / "docs" / "automation.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")


def run(command: list[str], folder: Path) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with launched([*APP, "--port", "0"], tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a user has a photo."""
    shutil.copy(ROOT / "examples" / "coffee.jpg", tmp_path / "photo.jpg")
    return tmp_path


def blocks(language: str, page: str = PAGE) -> list[str]:
    """Return the page's blocks that open with these words."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def addressed(code: str, server: Server | House) -> str:
    return code.replace("http://localhost:7860", server.url)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, picture: bytes) -> Iterator[House]:
    """One that makes its jobs at once, and knows the model that the examples ask about."""
    known = {**ENGINES, I2VGEN_XL.name: I2VGEN_XL}
    with running(tmp_path_factory.mktemp("house"), picture, known) as started, started.executor.working():
        yield started


@pytest.mark.slow
def test_the_examples_in_the_shell_do_what_they_say(house: House, folder: Path) -> None:
    code = "\n".join(["set -euo pipefail", *blocks("bash")])
    run(["bash", "-c", addressed(code, house)], folder)
    assert probe(folder / "clip.mp4").num_frames == 8
    assert (folder / "first-bytes").read_bytes() == (folder / "clip.mp4").read_bytes()[:100]
    assert (folder / "last.png").read_bytes().startswith(b"\x89PNG")
    second, again = (json.loads((folder / f"{name}.json").read_text()) for name in ("second", "again"))
    assert second["id"] == again["id"]
    events = (folder / "events.txt").read_text()
    assert events.startswith("event: state")  # a busy machine may see no step of few
    assert '"status":"succeeded"' in events.split("event: state")[-1]


def test_the_published_clients_examples_get_their_videos(shared_house: House, folder: Path) -> None:
    first, second = (addressed(code, shared_house) for code in blocks("python"))
    with shared_house.executor.working():
        run([sys.executable, "-c", first], folder)
        assert probe(folder / "predicted.mp4").num_frames == 8
        assert probe(Path(run([sys.executable, "-c", second], folder).strip())).num_frames == 8


def test_the_examples_of_webhooks_do_what_they_say(shared_house: House, folder: Path) -> None:
    code = "\n".join(["set -euo pipefail", *blocks("bash", AUTOMATION)])
    said = run(["bash", "-c", addressed(code, shared_house)], folder)
    assert '"status":"queued"' in said
    assert '"deliveries":' in said


def test_the_readme_s_example_of_the_api_gets_a_clip(server: Server, folder: Path) -> None:
    (code,) = (block for block in blocks("bash", README) if "/api/v1/jobs" in block)
    run(["bash", "-c", f"set -euo pipefail\n{addressed(code, server)}"], folder)
    assert probe(folder / "clip.mp4").num_frames == 8


@pytest.mark.slow
def test_the_readme_s_example_of_the_command_line_makes_two_clips(folder: Path) -> None:
    (code,) = (block for block in blocks("bash", README) if "source .venv/bin/activate" in block)
    in_this_environment = f"PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
    code = code.replace("source .venv/bin/activate", in_this_environment)
    run(["bash", "-c", f"set -euo pipefail\n{code}"], folder)
    clip, variant = (probe(folder / name) for name in ("clip.mp4", "variant.mp4"))
    assert (clip.width, clip.height, clip.num_frames) == (variant.width, variant.height, variant.num_frames)


@pytest.mark.slow
def test_the_examples_for_the_network_do_what_they_say(folder: Path) -> None:
    with launched([*APP, "--host", "0.0.0.0", "--port", "0"], folder) as server:
        (shell,) = blocks("bash network")
        assert '"jobs":[]' in run(["bash", "-c", f"set -euo pipefail\n{addressed(shell, server)}"], folder)
        (client,) = blocks("python network")
        run([sys.executable, "-c", addressed(client, server)], folder)
    assert probe(folder / "fetched.mp4").num_frames == 8
