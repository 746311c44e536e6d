"""The page in a real browser, as a person uses it. Needs Debian's chromium (`apt-get install chromium`)."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.web.browser import WAIT, Visit, needs_chromium
from tests.web.house import House, wait_for
from tests.web.pages import QUICK, SLOW

pytestmark = needs_chromium


def status(page: Page) -> Locator:
    return page.locator("#i2v-status")


def fill(page: Page, house: House, prompt: str) -> None:
    upload = {"name": "photo.png", "mimeType": "image/png", "buffer": house.picture}
    page.set_input_files("#i2v-picture input[type=file]", upload)
    expect(page.locator("#i2v-picture img")).to_be_visible(timeout=WAIT)
    page.fill("#i2v-prompt textarea", prompt)


def newest(house: House) -> dict[str, object]:
    job: dict[str, object] = house.get("/jobs").json()["jobs"][0]
    return job


def test_a_picture_and_a_sentence_become_a_video(visit: Visit, house: House) -> None:
    page = visit()
    fill(page, house, SLOW)
    expect(page.locator("#i2v-advice")).to_contain_text("96 x 64", timeout=WAIT)  # small, but taken
    page.click("#i2v-go")
    previews = set()
    for step in (2, 4, 6):
        expect(status(page)).to_contain_text(re.compile(f"Denoising · step [{step}-9] of 10"), timeout=WAIT)
        previews.add(page.get_attribute("#i2v-frame img", "src"))
    assert len(previews) > 1
    expect(status(page)).to_contain_text("Done.", timeout=WAIT)
    page.wait_for_function("document.querySelector('#i2v-frame video').duration > 0.5")
    job = newest(house)
    facts = page.locator("#i2v-result")
    expect(facts).to_contain_text(SLOW)
    expect(facts).to_contain_text("8 frames at 8 fps")
    expect(facts).to_contain_text(str(job["result"]["path"]))  # type: ignore[index]
    expect(page.locator("#i2v-cancel")).to_be_hidden()
    with page.expect_download() as download:
        page.click("a.i2v-download")
    assert download.value.suggested_filename == Path(str(job["result"]["path"])).name  # type: ignore[index]


def test_a_reload_finds_the_running_job_with_its_preview_and_cancel(visit: Visit, house: House) -> None:
    page = visit()
    fill(page, house, "step: sleep 2")  # under way until it is cancelled
    page.click("#i2v-go")
    expect(status(page)).to_contain_text("Denoising · step", timeout=WAIT)
    page.reload()
    expect(status(page)).to_contain_text("Denoising · step", timeout=WAIT)
    expect(page.locator("#i2v-frame img")).to_be_visible()
    expect(page.locator("#i2v-prompt textarea")).to_have_value("step: sleep 2")
    page.click("#i2v-cancel")
    expect(status(page)).to_contain_text(re.compile("Cancelling|Cancelled"), timeout=WAIT)
    expect(status(page)).to_contain_text("Cancelled.", timeout=WAIT)
    expect(page.locator("#i2v-cancel")).to_be_hidden()
    assert newest(house)["status"] == "cancelled"


def test_a_picture_dropped_while_the_page_still_loads_stays(browser: Browser, house: House) -> None:
    page = browser.new_page()
    held: list[Route] = []  # what the page asks for when it opens
    page.route("**/gradio_api/queue/join*", lambda route: held.append(route))
    page.goto(house.url)
    fill(page, house, QUICK)
    for route in held:
        route.continue_()
    page.unroute("**/gradio_api/queue/join*")
    expect(page.locator("#i2v-plan")).to_contain_text("96 x 64", timeout=WAIT)  # the picture's own size
    expect(page.locator("#i2v-picture img")).to_be_visible()
    page.close()


def test_after_a_reload_a_variation_takes_the_same_picture_and_another_seed(
    visit: Visit, house: House
) -> None:
    page = visit()
    fill(page, house, QUICK)
    page.click("#i2v-go")
    expect(page.locator("#i2v-frame video")).to_be_visible(timeout=WAIT)
    first = newest(house)
    page.reload()
    expect(page.locator("#i2v-frame video")).to_be_visible(timeout=WAIT)
    expect(page.locator("#i2v-picture img")).to_be_visible()
    page.click("#i2v-variation")
    wait_for(lambda: newest(house)["id"] != first["id"])
    variation = newest(house)["id"]
    expect(page.locator(f"#i2v-frame video[src*='{variation}']")).to_be_visible(timeout=WAIT)
    page.click("#i2v-same-seed")
    wait_for(lambda: newest(house)["id"] != variation)
    same, other, first = house.get("/jobs").json()["jobs"][:3]
    assert [job["request"]["prompt"] for job in (same, other, first)] == [QUICK] * 3
    seeds = [house.service.get(job["id"]).generation["seed"] for job in (same, other, first)]
    assert seeds[0] == seeds[1] != seeds[2]


def test_the_last_frame_is_saved_and_is_the_next_clips_picture(visit: Visit, house: House) -> None:
    page = visit()
    fill(page, house, QUICK)
    page.click("#i2v-go")
    expect(page.locator("#i2v-frame video")).to_be_visible(timeout=WAIT)
    first = newest(house)
    with page.expect_download() as download:
        page.click("a.i2v-download >> nth=1")
    frame = download.value.path().read_bytes()
    assert download.value.suggested_filename == Path(str(first["result"]["path"])).with_suffix(".png").name  # type: ignore[index]
    before = page.get_attribute("#i2v-picture img", "src")
    page.click("#i2v-carry-on")
    expect(page.locator("#i2v-picture img")).not_to_have_attribute("src", str(before), timeout=WAIT)
    page.click("#i2v-go")
    wait_for(lambda: newest(house)["id"] != first["id"], 30)
    used = house.service.picture(house.service.get(str(newest(house)["id"])))
    assert used is not None
    assert Image.open(io.BytesIO(used)).tobytes() == Image.open(io.BytesIO(frame)).convert("RGB").tobytes()
    expect(page.locator(f"#i2v-frame video[src*='{newest(house)['id']}']")).to_be_visible(timeout=WAIT)


def test_a_double_click_is_one_job(visit: Visit, house: House) -> None:
    page = visit()
    fill(page, house, QUICK)
    before = sum(house.service.counts().values())
    page.dblclick("#i2v-go")
    expect(page.locator("#i2v-frame video")).to_be_visible(timeout=WAIT)
    assert sum(house.service.counts().values()) == before + 1


def test_a_job_of_another_program_is_opened_with_its_numbers_and_made_again(
    visit: Visit, house: House
) -> None:
    """With four frames, which the sliders of the page do not reach."""
    first = house.submit_id(QUICK, num_frames=4)
    page = visit(tab="queue")
    page.click(f"#i2v-queue-finished [data-act=open][data-id='{first}']")
    expect(page.locator("#i2v-frame video")).to_be_visible(timeout=WAIT)
    page.click("#i2v-variation")
    expect(page.locator("#i2v-frame video")).to_be_hidden(timeout=WAIT)
    expect(page.locator("#i2v-frame video")).to_be_visible(timeout=WAIT)
    made = newest(house)
    assert made["id"] != first
    assert house.service.get(str(made["id"])).generation["num_frames"] == 4


def test_without_a_picture_the_page_says_what_is_missing(visit: Visit, house: House) -> None:
    page = visit()
    page.click("#i2v-go")
    expect(status(page)).to_contain_text("Picture is missing.", timeout=WAIT)
    page.wait_for_timeout(1000)  # and it stays there
    expect(status(page)).to_contain_text("Picture is missing.")


def test_what_is_no_picture_is_refused_in_words(visit: Visit, house: House) -> None:
    page = visit(locale="zh-CN")
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40)).save(buffer, "PNG")
    broken = {"name": "photo.png", "mimeType": "image/png", "buffer": buffer.getvalue()[:60]}
    page.set_input_files("#i2v-picture input[type=file]", broken)
    page.fill("#i2v-prompt textarea", QUICK)
    page.locator("#i2v-picture button[aria-label]").first.wait_for()
    page.click("#i2v-go")
    expect(status(page)).to_contain_text("图片损坏", timeout=WAIT)


def test_the_page_speaks_the_browsers_language_and_remembers_another(visit: Visit) -> None:
    page = visit(locale="zh-CN")
    go = page.locator("#i2v-go")
    expect(go).to_have_text("生成视频")
    expect(page.locator("#i2v-frame")).to_contain_text("视频将显示在这里")
    expect(page.locator("#i2v-preset")).to_contain_text("快速预览")
    page.click("#i2v-language label:has-text('English')")
    expect(go).to_have_text("Generate video", timeout=WAIT)
    expect(page.locator("#i2v-frame")).to_contain_text("The video will appear here")
    page.reload()
    expect(go).to_have_text("Generate video", timeout=WAIT)
    expect(page.locator("#i2v-language input[value=en]")).to_be_checked(timeout=WAIT)


def test_an_open_seed_field_stays_empty_and_the_dice_fill_it(visit: Visit) -> None:
    page = visit()
    page.click("#i2v-advanced button")
    seed = page.locator("#i2v-seed textarea, #i2v-seed input")
    expect(seed).to_have_value("")
    page.get_by_role("button", name="Draw one").click()
    expect(seed).to_have_value(re.compile(r"\d+"), timeout=WAIT)


def test_every_label_is_in_the_browsers_language(visit: Visit) -> None:
    page = visit(locale="zh-CN")
    page.click("#i2v-advanced button")
    expect(page.locator("#i2v-seed")).to_be_visible()
    labels = page.locator("#i2v-tab-generate [data-testid='block-info']").all_inner_texts()
    assert len(labels) > 8
    assert [label for label in labels if not re.search("[一-鿿]", label)] == []


def test_on_a_phone_the_button_brings_the_preview_into_sight(visit: Visit, house: House) -> None:
    page = visit(width=390)
    fill(page, house, SLOW)
    expect(page.locator("#i2v-frame")).not_to_be_in_viewport(ratio=0.5)
    page.click("#i2v-go")
    expect(page.locator("#i2v-frame")).to_be_in_viewport(ratio=0.9, timeout=WAIT)
    page.click("#i2v-cancel")
    expect(status(page)).to_contain_text("Cancelled.", timeout=WAIT)


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
def test_axe_finds_nothing_serious_on_any_tab(visit: Visit, house: House, scheme: str) -> None:
    page = visit(scheme=scheme)
    fill(page, house, QUICK)
    page.click("#i2v-go")
    expect(page.locator("#i2v-frame video")).to_be_visible(timeout=WAIT)
    page.click("#i2v-advanced button")
    found = {}
    for tab in page.locator("#i2v-tabs button[role=tab]").all():
        tab.click()
        page.wait_for_timeout(1000)  # for what fades in: half-way, its colours are too faint
        for problem in Axe().run(page).response["violations"]:
            if problem["impact"] in ("serious", "critical"):
                found[tab.inner_text(), problem["id"]] = [node["html"][:200] for node in problem["nodes"]]
    assert found == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(visit: Visit, scheme: str) -> None:
    page = visit(width=390, scheme=scheme)
    page.click("#i2v-advanced button")
    expect(page.locator("#i2v-seed")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
