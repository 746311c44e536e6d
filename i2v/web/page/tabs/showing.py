"""What one window's first tab shows beside the form. Knows no widget."""

from __future__ import annotations

from dataclasses import dataclass, field

from i2v.core.errors import InvalidRequest
from i2v.jobs.model import JsonObject
from i2v.media.picture_facts import PictureFacts
from i2v.web.page.tabs.live import View


@dataclass
class Showing(View):
    """What a window shows beside the form.

    Attributes:
        job: the id of one; "" for none.
        is_sending: something was asked for, and is not a job yet.
        error: what went wrong with what was asked for last.
        asked_at: when the button was pressed last (`time.monotonic`).
        examined: the path of the picture that was looked at last, and what was found, or is wrong with it.
        shaped: the name of the engine whose controls are shown, "" where that is not known; `None` before the
            form was filled for the first time.
        reshapes: how often another engine's had to be shown.
    """

    job: str = ""
    is_sending: bool = False
    error: JsonObject | None = None
    asked_at: float = field(default=0.0, compare=False)
    examined: tuple[str, PictureFacts | InvalidRequest] | None = field(default=None, compare=False)
    shaped: str | None = field(default=None, compare=False)
    reshapes: int = field(default=0, compare=False)

    def turn_to(self, job: str = "", is_sending: bool = False, error: JsonObject | None = None) -> None:
        self.job, self.is_sending, self.error = job, is_sending, error
