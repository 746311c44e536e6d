"""What one window's first tab shows beside the form, and where what went wrong is said. Knows no widget."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from i2v.core.errors import InvalidRequest
from i2v.jobs.model import JsonObject
from i2v.media.picture_facts import PictureFacts
from i2v.web.page.framing import Framing
from i2v.web.page.tabs.live import SendingView
from i2v.web.page.tabs.widgets import MAX_TAKES

Place = Literal["picture", "prompt", "form", "result"]


def place_of(error: JsonObject) -> Place:
    """Return what an error stands at: the field that it is about, the button, or the clip."""
    code = str(error["code"])
    if code == "request.missing_field" or code.startswith("image."):
        return "picture"
    if code == "request.blank_prompt" or code.startswith("prompt."):
        return "prompt"
    return "result" if code.startswith(("job.unknown", "job.video_")) else "form"


@dataclass
class Showing(SendingView):
    """What a window shows beside the form.

    Attributes:
        job: the id of one; "" for none.
        beside: the id of another one that it is compared with; "" for none.
        takes: the ids of what was asked for here, the first one first.
        error: what went wrong with what was asked for last.
        wrong: what stood in the field that the error is about: it is mended when something else does.
        noticed: what is wrong with a field before anything is asked for.
        wanted: the name of the model that would run, where files of it are missing.
        framing: the picture in the form, and the clip that would be made of it.
        examined: the path of the picture that was looked at last, and what was found, or is wrong with it.
        shaped: the name of the engine whose controls are shown, "" where that is not known; `None` before the
            form was filled for the first time.
        reshapes: how often another engine's had to be shown.
        cards: what stands on the engines' cards, and `cards_key` what that was asked for with.
    """

    job: str = ""
    beside: str = ""
    takes: tuple[str, ...] = ()
    error: JsonObject | None = None
    noticed: JsonObject | None = None
    wanted: str = ""
    framing: Framing | None = None
    wrong: object = field(default=None, compare=False)
    examined: tuple[str, PictureFacts | InvalidRequest] | None = field(default=None, compare=False)
    shaped: str | None = field(default=None, compare=False)
    reshapes: int = field(default=0, compare=False)
    cards: list[tuple[str, str]] = field(default_factory=list, compare=False)
    cards_key: object = field(default=None, compare=False)

    def turn_to(self, job: str = "", is_sending: bool = False, error: JsonObject | None = None) -> None:
        self.job, self.is_sending, self.error, self.beside = job, is_sending, error, ""
        if job and job not in self.takes:
            self.takes = (*self.takes, job)[-MAX_TAKES:]

    def said_at(self, place: Place) -> JsonObject | None:
        """Return the error to be said at a place: of what was asked for, then of what stands there."""
        errors = (error for error in (self.error, self.noticed) if error is not None)
        return next((error for error in errors if place_of(error) == place), None)
