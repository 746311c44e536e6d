"""What the page says of the engine that would run, before a clip is made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from i2v.core.errors import Notice
from i2v.engines.animatediff.specs import ANIMATEDIFF
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.engines.svd.specs import SVD
from i2v.service.models import Models
from i2v.web.page.plan_panels import about, missing
from tests.contrary import CONTRARY
from tests.rehearsal import stage


def test_of_a_model_that_was_named_and_is_here_there_is_nothing_to_say() -> None:
    assert about(I2VGEN_XL, I2VGEN_XL, None, "en") == ""


def test_a_model_that_is_missing_is_said_with_what_a_download_would_be(tmp_path: Path) -> None:
    model = Models(stage(tmp_path).models, {I2VGEN_XL.name: I2VGEN_XL}).get(I2VGEN_XL.name)
    message = missing(model, "en")
    for words in (
        "I2VGen-XL is not installed",
        "4.98 GB",
        "MIT",
        'data-act="download"',
        "Download 4.98 GB now?",
    ):
        assert words in message
    assert "许可证" in missing(model, "zh-CN")


def test_a_model_that_only_a_style_picture_needs_is_offered_as_that(tmp_path: Path) -> None:
    model = Models(stage(tmp_path).models, {ANIMATEDIFF.name: ANIMATEDIFF}).get("ip-adapter")
    message = missing(model, "en")
    for words in ("A style picture needs IP-Adapter", "2.57 GB", "Apache-2.0", 'data-id="ip-adapter"'):
        assert words in message
    assert "需要 IP-Adapter（风格参考图）" in missing(model, "zh-CN")


def test_where_a_larger_model_could_run_there_is_a_way_to_it() -> None:
    reason = Notice("engine.auto_no_weights", {"path": "/x"})
    assert 'data-act="models"' in about(EMBEDDED, I2VGEN_XL, reason, "en")
    assert "data-act" not in about(EMBEDDED, I2VGEN_XL, Notice("engine.auto_neither", {"path": "/x"}), "en")


def test_why_there_is_no_field_for_a_prompt_is_said_of_a_missing_model_too(tmp_path: Path) -> None:
    model = Models(stage(tmp_path).models, {SVD.name: SVD}).get(SVD.name)
    for said in (about(SVD, I2VGEN_XL, None, "en"), missing(model, "en")):
        assert "Stable Video Diffusion works from the picture alone and reads no prompt." in said
    assert "不读取提示词" in about(SVD, I2VGEN_XL, None, "zh-CN")


def test_the_demo_names_what_would_run_with_a_card_only_where_there_is_such_a_model() -> None:
    assert "I2VGen-XL can also move what is in the picture" in about(EMBEDDED, I2VGEN_XL, None, "en")
    assert "can also move" not in about(EMBEDDED, None, None, "en")
    assert "can also move" not in about(EMBEDDED, EMBEDDED, None, "en")


def test_why_it_is_that_engine_is_said_last_and_every_text_is_escaped() -> None:
    reason = Notice("engine.auto_full", {"title": "<b>", "path": "/x"})
    message = about(replace(CONTRARY, title="<i>"), None, reason, "en")
    assert "&lt;i&gt; works from the picture alone" in message
    assert message.endswith("Using &lt;b&gt;.</p>")
