"""A server with the page, in this process. Jobs run when a test says so; a prompt tells how slowly."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import uvicorn

from i2v.job_store import JobStore
from i2v.schema import EngineSpec, Preset
from i2v.service import Service
from i2v.web.app import create_app
from i2v.web.ui import mount_page
from tests.rehearsal import REHEARSAL, stage
from tests.web.house import HeldExecutor, House

SLOW = "step: sleep 0.3"
QUICK = "nothing to wait for"
# Numbers that the page's sliders reach; the engine itself takes any.
PRESET = Preset(area_side=64, num_frames=8, num_inference_steps=10, fps=8, guidance_scale=1.0)
ENGINES = {REHEARSAL.name: replace(REHEARSAL, presets={"standard": PRESET, "quick": PRESET})}


@contextmanager
def page_house(
    folder: Path, picture: bytes, engines: Mapping[str, EngineSpec] = ENGINES, **flags: object
) -> Iterator[House]:
    settings = stage(folder, **flags)
    store = JobStore(settings.database, settings.service.max_queued)
    executor = HeldExecutor(settings, store)
    service = Service(settings, store, executor, engines)
    service.start()
    closing = threading.Event()
    log = folder / "app_20250405_142310.log"
    log.write_text("2025-04-05 14:23:10,000 INFO i2v.serve: a line of the log\n")
    app = mount_page(create_app(service, settings, closing, log), settings)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, http="h11", ws="none", log_config=None, timeout_graceful_shutdown=30)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        house = House(url, settings, store, service, executor, closing, picture)
        try:
            yield house
        finally:
            house.session.close()
            closing.set()
            server.should_exit = True
            thread.join()
            service.stop()
