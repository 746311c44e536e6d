"""The markup about webhooks: nothing without messages; what was given up, and why; no text is markup."""

from __future__ import annotations

from typing import get_args

import pytest

from i2v.core.errors import I2VError
from i2v.core.schema import Language
from i2v.jobs.deliveries import Delivery
from i2v.web.page import webhook_panels
from tests.web.page.test_panels import HOSTILE

NOW = 1_700_000_000.0


def failed(url: str = "https://hooks.example/T0/PATHSECRET", reason: str = "Connection refused") -> Delivery:
    error = I2VError("webhook.no_answer", reason=reason).to_dict()
    return Delivery(
        "msg_1", "job", None, "job.failed", url, "https://hooks.example:443", True, "whsec_SECRET", "{}",
        "failed", 9, None, error, NOW - 90_000, NOW - 180,
    )  # fmt: skip


@pytest.mark.parametrize("language", get_args(Language))
def test_what_was_given_up_is_reported_with_a_button(language: Language) -> None:
    counts = {"pending": 2, "delivered": 40, "failed": 12}
    markup = webhook_panels.deliveries(counts, [failed()] * 12, language, NOW)
    assert 'data-act="redeliver"' in markup
    assert "https://hooks.example · " in markup
    assert "Connection refused" in markup
    assert "SECRET" not in markup
    assert markup.count("<li") == webhook_panels.SHOWN
    if language == "en":
        assert "40 delivered, 2 pending, 12 given up" in markup
        assert "Send 12 again" in markup
        assert "3 min ago" in markup


def test_there_is_a_button_only_for_something_and_a_section_only_for_messages() -> None:
    assert webhook_panels.deliveries({"pending": 0, "delivered": 0, "failed": 0}, [], "en", NOW) == ""
    assert "<button" not in webhook_panels.deliveries(
        {"pending": 0, "delivered": 1, "failed": 0}, [], "en", NOW
    )


def test_what_a_receiver_says_is_no_markup() -> None:
    counts = {"pending": 0, "delivered": 0, "failed": 1}
    assert HOSTILE not in webhook_panels.deliveries(counts, [failed(reason=HOSTILE)], "en", NOW)
