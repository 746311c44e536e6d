"""NVIDIA cards as NVIDIA's own tool tells of them. torch is not asked: importing it takes seconds."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from i2v.core.fields import shown

PCI_DEVICES = Path("/sys/bus/pci/devices")
PATIENCE = 5  # seconds; nvidia-smi hangs where a driver does


@dataclass(frozen=True)
class Card:
    """Memory in bytes, `None` where the driver does not tell (cards that share the machine's memory)."""

    name: str
    driver: str
    total: int | None
    free: int | None


@dataclass(frozen=True)
class Graphics:
    """Attributes:
    cards: in nvidia-smi's order.
    holders: ids of the processes that compute on them; those outside of this container are not told.
    failure: why cards are not seen that must be there.
    """

    cards: tuple[Card, ...] = ()
    holders: tuple[int, ...] = ()
    failure: str | None = None


def find_graphics(environ: Mapping[str, str], pci_devices: Path = PCI_DEVICES) -> Graphics:
    """Ask the nvidia-smi on the PATH of `environ`."""
    tool = shutil.which("nvidia-smi", path=environ.get("PATH"))
    if tool is None:
        return Graphics(failure="nvidia-smi was not found" if _has_nvidia_card(pci_devices) else None)
    try:
        cards = _query(tool, "--query-gpu=name,driver_version,memory.total,memory.free")
        holders = _query(tool, "--query-compute-apps=pid")
    except subprocess.CalledProcessError as error:
        words = (error.stdout or error.stderr).strip().partition("\n")[0].rstrip(".")
        ended = f"nvidia-smi ended with status {error.returncode}"
        return Graphics(failure=shown(words, limit=200) if words else ended)
    except subprocess.TimeoutExpired:
        return Graphics(failure=f"nvidia-smi did not answer for {PATIENCE} s")
    except OSError as error:
        return Graphics(failure=f"nvidia-smi: {error.strerror}")
    return Graphics(
        cards=tuple(Card(name, driver, _mib(total), _mib(free)) for name, driver, total, free in cards),
        holders=tuple(int(pid) for (pid,) in holders if pid.isdecimal()),
    )


def _query(tool: str, fields: str) -> list[list[str]]:
    command = [tool, fields, "--format=csv,noheader,nounits"]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", timeout=PATIENCE, check=True
    )
    wanted = fields.count(",") + 1
    rows = [line.split(", ") for line in done.stdout.splitlines()]
    return [row for row in rows if len(row) == wanted]  # a notice may stand between them


def _mib(text: str) -> int | None:
    return int(text) * 2**20 if text.strip().isdecimal() else None  # else "[N/A]", "[Not Supported]"


def _has_nvidia_card(pci_devices: Path) -> bool:
    """Tell whether NVIDIA (PCI vendor 10de) made one of the display controllers (PCI class 03)."""
    return any(
        vendor.read_text().strip() == "0x10de" and (vendor.parent / "class").read_text().startswith("0x03")
        for vendor in pci_devices.glob("*/vendor")
    )
