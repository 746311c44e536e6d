"""Gradio, mounted without what it would open besides: files, functions past the queue, telemetry.

Owns the arguments and the places that close those; which addresses are left is `gate`'s, what stands on the
page is `page`'s.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import cast

import gradio as gr
from fastapi import FastAPI
from gradio.routes import App
from starlette.routing import Mount

from i2v.core.settings import Settings
from i2v.web.context import AppContext
from i2v.web.page import upload_parser
from i2v.web.page.blocks import Page
from i2v.web.page.gate import UPLOAD, PageMount
from i2v.web.page.sessions import Sessions
from i2v.web.page.upload_folder import UploadFolder

MAX_UPLOAD_BYTES = 2e9  # of all visitors together
_CSS = [Path(__file__).with_name(name) for name in ("page.css", "studio.css")]
_SCRIPTS = [
    Path(__file__).with_name(name)
    for name in (
        "page.js",
        "studio.js",
        "crop.js",
        "camera.js",
        "prompts.js",
        "helper.js",
        "notify.js",
        "mask.js",
    )
]
# A tab that is longer than the window is as wide as one that is not.
_STYLE = "<style>html { scrollbar-gutter: stable; }</style>"


def mount_page(app: FastAPI, settings: Settings) -> FastAPI:
    """Serve the page at / of `app`, which `create_app` made; nothing declared there stands in its way.

    Not to be called where an event loop runs.
    """
    folder = settings.service.data_dir / "page"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    os.environ["GRADIO_TEMP_DIR"] = str(folder)  # there is no argument for it; read as widgets are made
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    asyncio.run(_mount(app, settings, folder))
    return app


async def _mount(app: FastAPI, settings: Settings, folder: Path) -> None:
    """In a loop, because Gradio, where it finds none, makes one of its own and never closes it."""
    context = cast("AppContext", app.state.context)
    blocks = Page(context).blocks
    max_file_size = round(max(settings.image.max_megabytes, settings.sound.max_megabytes) * 1e6)
    gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=max_file_size,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=_theme(),
        css_paths=_CSS,
        head=_STYLE + "".join(f"<script>{script.read_text()}</script>" for script in _SCRIPTS),
    )
    blocks.has_launched = True  # only `launch` sets it, and without it any file here could be read
    routes = app.router.routes
    page = cast("App", cast("Mount", routes.pop()).app)
    page.state_holder = sessions = Sessions(blocks)
    upload_parser.install()
    max_bytes = round(max(MAX_UPLOAD_BYTES, 4 * max_file_size))
    uploads = UploadFolder(folder, max_bytes)
    app.state.larger_bodies[UPLOAD] = max_bytes  # a batch comes in one request
    routes.insert(0, PageMount(page, context.closing, sessions, uploads, upload_parser.forget_progress))


def _theme() -> gr.themes.Base:
    """Return Gradio's own with the system's fonts, and white on a button that is dark enough for it."""
    theme = gr.themes.Default(primary_hue="indigo", font=["system-ui", "sans-serif"], font_mono=["monospace"])
    return theme.set(
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_700",
    )
