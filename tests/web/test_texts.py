"""The tables of texts: complete, with the same params in both languages, each used, each language chosen."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest

import i2v.web
from i2v.core.errors import InvalidRequest, Notice
from i2v.core.messages import catalogue
from i2v.core.schema import Fit, Language, PresetName, Speed
from i2v.core.styles import StyleName
from i2v.core.users import ROLES
from i2v.doctor.examination import CASES
from i2v.doctor.findings import Status
from i2v.jobs.model import FinalStatus, Phase, SortOrder
from i2v.media.video.animation import AnimationFormat
from i2v.service.job_files import VideoProblem
from i2v.service.models import State
from i2v.web.page.mask_drawing import ACTS as MASK_ACTS
from i2v.web.page.mask_drawing import TOOLS as MASK_TOOLS
from i2v.web.page.starting_points import MOTIONS, PACES
from i2v.web.page.tabs.cropping import CORNERS
from i2v.web.texts import LANGUAGES, TEXTS, preferred_language, text, translate
from i2v.weights.folders import Origin
from i2v.weights.progress import Phase as FetchingPhase
from i2v.workers.devices import Activity

HAN = re.compile(r"[\u4e00-\u9fff]")


def params(sentence: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(sentence) if name}


def test_every_language_has_a_name() -> None:
    assert set(LANGUAGES) == set(get_args(Language))


def test_a_text_of_the_page_is_there_in_both_languages_with_the_same_params() -> None:
    for key, (english, chinese) in TEXTS.items():
        assert english, key
        assert not HAN.search(english), key
        assert HAN.search(chinese), key
        assert params(english) == params(chinese), key


QUEUE_BUTTONS = (
    "open", "cancel", "cancel_all", "retry", "delete", "clear", "older", "newer", "pause", "resume", "first",
    "up", "down",
)  # fmt: skip


def test_every_text_is_used_and_every_used_one_is_there() -> None:
    sources = [file.read_text() for file in Path(i2v.web.__file__).parent.rglob("*.py")]
    code = "\n".join(source for source in sources if "TEXTS: dict" not in source)
    families = {
        "preset": get_args(PresetName),
        "tab": ("generate", "queue", "gallery", "batch", "system"),
        "fit": get_args(Fit),
        "speed": get_args(Speed),
        "forecast": get_args(Fit),
        "motion": (*MOTIONS, *PACES),
        "style": get_args(StyleName),
        "helper": ("subject", "subject.example", "motion", "motion.example", "camera", "pace"),
        "upload": ("drop", "upload", "webcam", "paste", "remove"),
        "crop": CORNERS,
        "mask": ("open", "no_picture", "title", "help", "canvas", *MASK_TOOLS, "size", *MASK_ACTS),
        "cut": ("left", "top", "right", "bottom"),
        "status": (*(phase for phase in get_args(Phase) if phase != "queued"), "cancelled", "succeeded"),
        "queue": (*QUEUE_BUTTONS, *get_args(FinalStatus)),
        "animation": get_args(AnimationFormat),
        "role": ROLES,
        "gallery.show": ("all", "starred", "trash"),
        "gallery.when": ("0", "1", "7", "30"),
        "gallery.order": get_args(SortOrder),
        "video": get_args(VideoProblem),
        "video.where": get_args(VideoProblem),
        "system.case": [case for case in CASES if case != "page_unreachable"],
        "system.status": get_args(Status),
        "models.state": get_args(State),
        "models.where": get_args(Origin),
        "models.phase": (*get_args(FetchingPhase), "beginning", "cancelling"),
        "system.folder": ("outputs", "data", "models"),
        "device": get_args(Activity),
        "result": re.findall(r'yield "(\w+)"', code),
    }
    built = {f"{family}.{name}" for family, names in families.items() for name in names}
    written = set(re.findall(r"[\"']([a-z_.]+)[\"']", code)) & set(TEXTS)
    assert built <= set(TEXTS)
    assert set(TEXTS) == built | written


def test_a_notice_is_said_in_the_language_of_the_page() -> None:
    answer = Notice("advice.low_fps", {"fps": 4}).to_dict()
    assert translate(answer, "en") == answer["message"]
    assert translate(answer, "zh-CN").startswith("每秒 4 帧")


@pytest.mark.parametrize(("language", "sentence"), [
    ("en", "Seed: x is not valid. It must be a number."), ("zh-CN", "种子：x 无效，要求：a number。"),
])  # fmt: skip
def test_an_error_on_the_page_names_the_control_and_not_the_field(language: Language, sentence: str) -> None:
    answer = InvalidRequest("request.invalid", field="seed", value="x", allowed="a number").to_dict()
    assert translate(answer, language) == sentence


def test_a_state_and_a_title_are_said_in_chinese_too() -> None:
    answer = InvalidRequest("job.not_finished", id="1", status="running").to_dict()
    assert translate(answer, "zh-CN") == "任务状态为运行中，请先取消再删除。"
    answer = InvalidRequest("weights.not_published", title="Demo model").to_dict()
    assert translate(answer, "zh-CN").startswith("演示模型 是 i2v 自带的模型")
    assert translate(answer, "en").startswith("Demo model comes with i2v")


def test_an_error_says_what_to_do_about_it_in_both_languages() -> None:
    answer = InvalidRequest("job.cancelled").to_dict()
    entry = catalogue()["job.cancelled"]
    assert translate(answer, "en") == f"{entry.message} {entry.hint}"
    assert translate(answer, "zh-CN") == "任务已取消。如果仍然需要视频，请重试任务。"


@pytest.mark.parametrize("stored", [
    {"code": "gone.code", "params": {}, "message": "As it was."},
    {"code": "advice.low_fps", "params": {}, "message": "As it was."},
])  # fmt: skip
@pytest.mark.parametrize("language", get_args(Language))
def test_what_an_older_version_stored_is_said_as_it_was(
    stored: dict[str, object], language: Language
) -> None:
    assert translate(stored, language) == "As it was."


def test_values_are_put_in_once_whatever_they_hold() -> None:
    assert text("status.step", "en", step="{total}", total=3) == "step {total} of 3"


@pytest.mark.parametrize(("header", "language"), [
    ("zh-CN,zh;q=0.9,en;q=0.8", "zh-CN"), ("en-US,en;q=0.9,zh;q=0.8", "en"), ("zh-TW", "zh-CN"),
    ("de-DE,de;q=0.9,zh;q=0.5,en;q=0.4", "zh-CN"), ("en;q=0.1, zh;q=0.2", "zh-CN"),
    ("zh;q=0,en;q=0.5", "en"), ("fr", "en"), ("", "en"), ("zhx, ;;q=, \x00", "en"), ("*", "en"),
])  # fmt: skip
def test_the_browser_says_which_language(header: str, language: Language) -> None:
    assert preferred_language(header) == language
