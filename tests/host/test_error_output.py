"""`i2v.host.error_output`: all that a process writes to standard error, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from i2v.core.settings_sources import ROOT

SCRIPT = """
import faulthandler, logging, os, subprocess, sys, threading, traceback, warnings
from pathlib import Path
from i2v.host.log_files import app_log
with app_log(Path(sys.argv[1]), quiet=True) as path:
{body}
print("after", file=sys.stderr)
"""


def said_in(folder: Path, body: str, status: int = 0) -> tuple[str, str]:
    """Return the log, and what reached the process's own standard error."""
    code = SCRIPT.format(body="\n".join(f"    {line}" for line in body.splitlines()))
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == status, done.stderr
    return "".join(path.read_text() for path in sorted(folder.glob("app_*"))), done.stderr


def test_whatever_is_written_there_is_logged_once_and_nothing_gets_past(tmp_path: Path) -> None:
    log, rest = said_in(
        tmp_path,
        """print("a library's word", file=sys.stderr)
os.write(2, b"past Python\\n")
subprocess.run(["sh", "-c", "echo of a child >&2"])
warnings.warn("take care")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start(); thread.join()
try: int("x")
except ValueError: traceback.print_exc()
logging.getLogger("i2v").warning("our own")""",
    )
    assert rest == "after\n"
    for words in ("a library's word", "past Python", "of a child", "take care", "our own", "invalid literal"):
        assert log.count(words) == 1, words
    assert log.count("ZeroDivisionError") == 1
    assert "WARNING stderr: a library's word" in log


def test_lines_that_come_together_are_one_record(tmp_path: Path) -> None:
    log, _ = said_in(tmp_path, "try: int('x')\nexcept ValueError: traceback.print_exc()")
    assert log.count(" WARNING stderr: ") == 1
    assert "WARNING stderr: Traceback (most recent call last)" in log


def test_much_of_it_neither_stops_the_process_nor_fills_the_disk(tmp_path: Path) -> None:
    log, _ = said_in(
        tmp_path, "for number in range(30_000): print('the same complaint', number, file=sys.stderr)"
    )
    assert "the same complaint" in log
    assert len(log) < 5_000_000


def test_the_stack_of_a_crash_is_in_the_log_also_after_a_new_part_began(tmp_path: Path) -> None:
    log, _ = said_in(
        tmp_path,
        """import i2v.host.log_files
logging.getLogger().handlers[-1]._targets[-1].maxBytes = 1000
for number in range(50): logging.getLogger("i2v").info("line %d %s", number, "x" * 50)
faulthandler._sigsegv()""",
        status=-11,
    )
    assert "Fatal Python error: Segmentation fault" in log


def test_what_ends_the_server_is_in_the_log_and_told_to_its_starter(tmp_path: Path) -> None:
    log, rest = said_in(tmp_path, "raise ZeroDivisionError('the end')", status=1)
    assert log.count("ZeroDivisionError: the end") == 1
    assert rest.count("ZeroDivisionError: the end") == 1


def test_a_log_that_cannot_be_written_makes_no_circle(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    _, rest = said_in(tmp_path / "logs", "logging.getLogger('i2v').error('x'); print('y', file=sys.stderr)")
    assert rest.endswith("after\n")
    assert "y" not in rest.splitlines()


def test_a_disk_that_is_full_makes_no_circle(tmp_path: Path) -> None:
    said_in(
        tmp_path,
        """import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
for number in range(200): logging.getLogger("i2v").info("line %d", number)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))""",
    )
