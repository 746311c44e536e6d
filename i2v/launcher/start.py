"""Starting the server in the background, and waiting until its page answers.

The server's standard output and error go to files that have no name: what it says there (a new access token,
too) is shown to the person and kept nowhere. Knows the server as a command and as an address, no more.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import psutil

from i2v.core.settings import Settings
from i2v.core.settings_sources import ROOT, load_settings
from i2v.doctor.machine import check_port
from i2v.engines.registry import find_spec
from i2v.host.service_lock import Holder, find_holder
from i2v.launcher.answers import status_of
from i2v.launcher.terminal import Terminal

LOGS = ROOT / "logs"
SCRIPT = "bash scripts/start_app.sh"
FLAGS = ("host", "port", "config")  # of `i2v serve`
SERVER = (sys.executable, "-P", "-m", "i2v", "serve")  # -P: the current folder may hold modules of any name
PATIENCE = 180.0  # seconds; the first start after an installation reads thousands of files from a cold disk
LOOK_SECONDS = 0.05
RIVAL_SECONDS = 1.0
# What the launcher says in its own words, and where it has seen that it is true.
OWN_WORDS = ("Log: ", "i2v listens at ")


@dataclass(frozen=True)
class Launcher:
    """What all commands of the launcher need.

    flags: those of `i2v serve` that were given, as "--port=7861". server: the command that they are added to.
    """

    settings: Settings
    flags: tuple[str, ...]
    terminal: Terminal
    server: Sequence[str] = SERVER
    patience: float = PATIENCE

    @property
    def data_dir(self) -> Path:
        return self.settings.service.data_dir


def open_launcher(flags: Mapping[str, str], terminal: Terminal) -> Launcher:
    """Return what the flags and the environment ask for; raises as `load_settings` does.

    flags: values by their names, `FLAGS`.
    """
    config = Path(flags["config"]) if "config" in flags else None
    settings = load_settings(
        config, os.environ, {"server.host": flags.get("host"), "server.port": flags.get("port")}
    )
    return Launcher(settings, tuple(f"--{name}={value}" for name, value in flags.items()), terminal)


def start(launcher: Launcher) -> int:
    """Start the server unless it runs; return the exit code."""
    if holder := find_holder(launcher.data_dir):
        show_running(launcher, holder)
        return 0
    if not _prepare(launcher):
        return 1
    launcher.terminal.plain("starting")
    with TemporaryFile() as said, TemporaryFile() as complaints:
        began = time.monotonic()
        server = subprocess.Popen(
            [*launcher.server, "--quiet", *launcher.flags],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=complaints,
            start_new_session=True,  # a closed terminal and Ctrl-C do not reach it
        )
        try:
            _show_findings(launcher)  # while it loads
            holder = _wait(launcher, server, began + launcher.patience, said)
        except BaseException:
            server.terminate()
            server.wait()
            raise
        if holder is not None:
            seconds = round(time.monotonic() - began, 1)
            launcher.terminal.say("ok", "ready", seconds=seconds, pid=server.pid)
            show_addresses(launcher, holder)
            return 0
        return _fail(launcher, server, complaints)


def start_in_foreground(launcher: Launcher) -> int:
    """Become the server; return the exit code where that cannot be."""
    if holder := find_holder(launcher.data_dir):
        show_running(launcher, holder)
        return 1
    if not _prepare(launcher):
        return 1
    _show_findings(launcher)
    command = [*launcher.server, *launcher.flags]
    os.execv(command[0], command)


def show_running(launcher: Launcher, holder: Holder) -> None:
    if not holder.pid:
        launcher.terminal.say("info", "begins")
        return
    launcher.terminal.say("info", "runs", pid=holder.pid)
    show_addresses(launcher, holder)
    if launcher.flags:
        flags = shlex.join(launcher.flags)
        launcher.terminal.plain("runs_elsewhere", command=SCRIPT, flags=flags)


def show_addresses(launcher: Launcher, holder: Holder) -> bool:
    """Show those addresses that answer, and the log; return whether any of them does."""
    alive = {url: status_of(f"{url}/healthz", seconds=3) == 200 for url in holder.urls}
    for url, is_alive in alive.items():
        if not is_alive:
            launcher.terminal.say("warning", "silent", url=url)
        else:
            launcher.terminal.plain("here" if url == holder.urls[0] else "network", url=url)
    if holder.log is not None:
        launcher.terminal.plain("log", path=holder.log)
    launcher.terminal.plain("onward", command=SCRIPT)
    return any(alive.values())


def _prepare(launcher: Launcher) -> bool:
    """Check what would keep the server from starting, and make its folders; return whether it can start."""
    settings = launcher.settings
    if settings.engine.name != "auto":
        find_spec(settings.engine.name)
    if not _port_is_free(launcher, settings.server.port):
        return False
    folders = (settings.output.directory, settings.service.data_dir, LOGS)
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            launcher.terminal.show("problem", f"{folder}: {error.strerror}")
            return False
    launcher.terminal.say("ok", "folders", folders=", ".join(map(str, folders)))
    return True


def _port_is_free(launcher: Launcher, port: int) -> bool:
    if port == 0:
        return True
    finding = check_port(port)
    launcher.terminal.show_finding(finding)
    if finding.status == "ok":
        return True
    pid = finding.found.params.get("pid")
    if isinstance(pid, int):
        launcher.terminal.plain("holder", pid=pid, command=_command_of(pid))
    other = next((it for it in range(port + 1, 65536) if check_port(it).status == "ok"), 0)
    kept = [flag for flag in launcher.flags if not flag.startswith("--port=")]
    command = shlex.join([*SCRIPT.split(), *kept, f"--port={other}"])
    launcher.terminal.plain("other_port", command=command, port=port)
    return False


def _command_of(pid: int) -> str:
    try:
        return shlex.join(psutil.Process(pid).cmdline())[:200]
    except psutil.Error:  # another user's, or it has ended
        return "?"


def _show_findings(launcher: Launcher) -> None:
    from i2v.doctor.brief import examine_briefly  # numpy and ffmpeg: the server is loading meanwhile

    for finding in examine_briefly(launcher.settings, os.environ):
        launcher.terminal.show_finding(finding, "warning" if finding.status == "problem" else None)


def _wait(
    launcher: Launcher, server: subprocess.Popen[bytes], deadline: float, said: IO[bytes]
) -> Holder | None:
    """Return the service once its page answers; `None` if the server has ended, or it takes too long."""
    seen = 0
    while time.monotonic() < deadline and server.poll() is None:
        seen = _relay(launcher, said, seen)
        holder = find_holder(launcher.data_dir)
        if holder is not None and holder.pid == server.pid and _has_page(holder):
            _relay(launcher, said, seen)
            return holder
        time.sleep(LOOK_SECONDS)
    return None


def _has_page(holder: Holder) -> bool:
    """Tell whether the page is there, or at least asks who comes."""
    status = status_of(f"{holder.urls[0]}/", seconds=1) if holder.urls else None
    return status is not None and status < 500


def _relay(launcher: Launcher, said: IO[bytes], seen: int) -> int:
    """Show what the server has printed beyond the first `seen` bytes, whole lines; return up to where."""
    new = os.pread(said.fileno(), 2**16, seen)
    whole = new[: new.rfind(b"\n") + 1]
    for line in whole.decode("utf-8", "replace").splitlines():
        if not line.startswith(OWN_WORDS):
            launcher.terminal.show("info", line)
    return seen + len(whole)


def _fail(launcher: Launcher, server: subprocess.Popen[bytes], complaints: IO[bytes]) -> int:
    """Tell why there is no server, and return the exit code."""
    status = server.poll()
    if status is None:
        holder = find_holder(launcher.data_dir)
        server.terminate()
        server.wait()
        log = holder.log if holder else "-"
        launcher.terminal.say("problem", "not_ready", seconds=round(launcher.patience), path=log)
        return 1
    if holder := _find_rival(launcher.data_dir):
        show_running(launcher, holder)
        return 0
    complaints.seek(0)
    for line in complaints.read().decode("utf-8", "replace").splitlines()[-20:]:
        print(f"  {line}", file=sys.stderr)
    launcher.terminal.say("problem", "died", status=status)
    return 1


def _find_rival(data_dir: Path) -> Holder | None:
    """Return a service that was started at the same time and was first at the port, so soon at the folder."""
    end = time.monotonic() + RIVAL_SECONDS
    while (holder := find_holder(data_dir)) is None and time.monotonic() < end:
        time.sleep(LOOK_SECONDS)
    return holder
