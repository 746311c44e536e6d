"""Metrics: they say what is in the store and what has happened since the start, by Prometheus' rules."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from i2v.core.errors import I2VError
from i2v.core.memory_plan import DeviceInfo
from i2v.core.settings import Settings
from i2v.jobs.store import JobStore
from i2v.service.metrics import Metrics, bytes_in
from i2v.service.service import Service
from i2v.workers.devices import DeviceState
from i2v.workers.executors.inline import InlineExecutor
from tests.job_crew import submission
from tests.rehearsal import ENGINES, picture, stage
from tests.service.waiting import FIELDS, Waiting

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(service: Service) -> Samples:
    """Return all values by name and labels, as Prometheus' own parser reads them."""
    families = text_string_to_metric_families(service.metrics.render().decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


def test_the_queue_and_its_oldest_job_are_reported(service: Service, settings: Settings) -> None:
    before = samples(service)
    assert value(before, "i2v_queue_jobs") == 0
    assert value(before, "i2v_queue_oldest_age_seconds") == 0
    first = service.submit(FIELDS, picture())
    service.submit(FIELDS, picture())
    now = first.created_at + 100
    service.metrics._clock = lambda: now
    found = samples(service)
    assert (value(found, "i2v_queue_jobs"), value(found, "i2v_running_jobs")) == (2, 0)
    assert value(found, "i2v_queue_oldest_age_seconds") == pytest.approx(100, abs=1)
    assert value(found, "i2v_folder_bytes", folder="data") > 0
    service.cancel(first.id)
    service.delete(first.id)
    assert value(samples(service), "i2v_jobs_finished_total", engine="rehearsal", status="cancelled") == 1
    service._store.claim("owner")
    assert value(samples(service), "i2v_queue_oldest_age_seconds") == 0


def test_jobs_that_waited_when_the_service_started_have_waited_since(service: Service) -> None:
    job = service.submit(FIELDS, picture())
    later = Metrics(service._settings, service._store, service._executor, service.webhooks)
    later._clock = lambda: job.created_at + 50
    assert b"i2v_queue_oldest_age_seconds 50.0" in later.render()


def test_a_job_s_phases_ends_and_errors_are_counted_by_engine(working: Service) -> None:
    for prompt in ("waves", "waves", "step 1: refuse"):
        working.submit({"prompt": prompt}, picture())
    found = samples(working)
    assert value(found, "i2v_jobs_finished_total", engine="rehearsal", status="succeeded") == 2
    assert value(found, "i2v_jobs_finished_total", engine="rehearsal", status="failed") == 1
    assert value(found, "i2v_job_failures_total", engine="rehearsal", code="weights.missing_file") == 1
    phase = {"engine": "rehearsal", "phase": "denoise"}
    assert value(found, "i2v_job_phase_duration_seconds_count", **phase) == 2
    buckets = {
        float(dict(labels)["le"]): number
        for (name, labels), number in found.items()
        if name == "i2v_job_duration_seconds_bucket" and ("status", "succeeded") in labels
    }
    assert buckets[float("inf")] == 2
    assert sorted(buckets.values()) == [buckets[bound] for bound in sorted(buckets)]
    again = samples(working)
    assert value(again, "i2v_jobs_finished_total", engine="rehearsal", status="succeeded") == 2


def test_steps_to_less_memory_and_the_peak_are_counted(service: Service) -> None:
    store = service._store
    job = store.submit(submission())
    claim = store.claim("owner")
    assert claim is not None
    (row,) = store.outbox.after(0, 1)
    details = {"notices": ["ladder.offload_model", "ladder.offload_model", "other"], "peak_bytes": 7}
    service.metrics._count(type(row)(9, job.id, None, "failed", 0.0, 1, "tiny", details, None))
    found = samples(service)
    assert value(found, "i2v_memory_steps_total", engine="tiny", step="offload_model") == 2
    assert value(found, "i2v_job_memory_peak_bytes", engine="tiny") == 7


def test_a_database_that_is_away_is_an_error_and_no_number(service: Service, settings: Settings) -> None:
    aside = settings.database.with_name("aside")
    settings.database.rename(aside)
    with pytest.raises(I2VError):
        service.metrics.render()
    aside.rename(settings.database)
    assert value(samples(service), "i2v_queue_jobs") == 0


def test_a_folder_s_files_are_added_up_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(bytes(100))
    (tmp_path / "y").write_bytes(bytes(11))
    (tmp_path / "loop").symlink_to(tmp_path)
    assert bytes_in(tmp_path) == 111
    assert bytes_in(tmp_path / "missing") == 0


@pytest.mark.slow
def test_promtool_finds_no_fault_with_the_metrics(tmp_path: Path) -> None:
    """Debian's `prometheus` has promtool; `$PROMTOOL` names another one."""
    program = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if program is None:
        pytest.skip("there is no promtool")
    settings = stage(tmp_path)
    store = JobStore(settings.database)
    service = Service(settings, store, InlineExecutor(settings, store, ENGINES), ENGINES)
    service.start()
    service.submit({"prompt": "waves"}, picture())
    text = service.metrics.render()
    service.stop()
    done = subprocess.run([program, "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_each_device_has_its_memory_and_its_jobs(settings: Settings) -> None:
    cards = [DeviceInfo("cuda", "RTX 4090", 24 * 2**30, id=f"cuda:{number}") for number in range(2)]
    states = (
        DeviceState("cuda:0", 1, cards[0], "busy", job_id="a"),
        DeviceState("cuda:1", 1, cards[1], "set_aside", problem=I2VError("server.not_ready")),
        DeviceState("cuda:1", 2, cards[1], "busy", job_id="b"),
        DeviceState("", 1, None, "starting"),
    )
    service = Service(settings, JobStore(settings.database), Waiting(states=states), ENGINES)
    found = samples(service)
    card = {"type": "cuda", "device": "RTX 4090"}
    assert value(found, "i2v_device_memory_bytes", id="cuda:0", **card) == 24 * 2**30
    assert value(found, "i2v_device_memory_bytes", id="cuda:1", **card) == 24 * 2**30
    assert value(found, "i2v_device_running_jobs", id="cuda:0") == 1
    assert value(found, "i2v_device_running_jobs", id="cuda:1") == 1
    assert value(found, "i2v_device_workers_set_aside", id="cuda:0") == 0
    assert value(found, "i2v_device_workers_set_aside", id="cuda:1") == 1
    service.stop()
