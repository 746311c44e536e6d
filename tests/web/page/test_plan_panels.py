"""What the page says of the engine that would run, before a clip is made."""

from __future__ import annotations

from dataclasses import replace

from i2v.core.errors import Notice
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.engines.svd.specs import SVD
from i2v.web.page.plan_panels import about
from tests.contrary import CONTRARY


def test_an_engine_without_weights_needs_no_download() -> None:
    told = about(CONTRARY, I2VGEN_XL, False, None, "en")
    assert "The contrary one: nothing needs to be downloaded." in told
    assert "无需下载" in about(CONTRARY, I2VGEN_XL, False, None, "zh-CN")


def test_of_a_model_that_was_named_and_is_here_there_is_nothing_to_say() -> None:
    assert about(I2VGEN_XL, I2VGEN_XL, False, None, "en") == ""


def test_a_model_that_is_missing_is_all_there_is_to_say() -> None:
    told = about(I2VGEN_XL, I2VGEN_XL, True, None, "en")
    assert "i2v-error" in told
    assert "I2VGen-XL is not installed" in told


def test_why_there_is_no_field_for_a_prompt_is_said_of_a_missing_model_too() -> None:
    for is_missing in (False, True):
        told = about(SVD, I2VGEN_XL, is_missing, None, "en")
        assert "Stable Video Diffusion works from the picture alone and reads no prompt." in told
    assert "不读取提示词" in about(SVD, I2VGEN_XL, False, None, "zh-CN")


def test_the_demo_names_what_would_run_with_a_card_only_where_there_is_such_a_model() -> None:
    assert "I2VGen-XL can also move what is in the picture" in about(EMBEDDED, I2VGEN_XL, False, None, "en")
    assert "can also move" not in about(EMBEDDED, None, False, None, "en")
    assert "can also move" not in about(EMBEDDED, EMBEDDED, False, None, "en")


def test_why_it_is_that_engine_is_said_last_and_every_text_is_escaped() -> None:
    reason = Notice("engine.auto_full", {"title": "<b>", "path": "/x"})
    told = about(replace(CONTRARY, title="<i>"), None, False, reason, "en")
    assert "&lt;i&gt;: nothing" in told
    assert told.endswith("Using &lt;b&gt;.</p>")
