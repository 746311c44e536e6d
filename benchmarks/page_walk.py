"""A walk over the page as a new user does it, from the drop of a photo to a favourite clip, counted.

    python -m benchmarks.page_walk [--json FILE]

A real service with the embedded model and an empty data folder, in the system's Chromium at 1440 x 900.
Counted is what a person does (a dropped file, clicks), and how long the page takes for it: nobody thinks,
reads or types here, and nothing is known of how long people need for that. The tabs are looked at, too: how
far what all of them share moves when another one is chosen. Needs the `test` extra and a program called
chromium.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from scripts.screenshots import ROOT, WAIT, service

TABS = ("queue", "gallery", "batch", "system", "generate")
_PLACES = """() => ["#i2v-head", "#i2v-tabs", "#i2v-tab-queue-button"].flatMap(name => {
  const box = document.querySelector(name).getBoundingClientRect();
  return [box.x, box.y + scrollY, box.width];
})"""


@dataclass(frozen=True)
class Step:
    """What the person does, in how many clicks (a dropped file counts as one), and until when it takes."""

    does: str
    until: str
    clicks: int
    seconds: float


class Walk:
    """The steps so far. Each is an act, and a sight that ends it."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.steps: list[Step] = []

    def take(self, does: str, until: str, clicks: int, act: Callable[[], object], sight: str) -> None:
        began = time.perf_counter()
        act()
        expect(self._page.locator(sight).first).to_be_visible(timeout=WAIT)
        self.steps.append(Step(does, until, clicks, time.perf_counter() - began))


def walk(page: Page, url: str) -> list[Step]:
    """Go from an empty page to a clip with a star that is found again."""
    steps, done = Walk(page), "#i2v-frame video"
    photo = ROOT / "examples" / "cat.jpg"
    steps.take(
        "opens the page", "its line about the clip", 0, lambda: page.goto(url), "#i2v-plan .i2v-subdued"
    )

    def drop() -> None:
        page.set_input_files("#i2v-picture input[type=file]", photo)

    steps.take("drops a photo", "it is seen as the clip begins", 1, drop, "#i2v-frame .i2v-first img")
    page.wait_for_function("document.querySelector('#i2v-motions button') !== null", timeout=WAIT)

    def choose() -> None:
        page.click("#i2v-motions [data-id=in]")
        expect(page.locator("#i2v-prompt textarea")).to_have_value(re.compile("zooms in"), timeout=WAIT)

    steps.take("clicks a motion", "it stands in the prompt", 1, choose, "#i2v-go")
    steps.take("presses Generate", "the clip plays", 1, lambda: page.click("#i2v-go"), done)
    steps.take("presses Make 4", "all four are done", 1, lambda: _make_four(page), "#i2v-takes")
    takes = page.locator("#i2v-takes .i2v-take")
    steps.take("opens the third take", "it plays", 1, lambda: takes.nth(2).click(), f"{done}")
    compare = page.locator("#i2v-takes [data-act=compare]").first
    steps.take("compares it with another", "both play in step", 1, compare.click, ".i2v-pair video")
    alone = page.locator("#i2v-takes [data-act=compare]", has_text="Stop comparing")
    steps.take("ends comparing", "one plays", 1, alone.click, f"{done}[src]")
    star = page.locator("#i2v-status [data-act=star]")
    given = "#i2v-status [data-act=star]:text('★')"
    steps.take("gives it a star", "the star is filled", 1, star.click, given)
    steps.take(
        "opens the gallery, shows starred clips", "it stands there alone", 3, lambda: _starred(page),
        "#i2v-gallery .i2v-clip",
    )  # fmt: skip
    return steps.steps


def _make_four(page: Page) -> None:
    page.click("#i2v-four")
    expect(page.locator("#i2v-takes .i2v-take")).to_have_count(5, timeout=WAIT)
    expect(page.locator("#i2v-takes [data-act=compare]")).to_have_count(4, timeout=WAIT)


def _starred(page: Page) -> None:
    page.click("#i2v-tab-gallery-button")
    page.click("#i2v-gallery-filters input >> nth=0")
    page.get_by_role("option", name="Starred").click()
    expect(page.locator("#i2v-gallery .i2v-clip")).to_have_count(1, timeout=WAIT)


def shift_between_tabs(page: Page) -> float:
    """Return by how many pixels the header, the tabs and a tab's title differ from tab to tab at the most."""
    places = []
    for tab in TABS:
        page.click(f"#i2v-tab-{tab}-button")
        expect(page.locator(f"#i2v-tab-{tab}")).to_be_visible(timeout=WAIT)
        page.wait_for_timeout(1000)
        places.append(page.evaluate(_PLACES))
    return max(max(each) - min(each) for each in zip(*places, strict=True))


def report(steps: list[Step], shift: float) -> str:
    """Return a table of the steps and their sums."""
    rows = [f"| {step.does} | {step.until} | {step.clicks} | {step.seconds:.1f} |" for step in steps]
    clicks, seconds = sum(step.clicks for step in steps), sum(step.seconds for step in steps)
    return "\n".join(
        [
            "| the person | until | clicks | seconds |",
            "|---|---|---|---|",
            *rows,
            f"| **all** | | **{clicks}** | **{seconds:.1f}** |",
            f"\nBetween tabs, what all of them share moves by {shift:g} px.",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    target: Path | None = parser.parse_args().json
    chromium = shutil.which("chromium") or sys.exit(
        "chromium is not installed. Fix: apt-get install chromium"
    )
    with (
        tempfile.TemporaryDirectory() as scratch,
        service(Path(scratch)) as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(locale="en-US", viewport={"width": 1440, "height": 900}).new_page()
        page.set_default_timeout(WAIT)
        steps = walk(page, url)
        shift = shift_between_tabs(page)
        browser.close()
    load = os.getloadavg()[0]
    print(report(steps, shift))
    print(f"Processors: {os.cpu_count()}; load of the last minute: {load:.1f}")
    if target is not None:
        figures = {"steps": [asdict(step) for step in steps], "shift_px": shift, "load": load}
        target.write_text(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
