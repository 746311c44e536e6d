"""i2v.launcher.texts and .terminal: both languages, which of them, and marks."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from string import Formatter

import pytest

import i2v.launcher
from i2v.core.errors import I2VError
from i2v.launcher.terminal import Terminal
from i2v.launcher.texts import TEXTS, language_of

SOURCES = "".join(path.read_text("utf-8") for path in Path(i2v.launcher.__file__).parent.glob("*.py"))


def fields(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


def test_each_text_is_used_and_has_the_same_params_in_both_languages() -> None:
    used = {node.value for node in ast.walk(ast.parse(SOURCES)) if isinstance(node, ast.Constant)}
    assert TEXTS.keys() <= used
    for key, (english, chinese) in TEXTS.items():
        assert fields(english) == fields(chinese)
        assert english.isascii() or english[0] in "📡📍📄"
        assert key == "silent" or re.search(r"[\u4e00-\u9fff]", chinese), key


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh-CN"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "zh-CN"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_TW.UTF-8"}, "zh-CN"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "zh_CN", "LC_ALL": "C.UTF-8"}, "en"),
    ],
)
def test_the_language_is_chosen_as_the_c_library_chooses_it(environ: dict[str, str], language: str) -> None:
    assert language_of(environ) == language


def test_errors_go_to_standard_error_in_the_persons_language(capsys: pytest.CaptureFixture[str]) -> None:
    terminal = Terminal("zh-CN", colours=True)
    terminal.say("ok", "stopped", seconds=1.5)
    assert terminal.fail(I2VError("job.cancelled")) == 1
    said, complaints = capsys.readouterr()
    assert said == "[SUCCESS] 已停止，用时 1.5 秒\n"
    assert complaints.startswith("[ERROR] ")
    assert re.search(r"[\u4e00-\u9fff]", complaints)


@pytest.mark.parametrize(("colours", "mark"), [(True, "\x1b[32m[SUCCESS]\x1b[0m"), (False, "[SUCCESS]")])
def test_marks_have_colours_on_a_terminal_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, colours: bool, mark: str
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    Terminal("en", colours).say("ok", "stopped", seconds=1)
    assert capsys.readouterr().out == f"{mark} Stopped after 1 s\n"
