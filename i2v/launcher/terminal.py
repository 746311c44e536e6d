"""Lines for a person at a terminal: marked [SUCCESS], [INFO], [WARN] or [ERROR], in their language."""

from __future__ import annotations

import sys
from typing import TextIO

from i2v.core.errors import I2VError
from i2v.core.schema import Language
from i2v.doctor.findings import Finding, Status
from i2v.launcher.texts import text
from i2v.web.texts import translate

MARKS: dict[Status, str] = {
    "ok": "[SUCCESS]",
    "info": "[INFO]",
    "warning": "[WARN]",
    "problem": "[ERROR]",
}
_COLOURS: dict[Status, int] = {"ok": 32, "warning": 33, "problem": 31}  # of ECMA-48's SGR


class Terminal:
    """Standard output; for errors, standard error."""

    def __init__(self, language: Language, colours: bool) -> None:
        """colours: use them where the stream is a terminal."""
        self._language = language
        self._colours = colours

    def say(self, status: Status, key: str, /, **params: object) -> None:
        self.show(status, text(key, self._language, **params))

    def plain(self, key: str, /, **params: object) -> None:
        print(text(key, self._language, **params), flush=True)

    def show(self, status: Status, line: str) -> None:
        stream = sys.stderr if status == "problem" else sys.stdout
        print(self._mark(status, stream), line, file=stream, flush=True)

    def show_finding(self, finding: Finding, status: Status | None = None) -> None:
        """Show what was found and what to do about it, as a `status` of its own if that is given."""
        shown: Status = status or finding.status
        self.show(shown, translate(finding.found.to_dict(), self._language))
        if finding.fix is not None:
            fix = translate(finding.fix.to_dict(), self._language)
            stream = sys.stderr if shown == "problem" else sys.stdout
            print(text("fix", self._language, fix=fix), file=stream, flush=True)

    def fail(self, error: I2VError) -> int:
        """Show the error and return the exit code that it has."""
        self.show("problem", translate(error.to_dict(), self._language))
        return error.exit_code

    def _mark(self, status: Status, stream: TextIO) -> str:
        colour = _COLOURS.get(status)
        if colour is None or not self._colours or not stream.isatty():
            return MARKS[status]
        return f"\x1b[{colour}m{MARKS[status]}\x1b[0m"
