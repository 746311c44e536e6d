"""The headers of every answer that keep other web pages at a distance, and let in those of the settings.

Which pages may read answers (CORS), show this one in a frame, or embed what it shows. Deliberately knows no
address, nor which requests are refused.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders

from i2v.core.settings import SecuritySettings

# Of the page, which Gradio makes with scripts and styles within; nothing comes from, or goes to, elsewhere.
_POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; form-action 'self'"
)
_ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    # Not no-referrer: with it, browsers send forms with "Origin: null", which is refused.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
}
_READABLE = "Content-Disposition, Content-Range, ETag, Location, Retry-After, WWW-Authenticate"
# What a page of the settings may send, in the answer to the browser that asks before it does.
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Idempotency-Key, If-None-Match, If-Range,"
    " Last-Event-ID, Range",
    "Access-Control-Allow-Private-Network": "true",
    "Access-Control-Max-Age": "600",
}


class AnswerHeaders:
    """What the settings say of other pages."""

    def __init__(self, security: SecuritySettings) -> None:
        self._readers = frozenset(security.cors_origins)
        self._framers = security.frame_ancestors

    def reader(self, request: Headers) -> str | None:
        """Return the origin of the page that sends `request`, if it is one of the settings."""
        origins = request.getlist("origin")
        return origins[0] if len(origins) == 1 and origins[0] in self._readers else None

    def seal(self, answer: MutableHeaders, method: str, request: Headers) -> None:
        """Add them to an answer; nothing else in it may let other pages read it, as Gradio's own would."""
        for name in {name for name in answer if name.startswith("access-control-")}:
            del answer[name]
        answer.update(_ALWAYS)
        own = answer.get("Content-Security-Policy", _POLICY)
        framers = " ".join(("'self'", *self._framers)) if self._framers else "'none'"
        answer["Content-Security-Policy"] = f"{own}; frame-ancestors {framers}"
        if not self._framers:
            answer["X-Frame-Options"] = "DENY"
        if not self._readers:
            answer["Cross-Origin-Resource-Policy"] = "same-origin"
            return
        answer.add_vary_header("Origin")
        reader = self.reader(request)
        if reader is not None:
            answer["Access-Control-Allow-Origin"] = reader
            answer["Access-Control-Allow-Credentials"] = "true"
            answer["Access-Control-Expose-Headers"] = _READABLE
            if is_preflight(method, request):
                answer.update(_PREFLIGHT)


def is_preflight(method: str, request: Headers) -> bool:
    """Tell whether a browser asks if another page may send a request of its own."""
    return method == "OPTIONS" and "origin" in request and "access-control-request-method" in request
