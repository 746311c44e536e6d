"""The application: every address, guarded, and its description.

Later routes go where `create_app` includes the others; a page mounted at / comes last, since what is declared
before it wins.
"""

from __future__ import annotations

import threading
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from i2v.core.settings import Settings
from i2v.host.token_file import read_or_make
from i2v.service.service import Service
from i2v.web import problems
from i2v.web.api import (
    added,
    archive,
    batches,
    files,
    library,
    metrics,
    one_time,
    openai_videos,
    predictions,
    published,
    webhooks,
)
from i2v.web.api import models as models_api
from i2v.web.api import v1 as api
from i2v.web.api.definitions import share_definitions
from i2v.web.api.documentation import render_page
from i2v.web.api.option_schemas import describe_options
from i2v.web.context import AppContext
from i2v.web.guard import login
from i2v.web.guard.access import Access, AccessGuard
from i2v.web.guard.answer_headers import AnswerHeaders
from i2v.web.guard.forwarded import Forwarded, root_of
from i2v.web.guard.heads import Heads
from i2v.web.guard.request_ids import RequestIds
from i2v.web.guard.security import Guard, Hosts

ROUTERS = (
    api.root,
    api.router,
    library.router,
    batches.router,
    archive.router,
    files.router,
    models_api.router,
    added.router,
    published.router,
    openai_videos.router,
    predictions.router,
    one_time.router,
    webhooks.router,
    metrics.router,
)


class Application(FastAPI):
    """FastAPI, but OpenAPI is not told of its own form of 422: ours are problems, where there are any."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            described = super().openapi()
            for path in described["paths"].values():
                for operation in path.values():
                    if "HTTPValidationError" in str(operation["responses"].get("422")):
                        del operation["responses"]["422"]
            describe_options(described, self.state.context.service.engines)
            share_definitions(described)
            for name in ("HTTPValidationError", "ValidationError"):
                described["components"]["schemas"].pop(name, None)
        return cast("dict[str, Any]", self.openapi_schema)


def create_app(
    service: Service, settings: Settings, closing: threading.Event, log: Path | None = None
) -> FastAPI:
    """Return the ASGI application of a started `service`, which asks for the settings' token, if any.

    Args:
        closing: to be set when the server is about to end, so that answers that take long end too.
        log: the file that the server writes, if any; the page shows its end.
    """
    app = Application(
        title="i2v",
        version=version("i2v"),
        summary="A photo and a sentence become a video.",
        docs_url=None,  # FastAPI's page loads scripts from a stranger's server; ours needs no network
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
    )
    app.state.context = AppContext(service, settings, closing, log)
    app.add_middleware(Heads)  # of middleware, the last one that is added is asked first
    problems.install(app)
    hosts = Hosts.of(settings)
    app.state.access = None
    app.state.larger_bodies = {}  # by path: what a page mounted later takes of several files at once
    token, users = settings.security.token.get_secret_value(), settings.security.users
    if token or users:
        secret, _ = read_or_make(settings.service.data_dir / "cookie-secret")
        app.state.access = Access(token, secret, users)
        app.add_middleware(AccessGuard, access=app.state.access)
        app.include_router(login.router)
    elif hosts.any_address:
        raise ValueError("a service that others can reach needs a token")
    app.add_middleware(
        Guard,
        hosts=hosts,
        headers=AnswerHeaders(settings.security),
        max_bytes=settings.security.max_request_megabytes * 1e6,
        larger=app.state.larger_bodies,
    )
    app.add_middleware(
        Forwarded, root_path=settings.server.root_path, proxies=settings.security.trusted_proxies
    )
    app.add_middleware(RequestIds, proxies=settings.security.trusted_proxies)
    for router in ROUTERS:
        app.include_router(router)
    if find_spec("mcp") is not None:  # an extra
        from i2v.web.mcp.server import add_mcp

        add_mcp(app, round(settings.security.max_request_megabytes * 1e6))

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(render_page(app.openapi()))

    @app.get("/", include_in_schema=False)
    def home(request: Request) -> RedirectResponse:
        return RedirectResponse(f"{root_of(request.scope)}/docs")

    return app
