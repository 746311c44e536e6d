"""README.md and README.zh-CN.md are one page in two languages: what is not words is the same in both."""

from __future__ import annotations

import re

import pytest

from i2v.core.settings import ROOT

PAGES = {name: (ROOT / name).read_text("utf-8") for name in ("README.md", "README.zh-CN.md")}
ENGLISH, CHINESE = PAGES.values()

FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
HEADING = re.compile(r"^(#+) (.+)$", re.M)


def prose(text: str) -> str:
    return FENCED.sub("", text)


def code(text: str) -> list[list[str]]:
    """Return each block's lines without comments; of no language: a tree of names with comments."""
    blocks = []
    for language, block in FENCED.findall(text):
        kept = r"(?m)^(.*?)(?: *#.*)?$" if language else r"(?m)^( {0,4}\S.*?)(?: {2,}.*)?$"
        blocks.append(re.findall(kept, block))
    return blocks


def sections(text: str) -> list[str]:
    return re.split(r"^#+ .+$", prose(text), flags=re.M)


def links(text: str) -> set[str]:
    return set(re.findall(r"\]\(([^()\s]+)\)", prose(text)))


def files(text: str) -> set[str]:
    return {target for target in links(text) if "://" not in target and not target.startswith("#")}


def test_both_have_the_same_headings_code_and_tables() -> None:
    shapes = [[len(marks) for marks, _ in HEADING.findall(prose(text))] for text in PAGES.values()]
    assert shapes[0] == shapes[1]
    assert code(ENGLISH) == code(CHINESE)
    rows = [re.findall(r"^\|.*\|$", text, re.M) for text in PAGES.values()]
    assert [row.count("|") for row in rows[0]] == [row.count("|") for row in rows[1]]


def test_each_section_has_the_same_quoted_code_in_both() -> None:
    for english, chinese in zip(sections(ENGLISH), sections(CHINESE), strict=True):
        quoted = [sorted(re.findall(r"`[^`\n]+`", text)) for text in (english, chinese)]
        assert quoted[0] == quoted[1]


def test_no_figure_is_missing_from_a_section_of_the_translation() -> None:
    for english, chinese in zip(sections(ENGLISH), sections(CHINESE), strict=True):
        figures = [set(re.findall(r"(?<![\w-])\d+(?:[.,]\d+)*", text, re.A)) for text in (english, chinese)]
        assert figures[0] <= figures[1]


def test_both_link_the_same_files_and_each_other() -> None:
    assert files(ENGLISH) ^ files(CHINESE) == set(PAGES)
    assert "README.zh-CN.md" in files(ENGLISH)


def test_the_translation_links_every_guide_that_is_translated() -> None:
    wanted = {target.removesuffix(".md") + ".zh-CN.md" for target in files(CHINESE) if target.endswith(".md")}
    assert {target for target in wanted - set(PAGES) if (ROOT / target).exists()} <= files(CHINESE)


@pytest.mark.parametrize("name", PAGES)
def test_every_link_into_the_repository_leads_somewhere(name: str) -> None:
    anchors = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
        for _, title in HEADING.findall(prose(PAGES[name]))
    }
    assert all((ROOT / target).exists() for target in files(PAGES[name]))
    assert {target[1:] for target in links(PAGES[name]) if target.startswith("#")} <= anchors
