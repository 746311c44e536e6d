"""i2v.serve, `i2v serve` and app.py: a real server process, how it starts, what it holds, and how it ends."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psutil
import pytest
import requests

from i2v.core.settings_sources import ROOT
from i2v.host.data_folder import FILES, FOLDERS
from tests.servers import APP, Server, environment_in, launched, staged
from tests.web.house import wait_for

Start = Callable[[list[str]], Server]
TOKEN = "correct-horse-battery-staple"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:
        yield lambda command: stack.enter_context(launched(command, tmp_path))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return environment_in(tmp_path)


def submit(server: Server, picture: Path, prompt: str, **fields: object) -> str:
    form = {"prompt": prompt, "num_frames": 4, "num_inference_steps": 2, **fields}
    with picture.open("rb") as file:
        response = requests.post(f"{server.url}/api/v1/jobs", data=form, files={"image": file}, timeout=120)
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


def follow(server: Server, job_id: str) -> list[str]:
    """Return the names of the job's events, up to the stream's end."""
    stream = requests.get(f"{server.url}/api/v1/jobs/{job_id}/events", stream=True, timeout=120)
    return [line[7:] for line in stream.iter_lines(decode_unicode=True) if line.startswith("event: ")]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes((ROOT / "examples" / "coffee.jpg").read_bytes())
    return path


# --- starting


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for tests that leave it as it was."""
    folder = tmp_path_factory.mktemp("server")
    with launched(staged(folder), folder) as server:
        yield server


@pytest.mark.slow
def test_what_a_stranger_says_of_a_proxy_is_ignored(server: Server, picture: Path) -> None:
    said = {"X-Forwarded-Proto": "https", "X-Forwarded-Prefix": "/i2v", "X-Forwarded-Host": "localhost"}
    job = requests.post(
        f"{server.url}/api/v1/jobs",
        data={"prompt": "x", "num_frames": 4},
        files={"image": picture.read_bytes()},
        headers=said,
        timeout=120,
    )
    assert job.headers["Location"].startswith(f"{server.url}/api/v1/jobs/")


@pytest.mark.slow
def test_the_web_process_never_loads_torch_while_its_worker_does(tmp_path: Path) -> None:
    with launched([*APP, "--port", "0"], tmp_path, page=True) as server:
        check_for_torch(server)
        assert_nothing_is_unknown(tmp_path / "data")


def assert_nothing_is_unknown(folder: Path) -> None:
    """The folder's mode stays as it is beside what is not known to be the service's."""
    assert {path.name for path in folder.iterdir()} <= {*FOLDERS, *FILES}


def check_for_torch(server: Server) -> None:
    wait_for(lambda: requests.get(f"{server.url}/readyz", timeout=30).status_code == 200, seconds=60)
    assert requests.get(f"{server.url}/healthz", timeout=30).text == "ok"
    assert "gradio" in requests.get(f"{server.url}/", timeout=60).text

    def has_torch(process: psutil.Process) -> bool:
        return "libtorch" in Path(f"/proc/{process.pid}/maps").read_text(errors="replace")

    web = psutil.Process(server.process.pid)
    assert not has_torch(web)
    assert any(has_torch(child) for child in web.children(recursive=True))


def test_the_log_has_the_date_in_its_name_and_every_request(server: Server) -> None:
    assert requests.get(f"{server.url}/api/v1/nothing", timeout=30).status_code == 404
    assert server.log is not None
    assert server.log.parent.name == "logs"
    assert server.log.parent != ROOT / "logs"
    assert re.fullmatch(r"app_\d{8}_\d{6}\.log", server.log.name)
    assert '"GET /api/v1/nothing HTTP/1.1" 404' in server.log.read_text()


@pytest.mark.slow
def test_a_folder_of_logs_that_cannot_be_written_is_said_and_no_obstacle(
    start: Start, tmp_path: Path, picture: Path
) -> None:
    (tmp_path / "logs").write_text("a file")
    server = start(staged(tmp_path))
    assert follow(server, submit(server, picture, "x"))[-1] == "state"
    server.end()
    assert f"Cannot write logs to {tmp_path / 'logs'}" in server.process.communicate()[1]


def test_importing_the_server_loads_no_model_library() -> None:
    code = "import i2v.serve, sys; print({'torch', 'diffusers', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "set()\n"


# --- listening on the network


def urls(server: Server) -> list[str]:
    """Return the addresses that the server says it listens at."""
    (line,) = re.findall("i2v listens at (.*) [(]", server.said)
    return str(line).split(" and ")


def test_on_a_network_a_token_is_made_and_asked_for_at_every_address_that_is_printed(
    start: Start, tmp_path: Path, picture: Path
) -> None:
    server = start(staged(tmp_path, "0.0.0.0"))
    file = tmp_path / "data" / "token"
    token = file.read_text().strip()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert server.said.count(token) == 1
    for url in urls(server):
        assert requests.get(f"{url}/healthz", timeout=30).text == "ok"
        refused = requests.get(f"{url}/api/v1/jobs", timeout=30)
        assert (refused.status_code, "Authorization: Bearer" in refused.text) == (401, True)
        with picture.open("rb") as image:
            accepted = requests.post(
                f"{url}/api/v1/jobs",
                data={"prompt": "x"},
                files={"image": image},
                headers={"Authorization": f"Bearer {token}"},
                timeout=120,
            )
        assert (accepted.status_code, accepted.json()["status"]) == (202, "queued")
        assert accepted.headers["Location"].startswith(url)
    assert_nothing_is_unknown(tmp_path / "data")
    assert server.end() == 0
    assert token not in "".join(server.process.communicate())
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and path != file and holds(path, token)
    ]


def holds(path: Path, token: str) -> bool:
    return token.encode() in path.read_bytes()


@pytest.mark.slow
def test_a_browser_stays_logged_in_over_a_restart_until_the_token_is_another(
    start: Start, tmp_path: Path
) -> None:
    first = start(staged(tmp_path, "0.0.0.0"))
    token = (tmp_path / "data" / "token").read_text().strip()
    with requests.Session() as browser:
        browser.headers["Accept"] = "text/html"
        browser.post(f"{first.url}/login", data={"token": token}, timeout=30)
        first.end()
        second = start(staged(tmp_path, "0.0.0.0"))
        assert "The access token is in" in second.said
        assert token not in second.said
        assert browser.get(f"{second.url}/api/v1/jobs", timeout=30).json()["jobs"] == []
        second.end()
        (tmp_path / "data" / "token").unlink()
        third = start(staged(tmp_path, "0.0.0.0"))
        assert "/login" in browser.get(f"{third.url}/api/v1/jobs", timeout=30).url


@pytest.mark.slow
@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_a_token_of_the_settings_is_asked_for_and_never_said(tmp_path: Path, start: Start, host: str) -> None:
    server = start(["env", f"I2V_SECURITY__TOKEN={TOKEN}", *APP, "--host", host, "--port", "0"])
    assert requests.get(f"{server.url}/docs", timeout=30).status_code == 401
    headers = {"Authorization": f"Bearer {TOKEN}"}
    assert requests.get(f"{server.url}/docs", headers=headers, timeout=30).status_code == 200
    server.end()
    assert TOKEN not in server.said + "".join(server.process.communicate())
    assert server.log is not None
    assert TOKEN not in server.log.read_text()
    assert not (tmp_path / "data" / "token").exists()


# --- ending


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_it_ends_in_order_and_keeps_the_running_job(
    start: Start, picture: Path, tmp_path: Path, number: int
) -> None:
    server = start(staged(tmp_path))
    job_id = submit(server, picture, "step: sleep 0.05", num_inference_steps=200)
    stream = requests.get(f"{server.url}/api/v1/jobs/{job_id}/events", stream=True, timeout=60)
    lines = stream.iter_lines(decode_unicode=True)
    assert any("denoising" in line for line in lines)
    workers = psutil.Process(server.process.pid).children(recursive=True)
    assert server.end(number) == 0
    assert list(lines)[-1:] in ([], [""])  # the stream ended by itself, without an error
    said, complaints = server.process.communicate()
    assert "goes back to the queue" in said
    assert "Traceback" not in complaints
    assert not psutil.wait_procs(workers, timeout=60)[1]
    assert not list((tmp_path / "videos").glob("*"))
    with closing(sqlite3.connect(tmp_path / "data" / "jobs.db")) as database:
        assert database.execute("SELECT status FROM jobs").fetchall() == [("queued",)]


@pytest.mark.slow
def test_the_next_server_goes_on_with_the_job(start: Start, picture: Path, tmp_path: Path) -> None:
    first = start(staged(tmp_path))
    job_id = submit(first, picture, "step: sleep 0.05", num_inference_steps=20)
    first.end()
    second = start(staged(tmp_path))
    follow(second, job_id)
    job = requests.get(f"{second.url}/api/v1/jobs/{job_id}", timeout=30).json()
    assert job["status"] == "succeeded"
    assert job["result"]["video_url"].startswith(second.url)


# --- not starting


def refused(environment: dict[str, str], *flags: str) -> tuple[int, str]:
    done = subprocess.run(
        [*APP, *flags], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert "Traceback" not in done.stderr
    for name in re.findall(r"Log: (.*)", done.stdout):
        Path(name).unlink()
    return done.returncode, done.stderr


def test_a_port_that_is_taken_is_said_and_nothing_is_touched(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, said = refused(environment, "--port", str(port))
    assert (code, str(port) in said, "--port" in said) == (1, True, True)
    assert not (tmp_path / "data").exists()


@pytest.mark.slow
def test_a_host_that_is_another_machine_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    code, said = refused(environment, "--host", "192.0.2.77", "--port", "0")
    assert (code, "192.0.2.77" in said, "0.0.0.0 for the network" in said) == (2, True, True)
    assert not (tmp_path / "data").exists()


def test_a_token_that_others_can_read_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "token").write_text("correct-horse-battery-staple")
    (tmp_path / "data" / "token").chmod(0o644)
    code, said = refused(environment, "--host", "0.0.0.0", "--port", "0")
    assert (code, "chmod 600" in said, "correct" in said) == (1, True, False)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "named"),
    [
        (("--port", "70000"), "server.port"),
        pytest.param(("--port", "x"), "server.port", marks=pytest.mark.slow),
        pytest.param(("--reload",), "--reload", marks=pytest.mark.slow),
    ],
)
def test_a_bad_flag_is_named(environment: dict[str, str], flags: tuple[str, ...], named: str) -> None:
    code, said = refused(environment, *flags)
    assert (code, named in said) == (2, True)


def test_a_second_server_on_the_same_folder_is_refused(
    start: Start, environment: dict[str, str], picture: Path, tmp_path: Path
) -> None:
    first = start(staged(tmp_path))
    job_id = submit(first, picture, f"step 1: wait {tmp_path}/go")
    for _ in range(2):
        code, said = refused(environment, "--port", "0")
        assert (code, str(tmp_path / "data") in said) == (1, True)
        (tmp_path / "data" / "service.lock").unlink(missing_ok=True)
    (tmp_path / "go").touch()
    follow(first, job_id)
    assert requests.get(f"{first.url}/api/v1/jobs/{job_id}", timeout=30).json()["attempt"] == 1


def test_a_damaged_database_is_said(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "jobs.db").write_bytes(b"no database" * 1000)
    code, said = refused(environment, "--port", "0")
    assert (code, "is damaged" in said) == (1, True)


@pytest.mark.slow
def test_what_is_in_the_way_is_said_in_a_sentence(environment: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "data" / "inputs"
    path.parent.mkdir()
    path.write_text("in the way")
    code, said = refused(environment, "--port", "0")
    assert (code, str(path) in said, "Move it away" in said) == (1, True, True)


# --- what goes wrong while it runs


def code_of(response: requests.Response) -> tuple[int, str]:
    return response.status_code, "ok" if response.text == "ok" else response.json().get("code", "")


def post(server: Server, picture: Path, prompt: str = "x") -> requests.Response:
    with picture.open("rb") as file:
        form = {"prompt": prompt, "num_frames": 4, "num_inference_steps": 2}
        return requests.post(f"{server.url}/api/v1/jobs", data=form, files={"image": file}, timeout=120)


def is_ready(server: Server) -> bool:
    return requests.get(f"{server.url}/readyz", timeout=30).status_code == 200


@pytest.mark.slow
def test_a_database_that_goes_away_is_said_once_and_nothing_is_lost(
    start: Start, picture: Path, tmp_path: Path
) -> None:
    server = start(staged(tmp_path))
    wait_for(lambda: is_ready(server), 60)
    kept = submit(server, picture, "step 2: sleep 1")
    database, away = tmp_path / "data" / "jobs.db", tmp_path / "away"
    database.rename(away)
    assert code_of(post(server, picture)) == (503, "database.replaced")
    for _ in range(20):
        assert code_of(requests.get(f"{server.url}/api/v1/jobs", timeout=30)) == (503, "database.replaced")
    wait_for(lambda: not is_ready(server), 60)
    assert code_of(requests.get(f"{server.url}/readyz", timeout=30)) == (503, "database.replaced")
    assert code_of(requests.get(f"{server.url}/healthz", timeout=30)) == (200, "ok")
    assert not database.exists(), "nobody made another one"
    assert server.log is not None
    assert server.log.read_text().count(" ERROR i2v.jobs.database: ") <= 2, "service and worker, once each"
    assert server.log.read_text().count(": no job is accepted: ") == 1
    assert "WARNING i2v.web" not in server.log.read_text()
    away.rename(database)
    wait_for(lambda: is_ready(server), 60)
    follow(server, kept)
    follow(server, submit(server, picture, "x"))
    listed = requests.get(f"{server.url}/api/v1/jobs", timeout=30).json()["jobs"]
    assert [job["status"] for job in listed] == ["succeeded", "succeeded"]


@pytest.mark.slow
def test_after_a_restart_with_another_database_all_pictures_are_there(
    start: Start, picture: Path, tmp_path: Path
) -> None:
    """As the message advises where a database is damaged; and the old one can be put back."""
    first = start(staged(tmp_path))
    old = submit(first, picture, "x")
    follow(first, old)
    first.end()
    data, away = tmp_path / "data", tmp_path / "away"
    names = {path.name for path in (data / "inputs").iterdir()}
    away.mkdir()
    for file in data.glob("jobs.db*"):
        file.rename(away / file.name)
    second = start(staged(tmp_path))
    assert {path.name for path in (data / "inputs").iterdir()} == names
    another = picture.with_name("another.jpg")
    another.write_bytes((ROOT / "examples" / "rocket.jpg").read_bytes())
    new = submit(second, another, "x")
    follow(second, new)
    second.end()
    third = start(staged(tmp_path))  # a database with a job of its own: the others are orphans
    assert {path.name for path in data.glob("trash/*/*")} == names
    third.end()
    for file in away.iterdir():
        file.replace(data / file.name)
    fourth = start(staged(tmp_path))
    assert requests.get(f"{fourth.url}/api/v1/jobs/{old}/thumbnail", timeout=30).status_code == 200
    assert names <= {path.name for path in (data / "inputs").iterdir()}


def test_nobody_else_may_read_what_it_keeps(start: Start, picture: Path, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        (tmp_path / "data" / "inputs").mkdir(parents=True)
        server = start(staged(tmp_path))
        follow(server, submit(server, picture, "x"))
    finally:
        os.umask(before)
    for path in [tmp_path / "data", *(tmp_path / "data").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.slow
def test_without_a_free_descriptor_no_job_runs_for_ever(start: Start, picture: Path, tmp_path: Path) -> None:
    """Its worker dies while the service can open nothing; when it can again, the job goes on by itself."""
    server = start(staged(tmp_path))
    job_id = submit(server, picture, "step 2: hang once")
    service = psutil.Process(server.process.pid)
    wait_for(lambda: len(list((tmp_path / "models" / "rehearsal").iterdir())) > 1, 60)  # it hangs
    (worker,) = [child for child in service.children() if "spawn_main" in " ".join(child.cmdline())]
    limits = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
    worker.kill()
    with closing(sqlite3.connect(tmp_path / "data" / "jobs.db")) as database:
        question = "SELECT status FROM jobs"
        wait_for(lambda: database.execute(question).fetchone() == ("queued",), 60)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, limits)
    follow(server, job_id)
    job = requests.get(f"{server.url}/api/v1/jobs/{job_id}", timeout=30).json()
    assert (job["status"], job["attempt"]) == ("succeeded", 2)


# --- few descriptors


@pytest.mark.slow
def test_silent_connections_do_not_make_a_server_with_few_descriptors_deaf(tmp_path: Path) -> None:
    limit = (
        "import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64));"
        " os.execv(sys.argv[1], sys.argv[1:])"
    )
    with launched([sys.executable, "-c", limit, *staged(tmp_path)], tmp_path) as server, ExitStack() as stack:
        port = int(server.url.rpartition(":")[2])
        for number in range(150):
            silent = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            if number % 2:
                silent.sendall(b"GET / HTTP/1.1\r\nHost: ")
        for _ in range(10):
            assert requests.get(f"{server.url}/api/v1/jobs", timeout=30).status_code == 200
        assert server.log is not None
        assert len(server.log.read_text().splitlines()) < 300


@pytest.mark.slow
def test_metrics_have_a_port_of_their_own_where_the_settings_name_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = ["env", f"I2V_SERVER__METRICS_PORT={port}", *APP, "--port", "0"]
    with launched(command, tmp_path) as server:
        assert f"Metrics: http://127.0.0.1:{port}/metrics" in server.said
        assert "i2v_queue_jobs" in requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text


# --- several users


@pytest.mark.slow
def test_users_of_the_settings_come_in_and_commands_of_this_machine_do_too(tmp_path: Path) -> None:
    (tmp_path / "alice").write_text(f"{TOKEN}\n")
    config = tmp_path / "config.yaml"
    config.write_text("security: {users: [{name: alice, role: view, token_file: alice}]}\n")
    with launched([*APP, "--port", "0", "--config", str(config)], tmp_path) as server:
        jobs = f"{server.url}/api/v1/jobs"
        assert requests.get(jobs, timeout=60).status_code == 401
        alice = {"Authorization": f"Bearer {TOKEN}"}
        assert requests.get(jobs, headers=alice, timeout=60).status_code == 200
        paused = {"paused": True}
        refused = requests.patch(f"{server.url}/api/v1/queue", json=paused, headers=alice, timeout=60)
        assert (refused.status_code, refused.json()["code"]) == (403, "security.role")
        done = subprocess.run(
            [sys.executable, "-m", "i2v", "jobs", "pause"],
            env=environment_in(tmp_path), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.stdout == "The queue is paused: 0 running, 0 waiting.\n", done.stderr


def test_two_users_with_one_token_in_their_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    config = tmp_path / "config.yaml"
    config.write_text(
        "security:\n  users:\n    - {name: a, role: view, token_file: token}\n"
        "    - {name: b, role: make, token_file: token}\n"
    )
    done = subprocess.run(
        [*APP, "--port", "0", "--config", str(config)],
        env=environment_in(tmp_path), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "no token stands twice" in done.stderr
    assert TOKEN not in done.stderr
