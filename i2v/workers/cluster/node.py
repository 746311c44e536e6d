"""Ray on this machine: how it is started, and how its end is told to the actors that run here.

Owns the command line of `ray start`, and the folder in which the machine says that it leaves. Where
that folder is, actors know by a variable, which Ray passes on to them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import psutil

from i2v.host.network import is_loopback, resolve
from i2v.workers.cluster.places import NAME_LABEL

FOLDER_VARIABLE = "I2V_NODE_FOLDER"
_LEAVING = "leaving"
_ACTOR = "actor-"
# Ray replaces 127.0.0.1 by an address of the network, where nothing listens then, unless this says otherwise:
# it is meant for systems on which Ray stays on one machine.
_LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}

Leaving = Literal["", "soon", "now"]


def environment(address: str) -> dict[str, str]:
    """Return what a process sets before it loads Ray, to reach the Ray at `address` (HOST:PORT)."""
    host = address.rpartition(":")[0].strip("[]")
    quiet = {"RAY_USAGE_STATS_ENABLED": "0"}  # nothing is sent to anybody
    return {**quiet, **_LOOPBACK} if is_loopback(resolve(host)) else quiet


def head_command(host: str, port: int) -> list[str]:
    """Return what starts Ray's head here, reached at `host`; it ends with this process."""
    head = ["--head", "--include-dashboard=false", f"--port={port}"]  # Ray refuses these for other machines
    return [*_start(), *head, f"--node-ip-address={resolve(host)}"]


def join_command(address: str, name: str | None, host: str | None, gpus: int | None) -> list[str]:
    """Return what makes this machine a node of the Ray at `address`; it ends with this process."""
    command = [*_start(), f"--address={address}"]
    if name is not None:
        command.append(f"--labels={NAME_LABEL}={name}")
    if host is not None:
        command.append(f"--node-ip-address={resolve(host)}")
    if gpus is not None:
        command.append(f"--num-gpus={gpus}")
    return command


def _start() -> list[str]:
    own = str(os.getpid())
    return [sys.executable, "-m", "i2v.workers.cluster.ray_start", own, "--disable-usage-stats"]


def note_actor(environ: Mapping[str, str]) -> None:
    """Let the machine know that this process is an actor of it."""
    if folder := environ.get(FOLDER_VARIABLE):
        (Path(folder) / f"{_ACTOR}{os.getpid()}").touch()


def leaving(environ: Mapping[str, str]) -> Leaving:
    """Return what the machine says: "soon": no other job; "now": what runs is given back."""
    folder = environ.get(FOLDER_VARIABLE)
    if not folder:
        return ""
    try:
        said = (Path(folder) / _LEAVING).read_text()
    except FileNotFoundError:
        return ""
    return "now" if said == "now" else "soon"


def leave(folder: Path, when: Leaving) -> None:
    """Say so to the actors of this machine."""
    new = folder / f"{_LEAVING}.new"
    new.write_text(when)
    new.replace(folder / _LEAVING)


def has_actors(folder: Path) -> bool:
    """Tell whether an actor of this machine lives."""
    pids = [int(path.name.removeprefix(_ACTOR)) for path in folder.glob(f"{_ACTOR}*")]
    return any(_lives(pid) for pid in pids)


def _lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
