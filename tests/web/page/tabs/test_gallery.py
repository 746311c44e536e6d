"""The gallery: its handlers, and in a real browser what a person does there."""

from __future__ import annotations

import asyncio
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from i2v.web.page.tabs.gallery import GalleryTab, Looking
from i2v.web.page.tabs.widgets import Opened, Updates, Values
from tests.web.browser import Visit, click_twice, is_selected, keep_asking, needs_chromium
from tests.web.house import House, wait_for
from tests.web.page.tabs.bench import Bench, clicked, next_of, open_bench, run

GalleryBench = Bench[GalleryTab]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[GalleryBench]:
    with open_bench(tmp_path, GalleryTab, Looking()) as opened:
        yield opened


def made(bench: GalleryBench, prompt: str, **fields: object) -> str:
    """Make a clip and return its id."""
    job = bench.submit(prompt, **fields)
    assert bench.executor.run_next()
    assert bench.store.get(job.id).status == "succeeded"
    return job.id


def sought(bench: GalleryBench, search: str) -> Values:
    return {**bench.values(), bench.tab.search: search}


def dropped(bench: GalleryBench, *paths: Path) -> Updates:
    return run(bench.tab.take_settings({**bench.values(), bench.tab.dropped: list(paths)}))


# --- handlers


def test_what_is_shown_follows_the_store_the_search_and_the_language(bench: GalleryBench) -> None:
    async def look() -> list[str]:
        news = bench.tab.follow(bench.values())
        shown = [await next_of(news)]
        made(bench, "an otter dives")
        shown.append(await next_of(news))
        await bench.tab.seek(sought(bench, " No Otter "))
        shown.append(await next_of(news))
        await bench.tab.speak(bench.values("zh-CN"))
        shown.append(await next_of(news))
        return [updates[bench.tab.clips] for updates in shown]

    empty, one, none, chinese = run(look())
    assert "No clips yet" in empty
    assert "an otter dives" in one
    assert "No clip matches your search" in none
    assert "没有符合搜索条件" in chinese


def test_what_changes_nothing_in_the_list_is_not_shown_again(
    bench: GalleryBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clip that plays would begin again."""
    looks = 0
    version = bench.tab._version

    def look() -> object:
        nonlocal looks
        looks += 1
        return version()

    monkeypatch.setattr(bench.tab, "_version", look)

    async def is_quiet(waiting: asyncio.Task[Updates]) -> bool:
        """Return whether nothing is shown of what there is now; the second look from now is at that."""
        enough = looks + 3
        while looks < enough and not waiting.done():
            await asyncio.sleep(0.01)
        return not waiting.done()

    async def follow() -> str:
        news = bench.tab.follow(bench.values())
        await next_of(news)
        waiting = asyncio.create_task(next_of(news))
        bench.submit("step 1: refuse")
        assert await is_quiet(waiting)
        bench.executor.run_next()  # it fails: that is no clip either
        assert await is_quiet(waiting)
        made(bench, "a heron lands")
        return str((await waiting)[bench.tab.clips])

    assert "a heron lands" in run(follow())


def test_pages_are_turned_and_a_search_begins_at_the_first(
    bench: GalleryBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2v.web.page.tabs.gallery.CLIPS", 1)
    for prompt in ("an owl sits", "an owl flies"):
        made(bench, prompt)
    cursor = str(bench.service.page("succeeded", limit=1).next_cursor)

    async def look() -> list[str]:
        news = bench.tab.follow(bench.values())
        shown = [await next_of(news)]
        for act, value in (("older", cursor), ("newer", "")):
            await bench.tab.act(bench.values(), clicked(act, value))
            shown.append(await next_of(news))
        return [updates[bench.tab.clips] for updates in shown]

    newest, older, newest_again = run(look())
    assert "an owl flies" in newest
    assert f'data-id="{cursor}"' in newest
    assert "an owl sits" in older
    assert newest_again == newest
    run(bench.tab.act(bench.values(), clicked("older", cursor)))
    run(bench.tab.seek(sought(bench, "owl")))
    assert bench.view == Looking(search="owl")


def test_a_search_that_no_prompt_can_hold_is_reported_in_words(bench: GalleryBench) -> None:
    run(bench.tab.seek(sought(bench, "\ud800")))
    message = run(next_of(bench.tab.follow(bench.values())))[bench.tab.clips]
    assert "i2v-error" in message
    assert "search: " in message
    message.encode()


@pytest.mark.parametrize("event", [(3, None), ("open", "<b>"), ("fly", "0" * 32), ("", "")])
def test_a_button_that_there_is_not_does_nothing(bench: GalleryBench, event: tuple[Any, Any]) -> None:
    updates = run(bench.tab.act(bench.values(), clicked(*event)))
    assert updates.get(bench.shared.opened, Opened()) == Opened()
    assert updates[bench.tab.message] == ""
    assert bench.view == Looking()


def test_a_clip_is_opened_or_deleted_by_its_buttons(bench: GalleryBench) -> None:
    job_id = made(bench, "a toad sings")
    opened = run(bench.tab.act(bench.values(), clicked("open", job_id)))
    assert opened[bench.shared.opened] == Opened(job=job_id)
    deleted = run(bench.tab.act(bench.values("zh-CN"), clicked("delete", job_id)))
    assert "已移到回收站" in deleted[bench.tab.message]
    again = run(bench.tab.act(bench.values(), clicked("delete", job_id)))
    assert "no longer exists" in again[bench.tab.message]
    restored = run(bench.tab.act(bench.values("zh-CN"), clicked("undo")))
    assert "已恢复" in restored[bench.tab.message]
    assert bench.service.video(job_id)
    run(bench.tab.act(bench.values(), clicked("delete", job_id)))
    gone = run(bench.tab.act(bench.values(), clicked("purge", job_id)))
    assert "were deleted" in gone[bench.tab.message]


def test_a_star_is_given_and_taken_by_its_button(bench: GalleryBench) -> None:
    job_id = made(bench, "a toad sings")
    for starred in (True, False):
        run(bench.tab.act(bench.values(), clicked("star", job_id)))
        assert bench.store.get(job_id).starred is starred


def test_what_is_shown_is_narrowed_and_sorted(bench: GalleryBench) -> None:
    first, second = made(bench, "an otter dives"), made(bench, "a heron lands")
    bench.service.library.star(first, True)

    def look(**chosen: str) -> list[str]:
        names = {"show": "all", "engine": "", "when": "0", "order": "newest"} | chosen
        values = {getattr(bench.tab, name): value for name, value in names.items()}
        run(bench.tab.narrow({**bench.values(), **values}))
        markup = bench.tab._found(bench.view)[bench.tab.clips]
        return re.findall(r'data-act="(?:open|restore)" data-id="(\w+)"><?[ORa-z]', markup)

    assert look() == [second, first]
    assert look(order="oldest") == look(order="starred") == [first, second]
    assert look(show="starred") == [first]
    assert look(engine="rehearsal", when="1") == [second, first]
    assert look(engine="other") == []
    assert look(show="<b>", order="<b>", when="<b>") == [second, first]
    bench.service.library.trash(first)
    assert look(show="trash") == [first]
    restored = run(bench.tab.act(bench.values(), clicked("restore", first)))
    assert "Restored." in restored[bench.tab.message]
    assert look(show="trash") == []


def test_several_are_deleted_or_made_again_at_once(bench: GalleryBench) -> None:
    jobs = [made(bench, f"clip {number}") for number in range(3)]
    again = run(bench.tab.act(bench.values(), clicked("rerun_picked", "", picked=[*jobs[:2], "<b>", 3])))
    assert "2 jobs were added" in again[bench.tab.message]
    assert bench.store.counts()["queued"] == 2
    deleted = run(bench.tab.act(bench.values(), clicked("delete_picked", "", picked=jobs[:2])))
    assert "2 jobs were moved to the trash" in deleted[bench.tab.message]
    assert [job.id for job in bench.service.page("succeeded").jobs] == jobs[2:]
    run(bench.tab.act(bench.values(), clicked("undo")))
    assert bench.store.counts()["succeeded"] == 3
    nothing = run(bench.tab.act(bench.values(), clicked("delete_picked", "", picked="all")))
    assert nothing[bench.tab.message] == ""


def test_tags_are_given_to_what_is_ticked_looked_for_and_taken_away(bench: GalleryBench) -> None:
    first, second, third = (made(bench, f"clip {number}") for number in range(3))

    def press(act: str, word: str, picked: object = ()) -> str:
        event = clicked(act, "", picked, word)
        return str(run(bench.tab.act(bench.values(), event))[bench.tab.message])

    def look() -> list[str]:
        markup = bench.tab._found(bench.view)[bench.tab.clips]
        return re.findall(r'data-act="open" data-id="(\w+)"><?[ORa-z]', markup)

    assert "Tag added. Clips: 2." in press("add_tag", " Night <b>", [first, third])
    assert "1 to 40 characters" in press("add_tag", "", [first])
    press("tag", "night <b>")
    assert look() == [third, first]
    assert "night &lt;b&gt; 2" in bench.tab._found(bench.view)[bench.tab.clips]
    press("remove_tag", "night <b>", [first, third])
    assert look() == []
    press("tag", "night <b>")  # its button stays, or nobody could turn back
    assert look() == [third, second, first]


def test_a_clip_whose_file_was_moved_away_is_no_longer_promised(
    bench: GalleryBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2v.web.page.tabs.gallery.DISK_SECONDS", 0.1)
    video = Path(bench.store.get(made(bench, "a toad sings")).output)

    async def look() -> list[str]:
        news = bench.tab.follow(bench.values())
        shown = [await next_of(news)]
        away = video.rename(video.with_suffix(".away"))
        shown.append(await next_of(news))
        away.rename(video)
        shown.append(await next_of(news))
        return [updates[bench.tab.clips] for updates in shown]

    there, gone, there_again = run(look())
    assert "<video" in there
    assert "<video" not in gone
    assert "Video file missing." in gone
    assert there_again == there


def test_a_deleted_clip_says_so_where_a_file_of_somebody_else_was_left(bench: GalleryBench) -> None:
    job_id = made(bench, "a toad sings")
    video = Path(bench.store.get(job_id).output)
    video.write_text("precious")
    deleted = run(bench.tab.act(bench.values(), clicked("delete", job_id)))
    assert f"{video} was kept" in deleted[bench.tab.message]
    assert video.read_text() == "precious"


def test_a_dropped_clip_gives_its_settings(bench: GalleryBench, capsys: pytest.CaptureFixture[str]) -> None:
    clip = Path(bench.store.get(made(bench, "nothing at all")).output)
    updates = dropped(bench, clip)
    asked = bench.service.settings_of(clip).fields
    assert (asked["prompt"], type(asked["seed"])) == ("nothing at all", int)
    job = bench.service.page().jobs[0]
    assert updates[bench.shared.opened] == Opened(fields=asked, picture_of=job.id)
    assert (updates[bench.tab.dropped], updates[bench.tab.message]) == (None, "")
    assert "settings and its picture were loaded" in capsys.readouterr().out  # where no browser listens
    copy = clip.with_name("copy.mp4")
    copy.write_bytes(clip.read_bytes())
    bench.service.delete(job.id)
    assert dropped(bench, copy)[bench.shared.opened] == Opened(fields=asked)
    assert "settings were loaded. Add a picture" in capsys.readouterr().out
    assert dropped(bench) == {bench.tab.dropped: None, bench.tab.message: ""}


def test_a_clip_without_prompts_says_so_and_gives_the_rest(tmp_path: Path) -> None:
    with open_bench(tmp_path, GalleryTab, Looking(), output__prompts=False) as bench:
        clip = Path(bench.store.get(made(bench, "nothing at all", negative_prompt="blur")).output)
        with pytest.warns(UserWarning, match="saved without its prompt"):  # where no browser listens
            updates = dropped(bench, clip)
        fields = updates[bench.shared.opened].fields
        assert fields.keys() >= {"seed", "num_frames", "engine"}
        assert fields.keys().isdisjoint({"prompt", "negative_prompt"})


def test_what_cannot_be_taken_from_a_dropped_file_is_reported_by_its_name(
    bench: GalleryBench, tmp_path: Path
) -> None:
    (tmp_path / "<b>.mp4").write_text("no video")
    updates = dropped(bench, tmp_path / "<b>.mp4")
    assert "&lt;b&gt;.mp4 cannot be read as a video" in updates[bench.tab.message]
    assert str(tmp_path) not in updates[bench.tab.message]
    assert bench.shared.opened not in updates


# --- in a browser


def make(house: House, prompt: str, **fields: object) -> str:
    """Make a clip and return its id."""
    job_id = house.submit_id(prompt, **fields)
    wait_for(lambda: house.store.get(job_id).status == "succeeded")
    return job_id


@pytest.fixture(scope="module")
def clips(house: House) -> tuple[str, str]:
    """Two clips, the older one first."""
    return make(house, "A Fox runs", seed=7), make(house, '狐狸在跑 <b>"bold"</b>', seed=8)


def card(page: Page, job_id: str) -> Locator:
    return page.locator(".i2v-clip", has=page.locator(f"[data-id='{job_id}']"))


def is_playing(page: Page, job_id: str) -> bool:
    playing = page.evaluate(f"!document.querySelector(\"video[src*='{job_id}']\").paused")
    return bool(playing)


def has_two_columns(page: Page) -> bool:
    """Return whether a phone shows two clips side by side, no third one, and nothing beside the screen."""
    boxes = [page.locator(".i2v-clip").nth(number).bounding_box() for number in (0, 1)]
    assert boxes[0]["y"] == boxes[1]["y"]  # type: ignore[index]
    assert all(390 / 3 < box["width"] < 390 / 2 for box in boxes)  # type: ignore[index]
    return bool(page.evaluate("document.documentElement.scrollWidth") <= 390)


@pytest.mark.slow
@needs_chromium
def test_clips_are_searched_and_played_on_hover_and_by_keyboard_and_opened(
    visit: Visit, house: House, clips: tuple[str, str]
) -> None:
    page = visit("gallery", width=390)
    fox, chinese = (card(page, job_id) for job_id in clips)
    expect(chinese).to_contain_text('狐狸在跑 <b>"bold"</b>')
    assert has_two_columns(page)

    page.fill("#i2v-gallery-search input", "a fox")
    expect(page.locator(".i2v-clip")).to_have_count(1)
    expect(fox).to_contain_text("Seed 7")
    page.fill("#i2v-gallery-search input", "狐狸")
    expect(fox).to_have_count(0)
    expect(chinese).to_be_visible()
    page.fill("#i2v-gallery-search input", "")
    expect(fox).to_be_visible()

    assert not is_playing(page, clips[0])
    fox.hover()
    wait_for(lambda: is_playing(page, clips[0]))
    chinese.get_by_role("button", name="Open").focus()
    wait_for(lambda: is_playing(page, clips[1]))
    page.mouse.move(0, 0)
    wait_for(lambda: not is_playing(page, clips[0]))

    with page.expect_request("**/gradio_api/cancel"):  # the gallery is no longer followed
        fox.get_by_role("button", name="Open").click()
    is_selected(page, "generate")
    expect(page.locator("#i2v-prompt textarea")).to_have_value("A Fox runs")
    expect(page.locator("#i2v-picture img")).to_be_visible()
    expect(page.locator(f"#i2v-frame video[src*='{clips[0]}']")).to_be_visible()


def a_tag_is_typed_given_looked_for_and_taken_away(page: Page, house: House, clips: tuple[str, str]) -> None:
    first, second = clips
    card(page, first).locator("[data-pick]").check()
    field = page.get_by_role("combobox", name="Tag", exact=True)
    field.fill("Night shot")
    field.press("Enter")
    expect(card(page, first)).to_contain_text("night shot")
    assert house.store.get(first).tags == ("night shot",)
    shown = page.get_by_role("group", name="Tags").get_by_role("button")
    shown.click()
    expect(shown).to_have_attribute("aria-pressed", "true")
    expect(card(page, second)).to_have_count(0)
    found = Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    expect(card(page, first).locator("[data-pick]")).to_be_checked()
    expect(field).to_have_value("Night shot")  # although the list was drawn anew
    page.get_by_role("button", name="Remove tag").click()
    expect(card(page, first)).to_have_count(0)
    shown.click()
    expect(card(page, second)).to_be_visible()


@pytest.mark.slow
@needs_chromium
def test_a_clip_is_deleted_and_brought_back_and_one_with_a_star_is_asked_about(
    visit: Visit, house: House
) -> None:
    page = visit("gallery")
    job = house.store.get(make(house, "to be deleted"))
    delete = card(page, job.id).locator("[data-act=delete]")
    delete.click()
    message = page.locator("#i2v-gallery-message")
    expect(message).to_contain_text("Moved to the trash")
    expect(card(page, job.id)).to_have_count(0)
    assert not Path(job.output).exists()
    message.get_by_role("button", name="Undo").click()
    expect(card(page, job.id)).to_be_visible()
    assert Path(job.output).exists()

    card(page, job.id).get_by_role("button", name="Add star").click()
    expect(card(page, job.id).locator(".i2v-star")).to_have_text("★")
    keep_asking(page)
    click_twice(delete)
    expect(delete).to_have_text("It has a star. Delete it?")
    page.wait_for_timeout(500)  # nearer, it is a double click
    assert Path(job.output).exists()
    delete.click()
    expect(card(page, job.id)).to_have_count(0)


@pytest.mark.slow
@needs_chromium
def test_a_clip_is_tagged_and_a_new_one_comes_by_itself_and_is_dropped(
    visit: Visit, house: House, clips: tuple[str, str]
) -> None:
    page = visit("gallery")
    a_tag_is_typed_given_looked_for_and_taken_away(page, house, clips)
    fields = {"seed": 4242, "num_frames": 9, "fps": 5, "fit": "pad", "negative_prompt": "blur"}
    job_id = make(house, "the moon rises", **fields)
    expect(card(page, job_id)).to_be_visible()

    page.set_input_files("#i2v-gallery-drop input[type=file]", house.store.get(job_id).output)
    is_selected(page, "generate")
    expect(page.locator("#i2v-picture img")).to_be_visible()
    expect(page.locator("#i2v-prompt textarea")).to_have_value("the moon rises")
    page.click("#i2v-advanced button")
    expect(page.locator("#i2v-seed input, #i2v-seed textarea")).to_have_value("4242")
    for label, value in (("Frames", "9"), ("Frames per second", "5")):
        number = page.get_by_role("spinbutton", name=f"number input for {label}", exact=True)
        expect(number).to_have_value(value)
    expect(page.get_by_label("Negative prompt")).to_have_value("blur")
    expect(page.get_by_label("Aspect ratio")).to_have_value("Square, with borders")
    expect(page.locator("#i2v-engine input:checked")).to_have_value("rehearsal")


@pytest.mark.slow
@needs_chromium
def test_what_is_ticked_stays_ticked_and_is_downloaded_and_deleted_together(
    visit: Visit, house: House, clips: tuple[str, str]
) -> None:
    page = visit("gallery")
    both = [make(house, f"ticked {number}") for number in range(2)]
    for job_id in both:  # before one is ticked, since a new clip moves the others
        expect(card(page, job_id)).to_be_visible()
    for job_id in both:
        card(page, job_id).locator("[data-pick]").check()
    other = make(house, "comes meanwhile")
    expect(card(page, other)).to_be_visible()
    for job_id in both:
        expect(card(page, job_id).locator("[data-pick]")).to_be_checked()
    expect(card(page, other).locator("[data-pick]")).not_to_be_checked()
    bar = page.locator(".i2v-picked")
    expect(bar).to_contain_text("2 selected")
    with page.expect_download() as download:
        bar.get_by_role("link", name="Download ZIP").click()
    with zipfile.ZipFile(download.value.path()) as packed:
        assert sorted(packed.namelist()) == sorted(Path(house.store.get(each).output).name for each in both)
    bar.get_by_role("button", name="Delete").click()
    for job_id in both:
        expect(card(page, job_id)).to_have_count(0)
    expect(bar).to_be_hidden()
    expect(card(page, clips[0])).to_be_visible()


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize(("scheme", "motion"), [("light", "reduce"), ("dark", "no-preference")])
def test_the_gallery_is_accessible_on_a_phone_and_plays_by_itself_if_it_may(
    visit: Visit, clips: tuple[str, str], scheme: str, motion: str
) -> None:
    page = visit("gallery", width=390, scheme=scheme, reduced_motion=motion)
    expect(card(page, clips[0])).to_be_visible()
    assert has_two_columns(page)
    found = Axe().run(page).response["violations"]
    assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
    card(page, clips[0]).get_by_role("button", name="Open").focus()
    page.wait_for_timeout(1000)
    assert is_playing(page, clips[0]) == (motion != "reduce")
