"""What i2v itself needs on this machine: settings, folders, weights, ffmpeg. Knows nothing of cards."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from importlib.util import find_spec as find_package
from pathlib import Path

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import EncodeError, I2VError, InvalidRequest, ModelUnavailable, Notice
from i2v.core.fields import shown
from i2v.core.settings import ModelSettings, OutputSettings, RaySettings, Settings, WorkerSettings
from i2v.core.settings_sources import find_user_file, load_settings
from i2v.doctor.findings import Finding, Status
from i2v.engines.registry import find_spec
from i2v.media.outputs import OutputName, prepare_output
from i2v.media.video import prove_ffmpeg
from i2v.weights.folders import find_weights, locate
from i2v.weights.parts import check_reader
from i2v.workers.cluster.look import look

READ_BYTES, READ_SECONDS = 2**26, 0.3  # reading is tried for as much or as long, whatever ends first
SLOW_SECONDS = 60  # what users were told that the first clip may wait for the model
LOW_GB = 1.0
VARIABLES = ("HF_ENDPOINT", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY", "IMAGEIO_FFMPEG_EXE")


def check_settings(config: Path | None, environ: Mapping[str, str]) -> tuple[Settings | None, Finding]:
    """Return the settings, `None` where they cannot be used, and the finding that says so."""
    try:
        settings = load_settings(config, environ)
        if settings.engine.name != "auto":
            find_spec(settings.engine.name)
    except InvalidRequest as error:
        return None, Finding("problem", error)
    source = find_user_file(config, environ)
    if source is None:
        return settings, Finding("ok", Notice("doctor.settings_default", {}))
    return settings, Finding("ok", Notice("doctor.settings_ok", {"path": _shown(source)}))


def check_output(output: OutputSettings) -> Finding:
    """Try to write into the folder of videos, which is made if it is not there."""
    folder = output.directory
    try:
        prepare_output(OutputName.of(output, datetime.now()))
    except I2VError as error:
        return Finding("problem", error)
    free = round(shutil.disk_usage(folder).free / 1e9, 1)
    if free < LOW_GB:
        found = Notice("doctor.output_low", {"path": _shown(folder), "free": free})
        return Finding("warning", found, Notice("doctor.output_low_fix", {}))
    return Finding("ok", Notice("doctor.output_ok", {"path": _shown(folder), "free": free}))


def check_executor(worker: WorkerSettings, ray: RaySettings) -> Finding | None:
    """Tell which machines the Ray cluster has, where the settings want one; `None` where they do not."""
    if worker.executor != "ray":
        return None
    if find_package("ray") is None:
        return Finding("problem", I2VError("cluster.no_ray"))
    try:
        nodes = look(ray.joined)
    except I2VError as error:
        if ray.address:
            return Finding("problem", error)
        found = Notice("doctor.cluster_none", {"address": ray.joined, "reason": str(error.params["reason"])})
        return Finding("info", found)
    able = [f"{node.name} ({node.gpus:g} GPU, {node.cpus:g} CPU)" for node in nodes if node.gpus or node.cpus]
    if not able:
        return Finding("warning", I2VError("cluster.no_device", address=ray.joined))
    return Finding("ok", Notice("doctor.cluster", {"address": ray.joined, "nodes": ", ".join(able)}))


def check_logs(folder: Path) -> Finding:
    """Try to write into the folder of logs, which is made if it is not there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return Finding("ok", Notice("doctor.logs_ok", {"path": _shown(folder)}))
    except OSError as error:
        reason = error.strerror or str(error)
        found = Notice("doctor.logs_unwritable", {"path": _shown(folder), "reason": reason})
        return Finding("warning", found, Notice("doctor.logs_unwritable_fix", {}))


def check_weights(
    specs: Iterable[EngineSpec], models: ModelSettings, needed: str, if_absent: Status
) -> Iterator[Finding]:
    """Tell of each model whether all its files are there, and then which are not installed.

    Args:
        needed: the engine that is a problem if it is not installed, as the built-in one always is.
        if_absent: how bad it is that others are not.
    """
    absent = []
    for spec in specs:
        finding = _check_files(spec, models)
        is_needed = spec.embedded or spec.name == needed
        if finding.found.code == "weights.missing_folder" and not is_needed:
            absent.append(spec.title)
        else:
            yield finding
    if absent:
        found = Notice("doctor.not_installed", {"titles": ", ".join(absent)})
        yield Finding(if_absent, found, Notice("doctor.not_installed_fix", {}))


def _check_files(spec: EngineSpec, models: ModelSettings) -> Finding:
    folder = locate(spec, models)
    try:
        check_reader(spec, folder.path)
    except ModelUnavailable as error:
        return Finding("problem", error)
    if folder.missing is None:
        return Finding("ok", Notice("doctor.weights_ok", {"title": spec.title, "path": _shown(folder.path)}))
    try:
        find_weights(spec, models)
    except ModelUnavailable as error:
        return Finding("problem", error)
    path = _shown(folder.missing)
    return Finding("problem", ModelUnavailable("weights.missing_file", title=spec.title, path=path))


def check_reading(spec: EngineSpec, models: ModelSettings) -> Finding | None:
    """Time how fast the weights come from their disk; `None` where there are none."""
    folder = locate(spec, models)
    if not folder.size:
        return None
    path = max(folder.files, key=lambda path: folder.files[path])
    try:
        speed = _read_speed(path)
    except OSError as error:
        reason = error.strerror or str(error)
        return Finding(
            "problem",
            ModelUnavailable("weights.unreadable", title=spec.title, path=_shown(path), reason=reason),
        )
    seconds = folder.size / max(speed, 1)
    found = Notice(
        "doctor.reading",
        {
            "title": spec.title,
            "megabytes": round(folder.size / 1e6),
            "speed": round(speed / 1e6),
            "seconds": round(seconds, 2),
        },
    )
    if seconds > SLOW_SECONDS:
        return Finding("warning", found, Notice("doctor.reading_fix", {}))
    return Finding("ok", found)


def _read_speed(path: Path) -> float:
    """Return bytes a second, from the disk: what will be read is first dropped from the system's cache."""
    done, start = 0, time.perf_counter()
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, READ_BYTES, os.POSIX_FADV_DONTNEED)
        while done < READ_BYTES and time.perf_counter() - start < READ_SECONDS:
            block = file.read(2**20)
            if not block:
                break
            done += len(block)
    return done / (time.perf_counter() - start)


def check_ffmpeg() -> Finding:
    """Make a tiny clip, by the same proof as before every job."""
    start = time.perf_counter()
    try:
        prove_ffmpeg()
    except EncodeError as error:
        found = Notice("doctor.ffmpeg_broken", {"reason": error.message})
        return Finding("problem", found, Notice("doctor.ffmpeg_broken_fix", {}))
    seconds = round(time.perf_counter() - start, 1)
    return Finding("ok", Notice("doctor.ffmpeg_ok", {"seconds": seconds}))


def list_variables(environ: Mapping[str, str]) -> Finding:
    """Tell which proxies and mirrors are set, without the names and passwords in them."""
    found = {
        name: environ[name] for known in VARIABLES for name in (known, known.lower()) if environ.get(name)
    }
    if not found:
        return Finding("info", Notice("doctor.no_variables", {}))
    values = (
        f"{name}={shown(re.sub('//[^/]*@', '//***@', value), limit=200)}" for name, value in found.items()
    )
    return Finding("info", Notice("doctor.variables", {"variables": ", ".join(values)}))


def _shown(path: Path) -> str:
    return shown(str(path), limit=300)
