"""The markup about this machine: facts, findings, log, in both languages, and nothing of it as markup."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from i2v.core.errors import InsufficientMemory, Notice
from i2v.core.memory_plan import DeviceInfo
from i2v.core.schema import Language
from i2v.doctor.examination import CASES
from i2v.doctor.findings import Finding, Status
from i2v.service.overview import Folder, Overview
from i2v.web.page import system_panels
from i2v.web.texts import translate
from tests.web.page.test_panels import HOSTILE


def overview(**changed: object) -> Overview:
    facts: dict[str, object] = {
        "system": "Linux",
        "device": DeviceInfo("cuda", "NVIDIA H100", 80 * 2**30),
        "engine": "auto",
        "choice": Notice("engine.auto_neither", {"path": "/models/i2vgen-xl"}),
        "folders": {"outputs": Folder(Path("/videos"), 2**30, 2**33)},
        "versions": {"python": "3.11.7", "torch": None},
    }
    return Overview(**(facts | changed))  # type: ignore[arg-type]


def test_the_device_the_choice_and_the_rest_are_reported() -> None:
    markup = system_panels.overview(overview(), "en")
    assert "NVIDIA H100, 80.0 GB of memory" in markup
    assert translate(overview().choice.to_dict(), "en") in markup  # type: ignore[union-attr]
    assert "/videos: 1.1 of 8.6 GB free" in markup
    assert "<dt>torch</dt><dd>not installed</dd>" in markup
    assert 'href="docs"' in markup
    assert "内存 80.0 GB" in system_panels.overview(overview(), "zh-CN")
    assert "<dt>Queue</dt>" not in markup


def test_a_paused_queue_is_said_here_too() -> None:
    assert "<dt>Queue</dt><dd>The queue is paused" in system_panels.overview(overview(), "en", paused=True)


def test_a_device_that_is_not_known_or_cannot_be_had_is_reported() -> None:
    assert "Not known yet" in system_panels.overview(overview(device=None, choice=None), "en")
    error = InsufficientMemory("device.no_cuda")
    assert error.message[:30] in system_panels.overview(overview(device=error, choice=None), "en")


def test_a_named_engine_is_reported_as_such() -> None:
    assert "embedded (set by engine.name)" in system_panels.overview(
        overview(engine="embedded", choice=None), "en"
    )


@pytest.mark.parametrize("language", get_args(Language))
def test_findings_have_their_case_status_and_fix(language: Language) -> None:
    found = Finding("warning", Notice("doctor.no_card", {}), Notice("doctor.no_card_fix", {}))
    every = {case: [found] for case in CASES if case != "page_unreachable"}
    markup = system_panels.report(every, language)
    assert markup.count('class="i2v-warning"') == len(every)
    if language == "en":
        assert "0 problems, 7 warnings" in markup
        assert f"Fix: {Notice('doctor.no_card_fix', {}).message}" in markup.replace("&#x27;", "'")
    sound = {"slow": [Finding(status, Notice("doctor.alone", {})) for status in ("ok", "info")]}
    assert ("No problems found." in system_panels.report(sound, language)) == (language == "en")  # type: ignore[arg-type]


@pytest.mark.parametrize("status", get_args(Status))
def test_every_status_has_a_word(status: Status) -> None:
    assert f"i2v-{status}" in system_panels.report(
        {"slow": [Finding(status, Notice("doctor.alone", {}))]}, "zh-CN"
    )


def test_the_log_is_text_and_its_absence_is_reported() -> None:
    markup = system_panels.log_end(f"one\n{HOSTILE}", f"/logs/{HOSTILE}", "en")
    assert "<img" not in markup
    assert "one\n&lt;img" in markup
    assert 'tabindex="0"' in markup
    assert "does not write a log file" in system_panels.log_end(None, "", "en")
    assert "log is still empty" in system_panels.log_end("", "x", "en")


def test_nothing_of_this_machine_is_markup() -> None:
    hostile = overview(
        system=HOSTILE,
        device=DeviceInfo("cuda", HOSTILE, 1),
        choice=Notice("engine.auto_neither", {"path": HOSTILE}),
        folders={"outputs": Folder(Path(HOSTILE), 1, 1)},
        versions={HOSTILE: HOSTILE},
    )
    assert "<img" not in system_panels.overview(hostile, "en")
    found = Finding("problem", Notice("doctor.card_silent", {"reason": HOSTILE}))
    assert "<img" not in system_panels.report({"slow": [found]}, "en")


def test_what_is_deleted_by_itself_stands_beside_the_folders() -> None:
    assert "Automatic deletion" not in system_panels.overview(overview(), "en")
    markup = system_panels.overview(overview(), "zh-CN", "after <b> 3 days")
    assert "<dt>自动删除</dt><dd>after &lt;b&gt; 3 days</dd>" in markup
