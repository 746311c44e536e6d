"""Reading nvidia-smi. A script stands in for it, in the forms that its documentation and reports show: this
was never run against a real card."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2v.doctor import graphics
from i2v.doctor.graphics import Card, Graphics, find_graphics

MIB = 2**20
NO_PCI = Path("/nonexistent")


def stand_in(folder: Path, script: str) -> dict[str, str]:
    """Write an nvidia-smi of our own into `folder`, and return an environment that finds it."""
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    return {"PATH": str(folder)}


def answering(cards: str, processes: str = "") -> str:
    return f'case "$1" in *gpu=name*) printf "{cards}";; *compute-apps*) printf "{processes}";; esac'


def test_cards_and_the_processes_on_them_are_read(tmp_path: Path) -> None:
    cards = "NVIDIA GeForce RTX 4090, 580.65.06, 24564, 24067\\nTesla T4, 580.65.06, 15360, 100\\n"
    environ = stand_in(tmp_path, answering(cards, "4711\\n4712\\n"))
    assert find_graphics(environ, NO_PCI) == Graphics(
        cards=(
            Card("NVIDIA GeForce RTX 4090", "580.65.06", 24564 * MIB, 24067 * MIB),
            Card("Tesla T4", "580.65.06", 15360 * MIB, 100 * MIB),
        ),
        holders=(4711, 4712),
    )


@pytest.mark.parametrize("words", ["[N/A]", "[Not Supported]"])
def test_memory_that_is_not_told_is_unknown(tmp_path: Path, words: str) -> None:
    environ = stand_in(tmp_path, answering(f"NVIDIA GB10, 580.95.05, {words}, {words}\\n", f"{words}\\n"))
    assert find_graphics(environ, NO_PCI) == Graphics(cards=(Card("NVIDIA GB10", "580.95.05", None, None),))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (
            'echo "NVIDIA-SMI has failed because it could not talk to the driver."; exit 9',
            "has failed because",
        ),
        ('echo "No devices were found" >&2; exit 6', "No devices were found"),
        ("exit 3", "status 3"),
        ("exec sleep 60", "did not answer"),
    ],
)
def test_a_tool_that_fails_or_hangs_is_a_failure_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    monkeypatch.setattr(graphics, "PATIENCE", 0.3)
    found = find_graphics(stand_in(tmp_path, f"PATH=/usr/bin:/bin\n{script}"), NO_PCI)
    assert found.cards == ()
    assert words in str(found.failure)


def test_a_tool_that_cannot_be_started_is_a_failure(tmp_path: Path) -> None:
    environ = stand_in(tmp_path, "")
    (tmp_path / "nvidia-smi").write_bytes(b"\x7fELF no program")
    assert "nvidia-smi: " in str(find_graphics(environ, NO_PCI).failure)


@pytest.mark.parametrize(
    ("vendor", "kind", "failure"),
    [
        ("0x10de", "0x030000", "nvidia-smi was not found"),  # a graphics card
        ("0x10de", "0x030200", "nvidia-smi was not found"),  # a computing card
        ("0x10de", "0x040300", None),  # its sound
        ("0x1002", "0x030000", None),  # another maker's
    ],
)
def test_a_card_without_a_driver_is_seen_on_the_bus(
    tmp_path: Path, vendor: str, kind: str, failure: str | None
) -> None:
    device = tmp_path / "0000:01:00.0"
    device.mkdir()
    (device / "vendor").write_text(f"{vendor}\n")
    (device / "class").write_text(f"{kind}\n")
    assert find_graphics({"PATH": ""}, tmp_path) == Graphics(failure=failure)


def test_a_machine_without_any_is_no_failure() -> None:
    assert find_graphics({"PATH": ""}, NO_PCI) == Graphics()
