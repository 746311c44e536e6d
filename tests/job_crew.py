"""What the job store's tests share: a submission, and processes that use a store until they are killed.

    python -m tests.job_crew STORE FOLDER

reads roles from standard input, one a line, starts a process for each (a fork of this one, which never opens
the store itself: quick) and prints its id. Each appends to a log of its own in FOLDER what the store has
confirmed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.results import Result
from i2v.jobs.model import JobLost, Progress, Submission, new_job_id
from i2v.jobs.store import JobStore

STEPS = 5


def submission(
    key: str | None = None, fingerprint: str = "asked", folder: Path = Path("/outputs"), prompt: str = "waves"
) -> Submission:
    job_id = new_job_id()
    return Submission(
        id=job_id,
        request={"prompt": prompt, "seed": None},
        generation=generation(prompt),
        notices=(Notice("image.animated", {}, "The first one is used."),),
        input=f"{job_id}.png",
        output=str(folder / f"{job_id}.mp4"),
        fingerprint=fingerprint,
        idempotency_key=key,
    )


def generation(prompt: str = "waves") -> Generation:
    return Generation(prompt, "", 64, 64, 64, 64, "keep", 8, 8, 8, 10, 4.5, seed=7, engine="tiny")


@contextmanager
def ram_folder() -> Iterator[Path]:
    """A folder without a disk to wait for, where the machine has one: for tests of what is told, not kept."""
    ram = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=ram if ram.exists() else None) as folder:
        yield Path(folder)


def result_of(job_id: str) -> Result:
    return Result(Path(f"/outputs/{job_id}.mp4"), generation(), seconds={"denoise": 1.5})


class Log:
    """Lines that survive the process: one write each, and a killed process loses none that was written."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._file = os.open(folder / f"{kind}-{os.getpid()}.log", os.O_CREAT | os.O_APPEND | os.O_WRONLY)

    def write(self, line: str) -> None:
        os.write(self._file, f"{line}\n".encode())


def read_logs(folder: Path, kind: str) -> list[str]:
    return [line for path in sorted(folder.glob(f"{kind}-*.log")) for line in path.read_text().split()]


def while_wanted() -> Iterator[None]:
    """Go on as long as the process lives that started this one: no killed test leaves anything running."""
    parent = os.getppid()
    while os.getppid() == parent:
        yield


# --- roles


def submit(path: Path, folder: Path) -> None:
    """Submit without end."""
    store, log = JobStore(path, max_queued=1_000_000), Log(folder, "accepted")
    for _ in while_wanted():
        log.write(store.submit(submission(folder=folder)).id)
        time.sleep(0.002)


def claim(path: Path, folder: Path) -> None:
    """Wait for the file `go`, claim all there is, and end."""
    store, log = JobStore(path), Log(folder, "claimed")
    while not (folder / "go").exists():
        time.sleep(0.001)
    while held := store.claim(str(os.getpid())):
        log.write(held.job.id)
        time.sleep(0.004)  # SQLite's lock is asked for at intervals: without a pause, the first takes all


def work(path: Path, folder: Path) -> None:
    """Do jobs without end, as a worker does: heartbeats with previews, publishing, finishing."""
    store, log, owner = JobStore(path), Log(folder, "finished"), str(os.getpid())
    for _ in while_wanted():
        held = store.claim(owner)
        if held is None:
            time.sleep(0.002)
            continue
        try:
            for step in range(STEPS):
                preview = bytes([step]) * 10_000
                store.heartbeat(held, Progress("denoising", step / STEPS, step, STEPS, 1.0, preview))
                time.sleep(0.001)
            output = Path(held.job.output)
            part = output.with_suffix(f".{owner}.part")
            part.write_text(held.job.id)
            store.heartbeat(held)
            part.replace(output)
            store.finish(held, result_of(held.job.id))
            log.write(held.job.id)
        except JobLost:
            continue


ROLES = {role.__name__: role for role in (submit, claim, work)}


class Crew:
    """The processes at work on a store, seen from the test."""

    def __init__(self, nursery: subprocess.Popen[str]) -> None:
        self._nursery = nursery
        self.roles: dict[int, str] = {}

    def start(self, role: str) -> int:
        assert self._nursery.stdin is not None
        assert self._nursery.stdout is not None
        self._nursery.stdin.write(f"{role}\n")
        self._nursery.stdin.flush()
        pid = int(self._nursery.stdout.readline())
        self.roles[pid] = role
        return pid

    def kill(self, pid: int) -> str:
        """Kill -9, wait until the process is gone, and return its role."""
        os.kill(pid, signal.SIGKILL)
        self.wait(pid)
        return self.roles.pop(pid)

    def wait(self, pid: int, seconds: float = 60) -> None:
        for _ in range(int(seconds * 500)):
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return
            time.sleep(0.002)
        raise AssertionError(f"process {pid} did not end")


@contextmanager
def crew(path: Path, folder: Path) -> Iterator[Crew]:
    nursery = subprocess.Popen(
        [sys.executable, "-m", "tests.job_crew", path, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with nursery:
        members = Crew(nursery)
        try:
            yield members
        finally:
            for pid in list(members.roles):
                if Path(f"/proc/{pid}").exists():
                    members.kill(pid)


def main(path: Path, folder: Path) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the dead leave no trace, so that `Crew.wait` sees it
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            return ROLES[line.strip()](path, folder)
        print(pid, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
