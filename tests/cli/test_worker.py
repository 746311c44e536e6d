"""`i2v worker`: joins, joins again when the server was away, leaves in order; a script stands for Ray."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from i2v.cli.main import main
from i2v.workers.cluster import member

ADDRESS = "192.0.2.1:6379"
# In the place of `ray start --block`: joins and ends.
RAY = "print('Ray runtime started.', flush=True)"


@pytest.fixture(autouse=True)
def ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Have the second Ray interrupted, as by Ctrl-C; return what was done."""
    done: list[str] = []

    def wait(here: member.Member) -> None:
        done.append("joined")
        if len(done) > 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(member, "find_spec", lambda name: True)
    monkeypatch.setattr(member, "reach", lambda address: None)
    monkeypatch.setattr(member, "AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(member, "join_command", lambda *_: [sys.executable, "-c", RAY])
    monkeypatch.setattr(member.Member, "wait", wait)
    monkeypatch.setattr(member.Member, "leave", lambda here, grace: done.append(f"left within {grace:g} s"))
    monkeypatch.setattr("i2v.core.settings_sources.ROOT", tmp_path)
    return done


def test_a_machine_joins_again_and_leaves_in_order(
    ray: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "configs").symlink_to(Path(__file__).parents[2] / "configs")
    assert main(["worker", "--address", ADDRESS, "--grace", "7"]) == 0
    assert ray == ["joined", "joined", "left within 7 s"]
    assert f"has joined {ADDRESS}" in capsys.readouterr().out


def test_without_ray_it_says_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "configs").symlink_to(Path(__file__).parents[2] / "configs")
    monkeypatch.setattr(member, "find_spec", lambda name: None)
    assert main(["worker", "--address", ADDRESS]) == 1
    assert "i2v[ray]" in capsys.readouterr().err
