"""The machine around i2v: memory, who else uses it, the port, the clock. Knows no settings."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import psutil

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Notice
from i2v.doctor.findings import Finding
from i2v.doctor.graphics import Card

GIB = 2**30
MUCH_MEMORY = GIB // 2  # bytes; a process takes 0.2 GiB by importing torch
CLOCK_SLACK = 3600  # seconds that the clocks of this machine and of a shared disk may differ

# GB on a 24 GB card by preset, as published with the product for I2VGen-XL; not measured by us.
PUBLISHED_GB = {"quick": 12.1, "standard": 13.8, "high": 17.6, "extreme": 21.3}
# Largest resident set of `i2v generate --engine embedded --preset extreme`, in GiB: CPU, float32, 1 thread.
EMBEDDED_GIB = 0.7


def check_memory(spec: EngineSpec, card: Card | None, available: int, total: int) -> Finding:
    """Compare what is free with what clips of `spec` are known to take on `card`, or else on the CPU.

    available, total: the machine's own memory in bytes.
    """
    if card is not None and card.free is not None and card.total is not None and not spec.embedded:
        return _check_card_memory(_gib(card.free), _gib(card.total))
    free, of = _gib(available), _gib(total)
    if card is not None or not spec.embedded:
        found = Notice("doctor.memory_unknown", {"free": free, "total": of, "title": spec.title})
        return Finding("info", found)
    found = Notice("doctor.memory", {"free": free, "total": of, "needed": EMBEDDED_GIB})
    if free < EMBEDDED_GIB:
        return Finding("problem", found, Notice("doctor.memory_fix", {}))
    return Finding("ok", found)


def _check_card_memory(free: float, total: float) -> Finding:
    figures = ", ".join(f"{preset} {size}" for preset, size in PUBLISHED_GB.items())
    found = Notice("doctor.card_memory", {"free": free, "total": total, "figures": figures})
    if free < PUBLISHED_GB["standard"]:  # the default preset
        return Finding("warning", found, Notice("doctor.memory_fix", {}))
    return Finding("ok", found)


def check_others(holders: Iterable[int]) -> list[Finding]:
    """Name the processes, other than this one's family, that hold the cards' memory or much RAM under torch.

    `holders`: ids of the processes that use a card. Programs of other users may stay unseen.
    """
    ours = {process.pid for process in _family()}
    others = [*_on_cards(holders, ours), *_with_torch(ours)]
    if not others:
        return [Finding("ok", Notice("doctor.alone", {}))]
    return [Finding("warning", found, Notice("doctor.others_fix", {})) for found in others]


def _family() -> list[psutil.Process]:
    this = psutil.Process()
    return [this, *this.parents(), *this.children(recursive=True)]


def _on_cards(holders: Iterable[int], ours: set[int]) -> Iterator[Notice]:
    for pid in holders:
        if pid not in ours:
            yield Notice("doctor.card_shared", {"name": _name(pid), "pid": pid})


def _with_torch(ours: set[int]) -> Iterator[Notice]:
    for process in psutil.process_iter(["name", "memory_info"]):
        memory = process.info["memory_info"]  # None where another user's process does not tell
        if process.pid in ours or memory is None or memory.rss < MUCH_MEMORY:
            continue
        try:
            libraries = Path(f"/proc/{process.pid}/maps").read_text(errors="replace")
        except OSError:  # it has ended, or is another user's
            continue
        if "libtorch" in libraries:
            held, name = _gib(memory.rss), process.info["name"]
            yield Notice("doctor.memory_shared", {"name": name, "pid": process.pid, "gib": held})


def check_port(port: int) -> Finding:
    """Tell whether a server could listen on `port`; a listener that is this very process is no obstacle."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that was just closed is free
        try:
            probe.bind(("", port))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                reason = error.strerror or str(error)
                found = Notice("doctor.port_closed", {"port": port, "reason": reason})
                return Finding("problem", found, Notice("doctor.port_closed_fix", {}))
        else:
            return Finding("ok", Notice("doctor.port_free", {"port": port}))
    pid = _listener(port)
    if pid == os.getpid():
        return Finding("ok", Notice("doctor.port_ours", {"port": port}))
    if pid is None:
        found = Notice("doctor.port_taken_unseen", {"port": port})
        return Finding("problem", found, Notice("doctor.port_taken_unseen_fix", {"port": port}))
    found = Notice("doctor.port_taken", {"port": port, "name": _name(pid), "pid": pid})
    return Finding("problem", found, Notice("doctor.port_taken_fix", {"pid": pid}))


def _name(pid: int) -> str:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:  # it has ended, or lives in another container
        return "?"


def _listener(port: int) -> int | None:
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr and connection.laddr.port == port:
            return connection.pid
    return None


def check_clock(now: float, written: float) -> Finding:
    """Compare the clock with the time at which i2v's own files were written, both in seconds since 1970."""
    if now < written - CLOCK_SLACK:
        found = Notice("doctor.clock_back", {"now": _time(now), "written": _time(written)})
        return Finding("warning", found, Notice("doctor.clock_back_fix", {}))
    return Finding("ok", Notice("doctor.clock_ok", {"now": _time(now)}))


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).isoformat(" ", "seconds")


def _gib(size: int) -> float:
    return round(size / GIB, 1)
