"""What one hostile client can do to the others: answer times and memory of the web process under attack.

    python -m benchmarks.attack --json attack.json

Starts a server of its own on a free port of this machine, with its page, in a temporary folder, and attacks
it there and nowhere else. Each attack is a bounded number of requests. Meanwhile an ordinary client asks for
the newest job every 50 ms: its slowest answer is how long the attack kept others waiting. Memory is the web
process's resident set; the processes that decode pictures have limits of their own and are not in it. Any
answer of 500 and above other than 503 and 507 ("not now", "no room") is a fault, and is listed at the end.

The token is not asked for: what strangers without one can do is less, and `tests/web/guard` is about that.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import resource
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil

from benchmarks.hostile import MB, comments_gif, form, many_scans, odd_request, photograph, png_bomb
from benchmarks.reports import machine, versions, write
from tests.servers import APP, Server, launched

POLL_SECONDS = 0.05
TIMEOUT = 20.0  # seconds: how long one answer is waited for
Headers = dict[str, str]


@dataclass
class Tally:
    """Statuses of the attack's answers; 0 where the server closed the connection without one."""

    statuses: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def note(self, what: str, status: int) -> None:
        self.statuses[status] += 1
        if status >= 500 and status not in (503, 507):
            self.faults.append(f"{what}: {status}")


class Target:
    """The server under attack."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.host, port = server.url.removeprefix("http://").split(":")
        self.port = int(port)
        self.process = psutil.Process(server.process.pid)
        self.folder = folder
        self.log = server.log

    def send(
        self, tally: Tally, method: str, path: str, body: bytes = b"", headers: Headers | None = None
    ) -> bytes:
        """Send one request and return the body of its answer, if there is one."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=TIMEOUT)
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            content = answer.read()
            tally.note(f"{method} {path[:80]} {headers or ''}", answer.status)
            return content
        except (http.client.HTTPException, OSError):
            tally.note(f"{method} {path[:80]}", 0)
            return b""
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=TIMEOUT)


# --- the attacks: each sends what it sends and returns


def nothing(target: Target, tally: Tally) -> None:
    """The base line."""
    time.sleep(3)


def nested_json(path: str, megabytes: int) -> Callable[[Target, Tally], None]:
    def attack(target: Target, tally: Tally) -> None:
        inner = b"[" + b"[[]]," * (megabytes * MB // 5) + b"[]]"
        body = b'{"fn_index": 0, "session_hash": "attack", "data": ' + inner + b"}"
        target.send(tally, "POST", path, body, {"Content-Type": "application/json"})

    return attack


def picture(data: bytes, times: int) -> Callable[[Target, Tally], None]:
    """Submit a picture so many times at once, and ask for a plan beside them."""

    def attack(target: Target, tally: Tally) -> None:
        with ThreadPoolExecutor(times + 1) as pool:
            for _ in range(times):
                pool.submit(_submit, target, tally, data)
            time.sleep(0.5)
            pool.submit(_send_json, target, tally, "/api/v1/plan", {"prompt": "the camera pans left"})

    return attack


def _send_json(target: Target, tally: Tally, path: str, value: object) -> bytes:
    return target.send(tally, "POST", path, json.dumps(value).encode(), {"Content-Type": "application/json"})


def _submit(target: Target, tally: Tally, data: bytes) -> bytes:
    body, kind = form({"prompt": b"the camera pans left", "preset": b"quick"}, data)
    return target.send(tally, "POST", "/api/v1/jobs", body, {"Content-Type": kind})


def idle_connections(number: int) -> Callable[[Target, Tally], None]:
    """Open connections that say nothing, or half a header, and hold them for some seconds."""

    def attack(target: Target, tally: Tally) -> None:
        held: list[socket.socket] = []
        for index in range(number):
            with suppress(OSError):  # the server, or this process, takes no more
                held.append(target.connect())
                if index % 2:
                    held[-1].sendall(b"POST /api/v1/jobs HTTP/1.1\r\nHost: ")
        time.sleep(5)
        for one in held:
            one.close()

    return attack


def page_sessions(number: int) -> Callable[[Target, Tally], None]:
    """Open windows of the page that nobody looks at: each makes the server remember it."""

    def attack(target: Target, tally: Tally) -> None:
        config = json.loads(target.send(tally, "GET", "/config"))
        load = next(
            each["id"] for each in config["dependencies"] if ["load"] in [t[1:] for t in each["targets"]]
        )
        for index in range(number):
            window = {"data": [], "fn_index": load, "session_hash": f"attack{index:06}", "trigger_id": None}
            _send_json(target, tally, "/gradio_api/queue/join", window)

    return attack


def aborted_uploads(number: int) -> Callable[[Target, Tally], None]:
    """Promise 5 MB, send four and hang up."""

    def attack(target: Target, tally: Tally) -> None:
        body, kind = form({}, os.urandom(5 * MB), name="files")
        for _ in range(number):
            with suppress(OSError), target.connect() as connection:
                head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\n"
                connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
                connection.sendall(body[: 4 * MB])
        time.sleep(2)

    return attack


def fuzz(number: int, seed: int) -> Callable[[Target, Tally], None]:
    """Send requests that are wrong somewhere: method, path, type, charset, fields, bodies."""

    def attack(target: Target, tally: Tally) -> None:
        dice = random.Random(seed)
        with ThreadPoolExecutor(16) as pool:  # some wait for streams that do not end
            for _ in range(number):
                pool.submit(target.send, tally, *odd_request(dice))

    return attack


# --- measuring


@contextmanager
def bystander(target: Target) -> Iterator[list[float]]:
    """Inside, an ordinary client asks again and again; yields the seconds of its answers (inf: none)."""
    answers: list[float] = []
    done = threading.Event()

    def ask() -> None:
        while not done.wait(POLL_SECONDS):
            start, tally = time.perf_counter(), Tally()
            target.send(tally, "GET", "/api/v1/jobs?limit=1")
            answers.append(time.perf_counter() - start if tally.statuses[200] else float("inf"))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield answers
    finally:
        done.set()
        thread.join()


@contextmanager
def memory(target: Target) -> Iterator[list[int]]:
    """Inside, the web process's resident bytes are read 50 times a second."""
    peaks = [target.process.memory_info().rss]
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.02):
            peaks.append(target.process.memory_info().rss)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peaks
    finally:
        done.set()
        thread.join()


def measure(target: Target, name: str, attack: Callable[[Target, Tally], None]) -> dict[str, object]:
    """Run one attack and return its figures."""
    tally = Tally()
    log_before = _log_lines(target)
    start = time.perf_counter()
    with memory(target) as resident, bystander(target) as answers:
        attack(target, tally)
        time.sleep(1)
    finite = [seconds for seconds in answers if seconds != float("inf")]
    return {
        "attack": name,
        "seconds": round(time.perf_counter() - start, 1),
        "statuses": {str(status): number for status, number in sorted(tally.statuses.items())},
        "bystander_asked": len(answers),
        "bystander_unanswered": len(answers) - len(finite),
        "bystander_median_ms": round(1000 * median(finite), 1) if finite else None,
        "bystander_slowest_ms": round(1000 * max(finite), 1) if finite else None,
        "resident_before_mb": round(resident[0] / MB),
        "resident_peak_mb": round(max(resident) / MB),
        "resident_after_mb": round(resident[-1] / MB),
        "log_lines": _log_lines(target) - log_before,
        "page_folder_mb": round(_size(target.folder / "data" / "page") / MB, 1),
        "faults": tally.faults[:20],
    }


def _log_lines(target: Target) -> int:
    return 0 if target.log is None else target.log.read_bytes().count(b"\n")


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def attacks(scale: float) -> Sequence[tuple[str, Callable[[Target, Tally], None]]]:
    """Return the attacks by name; `scale` shrinks all of them."""

    def some(number: int) -> int:
        return max(1, round(scale * number))

    return (
        ("nothing", nothing),
        ("JSON of nested lists to a page event, 24 MB", nested_json("/gradio_api/queue/join", some(24))),
        ("the same to /api/v1/plan", nested_json("/api/v1/plan", some(24))),
        ("the same to /api/predict", nested_json("/api/predict", some(24))),
        ("JPEG of 400 scans, 8 at once", picture(many_scans(8 * scale, some(400)), some(8))),
        ("GIF of comments, 8 MB, 8 at once", picture(comments_gif(some(8)), some(8))),
        ("PNG of 20,000 x 20,000 pixels, 8 at once", picture(png_bomb(some(20_000)), some(8))),
        ("photographs, 40 at once", picture(photograph(), some(40))),
        ("idle and half-open connections, 2,000", idle_connections(some(2_000))),
        ("windows of the page, 1,000", page_sessions(some(1_000))),
        ("uploads that break off, 40 of 5 MB", aborted_uploads(some(40))),
        ("fuzzed requests, 3,000", fuzz(some(3_000), seed=16)),
        ("nothing, afterwards", nothing),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--scale", type=float, default=1.0, help="of all attacks (default: %(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="the attacks with this text in their name")
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))  # for our own end of the connections
    load = os.getloadavg()[0]
    figures: list[dict[str, object]] = []
    with (
        tempfile.TemporaryDirectory(prefix="attack-") as name,
        launched(APP, Path(name), page=True, stderr=subprocess.DEVNULL) as server,
    ):
        target = Target(server, Path(name))
        for title, attack in attacks(arguments.scale):
            if arguments.only in title:
                figures.append(measure(target, title, attack))
                print(_line(figures[-1]), flush=True)
        target.process.terminate()
        print(f"the server ended with status {target.process.wait(60)}")
    if arguments.json:
        report = {
            "versions": versions(),
            "machine": machine(load),
            "scale": arguments.scale,
            "attacks": figures,
        }
        write(arguments.json, report)
    if faults := [fault for each in figures for fault in each["faults"]]:  # type: ignore[attr-defined]
        raise SystemExit("\n".join(["Answers that are faults of the server:", *map(str, faults)]))


def _line(figures: dict[str, object]) -> str:
    return (
        f"{figures['attack']}: others waited {figures['bystander_slowest_ms']} ms at the most (median"
        f" {figures['bystander_median_ms']}, {figures['bystander_unanswered']} unanswered); resident"
        f" {figures['resident_before_mb']} MB, {figures['resident_peak_mb']} at the peak,"
        f" {figures['resident_after_mb']} after; {figures['log_lines']} lines of log;"
        f" {figures['page_folder_mb']} MB in the page's folder;"
        f" answers {figures['statuses']}"
    )


if __name__ == "__main__":
    main()
