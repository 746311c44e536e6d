"""What the service measures, in Prometheus' text format: the queue, jobs, memory, folders, webhooks.

Owns names and units (https://prometheus.io/docs/practices/naming). What has happened to jobs is counted from
the outbox, from the start of the service on, when somebody asks; what is so now is looked at then. There are
no numbers at import and no global registry. Deliberately does not know HTTP.
"""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path
from typing import TypeVar, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from i2v.core.settings import Settings
from i2v.jobs.model import FinalStatus
from i2v.jobs.outbox import Transition
from i2v.jobs.store import JobStore
from i2v.service.executor import Executor
from i2v.service.webhooks import Webhooks

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)  # bounds of buckets
WALK_SECONDS = 60.0  # folders are walked through no more often: they may have many files

Family = TypeVar("Family", CounterMetricFamily, GaugeMetricFamily)


class Metrics(Collector):
    """Counts from where it is made on. `render` may be called from any thread."""

    def __init__(
        self,
        settings: Settings,
        store: JobStore,
        executor: Executor,
        webhooks: Webhooks,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folders = {"outputs": settings.output.directory, "data": settings.service.data_dir}
        self._store = store
        self._executor = executor
        self._webhooks = webhooks
        self._clock = clock
        self._lock = threading.Lock()
        self._read = store.outbox.last()
        self._queued = {job.id: job.created_at for job in store.unfinished() if job.status == "queued"}
        self._finished: Counter[tuple[str, ...]] = Counter()
        self._failures: Counter[tuple[str, ...]] = Counter()
        self._memory_steps: Counter[tuple[str, ...]] = Counter()
        self._durations: dict[tuple[str, ...], _Distribution] = defaultdict(_Distribution)
        self._phases: dict[tuple[str, ...], _Distribution] = defaultdict(_Distribution)
        self._peaks: dict[tuple[str, ...], float] = {}
        self._walked = -WALK_SECONDS
        self._bytes: dict[tuple[str, ...], float] = {}
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def render(self) -> bytes:
        """Return all of it as text (`CONTENT_TYPE`); raise `I2VError` (`database.*`) where that is away."""
        with self._lock:
            return generate_latest(self._registry)

    def describe(self) -> list[Metric]:
        """Nothing: what there is is said by `collect`, which `register` should not call."""
        return []

    def collect(self) -> Iterator[Metric]:
        while transitions := self._store.outbox.after(self._read):
            for each in transitions:
                self._count(each)
                self._read = each.number
        yield from self._now()
        yield from self._so_far()

    def _count(self, found: Transition) -> None:
        """Take a transition into the counts."""
        if found.job_id is None:  # of a batch, which its jobs make up
            return
        if found.event in ("submitted", "requeued"):
            self._queued[found.job_id] = found.at
            return
        self._queued.pop(found.job_id, None)
        if found.event not in get_args(FinalStatus):
            return
        engine, details = found.engine or "unknown", found.details
        self._finished[engine, found.event] += 1
        error, notices = details.get("error"), details.get("notices")
        if isinstance(error, dict):
            self._failures[engine, str(error.get("code"))] += 1
        for code in notices if isinstance(notices, list) else ():
            if str(code).startswith("ladder."):
                self._memory_steps[engine, str(code).removeprefix("ladder.")] += 1
        if isinstance(duration := details.get("duration"), int | float):
            self._durations[engine, found.event].add(duration)
        if isinstance(phases := details.get("seconds"), dict):
            for phase, seconds in phases.items():
                self._phases[engine, phase].add(seconds)
        if isinstance(peak := details.get("peak_bytes"), int):
            self._peaks[engine,] = peak

    def _now(self) -> Iterator[Metric]:
        """Yield how things are."""
        counts, now = self._store.counts(), self._clock()
        oldest = max((now - at for at in self._queued.values()), default=0.0)
        is_up = self._executor.problem() is None
        yield _gauge("i2v_build_info", "The version of i2v.", ("version",), {(version("i2v"),): 1})
        yield _gauge("i2v_queue_jobs", "Jobs that wait.", (), {(): counts["queued"]})
        yield _gauge("i2v_running_jobs", "Jobs that run.", (), {(): counts["running"]})
        paused = self._store.queue.is_paused()
        yield _gauge("i2v_queue_paused", "Whether somebody has paused the queue.", (), {(): paused})
        yield _gauge(
            "i2v_queue_oldest_age_seconds",
            "How long the job has waited that has waited longest; 0 where none waits.",
            (),
            {(): max(0.0, oldest)},
        )
        yield _gauge("i2v_worker_up", "Whether a job that is queued now would be run.", (), {(): is_up})
        yield _gauge(
            "i2v_folder_bytes", "What the files in a folder take.", ("folder",), self._folder_bytes()
        )
        yield from self._devices()
        yield _gauge(
            "i2v_webhook_messages",
            "Messages to webhooks of the last 30 days, by status.",
            ("status",),
            {(status,): count for status, count in self._webhooks.counts().items()},
        )

    def _so_far(self) -> Iterator[Metric]:
        """Yield what has happened since the start."""
        yield _counter(
            "i2v_jobs_finished", "Jobs that have ended.", ("engine", "status"), dict(self._finished)
        )
        yield _counter(
            "i2v_job_failures", "Jobs that have failed, by error.", ("engine", "code"), dict(self._failures)
        )
        yield _counter(
            "i2v_memory_steps",
            "Steps to less memory, taken by jobs that have ended.",
            ("engine", "step"),
            dict(self._memory_steps),
        )
        yield _histogram(
            "i2v_job_duration_seconds",
            "The last attempt of jobs that have ended, from its start.",
            ("engine", "status"),
            self._durations,
        )
        yield _histogram(
            "i2v_job_phase_duration_seconds",
            "The phases of jobs that have succeeded; some overlap.",
            ("engine", "phase"),
            self._phases,
        )
        yield _gauge(
            "i2v_job_memory_peak_bytes",
            "The memory that the last job took at the most, where that is measured.",
            ("engine",),
            self._peaks,
        )
        yield _counter("i2v_worker_deaths", "Workers that have died.", (), {(): self._executor.deaths()})
        yield _counter(
            "i2v_webhook_attempts",
            "Attempts to deliver a message.",
            ("outcome",),
            {(outcome,): self._webhooks.attempts[outcome] for outcome in ("delivered", "failed")},
        )

    def _devices(self) -> Iterator[Metric]:
        """Yield what concerns each device; those with several workers count for each."""
        states = self._executor.devices()
        running = Counter[tuple[str, ...]]()
        aside = Counter[tuple[str, ...]]()
        for state in states:
            if state.id:
                running[state.id,] += state.job_id is not None
                aside[state.id,] += state.activity == "set_aside"
        yield _gauge(
            "i2v_device_memory_bytes",
            "The memory of the devices that jobs run on.",
            ("type", "device", "id"),
            {(seen.type, seen.name, seen.id): seen.total_memory for state in states if (seen := state.info)},
        )
        yield _gauge("i2v_device_running_jobs", "Jobs that run on a device.", ("id",), running)
        yield _gauge(
            "i2v_device_workers_set_aside",
            "Workers of a device that did not start several times in a row, and are tried again later.",
            ("id",),
            aside,
        )

    def _folder_bytes(self) -> Mapping[tuple[str, ...], float]:
        if time.monotonic() - self._walked >= WALK_SECONDS:
            self._bytes = {(name,): bytes_in(folder) for name, folder in self._folders.items()}
            self._walked = time.monotonic()
        return self._bytes


class _Distribution:
    """Seconds in buckets."""

    def __init__(self) -> None:
        self._counts = [0] * (len(SECONDS) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(SECONDS, seconds)] += 1
        self.sum += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Return how many were at most each bound, as Prometheus has it."""
        bounds = [*map(str, SECONDS), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self._counts)), strict=True))


def bytes_in(folder: Path) -> int:
    """Return what all files below `folder` take; what goes away meanwhile, or cannot be read, is left out."""
    total = 0
    waiting = [str(folder)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total


def _gauge(
    name: str, words: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]
) -> GaugeMetricFamily:
    return _filled(GaugeMetricFamily(name, words, labels=labels), values)


def _counter(
    name: str, words: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], float]
) -> CounterMetricFamily:
    return _filled(CounterMetricFamily(name, words, labels=labels), values)


def _filled(family: Family, values: Mapping[tuple[str, ...], float]) -> Family:
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _histogram(
    name: str, words: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], _Distribution]
) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, words, labels=labels)
    for key, distribution in values.items():
        family.add_metric(key, distribution.buckets(), distribution.sum)
    return family
