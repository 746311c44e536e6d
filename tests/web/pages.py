"""A server with the page, in this process. Jobs run when a test says so; a prompt may make them wait."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from i2v.core.engine_spec import EngineSpec, Preset
from i2v.web.page.mount import mount_page
from tests.contrary import CONTRARY
from tests.rehearsal import REHEARSAL
from tests.web.house import House, running

QUICK = "nothing to wait for"
# Numbers that the page's sliders reach; the engine itself takes any.
PRESET = Preset(area_side=64, num_frames=8, num_inference_steps=10, fps=8, guidance_scale=1.0)
ENGINES = {
    REHEARSAL.name: replace(REHEARSAL, presets={"standard": PRESET, "quick": PRESET}),
    CONTRARY.name: CONTRARY,
}


@contextmanager
def page_house(
    folder: Path, picture: bytes, engines: Mapping[str, EngineSpec] = ENGINES, **flags: object
) -> Iterator[House]:
    log = folder / "app_20250405_142310.log"
    log.write_text("2025-04-05 14:23:10,000 INFO i2v.serve: a line of the log\n")
    with running(folder, picture, engines, mount_page, log, **flags) as house:
        yield house


class Gates:
    """Steps of jobs that wait until a test lets them through, however slow the machine is."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._steps: set[int] = set()

    def prompt(self, *steps: int) -> str:
        """Return a prompt whose job waits before each of these steps."""
        self._steps |= set(steps)
        return "; ".join(f"step {step}: wait {self._file(step)}" for step in steps)

    def open(self, step: int) -> None:
        self._file(step).touch()

    def open_all(self) -> None:
        for step in self._steps:
            self.open(step)

    def _file(self, step: int) -> Path:
        return self._folder / f"gate-{step}"
