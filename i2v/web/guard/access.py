"""Who may come in where a token is asked for: whoever sends it, or a browser that has logged in with it.

One ASGI middleware over the whole application, so that no address can be left out. What a browser keeps is
not the token but the day on which its visit ends, signed with the token: it survives a restart, and a new
token ends all visits. A token may be a user's (`core.users`): what it lets in is done for that user.

Wrong tokens are counted, at the login and in the header alike, and whoever made too many has to wait whatever
they send next: a right guess that were let in would make waiting worth nothing. Cookies are signed with a
secret of this machine as well, so that they are no way to guess; a right one never waits.
This module knows no page.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from i2v.core.errors import I2VError
from i2v.core.users import User, acting_as
from i2v.web import one_time
from i2v.web.guard.attempts import Attempts, Limit, network_of
from i2v.web.guard.forwarded import path_of, root_of
from i2v.web.guard.security import PROBES
from i2v.web.problems import problem_of, respond

LOGIN = "/login"
USER = "i2v.user"  # key of a request's scope: see `Access.user_of`
VISIT_SECONDS = 30 * 24 * 3600
# What is answered without a token, with the addresses that are secrets themselves (`one_time`).
OPEN = {(method, path) for path in (*PROBES, LOGIN) for method in ("GET", "HEAD")} | {("POST", LOGIN)}

# For each address alone: a limit over all of them would let one stranger lock everybody out.
PER_ADDRESS = Limit(burst=10, seconds=6)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Key:
    """A token that opens, as what it is compared with and what it signs; `user` is whose it is."""

    digest: bytes
    signing: bytes
    user: User | None

    @classmethod
    def of(cls, token: str, secret: str, user: User | None = None) -> _Key:
        signing = hmac.digest(secret.encode("ascii"), token.encode("ascii"), "sha256")
        return cls(_digest(token.encode("ascii")), signing, user)

    def sign(self, text: str) -> str:
        return hmac.new(self.signing, b"i2v visit " + text.encode("ascii"), hashlib.sha256).hexdigest()


class Access:
    """Tells right tokens and cookies from wrong ones, in constant time.

    Args:
        token: the service's own, which may do everything; "" for none.
        secret: what cookies are signed with besides the token; the same after a restart.
        users: whose tokens open as well.

    Attributes:
        cookie: its name; another for each token, since a browser gives all ports of a host the same cookies.
            With users, another for each secret: a browser is one user at a time.
    """

    def __init__(self, token: str, secret: str, users: Sequence[User] = ()) -> None:
        if not all(user.token.get_secret_value() for user in users):
            raise ValueError("a user's token_file has not been read")
        self._keys = [_Key.of(token, secret)] if token else []
        self._keys += [_Key.of(user.token.get_secret_value(), secret, user) for user in users]
        self._guesses = Attempts(PER_ADDRESS)
        naming = _Key.of("users", secret) if users else self._keys[0]
        self.cookie = f"i2v_{naming.sign('name')[:8]}"

    def refusal(self, token: bytes, address: str) -> I2VError | None:
        """Return why `token` lets nobody at `address` in, or `None` if it does."""
        client = network_of(address)
        wait = self._guesses.seconds_to_wait(client)
        if wait:
            return I2VError("http.too_many_tokens", seconds=wait)
        if self._key_of(token) is not None:
            return None
        self._guesses.add_failure(client)
        log.info("A wrong token from %s", address)
        return I2VError("http.wrong_token")

    def refuse(self, connection: HTTPConnection) -> I2VError | None:
        """Return why a request lets nobody in, by its cookie or its token, or `None` if it does."""
        if self.is_visitor(connection.cookies):
            return None
        token = _bearer(connection)
        if token is None:
            return I2VError("http.no_token")
        return self.refusal(token, address_of(connection))

    def user_of(self, connection: HTTPConnection) -> User | None:
        """Return whose request it is that was let in; `None`: the service's own token's."""
        key = self._visiting(connection.cookies) or self._key_of(_bearer(connection) or b"")
        assert key is not None  # it was let in
        return key.user

    def new_visit(self, token: bytes | None = None) -> str:
        """Return the cookie's value for a browser that has logged in with `token`, or else the first."""
        key = self._keys[0] if token is None else self._key_of(token)
        assert key is not None  # it was let in
        end = str(int(time.time()) + VISIT_SECONDS)
        return f"{end}.{key.sign(end)}"

    def is_visitor(self, cookies: Mapping[str, str]) -> bool:
        return self._visiting(cookies) is not None

    def _visiting(self, cookies: Mapping[str, str]) -> _Key | None:
        match = re.fullmatch(r"([0-9]{1,12})\.([0-9a-f]{64})", cookies.get(self.cookie, ""))
        if match is None:
            return None
        found = _only([key for key in self._keys if hmac.compare_digest(match[2], key.sign(match[1]))])
        return found if time.time() < int(match[1]) else None

    def _key_of(self, token: bytes) -> _Key | None:
        """Compare with all of them: which one it is must not show in the time that it takes."""
        digest = _digest(token)
        return _only([key for key in self._keys if hmac.compare_digest(digest, key.digest)])


def _only(keys: list[_Key]) -> _Key | None:
    return keys[0] if keys else None


class AccessGuard:
    """The middleware."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close"})  # nothing here speaks it
        elif (scope["method"], path_of(scope)) in OPEN or _is_one_time(scope["method"], path_of(scope)):
            await self._app(scope, receive, send)
        elif (refused := self._refused(HTTPConnection(scope))) is not None:
            await refused(scope, receive, send)
        else:
            user = self._access.user_of(HTTPConnection(scope))
            with acting_as(user):
                await self._app({**scope, USER: user}, receive, send)

    def _refused(self, connection: HTTPConnection) -> Response | None:
        refusal = self._access.refuse(connection)
        if refusal is None:
            return None
        is_page = "text/html" in connection.headers.get("accept", "")
        if refusal.code == "http.no_token" and is_page:  # a browser opens it
            return RedirectResponse(_login_for(connection.scope), 303, {"Cache-Control": "no-store"})
        path = path_of(connection.scope)
        return respond(problem_of(refusal), refusal_headers(refusal), path)


def may_know(request: HTTPConnection) -> bool:
    """Tell whether who asks for one of `OPEN` would be let in everywhere: it has the token, or needs none."""
    access: Access | None = request.app.state.access
    return access is None or access.refuse(request) is None


def _is_one_time(method: str, path: str) -> bool:
    """Tell whether it is asked for one of the addresses that work once: who has one needs no token."""
    return method in ("GET", "HEAD", "PUT") and one_time.ADDRESS.fullmatch(path) is not None


def _digest(token: bytes) -> bytes:
    """Return what is compared: of one length, whatever was sent."""
    return hashlib.sha256(token).digest()


def address_of(connection: HTTPConnection) -> str:
    return connection.client.host if connection.client else ""


def refusal_headers(refusal: I2VError) -> dict[str, str]:
    """Return what an answer with `refusal` needs: how to come in, or when to try again (RFC 6750, 9110)."""
    if refusal.code == "http.too_many_tokens":
        return {"Retry-After": str(refusal.params["seconds"])}
    return {
        "WWW-Authenticate": "Bearer"
        + (' error="invalid_token"' if refusal.code == "http.wrong_token" else "")
    }


def _bearer(connection: HTTPConnection) -> bytes | None:
    """Return the token of the Authorization header, `None` if there is no such header."""
    given = connection.headers.getlist("authorization")
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return token.strip().encode("latin-1") if scheme.lower() == "bearer" else None


def _login_for(scope: Scope) -> str:
    """Return the address of the login page that leads on to what was asked for."""
    query = scope["query_string"].decode("latin-1")
    path, login = path_of(scope), root_of(scope) + LOGIN
    wanted = f"{path}?{query}" if query else path
    leads_home = scope["method"] != "GET" or wanted == "/"
    return login if leads_home else f"{login}?{urlencode({'next': wanted})}"
