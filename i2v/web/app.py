"""The application: every address, guarded, and its description.

Later routes go where `create_app` includes the others; a page mounted at / comes last, since what is declared
before it wins.
"""

from __future__ import annotations

import threading
from importlib.metadata import version
from typing import Any, cast

from fastapi import FastAPI
from fastapi.responses import HTMLResponse, RedirectResponse

from i2v.service import Service
from i2v.settings import Settings
from i2v.web import api, files, problems, published
from i2v.web.documentation import render_page
from i2v.web.front import Front
from i2v.web.security import Guard


class Application(FastAPI):
    """FastAPI, but OpenAPI is not told of its own form of 422: ours are problems, where there are any."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            described = super().openapi()
            for path in described["paths"].values():
                for operation in path.values():
                    if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                        del operation["responses"]["422"]
            for name in ("HTTPValidationError", "ValidationError"):
                described["components"]["schemas"].pop(name, None)
        return cast("dict[str, Any]", self.openapi_schema)


def create_app(service: Service, settings: Settings, closing: threading.Event) -> FastAPI:
    """Return the ASGI application of a started `service`.

    Args:
        closing: to be set when the server is about to end, so that answers that take long end too.
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
    app.state.front = Front(service, settings, closing)
    problems.install(app)
    app.add_middleware(Guard, server=settings.server, security=settings.security)
    for router in (api.root, api.router, files.router, published.router):
        app.include_router(router)

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        return HTMLResponse(render_page(app.openapi()))

    @app.get("/", include_in_schema=False)
    def home() -> RedirectResponse:
        return RedirectResponse("/docs")

    return app
