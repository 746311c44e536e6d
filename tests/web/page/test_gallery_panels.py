"""The gallery's markup: what a card says, what its buttons do, and nothing of a job as markup."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from html.parser import HTMLParser

import pytest

from i2v.jobs.model import JobPage
from i2v.service.job_files import VideoProblem
from i2v.web.page.gallery_panels import clips, enhancements, trash
from tests.web.page.test_panels import DONE, HOSTILE

CLIP = replace(DONE, finished_at=datetime(2025, 4, 5, 14, 23).timestamp())


class Tags(HTMLParser):
    """All elements by name, with their attributes."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))

    def of(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag == name]


PICKED = ["rerun_picked", "delete_picked", "add_tag", "remove_tag"]  # buttons for what is ticked


def page(*jobs: object, older: str | None = None) -> JobPage:
    return JobPage(jobs, older)  # type: ignore[arg-type]


def test_a_card_tells_prompt_size_seed_and_when_in_both_languages() -> None:
    english, chinese = (clips(page(CLIP), language, False, True) for language in ("en", "zh-CN"))
    for markup, seed in ((english, "Seed 4"), (chinese, "种子 4")):
        for fact in ("96 x 64", seed, "2025-04-05 14:23"):
            assert f"<span>{fact}</span>" in markup
    assert re.findall(r">(☆|Open|Download|Delete)<", english)[1:] == ["☆", "Open", "Download", "Delete"]
    assert re.findall(r">(☆|打开|下载|删除)<", chinese)[1:] == ["☆", "打开", "下载", "删除"]


def test_nothing_of_a_prompt_becomes_markup() -> None:
    tags = Tags(clips(page(CLIP), "en", False, True))
    assert tags.of("img") == []
    assert not any(name.startswith("on") for _, attributes in tags.found for name in attributes)
    [prompt] = [each for each in tags.of("p") if "title" in each]
    assert prompt["title"] == HOSTILE


def test_a_clip_is_fetched_when_it_is_played_and_moves_only_then() -> None:
    [video] = Tags(clips(page(CLIP), "en", False, True)).of("video")
    address = f"api/v1/jobs/{CLIP.id}"
    assert (video["src"], video["poster"], video["preload"]) == (
        f"{address}/video",
        f"{address}/poster",
        "none",
    )
    assert {"muted", "loop", "playsinline"} <= video.keys()
    assert "autoplay" not in video


@pytest.mark.parametrize(("problem", "english", "chinese"), [
    ("missing", "Video file missing.", "视频文件缺失。"),
    ("broken", "Video file damaged.", "视频文件已损坏。"),
])  # fmt: skip
def test_a_clip_that_cannot_be_played_shows_its_picture_and_why(
    problem: VideoProblem, english: str, chinese: str
) -> None:
    markup = clips(page(CLIP), "en", False, True, {CLIP.id: problem})
    tags = Tags(markup)
    assert tags.of("video") == []
    assert [link for link in tags.of("a") if "data-zip" not in link] == []  # nothing to download
    assert [image["src"] for image in tags.of("img")] == [f"api/v1/jobs/{CLIP.id}/thumbnail"]
    buttons = [button["data-act"] for button in tags.of("button")]
    assert buttons == [*PICKED, "star", "open", "delete"]
    assert [each for each in tags.of("input") if "data-pick" in each] == []
    assert english in markup
    assert chinese in clips(page(CLIP), "zh-CN", False, True, {CLIP.id: problem})
    assert "i2v-lost" not in clips(page(CLIP), "en", False, True, {"another": problem})


def test_tags_stand_on_cards_and_above_them_as_buttons() -> None:
    tags = {"cat": 1, "a & b": 2}
    markup = clips(page(replace(CLIP, tags=("a & b", "cat"))), "en", False, True, tags=tags, tag="cat")
    chips = [each for each in Tags(markup).of("button") if each["data-act"] == "tag"]
    assert [(each["data-text"], each["aria-pressed"]) for each in chips] == [
        ("a & b", "false"),
        ("cat", "true"),
    ]
    assert '<span class="i2v-chip">a &amp; b</span>' in markup
    assert [each["value"] for each in Tags(markup).of("option")] == ["cat", "a & b"]


def test_what_is_deleted_by_itself_is_said_below_the_clips() -> None:
    assert "i2v-kept" not in clips(page(CLIP), "en", False, True)
    assert clips(page(CLIP), "en", False, True, deletes="after <b> 3 days").endswith(
        "after &lt;b&gt; 3 days</p>"
    )


@pytest.mark.parametrize(("starred", "has_trash", "asks"), [
    (False, False, "Delete permanently?"),
    (False, True, None),
    (True, False, "It has a star. Delete it?"),
    (True, True, "It has a star. Delete it?"),
])  # fmt: skip
def test_deleting_asks_where_there_is_no_trash_or_a_star(
    starred: bool, has_trash: bool, asks: str | None
) -> None:
    markup = clips(page(replace(CLIP, starred=starred)), "en", False, True, has_trash=has_trash)
    buttons = Tags(markup).of("button")
    several = None if has_trash else "Delete permanently?"
    assert [(each["data-act"], each["data-id"], each.get("data-confirm")) for each in buttons] == [
        ("rerun_picked", "", None),
        ("delete_picked", "", several),
        ("add_tag", "", None),
        ("remove_tag", "", None),
        ("star", CLIP.id, None),
        ("open", CLIP.id, None),
        ("smoother", CLIP.id, None),
        ("larger", CLIP.id, None),
        ("longer", CLIP.id, None),
        ("delete", CLIP.id, asks),
    ]


def test_what_is_in_the_trash_can_be_restored_or_deleted_for_good() -> None:
    tags = Tags(trash(page(CLIP), "en", True))
    assert [(each["data-act"], each.get("data-confirm")) for each in tags.of("button")] == [
        ("restore", None),
        ("purge", "Delete permanently?"),
    ]
    assert [image["src"] for image in tags.of("img")] == [f"api/v1/jobs/{CLIP.id}/thumbnail"]
    assert tags.of("video") == []
    assert "The trash is empty." in trash(page(), "en", True)


def test_a_clip_is_offered_to_be_better_as_far_as_it_can_be() -> None:
    assert CLIP.generation is not None
    smooth = replace(CLIP.generation, output_fps=60, interpolation="blend")
    large = replace(CLIP.generation, width=4096)
    assert enhancements(CLIP) == ("smoother", "larger", "longer")
    assert enhancements(replace(CLIP, generation=smooth)) == ("larger", "longer")
    assert enhancements(replace(CLIP, generation=large)) == ("smoother", "longer")
    assert enhancements(CLIP, lambda act, job: act != "longer") == ("smoother", "larger")
    assert enhancements(replace(CLIP, generation=None)) == ()
    assert enhancements(CLIP, lambda act, job: False) == ()
    assert "smoother" not in clips(page(CLIP), "en", False, True, {CLIP.id: "missing"})


def test_pages_are_turned_where_there_are_any() -> None:
    def turns(older: str | None, first: bool) -> list[tuple[str | None, str | None]]:
        buttons = Tags(clips(page(CLIP, older=older), "en", False, first)).of("button")
        return [(each["data-act"], each["data-id"]) for each in buttons[len(PICKED) + 6 :]]

    assert turns(None, True) == []
    assert turns("123", True) == [("older", "123")]
    assert turns("123", False) == [("newer", ""), ("older", "123")]
    assert turns(None, False) == [("newer", "")]


def test_an_empty_gallery_says_why() -> None:
    assert "No clips yet" in clips(page(), "en", False, True)
    assert "No clip matches your search" in clips(page(), "en", True, True)
    assert "没有符合搜索条件" in clips(page(), "zh-CN", True, True)
