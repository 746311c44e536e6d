"""The scripts: which environment and torch set-up chooses, when it installs, and how it fails.

Each test has a copy of the scripts in a folder with an awkward name, a PATH with nothing but plain tools and
the programs it invents, and real but empty virtual environments whose `pip` is a stand-in that writes down
its arguments. Nothing is downloaded, and the environment the tests run in is not touched.
"""

import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOOLS = [
    "awk",
    "bash",
    "cat",
    "df",
    "dirname",
    "env",
    "flock",
    "grep",
    "mkdir",
    "rm",
    "sed",
    "sh",
    "tail",
    "uname",
]
VERSION = "{}.{}.{}".format(*sys.version_info[:3])
PINNED_TORCH = re.search(r"^torch==(.+)$", (ROOT / "constraints.txt").read_text(), re.M)[1]

FAKE_PIP = """
import pathlib, sys, time
here = pathlib.Path(__file__).parent
if "--version" not in sys.argv:
    with open(here / "calls", "a") as calls:
        print(*sys.argv[1:], file=calls)
    time.sleep(0.1)
    if (here / "fails").exists():
        print((here / "fails").read_text())
        sys.exit(1)
"""


class Place:
    """One machine: a repository, a PATH, a HOME and the variables a person may have set."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repo = folder / "my repo 图生视频"
        self.bin = folder / "bin"
        for path in (self.repo / "scripts", self.bin, folder / "home"):
            path.mkdir(parents=True)
        for name in ("pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, self.repo)
        for script in (ROOT / "scripts").glob("*.sh"):
            shutil.copy(script, self.repo / "scripts")
        for tool in TOOLS:
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)
        self.env = {
            "PATH": str(self.bin),
            "HOME": str(folder / "home"),
            "PIP_CONFIG_FILE": os.devnull,
            "I2V_TORCH_INDEX": "http://127.0.0.1:9",  # nothing answers there
        }

    def program(self, name: str, text: str) -> Path:
        path = self.bin / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        return path

    def fake_python(self, name: str, version: str, venv: bool = True) -> None:
        """A Python that only knows its version, and whether it has venv."""
        self.program(name, f'case "$2" in *version_info*) echo {version} ;; *) {str(venv).lower()} ;; esac')

    def environment(self, path: Path, torch: str = "", cuda: str | None = None) -> Path:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", path], check=True)
        packages = site_packages(path)
        (packages / "pip").mkdir()
        (packages / "pip" / "__main__.py").write_text(FAKE_PIP)
        if torch:
            (packages / f"torch-{torch}.dist-info").mkdir()
            (packages / f"torch-{torch}.dist-info" / "METADATA").write_text(
                f"Name: torch\nVersion: {torch}\n"
            )
            (packages / "torch").mkdir()
            (packages / "torch" / "version.py").write_text(f"cuda = {cuda!r}\n")
        return path

    def start(self, *arguments: str, script: str = "setup.sh") -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", str(self.repo / "scripts" / script), *arguments],
            env=self.env,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def run(self, *arguments: str, script: str = "setup.sh") -> tuple[int, str, str]:
        process = self.start(*arguments, script=script)
        stdout, stderr = process.communicate(timeout=180)
        return process.returncode, stdout, stderr

    def plan(self, *extras: str) -> dict[str, str]:
        code, stdout, stderr = self.run("--plan", *extras)
        assert code == 0, stderr
        return dict(line.split("=", 1) for line in stdout.splitlines())

    def error(self, *arguments: str, fix: str = "Fix: ") -> str:
        """Run set-up, which must fail, and return its one [ERROR] line."""
        code, stdout, stderr = self.run(*arguments)
        errors = [line for line in stderr.splitlines() if line.startswith("[ERROR] ")]
        assert (code, stdout, len(errors)) == (1, "", 1), stderr
        assert stderr.splitlines()[-1] == errors[0]
        assert fix in errors[0]
        return errors[0]


def site_packages(environment: Path) -> Path:
    return next(environment.glob("lib/python*/site-packages"))


def pip_calls(environment: Path) -> list[str]:
    """What pip was asked since the last look."""
    calls = site_packages(environment) / "pip" / "calls"
    lines = calls.read_text().splitlines() if calls.exists() else []
    calls.unlink(missing_ok=True)
    return lines


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def venv(place: Place) -> Path:
    return place.environment(place.repo / ".venv")


@pytest.fixture
def index() -> Iterator[str]:
    """A package index that answers, as far as a probe can tell."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


# Which environment ----------------------------------------------------------------------------------------


def test_the_active_virtual_environment_comes_first(place: Place, venv: Path) -> None:
    place.env["VIRTUAL_ENV"] = str(place.environment(place.folder / "mine"))
    plan = place.plan()
    assert plan["environment"] == place.env["VIRTUAL_ENV"]
    assert (plan["made_with"], plan["python"], plan["todo"]) == ("", VERSION, "install")


def test_the_active_conda_environment_comes_before_dot_venv(place: Place, venv: Path) -> None:
    place.env |= {"CONDA_PREFIX": str(place.environment(place.folder / "sd")), "CONDA_DEFAULT_ENV": "sd"}
    assert place.plan()["environment"] == place.env["CONDA_PREFIX"]


@pytest.mark.parametrize("name", ["base", "/opt/conda"])
def test_condas_base_is_never_used(place: Place, venv: Path, name: str) -> None:
    base = place.environment(place.folder / "conda")
    (base / "condabin").mkdir()
    place.env |= {"CONDA_PREFIX": str(base), "CONDA_DEFAULT_ENV": name}
    assert place.plan()["environment"] == str(venv)


def test_an_active_environment_with_another_python_is_passed_over_aloud(place: Place, venv: Path) -> None:
    place.fake_python("../old/bin/python", "3.10.13")
    place.env["VIRTUAL_ENV"] = str(place.folder / "old")
    _, stdout, stderr = place.run("--plan")
    assert f"environment={venv}" in stdout
    assert "passed over: its Python 3.10.13 is not 3.11 to 3.13" in stderr


def test_the_conda_environment_torch28_is_found_by_name(place: Place) -> None:
    place.environment(place.folder / "conda envs" / "torch28")
    listing = f"base * /opt/conda\\ntorch280 /no\\ntorch28    {place.folder}/conda envs/torch28\\n"
    place.program("conda", f"printf '{listing}'")
    assert place.plan()["environment"] == f"{place.folder}/conda envs/torch28"
    dot_venv = place.environment(place.repo / ".venv")
    assert place.plan()["environment"] == str(dot_venv)


def test_the_tested_python_makes_dot_venv_and_a_broken_shim_is_skipped(place: Place) -> None:
    place.program("python3.11", "echo 'pyenv: python3.11: command not found' >&2; exit 127")
    place.fake_python("python3.12", "3.12.1", venv=False)
    place.fake_python("python3.13", "3.13.0")
    place.fake_python("python3", "3.8.10")
    plan = place.plan()
    assert plan["environment"] == str(place.repo / ".venv")
    assert (plan["made_with"], plan["python"]) == ("python3.13", "3.13.0")
    place.fake_python("python3.11", "3.11.9")
    assert place.plan()["made_with"] == "python3.11"


def test_uv_is_the_last_resort_also_off_the_path(place: Place) -> None:
    place.fake_python("python3", "3.8.10")
    uv = place.program("../home/.local/bin/uv", "exit 0").resolve()
    assert Path(place.plan()["made_with"]).resolve() == uv
    place.program("uv", "exit 0")
    assert place.plan()["made_with"] == "uv"


def test_no_usable_python_names_what_to_install(place: Place) -> None:
    assert "install Python 3.11" in place.error()
    place.fake_python("python3", "3.8.10")
    assert "(python3 is 3.8.10)" in place.error()
    assert "uv" in place.error()
    place.program("conda", "exit 0")
    assert "conda create -y -n torch28 python=3.11" in place.error()
    place.fake_python("python3", "3.12.3", venv=False)
    assert "sudo apt install python3.12-venv" in place.error()


def test_a_dot_venv_of_another_python_is_not_thrown_away(place: Place) -> None:
    place.fake_python(f"../{place.repo.name}/.venv/bin/python", "3.9.2")
    assert "rm -r" in place.error()
    assert (place.repo / ".venv" / "bin" / "python").exists()


# Which torch ----------------------------------------------------------------------------------------------


def test_torch_is_for_cuda_where_nvidia_smi_works(place: Place, venv: Path) -> None:
    assert place.plan()["torch"] == "cpu"
    place.program("nvidia-smi", "exit 9")
    assert place.plan()["torch"] == "cpu"
    place.program("nvidia-smi", "exit 0")
    assert place.plan()["torch"] == "cuda"
    place.env["I2V_TORCH"] = "cpu"
    assert place.plan()["torch"] == "cpu"


def test_an_unknown_torch_is_refused(place: Place, venv: Path) -> None:
    place.env["I2V_TORCH"] = "rocm"
    assert "I2V_TORCH=rocm" in place.error()
    assert pip_calls(venv) == []


def test_the_index_of_torch_is_only_for_torch_and_only_if_it_answers(
    place: Place, venv: Path, index: str
) -> None:
    place.env["I2V_TORCH_INDEX"] = index
    place.run()
    common = "install --no-input --disable-pip-version-check -c constraints.txt"
    assert pip_calls(venv) == [f"{common} torch --extra-index-url {index}", f"{common} -e ."]
    place.env["I2V_TORCH_INDEX"] = "http://127.0.0.1:9"
    place.run("test")
    assert pip_calls(venv) == [f"{common} torch", f"{common} -e .[test]"]


@pytest.mark.parametrize(("torch", "build"), [("cpu", "cpu"), ("cpu", "13.0"), ("cuda", "13.0")])
def test_an_installed_torch_that_will_do_is_kept(place: Place, torch: str, build: str) -> None:
    venv = place.environment(
        place.repo / ".venv", torch=PINNED_TORCH + "+local", cuda=None if build == "cpu" else build
    )
    place.env["I2V_TORCH"] = torch
    assert place.run()[0] == 0
    assert [call.split("constraints.txt ")[1] for call in pip_calls(venv)] == ["-e ."]


def test_a_cpu_torch_is_replaced_where_cuda_is_wanted(place: Place) -> None:
    venv = place.environment(place.repo / ".venv", torch=PINNED_TORCH + "+cpu")
    place.env["I2V_TORCH"] = "cuda"
    assert "I2V_TORCH=cpu" in place.error()  # the stand-in for pip leaves the CPU build there
    assert "torch --force-reinstall --no-deps" in pip_calls(venv)[0]


def test_it_speaks_chinese_where_the_system_does(place: Place) -> None:
    place.env["LANG"] = "zh_CN.UTF-8"
    assert re.search("没有找到 Python 3.11 .*解决办法：.*然后重新运行$", place.error(fix="解决办法："))
    place.environment(place.repo / ".venv")
    code, _, stderr = place.run()
    assert (code, "[SUCCESS] 环境已就绪：" in stderr) == (0, True)
    assert not re.search(r"^\[[A-Z]+\] [A-Z]", stderr, re.M)


# When it installs -----------------------------------------------------------------------------------------


def test_a_second_run_has_nothing_to_do_and_says_where_python_is(place: Place, venv: Path) -> None:
    assert place.plan()["todo"] == "install"
    code, stdout, stderr = place.run("test")
    assert (code, stdout) == (0, f"{venv}/bin/python\n")
    assert "[SUCCESS] Environment ready" in stderr
    assert len(pip_calls(venv)) == 2

    assert place.run("test")[:2] == (0, f"{venv}/bin/python\n")
    assert place.run()[0] == 0  # what `test` installed includes this
    assert place.plan("test")["todo"] == "nothing"
    assert pip_calls(venv) == []
    assert place.plan("train")["todo"] == "install"


@pytest.mark.slow
def test_whatever_changed_is_noticed(place: Place, venv: Path) -> None:
    def change_constraints() -> None:
        with (place.repo / "constraints.txt").open("a") as file:
            file.write("nothing==1\n")

    def add_a_package() -> None:
        (site_packages(place.repo / ".venv") / "other-1.0.dist-info").mkdir()

    def move_the_folder() -> None:
        place.repo = place.repo.rename(place.folder / "moved")

    place.run()
    for change in (change_constraints, add_a_package, move_the_folder):
        assert place.plan()["todo"] == "nothing"
        change()
        assert place.plan()["todo"] == "install", change
        assert place.run()[0] == 0


def test_two_set_ups_at_once_install_once(place: Place, venv: Path) -> None:
    if not shutil.which("flock"):
        pytest.skip("this system has no flock")
    both = [place.start(), place.start()]
    for process in both:
        process.communicate(timeout=180)
    assert [process.returncode for process in both] == [0, 0]
    assert len(pip_calls(venv)) == 2


# How it fails ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "fix"),
    [
        pytest.param(
            "ERROR: Could not install packages: [Errno 28] No space left on device",
            "free 3 GB",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "WARNING: Retrying after connection broken by 'ReadTimeoutError: timed out'",
            "PIP_INDEX_URL",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "ERROR: No matching distribution found for torch", "PIP_INDEX_URL", marks=pytest.mark.slow
        ),
        ("ERROR: something new\nnotice", "pip failed: ERROR: something new"),
    ],
)
def test_a_failed_install_names_the_fix_and_the_next_run_resumes(
    place: Place, venv: Path, words: str, fix: str
) -> None:
    fails = site_packages(venv) / "pip" / "fails"
    fails.write_text(words)
    assert fix in place.error()
    assert place.plan()["todo"] == "install"
    fails.unlink()
    assert place.run()[0] == 0


def test_too_little_disk_is_said_before_anything_is_installed(place: Place, venv: Path) -> None:
    (place.bin / "df").unlink()
    place.program("df", "printf 'Filesystem\\n/dev/sda 9 9 2097152 9%% /\\n'")
    assert "Only 2 GB are free" in place.error()
    assert pip_calls(venv) == []


@pytest.mark.slow
def test_without_a_network_the_real_pip_ends_in_one_line(place: Place) -> None:
    place.program("python3", f'exec "{sys.executable}" "$@"')
    place.env |= {"PIP_INDEX_URL": "http://127.0.0.1:9", "PIP_RETRIES": "0"}
    assert "check the network" in place.error()
    assert place.plan()["made_with"] == ""  # .venv is there now, and the next run goes on with it
    assert place.plan()["todo"] == "install"


# The other scripts and files ------------------------------------------------------------------------------


def test_start_app_sets_up_and_hands_its_options_to_the_launcher(place: Place, venv: Path) -> None:
    package = site_packages(venv) / "i2v" / "launcher"
    package.mkdir(parents=True)
    (package / "__main__.py").write_text("import sys\nprint(sys.argv[1:], sys.prefix)\n")
    code, stdout, stderr = place.run("--port", "7861", script="start_app.sh")
    assert code == 0
    assert "🚀 Image-to-Video launcher" in stdout
    assert stdout.splitlines()[-1] == f"['--port', '7861'] {venv}"
    assert "[SUCCESS] Environment ready" in stderr
    assert len(pip_calls(venv)) == 2

    place.env["LANG"] = "zh_CN.UTF-8"
    code, stdout, _ = place.run(script="start_app.sh")
    assert (code, "应用启动器" in stdout, pip_calls(venv)) == (0, True, [])


def test_start_app_does_not_go_on_without_an_environment(place: Place) -> None:
    code, stdout, stderr = place.run(script="start_app.sh")
    assert (code, stdout.count("\n")) == (1, 3)  # the banner
    assert stderr.splitlines()[-1].startswith("[ERROR] No Python 3.11")


@pytest.mark.parametrize("option", ["--status", "--stop", "--logs"])
def test_start_app_installs_nothing_only_to_look(place: Place, option: str) -> None:
    venv = place.environment(place.repo / ".venv")
    code, stdout, _ = place.run(option, script="start_app.sh")
    assert (code, stdout) == (
        3 if option == "--status" else 0,
        "[INFO] Nothing is installed, so nothing runs\n",
    )
    assert pip_calls(venv) == []


@pytest.mark.parametrize(("language", "word"), [("C", "background"), ("zh_CN.UTF-8", "后台")])
def test_start_app_explains_itself_without_an_environment(place: Place, language: str, word: str) -> None:
    place.env["LANG"] = language
    code, stdout, stderr = place.run("--port", "1", "--help", script="start_app.sh")
    assert (code, word in stdout, stderr) == (0, True, "")
    assert not (place.repo / "logs").exists()


def test_check_runs_every_step_and_names_those_that_failed(place: Place) -> None:
    fake = place.program("checker", 'case "$*" in *"ruff check"*|*importlinter*) exit 1 ;; esac')
    place.env["I2V_PYTHON"] = str(fake)
    code, stdout, stderr = place.run(script="check.sh")
    assert (code, stderr) == (1, "[ERROR] Failed: ruff check, lint-imports\n")
    assert stdout.count("---") == 4


def test_constraints_pin_every_dependency_to_a_public_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    pinned = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in lines}
    assert {re.match(r"[\w-]+", name)[0].lower() for name in wanted} <= pinned
