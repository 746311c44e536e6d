"""What is said of each engine where one is chosen."""

from __future__ import annotations

import re
from pathlib import Path

from i2v.core.errors import Notice
from i2v.engines.registry import engines
from i2v.service.models import Models
from i2v.web.page.engine_cards import cards, names
from tests.contrary import CONTRARY
from tests.rehearsal import stage

ENGINES = engines() | {CONTRARY.name: CONTRARY}
TIMES = {
    "embedded": Notice("plan.seconds", {"seconds": 7}),
    "camera-move": Notice("plan.range", {"low": 2, "high": 300}),
    "svd": Notice("plan.unknown", {}),
}


def shown(folder: Path, auto: str | None = "embedded", language: str = "en") -> dict[str, list[str]]:
    models = {model.spec.name: model for model in Models(stage(folder).models, engines()).all()}
    found = cards(ENGINES, models, TIMES, auto, language)  # type: ignore[arg-type]
    return {name: label.splitlines() for label, name in found}


def test_a_card_has_what_the_engine_makes_its_time_here_its_size_and_its_licence(tmp_path: Path) -> None:
    found = shown(tmp_path)
    assert list(found) == ["auto", *ENGINES]
    assert found["i2vgen-xl"] == [
        "I2VGen-XL",
        "Moves what is in the picture, as the prompt says",
        "not timed here yet · not installed, 4.98 GB download · licence: MIT",
    ]
    assert found["embedded"][2] == "about 7 s here · comes with i2v, 25 MB"
    assert found["camera-move"][2] == "2 s to 5 min here · no download"
    assert found["svd"][2].startswith("not timed here yet")
    assert found["contrary"] == ["The contrary one", "not timed here yet · no download"]  # it says no more
    assert shown(tmp_path, language="zh-CN")["embedded"] == [
        "演示模型", "简短的小尺寸运镜视频，用于试用", "本机约 7 秒 · i2v 自带，25 MB",
    ]  # fmt: skip


def test_automatic_names_the_engine_that_runs_where_that_is_known(tmp_path: Path) -> None:
    assert shown(tmp_path)["auto"] == [
        "Automatic: Demo model", "best that runs here · about 7 s here",
    ]  # fmt: skip
    assert shown(tmp_path, auto=None)["auto"] == ["Automatic"]


def test_every_engine_of_ours_says_what_it_makes_in_both_languages(tmp_path: Path) -> None:
    chinese = shown(tmp_path, language="zh-CN")
    first = {name: label.splitlines() for label, name in names(ENGINES)}
    for name, spec in engines().items():
        assert first[name][1] == spec.summary
        assert re.search("[一-鿿]", chinese[name][1]), name


def test_a_licence_that_only_the_models_page_has_is_said_once_and_in_the_pages_language(
    tmp_path: Path,
) -> None:
    assert shown(tmp_path)["animatelcm"][2].endswith("licence: CreativeML Open RAIL-M, see its page")
    chinese = shown(tmp_path, language="zh-CN")["animatelcm"][2]
    assert chinese.endswith("许可证：CreativeML Open RAIL-M, 见其页面")
