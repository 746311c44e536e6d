"""What there is on this machine and where: device, folders, versions, processor.

Waits for nothing, reads no file's content but the kernel's and imports none of what it names; whether all of
it works is `doctor`'s business.
"""

from __future__ import annotations

import platform
import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from i2v.core.errors import I2VError, Notice
from i2v.core.memory_plan import DeviceInfo
from i2v.core.settings import Settings
from i2v.engines.registry import engines
from i2v.pipeline.choice import explain_choice

PACKAGES = (
    "i2v", "torch", "diffusers", "transformers", "numpy", "pillow", "imageio-ffmpeg", "gradio", "fastapi",
)  # fmt: skip


@dataclass(frozen=True)
class Folder:
    """A folder, there or not, and the disk that it is or would be on, in bytes."""

    path: Path
    free: int
    total: int


@dataclass(frozen=True)
class Overview:
    """Attributes:
    system: name, release and machine of the operating system.
    device: where jobs run; the error that keeps them from it; `None` as long as that is not known.
    engine: the setting `engine.name`.
    choice: what "auto" chooses and why; `None` where another engine is set or the device is not known.
    folders: by what they are for: outputs, data, models.
    versions: of Python and of packages; `None` for one that is not installed.
    """

    system: str
    device: DeviceInfo | I2VError | None
    engine: str
    choice: Notice | None
    folders: dict[str, Folder]
    versions: dict[str, str | None]


def take_overview(settings: Settings, device: DeviceInfo | I2VError | None) -> Overview:
    choice: Notice | None = None
    if settings.engine.name == "auto" and isinstance(device, DeviceInfo):
        choice = explain_choice(device, settings.models, engines())
    return Overview(
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        device=device,
        engine=settings.engine.name,
        choice=choice,
        folders={
            "outputs": _folder(settings.output.directory),
            "data": _folder(settings.service.data_dir),
            "models": _folder(settings.models.directory),
        },
        versions={
            "python": platform.python_version(),
            **{name: _version(name) for name in PACKAGES},
        },
    )


def _folder(path: Path) -> Folder:
    there = next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())
    usage = shutil.disk_usage(there)
    return Folder(path, usage.free, usage.total)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def cpu_name() -> str:
    """Return what the processor calls itself, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
