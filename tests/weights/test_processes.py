"""What only whole processes show: `i2v models` killed, stopped, twice at once, and without a network."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from i2v.core.settings_sources import ROOT
from tests.weights.conftest import MakeHub
from tests.weights.hub import Fault, Hub, make_files, wanted

UNET = "unet/diffusion_pytorch_model.fp16.safetensors"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("I2V_")}
    return clean | {
        "I2V_MODELS__DIRECTORY": str(tmp_path / "models"),
        "I2V_MODELS__SEARCH_PATHS": "",
        "I2V_MODELS__HUB_CACHE": str(tmp_path / "nowhere"),
        "I2V_ENGINE__DEVICE": "cpu",
        "OMP_NUM_THREADS": "1",
    }


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "i2v", "models", *arguments],
        env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def run(environment: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    return finish(start(environment, *arguments))


def wait_until(happened: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def part(environment: dict[str, str]) -> Path:
    folder = Path(environment["I2V_MODELS__DIRECTORY"]) / "i2vgen-xl" / ".i2v" / "fetching"
    return folder / f"{UNET}.incomplete"


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def is_complete(hub: Hub, environment: dict[str, str]) -> bool:
    folder = Path(environment["I2V_MODELS__DIRECTORY"]) / "i2vgen-xl"
    return all((folder / name).read_bytes() == data for name, data in wanted(hub.files).items())


def test_a_download_that_is_killed_goes_on_where_it_was(
    make_hub: MakeHub, environment: dict[str, str]
) -> None:
    """SIGKILL, which nobody can prepare for; the process that talks to the hub must end, too."""
    hub = make_hub(files=make_files(800_000), faults={UNET: Fault(times=1, stall=300_000)})
    environment["I2V_MODELS__SOURCES"] = hub.address
    first = start(environment, "download", "i2vgen-xl")
    wait_until(lambda: size(part(environment)) > 200_000)
    children = psutil.Process(first.pid).children()
    assert len(children) == 1
    first.kill()
    finish(first)
    assert psutil.wait_procs(children, timeout=60)[1] == []
    kept = size(part(environment))
    assert kept > 200_000
    code, _, err = run(environment, "download", "i2vgen-xl")
    assert code == 0, err
    assert is_complete(hub, environment)
    assert kept in [sent.start for sent in hub.sent if sent.name == UNET]
    others = [sent.name for sent in hub.sent if sent.name != UNET]
    assert len(others) == len(set(others)), "no finished file was fetched again"


def test_two_processes_at_once_fetch_once(make_hub: MakeHub, environment: dict[str, str]) -> None:
    hub = make_hub(speed=1_000_000)
    environment["I2V_MODELS__SOURCES"] = hub.address
    both = [start(environment, "download", "i2vgen-xl", "--json") for _ in range(2)]
    ends = [finish(process) for process in both]
    assert [code for code, _, _ in ends] == [0, 0], ends
    fetched = sorted(json.loads(out)["fetched"] for _, out, _ in ends)
    assert fetched == [0, sum(map(len, wanted(hub.files).values()))]
    assert len(hub.sent) == len(hub.names())
    assert any("another process that is downloading" in err for _, _, err in ends)


@pytest.mark.slow
def test_ctrl_c_stops_at_once_and_says_that_the_rest_is_kept(
    make_hub: MakeHub, environment: dict[str, str]
) -> None:
    hub = make_hub(faults={UNET: Fault(stall=131_072)})
    environment |= {"I2V_MODELS__SOURCES": hub.address}
    process = start(environment, "download", "i2vgen-xl")
    wait_until(lambda: size(part(environment)) == 131_072)
    process.send_signal(signal.SIGINT)
    code, _, err = finish(process)
    assert code == 130
    assert "Files downloaded so far are kept" in err
    assert size(part(environment)) == 131_072


NO_NETWORK = """
import sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "subprocess.Popen"):
        print("NETWORK", event, arguments, file=sys.stderr)
        raise RuntimeError(event)

sys.addaudithook(refuse)
from i2v.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["download", "i2vgen-xl"], "models.offline is set"),
        pytest.param(["download", "i2vgen-xl", "--dry-run"], "models.offline", marks=pytest.mark.slow),
        (["verify", "embedded"], "only the file sizes were checked"),
    ],
)
def test_offline_no_process_is_started_and_no_address_asked_for(
    make_hub: MakeHub, environment: dict[str, str], arguments: list[str], words: str
) -> None:
    hub = make_hub()
    environment |= {"I2V_MODELS__SOURCES": hub.address, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", NO_NETWORK, "models", *arguments],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "NETWORK" not in done.stderr
    assert words in done.stderr
    assert done.returncode == (1 if arguments == ["download", "i2vgen-xl"] else 0)
    assert hub.requests == []


def test_the_check_of_offline_can_fail(environment: dict[str, str]) -> None:
    environment["I2V_MODELS__SOURCES"] = "http://127.0.0.1:9"
    done = subprocess.run(
        [sys.executable, "-c", NO_NETWORK, "models", "download", "i2vgen-xl"],
        env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "NETWORK" in done.stderr


def test_a_download_needs_no_torch_in_its_process(make_hub: MakeHub, environment: dict[str, str]) -> None:
    """The web process may run it in a thread."""
    hub = make_hub()
    environment["I2V_MODELS__SOURCES"] = hub.address
    program = (
        "import os, sys; from i2v.core.settings_sources import load_settings;"
        "from i2v.engines.i2vgen_xl.specs import I2VGEN_XL;"
        "from i2v.weights.check import verify; from i2v.weights.download import download;"
        "models = load_settings(None, os.environ).models; download(I2VGEN_XL, models);"
        "verify(I2VGEN_XL, models);"
        "print(sorted({'torch', 'diffusers', 'huggingface_hub', 'modelscope_hub'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
