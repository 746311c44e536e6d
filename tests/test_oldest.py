"""The lower bounds in pyproject.toml: pip accepts them together, and the core of the suite passes with them.

torch is the exception: its old Linux wheels on PyPI are gigabytes of CUDA. The environment that runs this
test lends its own, unless I2V_TORCH_INDEX names an index that has the oldest version as a build for the CPU.
"""

from __future__ import annotations

import os
import subprocess
import tomllib
import venv
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from i2v.core.settings_sources import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = ("modelscope", "upscale", "real-esrgan")
TOOLS = ("pytest", "hypothesis", "requests")  # of the extra `test`: any version that fits
CORE = (
    "tests/core/test_schema.py",
    "tests/core/test_settings_sources.py",
    "tests/media/test_image.py",
    "tests/media/test_video.py",
    "tests/media/test_decoder.py",
    "tests/service/test_service.py",
    "tests/test_serve.py",
    "tests/engines/i2vgen_xl/test_engine.py",
    "tests/engines/i2vgen_xl/test_folder.py",
    "tests/cli/test_generate.py",
    "tests/cli/test_plan.py",
)
LENT = ("torch", "torch-*.dist-info", "torchgen", "functorch", "nvidia*", "triton*", "cuda*")


def requirements() -> list[Requirement]:
    written = [*PROJECT["dependencies"]]
    for extra in EXTRAS:
        written += PROJECT["optional-dependencies"][extra]
    return [Requirement(each) for each in written]


def oldest(requirement: Requirement) -> str:
    (bound,) = [each.version for each in requirement.specifier if each.operator == ">="]
    return f"{requirement.name}=={bound}"


def test_every_dependency_has_one_lower_bound() -> None:
    assert {oldest(each).partition("==")[0] for each in requirements()} >= {"torch", "gradio", "ncnn"}


def lend_torch(site_packages: Path) -> str:
    """Link torch into the environment, and return the requirement that it meets."""
    torch = distribution("torch")
    home = Path(str(torch.locate_file("")))
    for pattern in LENT:
        for found in home.glob(pattern):
            (site_packages / found.name).symlink_to(found)
    return f"torch=={torch.version.partition('+')[0]}"


@pytest.mark.slow
def test_the_core_works_with_the_oldest_versions(tmp_path: Path) -> None:
    venv.create(tmp_path, with_pip=True)
    python = str(tmp_path / "bin" / "python")
    wanted = {each.name: oldest(each) for each in requirements()}
    index = os.environ.get("I2V_TORCH_INDEX")
    if index is None:
        (site_packages,) = tmp_path.glob("lib/python3*/site-packages")
        wanted["torch"] = lend_torch(site_packages)
    tools = [each for each in PROJECT["optional-dependencies"]["test"] if Requirement(each).name in TOOLS]
    pip = [python, "-m", "pip", "install", "--quiet", "--only-binary", ":all:"]
    extra_index = [] if index is None else ["--extra-index-url", index]
    done = subprocess.run(
        [*pip, *extra_index, *wanted.values(), *tools], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"pip refuses the lower bounds together:\n{done.stderr[-3000:]}"
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("I2V_", "PYTEST_"))}
    installed = subprocess.run(
        [*pip[:4], "--quiet", "--no-deps", "--editable", str(ROOT)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert installed.returncode == 0, installed.stderr[-3000:]
    tests = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", *CORE]
    done = subprocess.run(tests, cwd=ROOT, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
