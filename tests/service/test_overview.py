"""i2v.service.overview: what is there and where, without waiting for anything or importing torch."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

from i2v.core.errors import InsufficientMemory
from i2v.core.memory_plan import DeviceInfo
from i2v.service.overview import cpu_name, take_overview
from tests.rehearsal import stage

CPU = DeviceInfo("cpu", "CPU", 2**33)


def test_folders_and_versions_are_reported(tmp_path: Path) -> None:
    settings = stage(tmp_path, engine__name="auto")
    found = take_overview(settings, CPU)
    assert found.device == CPU
    assert found.choice is not None
    assert found.choice.code == "engine.auto_neither"
    outputs = found.folders["outputs"]
    assert outputs.path == settings.output.directory
    assert not outputs.path.exists(), "it was not made just to look"
    assert outputs.total == shutil.disk_usage(tmp_path).total
    assert found.versions["python"] == platform.python_version()
    assert found.versions["torch"]


def test_what_auto_means_is_open_until_the_device_is_known(tmp_path: Path) -> None:
    settings = stage(tmp_path, engine__name="auto")
    assert take_overview(settings, None).choice is None
    error = InsufficientMemory("device.no_cuda")
    assert take_overview(settings, error).choice is None
    named = take_overview(stage(tmp_path), CPU)
    assert (named.engine, named.choice) == ("rehearsal", None)


def test_the_processor_is_named_as_the_kernel_has_it() -> None:
    path = Path("/proc/cpuinfo")
    text = path.read_text() if path.exists() else ""
    named = next((line for line in text.splitlines() if line.startswith("model name")), None)
    assert cpu_name() == (named.partition(":")[2].strip() if named else platform.processor())


def test_no_torch_is_imported() -> None:
    code = (
        "import sys; from i2v.core.settings_sources import load_settings;"
        "from i2v.service.overview import take_overview; take_overview(load_settings(), None);"
        "print({'torch', 'diffusers'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
