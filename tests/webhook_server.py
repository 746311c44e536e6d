"""A service with webhooks in a process of its own that a test can kill.

    python -m tests.webhook_server FOLDER COUNT URL...

queues jobs until there are COUNT, runs them, and sends messages until it is ended; attempts follow one
another within seconds.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

from i2v.core.webhook import WebhookEvent
from i2v.jobs.store import JobStore
from i2v.service.service import Service
from i2v.service.webhooks import Webhooks
from i2v.workers.executors.inline import InlineExecutor
from tests.job_crew import submission
from tests.rehearsal import ENGINES, stage

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
EVENTS: tuple[WebhookEvent, ...] = ("job.submitted", "job.started", "job.requeued", "job.failed")
RETRY_SECONDS = (0.2, 0.4, 0.8, *[1.5] * 200)
SEND_SECONDS = 1.0
PAUSE = 0.1  # seconds between two jobs


def main(folder: Path, count: int, urls: list[str]) -> None:
    endpoints = [{"url": url, "events": EVENTS, "secret": SECRET} for url in urls]
    settings = stage(folder, webhooks__endpoints=json.dumps(endpoints), webhooks__allowed_hosts="127.0.0.1")
    store = JobStore(settings.database, max_queued=10_000)
    service = Service(settings, store, InlineExecutor(settings, store, ENGINES), ENGINES)
    service.webhooks = Webhooks(settings, store.deliveries, RETRY_SECONDS, SEND_SECONDS)
    service.start()
    print("ready", flush=True)
    for number in range(sum(store.counts().values()), count):
        # Their pictures are not there, so that each fails at once, after it has begun.
        store.submit(submission(key=f"job {number}", folder=settings.output.directory))
        service._executor.wake()
        time.sleep(PAUSE)
    threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
