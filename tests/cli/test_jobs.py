"""i2v jobs: against a real server on a socket, as a person would use it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from i2v.host.service_lock import hold
from tests.cli.running import run_here
from tests.rehearsal import picture
from tests.web.house import House, running


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with running(tmp_path / "server", picture()) as started:
        yield started


def ask(environment: dict[str, str], house: House, *words: str) -> tuple[int, str, str]:
    done = run_here(environment, "jobs", *words, "--server", house.url)
    return done.returncode, done.stdout, done.stderr


def test_jobs_are_listed_shown_and_changed(environment: dict[str, str], house: House) -> None:
    first, second = house.submit_id("an otter dives"), house.submit_id("镜头向左平移")
    assert house.executor.run_next()
    code, listed, _ = ask(environment, house, "list")
    assert code == 0
    lines = listed.splitlines()
    assert [line.split()[0] for line in lines] == [second, first]
    assert "queued" in lines[0]
    assert lines[1].endswith("100 %  an otter dives")
    assert ask(environment, house, "list", "--search", "左")[1].split()[0] == second
    assert ask(environment, house, "list", "--owner", "nobody")[1] == ""
    assert json.loads(ask(environment, house, "show", first)[1])["status"] == "succeeded"

    assert " * succeeded" in ask(environment, house, "star", first)[1]
    assert ask(environment, house, "list", "--starred")[1].split()[0] == first
    assert house.store.get(first).starred
    ask(environment, house, "star", "--remove", first)
    assert not house.store.get(first).starred
    assert (
        ask(environment, house, "tag", first, second, "--add", "cat", "--add", "Night")[1].count("[night]")
        == 2
    )
    ask(environment, house, "tag", second, "--remove", "night")
    assert ask(environment, house, "list", "--tag", "night")[1].split()[0] == first
    assert house.store.get(second).tags == ("cat",)
    assert "cancelled" in ask(environment, house, "cancel", second)[1]
    assert "queued" in ask(environment, house, "retry", second)[1]


def test_the_queue_is_paused_and_goes_on(environment: dict[str, str], house: House) -> None:
    house.submit_id()
    assert ask(environment, house, "pause")[1] == "The queue is paused: 0 running, 1 waiting.\n"
    assert house.service.queue.is_paused()
    answer = json.loads(ask(environment, house, "resume", "--json")[1])
    assert [answer.pop("devices")[0]["id"], answer] == ["cpu", {"paused": False, "running": 0, "queued": 1}]


def test_jobs_are_deleted_and_restored(environment: dict[str, str], house: House) -> None:
    ids = [house.submit_id() for _ in range(2)]
    while house.executor.run_next():
        pass
    assert ask(environment, house, "delete", *ids)[1].count("in the trash until") == 2
    assert ask(environment, house, "list")[1] == ""
    assert ids[0] in ask(environment, house, "list", "--deleted")[1]
    assert "succeeded" in ask(environment, house, "restore", ids[0])[1]
    assert ask(environment, house, "delete", "--purge", *ids)[1] == "".join(
        f"{job}  deleted\n" for job in ids
    )
    assert not Path(house.settings.output.directory / "x").exists()
    assert list(house.settings.output.directory.iterdir()) == []


def test_what_the_server_refuses_is_said_in_its_words(environment: dict[str, str], house: House) -> None:
    code, _, message = ask(environment, house, "cancel", "0" * 32)
    assert (code, "There is no job" in message) == (2, True)
    job = house.submit_id()
    code, _, message = ask(environment, house, "delete", job)
    assert (code, "cancel it before you delete it" in message) == (2, True)


def test_a_server_is_found_by_its_data_folder_with_its_token(
    environment: dict[str, str], tmp_path: Path
) -> None:
    data = Path(environment["I2V_DATA_DIR"])
    alone = run_here(environment, "jobs", "list")
    assert alone.returncode == 1
    assert f"No i2v server runs with the data folder {data}" in alone.stderr
    data.mkdir()
    token = "a-token-that-is-long-enough-for-all"
    with (
        running(tmp_path / "server", picture(), security__token=token) as house,
        hold(data, [house.url], None),
    ):
        refused = run_here(environment, "jobs", "list")
        assert (refused.returncode, "token" in refused.stderr) == (2, True)
        (data / "token").write_text(f"{token}\n")
        (data / "token").chmod(0o600)
        assert run_here(environment, "jobs", "list").returncode == 0
        named = run_here(environment, "jobs", "list", "--server", house.url)
        assert named.returncode == 2, "the folder's token is for its own server"
        given = environment | {"I2V_SECURITY__TOKEN": token}
        assert run_here(given, "jobs", "list", "--server", house.url).returncode == 0


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [("localhost:7860", 2, "not the address"), ("http://127.0.0.1:1", 1, "does not answer")],
)
def test_a_server_that_is_none_is_reported(
    environment: dict[str, str], url: str, code: int, words: str
) -> None:
    done = run_here(environment, "jobs", "list", "--server", url)
    assert done.returncode == code
    assert words in done.stderr
