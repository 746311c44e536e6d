"""workers.cluster.node, .member, .places and .wire: who joins, what it is called, and how it leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.errors import I2VError
from i2v.core.settings_sources import load_settings
from i2v.workers.cluster import member
from i2v.workers.cluster.member import Membership, check_address, joined
from i2v.workers.cluster.node import (
    FOLDER_VARIABLE,
    environment,
    has_actors,
    head_command,
    join_command,
    leave,
    leaving,
    note_actor,
)
from i2v.workers.cluster.places import NAME_LABEL, Node, Nodes, find_places
from i2v.workers.cluster.wire import Versions, mismatch


def row(node: str, host: str = "studio", alive: bool = True, **resources: float) -> dict[str, object]:
    return {"NodeID": node, "Alive": alive, "NodeManagerHostname": host, "Resources": resources, "Labels": {}}


def test_nodes_keep_their_names_and_no_two_have_the_same() -> None:
    nodes = Nodes()
    (first,) = nodes.read([row("aaaaaaaa", GPU=2, CPU=8)])
    assert first == Node("aaaaaaaa", "studio", 8, 2)
    second = row("bbbbbbbb")
    labelled = row("cccccccc") | {"Labels": {NAME_LABEL: "café nº 2"}}
    rows = [second, row("aaaaaaaa"), labelled, row("dddddddd", alive=False)]
    assert [node.name for node in nodes.read(rows)] == ["studio-bbbbbb", "studio", "caf-n-2"]


@pytest.mark.parametrize(
    ("devices", "device", "expected"),
    [
        ("auto", "auto", ["big/cuda:0", "big/cuda:1"]),
        ("cpu", "auto", ["big/cpu", "small/cpu"]),
        ("auto", "cpu", ["big/cpu", "small/cpu"]),
    ],
)
def test_all_gpus_are_used_and_cpus_where_they_are_wanted(
    devices: str, device: str, expected: list[str]
) -> None:
    settings = load_settings(flags={"worker.devices": devices, "engine.device": device})
    nodes = [Node("a", "big", 8, 2), Node("b", "small", 1, 0), Node("c", "head", 0, 0)]
    assert [place.device for place in find_places(nodes, settings)] == expected


def test_cpus_are_used_where_no_machine_has_a_gpu_unless_cuda_is_asked_for() -> None:
    nodes = [Node("b", "small", 4, 0)]
    settings = load_settings(flags={"worker.per_device": 3})
    assert [place.number for place in find_places(nodes, settings)] == [0, 1, 2]
    assert find_places(nodes, load_settings(flags={"engine.device": "cuda"})) == []


def test_a_worker_on_the_cpu_has_its_part_of_them() -> None:
    settings = load_settings(flags={"worker.per_device": 2})
    assert [place.cpus for place in find_places([Node("a", "small", 9, 0)], settings)] == [4, 4]
    assert [place.cpus for place in find_places([Node("a", "tiny", 1, 0)], settings)] == [1]


def test_two_places_on_one_gpu_have_one_id() -> None:
    settings = load_settings(flags={"worker.per_device": 2})
    places = find_places([Node("a", "big", 8, 2)], settings)
    assert [place.device for place in places] == ["big/cuda:0"] * 2 + ["big/cuda:1"] * 2


OURS = Versions("0.1.0", "3.11.2", "2.60.0")


@pytest.mark.parametrize(
    ("theirs", "name"),
    [
        (replace(OURS, python="3.11.9"), None),
        (replace(OURS, i2v="0.2.0"), "i2v"),
        (replace(OURS, python="3.12.2"), "Python"),
        (replace(OURS, ray="2.61.0"), "Ray"),
    ],
)
def test_a_version_that_does_not_fit_is_named(theirs: Versions, name: str | None) -> None:
    error = mismatch(OURS, theirs, "studio")
    if name is None:
        assert error is None
    else:
        assert error is not None
        assert (error.code, error.params["name"]) == ("cluster.other_version", name)


def test_ray_stays_on_loopback_unless_the_settings_have_another_address() -> None:
    settings = load_settings()
    assert settings.ray.head_host == "127.0.0.1"
    assert "--node-ip-address=127.0.0.1" in head_command(settings.ray.head_host, settings.ray.head_port)
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" in environment("127.0.0.1:6379")
    assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in environment("192.0.2.1:6379")


def test_what_only_a_head_may_be_told_is_not_told_to_others() -> None:
    """`ray start` ends at once with --port or --include-dashboard, but without --head."""
    command = join_command("192.0.2.1:6379", "studio", "127.0.0.1", 2)
    flags = {word.partition("=")[0] for word in command if word.startswith("--")}
    allowed = {"--disable-usage-stats", "--address", "--labels", "--node-ip-address", "--num-gpus"}
    assert flags == allowed


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("studio", "request.invalid"),
        ("192.0.2.1:99999", "request.invalid"),
        ("192.0.2.1:²", "request.invalid"),
        ("", "request.invalid"),
        ("127.0.0.1:6379", "cluster.loopback"),
        ("192.0.2.1:1", "cluster.unreachable"),
    ],
)
def test_an_address_that_cannot_be_joined_is_refused_at_once(
    address: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(member, "CONNECT_SECONDS", 0.2)
    with pytest.raises(I2VError) as caught:
        check_address(address)
    assert caught.value.code == code


def test_actors_hear_that_their_machine_leaves(tmp_path: Path) -> None:
    environ = {FOLDER_VARIABLE: str(tmp_path)}
    assert leaving(environ) == leaving({}) == ""
    leave(tmp_path, "soon")
    assert leaving(environ) == "soon"
    leave(tmp_path, "now")
    assert leaving(environ) == "now"
    assert not has_actors(tmp_path)
    note_actor(environ)
    assert has_actors(tmp_path)


# In the place of `ray start --block`.
RAY = """
import sys, time
print(sys.argv[1], flush=True)
while sys.argv[1] == "Ray runtime started.":
    time.sleep(0.05)
"""


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(member, "find_spec", lambda name: True)
    return monkeypatch


def start(ray: pytest.MonkeyPatch, says: str) -> None:
    ray.setattr(member, "join_command", lambda *_: [sys.executable, "-c", RAY, says])


def test_a_member_gives_its_job_back_when_its_time_is_over(tmp_path: Path, ray: pytest.MonkeyPatch) -> None:
    start(ray, "Ray runtime started.")
    with joined(Membership("192.0.2.1:6379"), dict(os.environ), tmp_path / "ray.log") as here:
        here.wait_until_joined(60)
        folder = here._folder
        actor = subprocess.Popen(["sleep", "600"])
        (folder / f"actor-{actor.pid}").touch()
        environ = {FOLDER_VARIABLE: str(folder)}
        thread = threading.Thread(target=lambda: (wait_for(environ), actor.terminate(), actor.wait()))
        thread.start()
        here.leave(grace=0.3)
        thread.join()
        assert leaving(environ) == "now"
    assert here._process.returncode == -signal.SIGTERM
    assert not folder.exists()


def wait_for(environ: dict[str, str]) -> None:
    while leaving(environ) != "now":
        time.sleep(0.01)


def test_why_ray_does_not_start_is_one_sentence(tmp_path: Path, ray: pytest.MonkeyPatch) -> None:
    start(ray, "RuntimeError: Version mismatch: the cluster has Python 3.12")
    with (
        joined(Membership("192.0.2.1:6379"), dict(os.environ), tmp_path / "ray.log") as here,
        pytest.raises(I2VError, match=r"Python 3\.12") as caught,
    ):
        here.wait_until_joined(60)
    assert caught.value.code == "cluster.not_joined"
