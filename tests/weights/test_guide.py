"""The guides for slow networks: commands, settings and facts are the program's, in both languages."""

from __future__ import annotations

import re
import shlex

import pytest

from i2v.cli.main import build_parser
from i2v.core.settings_sources import ROOT, load_settings
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.weights.tensors import published_shapes
from scripts.full_size.write import file_size

GUIDES = {name: (ROOT / "docs" / name).read_text("utf-8") for name in ("weights.md", "weights.zh-CN.md")}


def commands(text: str) -> list[list[str]]:
    return [shlex.split(line, comments=True)[1:] for line in re.findall(r"^    (i2v models .+)$", text, re.M)]


def settings(text: str) -> set[str]:
    return set(re.findall(r"`models\.([a-z_]+)\b", text))


@pytest.mark.parametrize("name", GUIDES)
def test_every_command_and_setting_is_there(name: str) -> None:
    found = commands(GUIDES[name])
    assert {arguments[1] for arguments in found} == {"download", "convert", "verify", "list", "add", "remove"}
    for arguments in found:
        build_parser().parse_args(arguments)
    known = load_settings().models.model_dump()
    assert settings(GUIDES[name]) <= known.keys()
    assert {"sources", "endpoint", "search_paths", "hub_cache", "offline"} <= settings(GUIDES[name])


@pytest.mark.parametrize("name", GUIDES)
def test_the_facts_are_those_of_the_table_of_engines(name: str) -> None:
    text, published = GUIDES[name], I2VGEN_XL.published[0]
    shapes = published_shapes(I2VGEN_XL)
    assert f"{sum(map(file_size, shapes.values())) / 1e9:.2f} GB" in text
    assert f"{published.size / 1e9:.2f} GB" in text
    assert all(word in text for word in (published.repo, published.revision, *published.modelscope))
    for file in I2VGEN_XL.files:
        assert file.rpartition("/")[2].replace("model.safetensors", "model.fp16.safetensors") in text
    models = load_settings().models
    for seconds in (models.probe_seconds, models.stall_seconds):
        assert re.search(rf"[(（]{seconds:g}\b", text)


def test_both_languages_say_the_same() -> None:
    english, chinese = GUIDES.values()
    assert commands(english) == commands(chinese)
    assert settings(english) == settings(chinese)
    quoted = [sorted(re.findall(r"`[^`\n]+`", text)) for text in (english, chinese)]
    assert quoted[0] == quoted[1]
