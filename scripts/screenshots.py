"""Pictures of the page for the documentation: a real service, the embedded model, the system's Chromium.

    python -m scripts.screenshots FOLDER [--every]

Makes light.png, dark.png, chinese.png, running.png, phone.png and one of each further tab; with --every, all
tabs at three widths, in both themes and both languages: sixty pictures. Needs the `test` extra and a program
called chromium. Look at them: nothing here can tell whether they are good.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from urllib.request import urlopen

from playwright.sync_api import Browser, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
CLIPS = (
    ("cat.jpg", "the camera rotates clockwise"),
    ("rocket.jpg", "the camera zooms in"),
    ("coffee.jpg", "the camera pans left"),
)
CHINESE = ("coffee.jpg", "镜头向左平移")
TABS = ("queue", "gallery", "batch", "system")
WIDTHS = (1440, 1024, 390)
WAIT = 600_000  # milliseconds


@contextmanager
def service(folder: Path) -> Iterator[str]:
    """Run a service with its data in `folder`; yield its address."""
    places = {
        "I2V_DATA_DIR": folder / "data",
        "I2V_OUTPUT__DIRECTORY": folder / "outputs",
        "I2V_MODELS__DIRECTORY": "/models",  # stands on the page, where this machine's folders should not
    }
    command = [sys.executable, str(ROOT / "app.py"), "--port", "0"]
    environment = os.environ | {name: str(path) for name, path in places.items()}
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(found[1] for line in process.stdout if (found := re.search(r"(http://\S+:\d+)", line)))
        finally:
            process.terminate()


def open_page(
    browser: Browser, url: str, width: int = 1440, scheme: str = "light", locale: str = "en-US"
) -> Page:
    context = browser.new_context(
        locale=locale,
        viewport={"width": width, "height": 900},
        color_scheme=scheme,  # type: ignore[arg-type]
    )
    page = context.new_page()
    page.set_default_timeout(WAIT)
    page.goto(url)
    expect(page.locator("#i2v-plan")).not_to_be_empty(timeout=WAIT)
    return page


def ask(page: Page, picture: str, prompt: str) -> None:
    page.set_input_files("#i2v-picture input[type=file]", ROOT / "examples" / picture)
    expect(page.locator("#i2v-picture img")).to_be_visible(timeout=WAIT)
    page.fill("#i2v-prompt textarea", prompt)
    page.click("#i2v-go")


def take(page: Page, folder: Path, name: str, seconds: float = 4) -> None:
    page.mouse.move(2, 2)  # over a player it would show the player's buttons
    page.wait_for_timeout(seconds * 1000)  # for what fades in, and out
    page.screenshot(path=folder / f"{name}.png")
    print(folder / f"{name}.png")


def take_all(browser: Browser, url: str, folder: Path) -> None:
    page = open_page(browser, url)
    for picture, prompt in CLIPS:
        ask(page, picture, prompt)
        expect(page.locator("#i2v-status")).to_contain_text(re.compile("Denoising|Decoding"), timeout=WAIT)
        expect(page.locator("#i2v-frame video")).to_be_visible(timeout=WAIT)
    take(page, folder, "light")
    for scheme, locale, width, name, clip in (
        ("dark", "en-US", 1440, "dark", CLIPS[0]),
        ("light", "zh-CN", 1440, "chinese", CHINESE),
        ("light", "en-US", 390, "phone", CLIPS[0]),
    ):
        other = open_page(browser, url, width, scheme, locale)
        ask(other, *clip)
        expect(other.locator("#i2v-frame video")).to_be_visible(timeout=WAIT)
        take(other, folder, name)
    page.click("#i2v-four")
    expect(page.locator("#i2v-cancel")).to_be_visible(timeout=WAIT)
    expect(page.locator("#i2v-frame img[src*=preview]")).to_be_visible(timeout=WAIT)
    take(page, folder, "running")
    for tab in TABS:
        page.click(f"#i2v-tab-{tab}-button")
        take(page, folder, tab)


def take_every(browser: Browser, url: str, folder: Path) -> None:
    """Look at all tabs in every way, once there are clips."""
    job = newest_clip(url)
    for width, scheme, locale in product(WIDTHS, ("light", "dark"), ("en-US", "zh-CN")):
        page = open_page(browser, f"{url}/?job={job}", width, scheme, locale)
        expect(page.locator("#i2v-frame video")).to_be_visible(timeout=WAIT)
        for tab in ("generate", *TABS):
            page.click(f"#i2v-tab-{tab}-button")
            take(page, folder, f"{tab}-{width}-{scheme}-{locale[:2]}", seconds=2)
        page.context.close()


def newest_clip(url: str) -> str:
    with urlopen(f"{url}/api/v1/jobs?status=succeeded&limit=1") as answer:
        return str(json.load(answer)["jobs"][0]["id"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", action="store_true", help="all tabs in every width, theme and language")
    arguments = parser.parse_args()
    folder: Path = arguments.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium") or sys.exit(
        "chromium is not installed. Fix: apt-get install chromium"
    )
    with (
        tempfile.TemporaryDirectory() as scratch,
        service(Path(scratch)) as url,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        take_all(browser, url, folder)
        if arguments.every:
            take_every(browser, url, folder)
        browser.close()


if __name__ == "__main__":
    main()
