"""This machine as a member of a cluster, from one command: it joins, stays, and leaves in order.

Owns Ray's process here. The actors are Ray's, and which jobs they get is the service's business: it is told
that the machine leaves, and by when.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from i2v.core.errors import I2VError, InvalidRequest
from i2v.core.fields import shown
from i2v.core.setting_values import address as checked_address
from i2v.host.network import is_loopback, resolve
from i2v.workers.cluster.node import FOLDER_VARIABLE, environment, has_actors, join_command, leave

CONNECT_SECONDS = 5.0
TICK_SECONDS = 0.2
AGAIN_SECONDS = 5.0  # between two tries to join a server that has gone
GIVE_BACK_SECONDS = 15.0  # for jobs that are given back
END_SECONDS = 15.0  # for Ray to end
JOINED = "Ray runtime started"  # what it prints then


@dataclass(frozen=True)
class Membership:
    """How this machine joins. `host`: its own address, `gpus`: how many it lends; `None`: as Ray finds."""

    address: str
    name: str | None = None
    host: str | None = None
    gpus: int | None = None


def check_address(address: str) -> None:
    """Raise `InvalidRequest` or `I2VError` (`cluster.*`) where nothing that could be joined answers."""
    try:
        host = checked_address(address).rpartition(":")[0]
    except ValueError:
        host = ""
    if not host:
        raise InvalidRequest("request.invalid", field="address", value=shown(address), allowed="HOST:PORT")
    if is_loopback(resolve(host.strip("[]"))):
        raise InvalidRequest("cluster.loopback", address=address)
    reach(address)


def reach(address: str) -> None:
    """Raise `I2VError` (`cluster.unreachable`) where nothing answers; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise I2VError("cluster.unreachable", address=address, reason=reason) from error


def wait_until_reached(address: str) -> None:
    """Return when something answers there, some seconds later at the earliest."""
    while True:
        time.sleep(AGAIN_SECONDS)
        with suppress(I2VError):
            return reach(address)


class Member:
    """Ray's process on this machine. Use it by `joined`."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path, log: Path) -> None:
        self._process = process
        self._folder = folder
        self._log = log

    def wait_until_joined(self, seconds: float) -> None:
        """Raise `I2VError` (`cluster.not_joined`) where it does not join; it says why."""
        end = time.monotonic() + seconds
        while JOINED not in (said := self._log.read_text(errors="replace")):
            if self._process.poll() is not None or time.monotonic() > end:
                raise I2VError("cluster.not_joined", reason=reason_of(said), path=str(self._log))
            time.sleep(TICK_SECONDS)

    def wait(self) -> None:
        """Return when Ray ends here, as when its head does."""
        while self._process.poll() is None:  # in short sleeps: a signal is heard between two
            time.sleep(TICK_SECONDS)

    def leave(self, grace: float) -> None:
        """Take no more jobs; return when those that run have ended, or are given back after `grace` s."""
        leave(self._folder, "soon")
        self._wait_for_actors(grace)
        leave(self._folder, "now")
        self._wait_for_actors(GIVE_BACK_SECONDS)

    def _wait_for_actors(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while has_actors(self._folder) and self._process.poll() is None and time.monotonic() < end:
            time.sleep(TICK_SECONDS)


@contextmanager
def joined(membership: Membership, environ: Mapping[str, str], log: Path) -> Iterator[Member]:
    """Start Ray here, and end it when the block ends. `log`: takes what it prints.

    Raises `I2VError` (`cluster.no_ray`).
    """
    if find_spec("ray") is None:
        raise I2VError("cluster.no_ray")
    folder = Path(tempfile.mkdtemp(prefix="i2v-node-"))
    command = join_command(membership.address, membership.name, membership.host, membership.gpus)
    given = {**environ, **environment(membership.address), FOLDER_VARIABLE: str(folder)}
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output:
            process = subprocess.Popen(
                command,
                env=given,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # out of reach of Ctrl-C, which is for us
            )
        try:
            yield Member(process, folder, log)
        finally:
            end(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def end(process: subprocess.Popen[bytes]) -> None:
    """End Ray's processes that this one has started."""
    process.terminate()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def reason_of(said: str) -> str:
    """Return the line that says why Ray did not start: of a version that does not fit, say."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    found = [line for line in lines if "mismatch" in line or "Error" in line]
    return shown(" ".join((found or lines or ["it has said nothing"])[-1].split()), limit=300)


def own_environment(config: Path | None) -> dict[str, str]:
    """Return the variables that actors read this machine's settings by."""
    return {**os.environ, **({} if config is None else {"I2V_CONFIG": str(config.absolute())})}
