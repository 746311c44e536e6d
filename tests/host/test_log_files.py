"""i2v.host.log_files: names, parts, what is kept, and what reaches the console."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest

import i2v.host.log_files
from i2v.host.log_files import END_LINES, LOGS, PARTS, app_log, find_logs, read_end

log = logging.getLogger("tests.log_files")


def test_the_name_has_the_time_and_no_two_starts_share_a_file(tmp_path: Path) -> None:
    with app_log(tmp_path) as first, app_log(tmp_path) as second:
        assert first is not None
        assert second is not None
    assert first != second
    assert all(re.fullmatch(r"app_\d{8}_\d{6}\.log", path.name) for path in (first, second))
    assert find_logs(tmp_path) == [second, first]


def test_a_long_log_goes_on_in_a_new_file_and_old_parts_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(i2v.host.log_files, "PART_BYTES", 1000)
    with app_log(tmp_path, quiet=True) as path:
        assert path is not None
        for number in range(200):
            log.info("line %03d %s", number, "x" * 50)
    parts = [path, *(path.with_name(f"{path.name}.{part}") for part in range(1, PARTS + 1))]
    assert sorted(tmp_path.iterdir()) == sorted(parts)
    assert all(part.stat().st_size <= 1000 for part in parts)
    lines = "".join(part.read_text() for part in reversed(parts)).splitlines()
    numbers = [int(line.split("line ")[1][:3]) for line in lines]
    assert numbers == list(range(200))[-len(numbers) :]


def test_logs_of_earlier_starts_go_with_their_parts_and_nothing_else(tmp_path: Path) -> None:
    for day in range(1, LOGS + 2):
        for part in ("", ".1"):
            (tmp_path / f"app_202501{day:02}_120000.log{part}").touch()
    others = [tmp_path / name for name in ("app_notes.log", "worker.log", "app_20250101_120000.log.gz")]
    for other in others[:2]:
        other.touch()
    with app_log(tmp_path) as path:
        assert find_logs(tmp_path)[0] == path
    assert len(find_logs(tmp_path)) == LOGS
    assert not list(tmp_path.glob("app_2025010[12]_*"))
    assert len(list(tmp_path.glob("app_20250103_*"))) == 2
    assert all(other.exists() for other in others[:2])


def test_warnings_reach_the_console_unless_it_is_to_be_quiet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with app_log(tmp_path):
        log.info("detail")
        log.warning("trouble")
    complaints = capsys.readouterr().err
    assert "trouble" in complaints
    assert "detail" not in complaints
    with app_log(tmp_path, quiet=True) as path:
        log.warning("trouble")
    assert path is not None
    assert "WARNING tests.log_files: trouble" in path.read_text()
    assert capsys.readouterr().err == ""


def test_a_folder_that_cannot_be_written_is_said_and_no_obstacle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "logs").write_text("a file")
    with app_log(tmp_path / "logs") as path:
        assert path is None
        log.warning("trouble")
    complaints = capsys.readouterr().err
    assert f"Cannot write logs to {tmp_path / 'logs'}" in complaints
    assert "trouble" in complaints


def test_the_end_of_a_log_is_read_however_long_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "app.log"
    path.write_text("")
    assert read_end(path) == ""
    path.write_text("".join(f"line {n}\n" for n in range(1000)))
    assert read_end(path).split("\n") == [f"line {n}" for n in range(1000 - END_LINES, 1000)]
    path.write_text("before\nnow INFO uvicorn.access: 1.2.3.4 - GET /?session_hash=x\nafter\n")
    assert read_end(path) == "before\nafter"
    monkeypatch.setattr(i2v.host.log_files, "END_BYTES", 20)  # the cut goes through a line and a letter
    path.write_text("前面的一行\nline one\nline two\n")
    assert read_end(path) == "line one\nline two"
    path.write_bytes(b"x" * 30 + b"\n\xff\n")
    assert read_end(path) == "\ufffd"


def test_a_log_of_json_has_an_object_a_line_and_its_end_leaves_out_requests(tmp_path: Path) -> None:
    with app_log(tmp_path, quiet=True, as_json=True) as path:
        assert path is not None
        log.info("one %s", "line")
        logging.getLogger("uvicorn.access").info("GET /")
        assert "GET /" not in read_end(path)
        assert "one line" in read_end(path)
    assert [json.loads(line)["message"] for line in path.read_text().splitlines()] == ["one line", "GET /"]
