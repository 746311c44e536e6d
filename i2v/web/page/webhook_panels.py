"""Messages to webhooks as HTML: how many there are, those that were given up, and the button for those.

Pure: messages go in, markup comes out, every text escaped. Of a receiver only its host is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from i2v.core.durations import duration
from i2v.core.schema import Language
from i2v.core.webhook import origin_of
from i2v.jobs.deliveries import Delivery, DeliveryStatus
from i2v.web.texts import text, translate

SHOWN = 10  # of the messages that were given up; the rest is counted


def deliveries(
    counts: Mapping[DeliveryStatus, int], failed: Sequence[Delivery], language: Language, now: float
) -> str:
    """Return nothing where there never was a message.

    Args:
        failed: the newest of those that were given up.
        now: seconds since 1970.
    """
    if not any(counts.values()):
        return ""
    heading = f"<h2>{escape(text('webhooks', language))}</h2>"
    message = text(
        "webhooks.counts",
        language,
        delivered=counts["delivered"],
        pending=counts["pending"],
        failed=counts["failed"],
    )
    line = f'<p class="i2v-subdued">{escape(message)}</p>'
    if not counts["failed"]:
        return heading + line
    rows = "".join(_failed(each, language, now) for each in failed[:SHOWN])
    label = escape(text("webhooks.redeliver", language, count=counts["failed"]))
    button = f'<button type="button" class="i2v-act" data-act="redeliver" data-id="">{label}</button>'
    return (
        f'{heading}{line}<ul class="i2v-findings">{rows}</ul><div class="i2v-acts i2v-clear">{button}</div>'
    )


def _failed(found: Delivery, language: Language, now: float) -> str:
    chip = f'<span class="i2v-chip">{escape(text("webhooks.failed", language))}</span>'
    ago = text("queue.ago", language, time=duration(max(0.0, now - (found.ended_at or now)), language))
    about = escape(f"{found.event} · {origin_of(found.url)} · {ago}")
    reason = "" if found.error is None else escape(translate(found.error, language))
    return f'<li class="i2v-problem">{chip}<div><p>{about}</p><p class="i2v-subdued">{reason}</p></div></li>'
