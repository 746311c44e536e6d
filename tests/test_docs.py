"""The documentation: links lead somewhere, commands and settings exist, and both languages say the same.

What the examples of the API and of the command line do, `web/test_docs.py` tries.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from i2v.cli.main import build_parser
from i2v.core.messages import catalogue
from i2v.core.settings_sources import ROOT, load_settings
from i2v.core.webhook import WebhookEvent

FOLDERS = (".", "docs", "benchmarks", "examples", "i2v/embedded", "scripts/train_embedded")
TEXTS = {path: path.read_text("utf-8") for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.md"))}
PAIRS = {
    path.with_name(path.name.replace(".zh-CN", "")): path for path in TEXTS if path.name.endswith(".zh-CN.md")
}
LONGEST_README = 1500  # words: more is not read to its end

FENCED = re.compile(r"^```([\w ]*)\n(.*?)^```$", re.M | re.S)
HEADING = re.compile(r"^(#+) (.+)$", re.M)


def prose(text: str) -> str:
    return FENCED.sub("", text)


def code(text: str) -> list[list[str]]:
    """Return each block's lines without comments; of no language: a tree of names with comments."""
    blocks = []
    for language, block in FENCED.findall(text):
        kept = r"(?m)^(.*?)(?: *#.*)?$" if language else r"(?m)^(\S+(?:, \S+)*)"
        blocks.append(re.findall(kept, block))
    return blocks


def sections(text: str) -> list[str]:
    return re.split(r"^#+ .+$", prose(text), flags=re.M)


def links(path: Path) -> list[str]:
    return re.findall(r"\]\(([^()\s]+)\)", prose(TEXTS[path]))


def linked_files(path: Path) -> set[Path]:
    targets = [target.partition("#")[0] for target in links(path) if "://" not in target]
    return {(path.parent / target).resolve() for target in targets if target}


def anchors(text: str) -> set[str]:
    """Return the names that GitHub gives to the headings: no two are alike here."""
    titles = [title for _, title in HEADING.findall(prose(text))]
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


def shown(path: Path) -> str:
    return str(path.relative_to(ROOT))


def broken_links(path: Path) -> Iterator[str]:
    for target in links(path):
        name, _, anchor = target.partition("#")
        file = (path.parent / name).resolve() if name else path
        if "://" in target:
            continue
        if not file.exists() or (anchor and anchor not in anchors(TEXTS[file])):
            yield target


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of each line in a shell block that starts i2v."""
    for language, block in FENCED.findall(text):
        lines = block.splitlines() if language.startswith("bash") else []
        for line in lines:
            words = shlex.split(line, comments=True) if "i2v " in line else []
            if words and words[0] in ("i2v", ".venv/bin/i2v"):
                yield words[1:]


def test_every_link_into_the_repository_leads_somewhere() -> None:
    broken = {shown(path): found for path in TEXTS if (found := list(broken_links(path)))}
    assert broken == {}


def test_a_broken_link_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "[a](README.md#what-to-expect) [b](README.md#nothing) [c](no.md) [d](#no) [e](https://example.org)"
    monkeypatch.setitem(TEXTS, ROOT / "made-up.md", text)
    assert list(broken_links(ROOT / "made-up.md")) == ["README.md#nothing", "no.md", "#no"]


def test_no_two_headings_of_a_page_have_the_same_anchor() -> None:
    pages = {shown(path): text for path, text in TEXTS.items()}
    assert [
        name for name, text in pages.items() if len(anchors(text)) < len(HEADING.findall(prose(text)))
    ] == []


def test_the_readme_is_short_enough_to_be_read() -> None:
    assert len(TEXTS[ROOT / "README.md"].split()) <= LONGEST_README


def test_the_readme_leads_to_every_guide_in_its_language() -> None:
    guides = {path for path in TEXTS if path.parent == ROOT / "docs"}
    chinese = guides & set(PAIRS.values())
    assert guides - chinese <= linked_files(ROOT / "README.md")
    assert chinese <= linked_files(ROOT / "README.zh-CN.md")


def test_every_command_is_one_that_i2v_has() -> None:
    found = [arguments for text in TEXTS.values() for arguments in commands(text)]
    assert {"generate", "models", "plan", "bench", "doctor", "info"} <= {words[0] for words in found}
    for arguments in found:
        build_parser().parse_args(arguments)


def test_every_script_that_is_named_is_there() -> None:
    named = {name for text in TEXTS.values() for name in re.findall(r"\bscripts/[\w/]+\.(?:sh|py)\b", text)}
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_test_that_is_named_is_there() -> None:
    named = {name for text in TEXTS.values() for name in re.findall(r"tests/[\w/]+(?:\.py)?", text)}
    assert {name for name in named if not (ROOT / name).exists()} == set()


def test_every_setting_and_code_is_one_that_i2v_has(tmp_path: Path) -> None:
    settings = load_settings().model_dump()
    known = {f"{section}.{key}" for section in settings for key in settings[section]}
    known |= {*catalogue(), *get_args(WebhookEvent)}
    sections_of_both = "|".join({name.partition(".")[0] for name in known})
    for path, text in TEXTS.items():
        if path.parent.name != "docs" and not path.name.startswith("README"):
            continue
        named = set(re.findall(rf"`((?:{sections_of_both})\.\w+)\b[`: ]", text))
        files = {name for name in named if name.endswith((".json", ".log", ".py"))}
        assert named - files <= known, shown(path)
        for language, block in FENCED.findall(text):
            if language == "yaml":
                (tmp_path / "config.yaml").write_text(block, "utf-8")
                load_settings(tmp_path / "config.yaml")


def test_every_flag_of_generate_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser().parse_args(["generate", "--help"])
    flags = set(re.findall(r"--[a-z-]+", capsys.readouterr().out)) - {"--help", "--config"}
    for name in ("cli.md", "cli.zh-CN.md"):
        assert {flag for flag in flags if flag not in TEXTS[ROOT / "docs" / name]} == set()


def test_both_languages_have_the_same_headings_code_and_tables() -> None:
    for english, chinese in PAIRS.items():
        texts = TEXTS[english], TEXTS[chinese]
        shapes = [[len(marks) for marks, _ in HEADING.findall(prose(text))] for text in texts]
        assert shapes[0] == shapes[1], shown(english)
        assert code(texts[0]) == code(texts[1])
        rows = [[row.count("|") for row in re.findall(r"^\|.*\|$", text, re.M)] for text in texts]
        assert rows[0] == rows[1], shown(english)


def test_each_section_quotes_the_same_code_in_both_languages() -> None:
    for english, chinese in PAIRS.items():
        for texts in zip(sections(TEXTS[english]), sections(TEXTS[chinese]), strict=True):
            quoted = [set(re.findall(r"`[^`\n]+`", text)) for text in texts]
            assert quoted[0] == quoted[1], shown(english)


def test_each_language_leads_to_the_other_and_stays_in_its_own() -> None:
    for english, chinese in PAIRS.items():
        assert linked_files(chinese) & PAIRS.keys() == {english}
        assert linked_files(english) & set(PAIRS.values()) == {chinese}
