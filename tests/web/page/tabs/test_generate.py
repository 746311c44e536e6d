"""The page in a real browser, as a person uses it. Needs Debian's chromium (`apt-get install chromium`)."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Download, Locator, Page, Route, expect

from tests.web.browser import WAIT, Visit, choose_engine, click_twice, is_selected, needs_chromium, select
from tests.web.house import House, wait_for
from tests.web.pages import QUICK, Gates

pytestmark = needs_chromium


def status(page: Page) -> Locator:
    return page.locator("#i2v-status")


def fill(page: Page, house: House, prompt: str) -> None:
    upload = {"name": "photo.png", "mimeType": "image/png", "buffer": house.picture}
    page.set_input_files("#i2v-picture input[type=file]", upload)
    expect(page.locator("#i2v-picture img")).to_be_visible()
    page.fill("#i2v-prompt textarea", prompt)


def newest(house: House) -> dict[str, object]:
    job: dict[str, object] = house.get("/jobs").json()["jobs"][0]
    return job


def press(page: Page, link: str) -> Download:
    with page.expect_download() as download:
        page.click(link)
    return download.value


def test_a_picture_and_a_sentence_become_a_video_whose_last_frame_begins_the_next(
    visit: Visit, house: House, gates: Gates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the same page before that, an example fills the form, and a motion writes its prompt."""
    monkeypatch.setattr("i2v.workers.progress.PREVIEW_SHARE", 1.0)  # a preview of each step
    page = visit(width=1440)
    page.click("#i2v-examples [data-id=rocket]")
    expect(page.locator("#i2v-picture img")).to_be_visible()
    written = page.locator("#i2v-prompt textarea")
    expect(written).to_have_value("the camera zooms in")
    expect(page.locator("#i2v-examples")).to_be_hidden()
    page.click("#i2v-motions [data-id=left]")
    expect(written).to_have_value("the camera pans left")
    expect(page.locator("#i2v-frame .i2v-first img")).to_be_visible()
    for part in ("#i2v-advanced", "#i2v-go"):  # above the fold
        expect(page.locator(part)).to_be_in_viewport(ratio=1)

    prompt = gates.prompt(2, 5)
    fill(page, house, prompt)
    expect(page.locator("#i2v-advice")).to_contain_text("96 x 64")  # small, but taken
    jobs = sum(house.service.counts().values())
    with monkeypatch.context() as patch:  # on a busy machine, the second click may be treated late
        patch.setattr("i2v.web.page.tabs.live.DOUBLE_CLICK_SECONDS", 60)
        click_twice(page.locator("#i2v-go"))
        expect(status(page)).to_contain_text("Denoising · step 1 of 10")
    preview = page.get_attribute("#i2v-frame img", "src")
    gates.open(2)
    expect(status(page)).to_contain_text("Denoising · step 4 of 10")
    expect(page.locator("#i2v-frame img")).not_to_have_attribute("src", str(preview))
    gates.open(5)
    expect(status(page)).to_contain_text("Done.")
    assert sum(house.service.counts().values()) == jobs + 1, "a double click is two jobs"
    page.wait_for_function("document.querySelector('#i2v-frame video').duration > 0.5")
    first = newest(house)
    path = Path(str(first["result"]["path"]))  # type: ignore[index]
    facts = page.locator("#i2v-result")
    for fact in (prompt, "8 frames at 8 fps", str(path)):
        expect(facts).to_contain_text(fact)
    expect(page.locator("#i2v-cancel")).to_be_hidden()
    assert press(page, "a.i2v-download >> nth=0").suggested_filename == path.name
    last = press(page, "a.i2v-download >> nth=1")
    assert last.suggested_filename == path.with_suffix(".png").name

    before = page.get_attribute("#i2v-picture img", "src")
    page.click("#i2v-carry-on")
    expect(page.locator("#i2v-picture img")).not_to_have_attribute("src", str(before))
    page.click("#i2v-go")
    wait_for(lambda: newest(house)["id"] != first["id"])
    used = house.service.picture(house.service.get(str(newest(house)["id"])))
    assert used is not None
    frame = Image.open(last.path()).convert("RGB")
    assert Image.open(io.BytesIO(used)).tobytes() == frame.tobytes()
    expect(page.locator(f"#i2v-frame video[src*='{newest(house)['id']}']")).to_be_visible()


def test_keys_make_and_cancel_a_clip_which_a_reload_finds_and_the_title_tells_how_far_it_is(
    visit: Visit, house: House, gates: Gates
) -> None:
    page = visit()
    plain = page.title()
    prompt = gates.prompt(3)  # under way until it is cancelled
    fill(page, house, prompt)
    page.press("#i2v-prompt textarea", "Control+Enter")
    expect(page).to_have_title(re.compile(r"^\d+ % · i2v"))
    expect(status(page)).to_contain_text("Denoising · step 2")
    page.reload()
    expect(status(page)).to_contain_text("Denoising · step 2")
    expect(page.locator("#i2v-frame img")).to_be_visible()
    expect(page.locator("#i2v-prompt textarea")).to_have_value(prompt)
    expect(page.locator("#i2v-cancel")).to_be_visible()
    page.keyboard.press("Escape")
    expect(status(page)).to_contain_text("Cancelling")
    gates.open(3)
    expect(status(page)).to_contain_text("Cancelled.")
    expect(page.locator("#i2v-cancel")).to_be_hidden()
    expect(page).to_have_title(plain)
    assert newest(house)["status"] == "cancelled"


def lies_over_its_clip_up_to_a_divider(page: Page) -> None:
    photo, divider = page.locator(".i2v-photo"), page.locator(".i2v-photo-divider")
    expect(photo).to_be_hidden()
    page.get_by_role("button", name="Compare with photo").click()
    expect(photo).to_be_visible()
    page.wait_for_function("document.querySelector('.i2v-photo').naturalWidth > 0")
    expect(divider).to_be_focused()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    expect(divider).to_have_value("47")
    assert photo.evaluate("each => getComputedStyle(each).clipPath") == "inset(0px 53% 0px 0px)"
    page.get_by_role("button", name="Compare with photo").click()
    expect(photo).to_be_hidden()


@pytest.mark.slow
def test_a_job_of_another_program_is_opened_by_a_link_and_after_a_reload_made_again_with_its_numbers(
    visit: Visit, house: House
) -> None:
    """With four frames, which the sliders of the page do not reach, the same picture and another seed."""
    first = house.submit_id(QUICK, num_frames=4)
    page = visit(tab="gallery")
    expect(page).to_have_url(f"{house.url}/#gallery")
    page.reload()
    is_selected(page, "gallery")
    expect(page.locator(f".i2v-clip [data-id='{first}']").first).to_be_visible()  # and it lives
    page.goto(f"{house.url}/?job={first}")
    expect(page.locator(f"#i2v-frame video[src*='{first}']")).to_be_visible()
    expect(page).to_have_url(f"{house.url}/")  # from here on, it is the last job of this browser
    lies_over_its_clip_up_to_a_divider(page)

    page.reload()
    expect(page.locator(f"#i2v-frame video[src*='{first}']")).to_be_visible()
    expect(page.locator("#i2v-picture img")).to_be_visible()
    made = [first]
    for button in ("#i2v-variation", "#i2v-same-seed"):
        page.click(button)
        wait_for(lambda: newest(house)["id"] != made[-1])
        made.append(str(newest(house)["id"]))
        expect(page.locator(f"#i2v-frame video[src*='{made[-1]}']")).to_be_visible()
    jobs = [house.service.get(job_id) for job_id in made]
    assert [job.request["prompt"] for job in jobs] == [QUICK] * 3
    assert [job.generation.num_frames for job in jobs] == [4] * 3
    pictures = [house.service.picture(job) for job in jobs]
    assert len({Image.open(io.BytesIO(picture or b"")).tobytes() for picture in pictures}) == 1
    seeds = [job.generation.seed for job in jobs]
    assert seeds[0] != seeds[1] == seeds[2]


@pytest.mark.slow
def test_another_engine_shows_its_own_controls_and_its_options_are_run_and_come_back(
    visit: Visit, house: House
) -> None:
    page = visit()
    fill(page, house, QUICK)
    page.click("#i2v-advanced button")
    usual = ("#i2v-prompt", "#i2v-steps", "#i2v-guidance", "#i2v-negative-prompt", "#i2v-seed")
    shift = page.locator("#i2v-option-contrary-shift").locator("input, textarea")
    for control in usual:
        expect(page.locator(control)).to_be_visible()
    expect(shift).to_have_count(0)

    path = page.locator(".i2v-camera-path")  # over the picture
    choose_engine(page, "The contrary one")
    expect(page.locator("#i2v-about")).to_contain_text("reads no prompt")
    expect(path).to_have_count(0)
    for control in usual:
        expect(page.locator(control)).to_have_count(0)
    expect(page.locator("#i2v-num-frames input[type=range]")).to_have_attribute("max", "3600")
    expect(page.locator("#i2v-plan")).to_contain_text("48 frames, 2.0 s")
    shift.fill("3")
    expect(page.locator("#i2v-plan")).to_contain_text("options.shift: 3 is not valid")
    shift.fill("0.5")
    expect(path.locator(".i2v-camera-first")).to_have_attribute("points", "0,0 0.5,0 0.5,1 0,1")
    expect(path.locator(".i2v-camera-last")).to_have_attribute("points", "0.5,0 1,0 1,1 0.5,1")
    before = path.locator(".i2v-camera-now").get_attribute("points")
    expect(path.locator(".i2v-camera-now")).not_to_have_attribute("points", str(before))  # it moves
    shift.fill("0.25")
    expect(path.locator(".i2v-camera-last")).to_have_attribute("points", "0.25,0 0.75,0 0.75,1 0.25,1")
    expect(page.locator("#i2v-plan")).to_contain_text("48 frames")
    page.click("#i2v-go")
    expect(status(page)).to_contain_text("Done.")
    expect(page.locator("#i2v-result")).to_contain_text("Shift: 0.25")
    expect(page.locator("#i2v-result")).not_to_contain_text("Guidance")
    expect(page.locator("#i2v-carry-on")).to_be_visible()
    expect(page.locator("#i2v-variation")).to_be_hidden()  # there is no seed
    request = house.service.get(str(newest(house)["id"])).request
    assert request["options"] == {"strength": 1.0, "shift": "0.25", "bucket": 127, "mirror": False}
    assert "seed" not in request

    page.reload()
    expect(page.locator("#i2v-frame video")).to_be_visible()
    page.click("#i2v-advanced button")
    expect(page.locator("#i2v-engine input:checked")).to_have_value("contrary")
    expect(shift).to_have_value("0.25")
    expect(page.locator("#i2v-prompt")).to_have_count(0)

    choose_engine(page, "Automatic")
    expect(page.locator("#i2v-prompt textarea")).to_be_visible()
    expect(page.locator("#i2v-num-frames input[type=range]")).to_have_attribute("max", "128")
    expect(shift).to_have_count(0)
    page.fill("#i2v-prompt textarea", QUICK)
    page.click("#i2v-go")
    wait_for(lambda: newest(house)["request"]["engine"] == "rehearsal")  # type: ignore[index]


def test_the_page_speaks_the_browsers_language_and_says_what_is_wrong(visit: Visit) -> None:
    page = visit(locale="zh-CN")
    go = page.locator("#i2v-go")
    expect(go).to_have_text("生成视频")
    expect(page.locator("#i2v-frame")).to_contain_text("视频将显示在这里")
    expect(page.locator("#i2v-preset")).to_contain_text("快速")
    page.click("#i2v-advanced button")
    expect(page.locator("#i2v-seed")).to_be_visible()
    labels = page.locator("#i2v-tab-generate [data-testid='block-info']").all_inner_texts()
    assert len(labels) > 8
    assert [label for label in labels if not re.search("[一-鿿]", label)] == []

    go.click()
    beside = page.locator("#i2v-picture-error")  # and not in the other column
    expect(beside).to_contain_text("请先添加图片")
    expect(page.locator("#i2v-picture")).to_be_in_viewport()
    buffer = io.BytesIO()
    Image.new("RGB", (40, 40)).save(buffer, "PNG")
    broken = {"name": "photo.png", "mimeType": "image/png", "buffer": buffer.getvalue()[:60]}
    page.set_input_files("#i2v-picture input[type=file]", broken)
    expect(beside).to_contain_text("图片损坏")
    page.wait_for_timeout(600)  # nearer, it is a double click
    page.fill("#i2v-prompt textarea", QUICK)
    go.click()
    expect(beside).to_contain_text("图片损坏")
    page.get_by_label("移除图片").click()
    expect(beside).to_be_hidden()  # it is mended


@pytest.mark.slow
def test_another_language_is_remembered_and_spoken_from_the_start(visit: Visit) -> None:
    page = visit(locale="zh-CN")
    page.reload(wait_until="commit")
    page.click("#i2v-tab-system-button")  # before the page knows its language
    expect(page.locator("#i2v-system")).to_contain_text("操作系统")
    expect(page.locator("#i2v-head h1")).to_contain_text("生成一段视频")

    select(page, "generate")
    page.click("#i2v-language label:has-text('English')")
    go = page.locator("#i2v-go")
    expect(go).to_have_text("Generate video")
    page.reload()
    expect(go).to_have_text("Generate video")
    expect(page.locator("#i2v-language input[value=en]")).to_be_checked()
    expect(page.locator("#i2v-frame")).to_contain_text("Your clip will appear here")


@pytest.mark.slow
def test_on_a_phone_nothing_is_beside_the_screen_and_the_button_brings_the_preview_into_sight(
    visit: Visit, house: House, gates: Gates
) -> None:
    page = visit(width=390)
    page.click("#i2v-advanced button")
    seed = page.locator("#i2v-seed textarea, #i2v-seed input")
    expect(seed).to_have_value("")  # it stays empty
    page.get_by_role("button", name="Random").click()
    expect(seed).to_have_value(re.compile(r"\d+"))
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    fill(page, house, gates.prompt(2))
    expect(page.locator("#i2v-frame")).not_to_be_in_viewport(ratio=0.5)
    page.click("#i2v-go")
    for part in ("#i2v-frame", "#i2v-status", "#i2v-cancel"):
        expect(page.locator(part)).to_be_in_viewport(ratio=0.9)
    expect(status(page)).to_contain_text("Denoising")  # one that still waits is cancelled at once
    page.click("#i2v-cancel")
    expect(status(page)).to_contain_text("Cancelling")
    gates.open(2)
    expect(status(page)).to_contain_text("Cancelled.")
    expect(page.locator("#i2v-carry-on")).to_be_hidden()  # there is no last frame


def tall_picture() -> dict[str, object]:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize((90, 160)).convert("RGB").save(buffer, "PNG")
    return {"name": "tall.png", "mimeType": "image/png", "buffer": buffer.getvalue()}


@pytest.mark.slow
def test_at_1440_the_button_is_above_the_fold_and_a_portrait_leaves_room_for_cancel(
    visit: Visit, gates: Gates
) -> None:
    page = visit(width=1440)
    page.set_input_files("#i2v-picture input[type=file]", tall_picture())
    page.fill("#i2v-prompt textarea", gates.prompt(2))
    first = page.locator("#i2v-frame .i2v-first img")
    expect(first).to_be_visible()  # the photo, before anything is made
    expect(page.locator("#i2v-cut")).to_contain_text("Will be cut: top")
    for part in ("#i2v-advanced", "#i2v-go"):
        expect(page.locator(part)).to_be_in_viewport(ratio=1)
    assert page.evaluate("scrollY") == 0
    seen, clip = first.bounding_box(), page.locator("#i2v-plan p").first.inner_text().split(" pixels")[0]
    assert seen is not None
    width, height = (int(side) for side in clip.split(" x "))
    assert seen["width"] / seen["height"] == pytest.approx(width / height, rel=0.01)  # the whole frame
    page.click("#i2v-go")
    for part in ("#i2v-frame img", "#i2v-status", "#i2v-cancel"):
        expect(page.locator(part)).to_be_in_viewport(ratio=1)
    gates.open(2)
    expect(status(page)).to_contain_text("Done.")
    heights = page.eval_on_selector_all(
        ".i2v-download, #i2v-again button", "all => all.map(one => Math.round(one.offsetHeight))"
    )
    assert len(heights) == 10
    assert len(set(heights)) == 1
    tops = page.eval_on_selector_all("#i2v-again button", "all => all.map(one => Math.round(one.offsetTop))")
    assert len(set(tops)) == 1, "one row"


@pytest.mark.slow
def test_borders_keep_what_would_be_cut(visit: Visit) -> None:
    page = visit()
    page.set_input_files("#i2v-picture input[type=file]", tall_picture())
    page.fill("#i2v-prompt textarea", QUICK)
    page.click("#i2v-cut [data-act=pad]")
    expect(page.locator("#i2v-plan")).to_contain_text("adds borders")
    expect(page.locator("#i2v-cut")).to_be_hidden()
    page.click("#i2v-go")
    expect(page.locator("#i2v-result")).to_contain_text("Borders were added")


@pytest.mark.slow
def test_of_a_picture_dropped_while_the_page_still_loads_four_takes_are_made_and_two_compared(
    browser: Browser, house: House
) -> None:
    page = browser.new_page()
    page.set_default_timeout(WAIT)
    held: list[Route] = []  # what the page asks for when it opens
    page.route("**/gradio_api/queue/join*", lambda route: held.append(route))
    page.goto(house.url)
    fill(page, house, QUICK)
    for route in held:
        route.continue_()
    page.unroute("**/gradio_api/queue/join*")
    expect(page.locator("#i2v-plan")).to_contain_text("96 x 64")  # the picture's own size
    expect(page.locator("#i2v-picture img")).to_be_visible()

    before = sum(house.service.counts().values())
    page.click("#i2v-four")
    takes = page.locator("#i2v-takes .i2v-take")
    expect(takes).to_have_count(4)
    compare = page.locator("#i2v-takes [data-act=compare]")
    expect(compare).to_have_count(3)  # all are done, and one is shown
    assert sum(house.service.counts().values()) == before + 4
    takes.nth(2).click()
    expect(takes.nth(2)).to_have_attribute("aria-current", "true")
    compare.first.click()
    pair = page.locator("#i2v-frame .i2v-pair video")
    expect(pair).to_have_count(2)
    expect(page.locator(".i2v-differences")).to_contain_text("Seed")
    page.wait_for_function(
        "(() => { const [a, b] = document.querySelectorAll('.i2v-pair video');"
        " return a?.readyState > 2 && b?.readyState > 2 && Math.abs(a.currentTime - b.currentTime) < 0.2 })()"
    )
    page.locator("#i2v-takes [data-act=compare][data-id]", has_text="Stop comparing").click()
    expect(pair).to_have_count(0)
    page.locator("#i2v-status").click()  # so that no field has the focus
    page.keyboard.press("ArrowLeft")
    expect(takes.nth(1)).to_have_attribute("aria-current", "true")
    page.reload()
    expect(takes).to_have_count(4)
    page.close()


SHOWN = {  # what a tab shows once it has something to show
    "generate": "#i2v-frame video", "queue": ".i2v-job", "gallery": ".i2v-clip", "batch": "#i2v-batch-go",
    "system": ".i2v-model",
}  # fmt: skip


def serious(page: Page) -> dict[str, list[str]]:
    """Return what axe finds, and finds again later: what is still fading in is too faint."""
    found: dict[str, list[str]] = {}
    for _ in range(10):
        problems = Axe().run(page).response["violations"]
        found = {
            problem["id"]: [node["html"][:200] for node in problem["nodes"]]
            for problem in problems
            if problem["impact"] in ("serious", "critical")
        }
        if not found:
            break
        page.wait_for_timeout(500)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_tab_and_none_shifts_what_all_share(
    visit: Visit, house: House, scheme: str
) -> None:
    job = house.submit_id(QUICK)
    page = visit(tab="queue", width=1440, scheme=scheme)
    page.click(f"#i2v-queue-finished [data-act=open][data-id='{job}']")
    expect(page.locator("#i2v-frame video")).to_be_visible()
    page.click("#i2v-advanced button")
    found, places = {}, {}
    for tab, shown in SHOWN.items():
        select(page, tab)
        expect(page.locator(shown).first).to_be_visible()
        places[tab] = page.evaluate(
            "['#i2v-head', '#i2v-tabs', '#i2v-tab-queue-button'].map(name => {"
            " const box = document.querySelector(name).getBoundingClientRect();"
            " return [box.x, box.y + scrollY, box.width] })"
        )
        found[tab] = serious(page)
    assert len({str(place) for place in places.values()}) == 1, places
    assert places["queue"][1][2] > 1200
    assert page.locator("#i2v-tabs button[role=tab]").count() == len(SHOWN)
    assert found == {tab: {} for tab in SHOWN}


@pytest.mark.slow
def test_gradios_own_words_are_in_the_pages_language_and_not_in_the_browsers(visit: Visit) -> None:
    page = visit()
    page.click("#i2v-language label:has-text('简体中文')")
    expect(page.locator("#i2v-picture button.upload-container")).to_have_attribute(
        "aria-label", re.compile("拖")
    )
    select(page, "gallery")
    words = page.locator("#i2v-gallery-drop [data-testid=upload-text]")
    expect(words).to_have_attribute("data-words", "将文件拖到此处，或点击上传")
    assert words.evaluate("each => getComputedStyle(each).fontSize") == "0px"
