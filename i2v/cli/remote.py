"""A server's REST API, as commands of this program use it; the standard library alone.

Owns where the server is, which token it gets, and what its refusals become. Deliberately does not know what
is asked of it.
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from typing import IO, TYPE_CHECKING

from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.fields import shown

if TYPE_CHECKING:
    from i2v.core.settings import Settings

SECONDS = 60.0  # for an answer


@dataclass(frozen=True)
class Server:
    """A server at `url`. `is_local`: it is this machine's own, which no proxy leads to."""

    url: str
    token: str = ""
    is_local: bool = False

    @classmethod
    def find(cls, settings: Settings, url: str | None) -> Server:
        """Return the server at `url`, or else the one that runs with the settings' data folder.

        The token is that of the settings; that of the data folder goes to its own server alone.

        Raises:
            I2VError: `cli.no_server`: none runs.
            InvalidRequest: `cli.bad_server`: the URL is none.
        """
        token = settings.security.token.get_secret_value()
        if url is not None:
            if not url.startswith(("http://", "https://")):
                raise InvalidRequest("cli.bad_server", value=shown(url, limit=300))
            return cls(url.rstrip("/"), token)
        from i2v.host.service_lock import find_holder
        from i2v.host.token_file import read_or_make

        folder = settings.service.data_dir
        holder = find_holder(folder)
        if holder is None or not holder.urls:
            raise I2VError("cli.no_server", path=shown(str(folder), limit=300))
        kept = folder / "token"
        return cls(holder.urls[0], token or (read_or_make(kept)[0] if kept.is_file() else ""), True)

    def answers(self) -> bool:
        """Tell whether it can be asked something now."""
        try:
            self.ask("GET", "/queue")
        except I2VError:
            return False
        return True

    def ask(self, method: str, path: str, body: dict[str, object] | None = None) -> dict[str, object]:
        """Return the answer to a request below /api/v1, a JSON object.

        Raises:
            InvalidRequest: `cli.refused`, with the server's own words.
            I2VError: `cli.no_answer`.
        """
        request = urllib.request.Request(f"{self.url}/api/v1{path}", method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        if self.token:
            request.add_header("Authorization", f"Bearer {self.token}")
        handlers: list[urllib.request.BaseHandler] = [_NoRedirects()]
        if self.is_local:
            handlers.append(urllib.request.ProxyHandler({}))
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=SECONDS) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            raise InvalidRequest("cli.refused", url=self.url, reason=_reason(error)) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            reason = shown(str(getattr(error, "reason", error)), limit=300)
            raise I2VError("cli.no_answer", url=self.url, reason=reason) from error
        if not isinstance(found, dict):
            raise I2VError("cli.no_answer", url=self.url, reason="this is not the API of i2v")
        return found


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The token is for the server that was named, and for no other."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


def _reason(error: urllib.error.HTTPError) -> str:
    """Return what the server says of its refusal, or else its status."""
    try:
        problem = json.load(error)
        words = f"{problem['detail']} {problem.get('hint') or ''}".strip()
    except (ValueError, KeyError, TypeError, OSError):
        words = f"status {error.code}"
    return words
