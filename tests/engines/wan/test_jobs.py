"""Jobs of this engine through the service and a real worker process: done, cancelled, and gone on with."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from i2v.core.settings import load_settings
from i2v.engines.wan.options import WanOptions
from i2v.engines.wan.specs import WAN_TI2V_5B
from i2v.jobs.model import Job
from i2v.jobs.store import JobStore
from i2v.media.provenance import Provenance
from i2v.media.video import probe, read_tags
from i2v.service.service import Service
from i2v.workers.executors.process import ProcessExecutor
from tests.house import endings
from tests.rehearsal import find_workers, picture
from tests.tiny_wan import write_tiny_wan

ASKED: dict[str, object] = {
    "engine": "wan-ti2v-5b", "prompt": "a cat", "width": 64, "height": 64, "num_frames": 5,
    "num_inference_steps": 2, "seed": 3, "options": {"flow_shift": 3.0},
}  # fmt: skip
LONG = ASKED | {"num_inference_steps": 40}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("service")
    (folder / "models/wan-ti2v-5b").mkdir(parents=True)
    write_tiny_wan(folder / "models/wan-ti2v-5b")
    settings = load_settings(
        flags={
            "service.data_dir": folder / "data",
            "output.directory": folder / "videos",
            "models.directory": folder / "models",
            "engine.device": "cpu",
            "worker.idle_seconds": 60,
        }
    )
    engines, store = {WAN_TI2V_5B.name: WAN_TI2V_5B}, JobStore(settings.database)
    made = Service(settings, store, ProcessExecutor(settings, store, engines, folder / "logs"), engines)
    made.start()
    yield made
    made.stop()


def wait(service: Service, job: Job, until: Callable[[Job], bool]) -> Job:
    end = time.monotonic() + 240  # a worker loads torch first
    while not until(found := service.get(job.id)):
        assert time.monotonic() < end, f"{found.status}, {found.phase} {found.step}"
        time.sleep(0.02)
    return found


def is_over(job: Job) -> bool:
    return job.finished_at is not None


def is_denoising(job: Job) -> bool:
    return job.step is not None and job.step >= 2


def test_a_job_becomes_a_video_that_says_how_it_was_made(service: Service) -> None:
    job = wait(service, service.submit(ASKED, picture()), is_over)
    assert job.status == "succeeded", job.error
    path = Path(job.output)
    assert (probe(path).num_frames, probe(path).fps) == (5, 24)
    made = Provenance.from_tags(read_tags(path), path).request_fields({}, WAN_TI2V_5B.capabilities.unused)
    whole = WanOptions(flow_shift=3.0).model_dump(exclude_none=True)
    assert made["options"] == whole, "all of them, for the day defaults change"


def test_a_running_job_is_cancelled_at_a_step(service: Service) -> None:
    job = wait(service, service.submit(LONG, picture()), is_denoising)
    service.cancel(job.id)
    job = wait(service, job, is_over)
    assert job.status == "cancelled"
    assert not Path(job.output).exists()


def test_a_job_whose_worker_was_killed_is_made_by_the_next_one(service: Service) -> None:
    job = wait(service, service.submit(LONG, picture()), is_denoising)
    (worker,) = find_workers(os.getpid())
    worker.kill()
    job = wait(service, job, is_over)
    assert job.status == "succeeded", job.error
    assert endings(job) == ["died", "succeeded"]
    assert probe(Path(job.output)).num_frames == 5
