"""The page at /login, where a browser comes in with the token, and the way out again.

A form and nothing else: no script, nothing loaded. Deliberately does not know what is behind it.
"""

from __future__ import annotations

import re
from html import escape
from typing import cast
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.schema import Language
from i2v.web.guard.access import LOGIN, VISIT_SECONDS, Access, address_of, refusal_headers
from i2v.web.guard.forwarded import root_of
from i2v.web.problems import status_of
from i2v.web.texts import preferred_language, text, translate

MAX_FORM = 8192  # bytes: a token and a path

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self';"
    " base-uri 'none'",
}
_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 24rem; margin: 15vh auto 2rem; padding: 0 1rem }
input, button { font: inherit; box-sizing: border-box; width: 100%; padding: .6rem; margin-top: .4rem }
[role=alert] { border-left: 4px solid #c33; padding-left: .8rem }
"""

router = APIRouter(include_in_schema=False)


@router.get(LOGIN)
def login_page(request: Request) -> Response:
    onward = _local(request.query_params.get("next", ""))
    if _access(request).is_visitor(request.cookies):
        return _page(request, _visiting(request, onward))
    return _page(request, _form(request, onward))


@router.post(LOGIN)
async def log_in(request: Request) -> Response:
    fields = await _read_form(request)
    onward = _local(fields.get("next", ""))
    access = _access(request)
    token = fields.get("token", "").strip().encode("utf-8", "replace")
    refusal = access.refusal(token, address_of(request))
    if refusal is not None:
        return _page(request, _form(request, onward, refusal), refusal)
    answer = _redirect(root_of(request.scope) + onward)
    answer.set_cookie(
        access.cookie,
        access.new_visit(token),
        max_age=VISIT_SECONDS,
        path=_cookie_path(request),
        httponly=True,
        # Not strict: who follows a link to here from a mail would have to log in again. What changes
        # something takes a POST, which lax keeps other sites from as well.
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return answer


@router.post("/logout")
def log_out(request: Request) -> Response:
    """Let this browser forget its visit. To end all visits, change the token."""
    answer = _redirect(root_of(request.scope) + LOGIN)
    answer.delete_cookie(_access(request).cookie, path=_cookie_path(request), httponly=True, samesite="lax")
    return answer


def _access(request: Request) -> Access:
    return cast("Access", request.app.state.access)


def _cookie_path(request: Request) -> str:
    return root_of(request.scope) or "/"


def _language(request: Request) -> Language:
    return preferred_language(request.headers.get("accept-language", ""))


def _redirect(path: str) -> RedirectResponse:
    return RedirectResponse(path, 303, {"Cache-Control": "no-store"})


def _local(path: str) -> str:
    """Return `path` if every browser takes it for one of this service's, else /."""
    return path if re.fullmatch(r"/(?![/\\])[^\\\x00-\x20\x7f]*", path) else "/"


async def _read_form(request: Request) -> dict[str, str]:
    """Return the fields of a small form; whoever sends it has no token yet."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_FORM:
            raise InvalidRequest("http.malformed", reason=f"a login has at most {MAX_FORM} bytes")
    return {name: values[-1] for name, values in parse_qs(body.decode("latin-1")).items()}


def _page(request: Request, body: str, refusal: I2VError | None = None) -> HTMLResponse:
    language = _language(request)
    title = escape(text("login.title", language))
    page = (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style><main><h1>{title}</h1>{body}</main>"
    )
    status, headers = (200, {}) if refusal is None else (status_of(refusal), refusal_headers(refusal))
    return HTMLResponse(page, status, {**_HEADERS, **headers})


def _form(request: Request, onward: str, refusal: I2VError | None = None) -> str:
    language, login = _language(request), escape(root_of(request.scope) + LOGIN)
    about, label = escape(text("login.about", language)), escape(text("login.token", language))
    alert = "" if refusal is None else f'<p role="alert">{escape(translate(refusal.to_dict(), language))}</p>'
    return (
        f'{alert}<p>{about}</p><form method="post" action="{login}">'
        f'<input type="hidden" name="next" value="{escape(onward)}"><label for="token">{label}</label>'
        '<input id="token" name="token" type="password" autocomplete="current-password" required autofocus>'
        f"<button>{escape(text('login.enter', language))}</button></form>"
    )


def _visiting(request: Request, onward: str) -> str:
    language, root = _language(request), root_of(request.scope)
    here, link = escape(text("login.here", language)), escape(text("login.onward", language))
    return (
        f'<p>{here} <a href="{escape(root + onward)}">{link}</a></p>'
        f'<form method="post" action="{escape(root)}/logout">'
        f"<button>{escape(text('login.leave', language))}</button></form>"
    )
