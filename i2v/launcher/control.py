"""What is done with a server that runs: status, stop, and its log."""

from __future__ import annotations

import contextlib
import os
import re
import time
from datetime import datetime
from pathlib import Path

import psutil

from i2v.core.errors import I2VError
from i2v.host.log_files import find_logs
from i2v.host.service_lock import find_holder
from i2v.jobs.store import JobStore
from i2v.launcher.answers import status_of
from i2v.launcher.start import FLAGS, LOGS, Launcher, open_launcher, show_addresses, start

STOP_SECONDS = 60.0  # answers under way have ten, the worker five
NOT_RUNNING = 3  # the exit code of `status`, as init scripts have it


def status(launcher: Launcher) -> int:
    """Tell whether the server runs, answers and works; return 0, 1 (it does not answer) or 3 (no server)."""
    terminal = launcher.terminal
    holder = find_holder(launcher.data_dir)
    if holder is None:
        terminal.say("info", "not_running", folder=launcher.data_dir)
        return NOT_RUNNING
    if not holder.pid:
        terminal.say("info", "begins")
        return 1
    process = holder.process(launcher.data_dir)
    since = "?" if process is None else f"{datetime.fromtimestamp(process.create_time()):%Y-%m-%d %H:%M:%S}"
    terminal.say("ok", "running", pid=holder.pid, since=since)
    is_alive = show_addresses(launcher, holder)
    if is_alive:
        key = {200: "worker_ready", 503: "worker_not_ready"}.get(
            status_of(f"{holder.urls[0]}/readyz", 3) or 0
        )
        if key is not None:
            terminal.say("info", key)
        _show_jobs(launcher)
    return 0 if is_alive else 1


def _show_jobs(launcher: Launcher) -> None:
    try:
        with contextlib.closing(JobStore(launcher.settings.database, create=False)) as store:
            counts = store.counts()
    except I2VError as error:  # the database is away: the service says so too
        launcher.terminal.fail(error)
    else:
        launcher.terminal.say("info", "jobs", running=counts["running"], queued=counts["queued"])


def stop(launcher: Launcher) -> int:
    """End the server in order, if it runs, and return when it has ended."""
    terminal = launcher.terminal
    holder = find_holder(launcher.data_dir)
    if holder is None:
        terminal.say("info", "not_running", folder=launcher.data_dir)
        return 0
    process = holder.process(launcher.data_dir)
    if process is None:
        terminal.say("problem", "foreign" if holder.pid else "begins")
        return 1
    terminal.say("info", "stopping", pid=holder.pid)
    began = time.monotonic()
    try:
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended by itself meanwhile, as it should
            process.terminate()
            process.wait(STOP_SECONDS)
    except psutil.TimeoutExpired:
        terminal.say("problem", "not_stopped", seconds=round(STOP_SECONDS), pid=holder.pid)
        return 1
    terminal.say("ok", "stopped", seconds=round(time.monotonic() - began, 1))
    return 0


def restart(launcher: Launcher) -> int:
    """Stop the server and start it again: where no flags are given, with those that it had."""
    if not launcher.flags:
        launcher = open_launcher(_flags_of_running(launcher), launcher.terminal)
    return stop(launcher) or start(launcher)


def _flags_of_running(launcher: Launcher) -> dict[str, str]:
    holder = find_holder(launcher.data_dir)
    process = None if holder is None else holder.process(launcher.data_dir)
    if process is None:
        return {}
    words = "\0".join(process.cmdline())  # each flag with its value, as one word or as two
    return dict(re.findall(rf"--({'|'.join(FLAGS)})[=\0]([^\0]*)", words))


def show_log(launcher: Launcher) -> int:
    """Become `tail -F` of the running server's log, or else of the newest one."""
    holder = find_holder(launcher.data_dir)
    found = [Path(holder.log)] if holder and holder.log else find_logs(LOGS)
    if not found:
        launcher.terminal.say("info", "no_log", folder=LOGS)
        return 1
    os.execvp("tail", ["tail", "-n", "50", "-F", str(found[0])])
