"""Errors over HTTP: each is problem+json (RFC 9457) that names the field, its value and what to do.

Owns which status an error has. Deliberately does not know what any address does.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from i2v.core.errors import I2VError, InvalidRequest, Param, QueueFull
from i2v.core.fields import shown
from i2v.core.messages import catalogue, hint
from i2v.jobs.model import JsonObject

MEDIA_TYPE = "application/problem+json"
OPENAI_PREFIX = "/v1/"  # whose clients expect OpenAI's form of errors

_TITLES = {
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    410: "Gone",
    413: "Content too large",
    415: "Unsupported media type",
    421: "Misdirected request",
    422: "Unprocessable content",
    429: "Too many requests",
    500: "Internal error",
    503: "Service unavailable",
    507: "Insufficient storage",
}

# An error whose row has no status is 422 if it is an `InvalidRequest`, these apart, and else 503.
_OURS = ("output.", "settings.")  # about this machine, not the request

_RETRY_AFTER = {429: 30, 503: 10, 507: 60}  # seconds

log = logging.getLogger(__name__)


class Problem(BaseModel):
    """RFC 9457, and of ours: what it is about, and what to do about it where `detail` does not say so."""

    type: str = "about:blank"
    title: str
    status: int
    code: str = Field(description="stable: what programs should look at")
    detail: str
    field: str | None = Field(default=None, description="the part of the request that is wrong")
    value: Param = Field(default=None, description="what it was, shortened")
    hint: str | None = None


class OpenAIError(BaseModel):
    """https://platform.openai.com/docs/guides/error-codes"""

    message: str
    type: str
    param: str | None
    code: str


class OpenAIProblem(BaseModel):
    """A problem in the form that OpenAI's clients read."""

    error: OpenAIError


class Refusal(Exception):
    """An error that was put into words already."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


def problem_of(error: I2VError) -> Problem:
    status, entry = status_of(error), catalogue()[error.code]
    field = entry.field or ("image" if error.code.startswith("image.") else None)
    return Problem(
        title=_TITLES[status],
        status=status,
        code=error.code,
        detail=error.message,
        field=field or _text(error.params.get("field")),
        value=error.params.get(entry.value),
        hint=entry.hint or None,
    )


def problem_of_job(error: JsonObject) -> Problem:
    """Return the problem that a job failed of, as the job has it (`Job.error`)."""
    code = str(error["code"])
    return Problem(title=_TITLES[500], status=500, code=code, detail=str(error["message"]), hint=hint(code))


def _text(value: Param) -> str | None:
    return None if value is None else str(value)


def status_of(error: I2VError) -> int:
    status = catalogue()[error.code].status
    if status is not None:
        return status
    if isinstance(error, QueueFull):
        return 429
    return 422 if isinstance(error, InvalidRequest) and not error.code.startswith(_OURS) else 503


def respond(problem: Problem, headers: Mapping[str, str] | None = None, path: str = "") -> Response:
    """Return the answer, in the form that clients of `path` read."""
    sent = {**(headers or {}), "Cache-Control": "no-store"}
    if problem.status in _RETRY_AFTER:
        sent.setdefault("Retry-After", str(_RETRY_AFTER[problem.status]))
    if path.startswith(OPENAI_PREFIX):
        return JSONResponse(_for_openai(problem).model_dump(), problem.status, sent)
    return Response(problem.model_dump_json(), problem.status, sent, MEDIA_TYPE)


def _for_openai(problem: Problem) -> OpenAIProblem:
    kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    kind = kinds.get(problem.status, "server_error" if problem.status >= 500 else "invalid_request_error")
    message = problem.detail if problem.hint is None else f"{problem.detail} {problem.hint}"
    error = OpenAIError(message=message, type=kind, param=problem.field, code=problem.code)
    return OpenAIProblem(error=error)


def problems(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Return what OpenAPI is told of an address's errors (FastAPI's `responses`)."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {status: {"description": _TITLES[status], "content": content} for status in statuses}


def openai_problems(*statuses: int) -> dict[int | str, dict[str, object]]:
    """Return the same for an address under `OPENAI_PREFIX`."""
    return {status: {"model": OpenAIProblem, "description": _TITLES[status]} for status in statuses}


def install(app: FastAPI) -> None:
    """Let every error of `app`, whatever it is, be answered as a problem."""
    app.add_exception_handler(I2VError, _on_error)
    app.add_exception_handler(Refusal, _on_refusal)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_defect)


def _on_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, I2VError)
    problem = problem_of(error)
    if problem.status >= 500 and not error.code.startswith(
        "database."
    ):  # those are logged once, not by request
        log.warning("%s %s: %s", request.method, shown(request.url.path), error.message)
    seconds = error.params.get("seconds") if problem.status == 429 else None
    headers = {} if seconds is None else {"Retry-After": str(seconds)}
    return respond(problem, headers, _path_of(request))


def _on_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return respond(error.problem, path=_path_of(request))


def _on_validation(request: Request, error: Exception) -> Response:
    """Parameters of the query and headers; fields of a job are `GenerationRequest`'s business."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "missing":
        missing = InvalidRequest("request.missing_field", field=shown(str(first["loc"][-1])))
        return respond(problem_of(missing), path=_path_of(request))
    field, value = shown(str(first["loc"][-1])), shown(first["input"])
    allowed = str(first["msg"]).removeprefix("Input should be ")
    problem = problem_of(InvalidRequest("request.invalid", field=field, value=value, allowed=allowed))
    return respond(problem, path=_path_of(request))


def _on_http(request: Request, error: Exception) -> Response:
    """What the framework itself refuses."""
    assert isinstance(error, HTTPException)
    path = shown(_path_of(request))
    headers: dict[str, str] = {}
    allowed = _methods(request) if error.status_code in (404, 405) else ""
    if allowed and request.method == "OPTIONS":
        return Response(status_code=204, headers={"Allow": allowed})
    if error.status_code == 404 and not allowed:
        refused = InvalidRequest("http.no_such_path", path=path)
    elif error.status_code in (404, 405):
        headers["Allow"] = allowed
        refused = InvalidRequest("http.bad_method", method=shown(request.method), path=path, allowed=allowed)
    else:  # 400: what the form parser says
        refused = InvalidRequest("http.malformed", reason=shown(error.detail, limit=200))
    return respond(problem_of(refused), headers, _path_of(request))


def _path_of(request: Request) -> str:
    path: str = request.scope["path"]
    return path.removeprefix(request.scope.get("root_path", ""))


def _methods(request: Request) -> str:
    """Return all that this path allows, if there is such a path; HEAD goes with GET.

    The framework names those of the first route that it finds, and does not know what Gradio has.
    """
    found = {
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        if any(
            route.matches({**request.scope, "method": method})[0] is Match.FULL
            for route in request.app.routes
        )
    }
    if found:
        found |= {"HEAD", "OPTIONS"} if "GET" in found else {"OPTIONS"}
    return ", ".join(sorted(found))


def _on_disconnect(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody is there to read it


def _on_defect(request: Request, error: Exception) -> Response:
    """The traceback goes to the log: the server raises the error again once this has been sent."""
    problem = problem_of(I2VError("http.internal", kind=type(error).__name__))
    return respond(problem, path=_path_of(request))
