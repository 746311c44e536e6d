"""The process that talks to one hub: `python -m i2v.weights.fetcher`.

A process, because a library that waits for a dead line cannot be stopped in any other way, and because some
settings of these libraries are read from the environment when they are imported. It reads one line of JSON a
task and answers with one line each; it ends when its parent does.
"""

from __future__ import annotations

import json
import os
import queue
import ssl
import sys
import threading
from pathlib import Path
from typing import Any

from i2v.core.errors import DISK_FULL
from i2v.core.model_spec import Repository
from i2v.weights.hubs import CaptivePortal, Hub, causes, make_hub


def main() -> int:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)  # what libraries print is no answer
    tasks = _read_tasks()
    first = tasks.get()
    try:
        hub = make_hub(str(first["source"]), float(first["seconds"]))
    except ImportError as error:
        print(json.dumps(_failure(error)), file=answers)
        return 1
    print(json.dumps({"ready": True}), file=answers)
    while True:
        task = tasks.get()
        try:
            answer = _do(hub, task)
        except Exception as error:  # whatever a library raises; the parent decides what it means
            answer = _failure(error)
        print(json.dumps(answer), file=answers)


def _read_tasks() -> queue.SimpleQueue[dict[str, Any]]:
    """Read tasks in a thread, so that the end of the parent is noticed whatever the main one waits for."""
    tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            tasks.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    return tasks


def _do(hub: Hub, task: dict[str, Any]) -> dict[str, object]:
    part = Repository(**task["part"] | {"modelscope": tuple(task["part"]["modelscope"])})
    if "name" not in task:
        return {"listing": hub.list_files(part, task["first"]).to_dict()}
    hub.fetch(part, task["name"], task["size"], Path(task["staging"]))
    return {"done": True}


def _failure(error: Exception) -> dict[str, object]:
    """Say why, whether trying again is of no use (`lasting`), and if the disk is to blame (`disk`)."""
    for cause in causes(error):
        # of a file, or of writing to one: errors of sockets name no file
        if isinstance(cause, OSError) and cause.errno and (cause.filename or cause.errno in DISK_FULL):
            return {"disk": os.strerror(cause.errno), "full": cause.errno in DISK_FULL}
    portal = next((cause for cause in causes(error) if isinstance(cause, CaptivePortal)), None)
    if portal is not None:
        return {"failed": str(portal), "lasting": False, "portal": portal.page}
    status = _status(error)
    if status is not None:
        return {"failed": f"HTTP {status}", "lasting": 400 <= status < 500 and status not in (408, 429)}
    if isinstance(error, ModuleNotFoundError):
        return {"failed": f"the package {error.name} is not installed", "lasting": True}
    words = " ".join(str(error).split()) or type(error).__name__
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes(error)):
        # So does a page to log in show itself where HTTPS is asked for, and a proxy that reads along.
        words = (
            f"not its certificate: the network may ask you to log in first, or a proxy reads along ({words})"
        )
    return {"failed": words[:200], "lasting": False}


def _status(error: Exception) -> int | None:
    """Return the HTTP status that the error, of whichever library, is about."""
    for cause in causes(error):
        for holder in (getattr(cause, "response", None), cause):
            status = getattr(holder, "status_code", None)
            if isinstance(status, int):
                return status
    return None


if __name__ == "__main__":
    sys.exit(main())
