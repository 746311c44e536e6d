"""Own presets as a browser sends them: anything may come. That they are used is in `test_prompts`."""

from __future__ import annotations

import pytest

from i2v.web.page.tabs.own_presets import LONGEST_NAME, MOST, OwnPreset, read

GOOD = {"name": "Slow", "fields": {"preset": "quick", "num_frames": 12}}


def test_what_belongs_to_one_clip_is_not_kept() -> None:
    more = {**GOOD, "fields": {**GOOD["fields"], "prompt": "x", "crop": "1:1", "seed": "4"}}  # type: ignore[dict-item]
    assert read([more]) == [OwnPreset("Slow", {"preset": "quick", "num_frames": 12})]


@pytest.mark.parametrize(
    "stored", [None, 4, "text", {}, [None], [[]], [{"name": "x"}], [{"name": " ", "fields": {}}],
               [{"name": 4, "fields": {}}], [{"name": "x", "fields": {"unknown": 1}}],
               [{"name": "x", "fields": {"num_frames": "many"}}]],
)  # fmt: skip
def test_what_is_none_is_left_out(stored: object) -> None:
    assert read(stored) == []
    if isinstance(stored, list):
        assert [each.name for each in read([*stored, GOOD])] == ["Slow"]


def test_there_are_only_so_many_and_names_only_so_long() -> None:
    found = read([{"name": "x" * 500, "fields": {}}] * 100)
    assert len(found) == MOST
    assert {len(each.name) for each in found} == {LONGEST_NAME}
