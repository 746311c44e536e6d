"""Settings: which source wins, what paths are relative to, and mistakes told without a traceback."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from i2v.core import settings_sources
from i2v.core.engine_spec import Preset
from i2v.core.errors import InvalidRequest
from i2v.core.file_names import ALLOWED, DEFAULT
from i2v.core.settings import Settings
from i2v.core.settings_sources import load_presets, load_settings

REPOSITORY = Path(__file__).parents[2]
DEFAULTS = REPOSITORY / "configs" / "default.yaml"


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of configs/ without anybody's config.yaml, and a working folder that is another one."""
    root = tmp_path / "repository"
    shutil.copytree(REPOSITORY / "configs", root / "configs")
    monkeypatch.setattr(settings_sources, "ROOT", root)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return root


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    def write_file(content: str | bytes) -> Path:
        path = tmp_path / "mine" / "my config.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_file


def refusal(**sources: object) -> InvalidRequest:
    """Return what `load_settings` raises: a short line that can be printed and sent."""
    with pytest.raises(InvalidRequest) as caught:
        load_settings(**sources)
    error = caught.value
    assert len(error.message) < 1000
    assert error.message.isprintable()
    json.dumps(error.to_dict(), ensure_ascii=False, allow_nan=False).encode("utf-8")
    return error


def sections() -> Iterator[tuple[str, type[BaseModel]]]:
    for name, info in Settings.model_fields.items():
        assert isinstance(info.annotation, type)
        assert issubclass(info.annotation, BaseModel)
        yield name, info.annotation


# --- configs/default.yaml is the documentation


def undocumented(text: str) -> list[str]:
    """Return the settings in a file that have no comment, neither on their line nor on the line above."""
    lines = ["", *text.splitlines()]
    return [
        line.strip()
        for above, line in pairwise(lines)
        if re.match(r" +\w+:", line) and not re.search(r"\s# \S", line) and not re.match(r" *# \S", above)
    ]


def test_every_setting_is_documented() -> None:
    assert undocumented(DEFAULTS.read_text(encoding="utf-8")) == []


def test_a_setting_without_a_comment_would_be_noticed() -> None:
    text = "a:\n  one: 1  # said\n  # said above\n  two: 2\n  three: 3\n  four: '#'\n"
    assert undocumented(text) == ["three: 3", "four: '#'"]


def test_the_file_has_every_setting_and_no_other() -> None:
    values = yaml.safe_load(DEFAULTS.read_text(encoding="utf-8"))
    assert {name: set(keys) for name, keys in values.items()} == {
        name: set(section.model_fields) for name, section in sections()
    }


def test_a_default_stands_in_the_file_alone() -> None:
    fields = [info for _, section in sections() for info in section.model_fields.values()]
    assert all(info.is_required() for info in (*Settings.model_fields.values(), *fields))


def test_a_setting_that_the_file_lacks_is_named(repository: Path) -> None:
    path = repository / "configs" / "default.yaml"
    path.write_text(path.read_text().replace("  threads: 0", "  # threads: 0"))
    assert refusal().params["key"] == "engine.threads"


def test_the_defaults_are_the_published_ones(repository: Path) -> None:
    loaded = load_settings()
    assert (loaded.output.directory, loaded.output.format) == (repository / "outputs", "mp4")
    assert (loaded.output.prefix, loaded.output.name, loaded.server.port) == ("video_", DEFAULT, 7860)
    assert loaded.server.host == "127.0.0.1"
    assert (loaded.engine.name, loaded.engine.device, loaded.engine.dtype) == ("auto", "auto", "auto")
    assert (loaded.output.label, loaded.output.prompts) == ("metadata", True)
    assert loaded.models.directory == repository / "models"


@pytest.mark.parametrize(
    ("text", "hosts"),
    [("[]", ()), ("[box, box.lan]", ("box", "box.lan")), ("box, box.lan", ("box", "box.lan")), ('""', ())],
)
def test_a_list_may_also_be_text_with_commas(
    write: Callable[[str], Path], text: str, hosts: tuple[str, ...]
) -> None:
    loaded = load_settings(write(f"security:\n  allowed_hosts: {text}"))
    assert loaded.security.allowed_hosts == hosts
    quoted = text.strip('"[]')
    assert load_settings(environ={"I2V_SECURITY__ALLOWED_HOSTS": quoted}).security.allowed_hosts == hosts


def test_the_data_folder_has_a_short_variable(tmp_path: Path) -> None:
    settings = load_settings(environ={"I2V_DATA_DIR": str(tmp_path)})
    assert settings.service.data_dir == tmp_path
    assert {settings.database.parent, settings.inputs.parent} == {tmp_path}


def test_the_published_configuration_is_read(write: Callable[[str], Path]) -> None:
    published = 'output:\n  directory: "/data/i2v_results"\n  format: "mp4"\n  prefix: "gen_"\n'
    output = load_settings(write(published)).output
    assert (output.directory, output.format, output.prefix) == (Path("/data/i2v_results"), "mp4", "gen_")


# --- who wins


def test_each_source_overrides_those_before_and_leaves_the_rest(write: Callable[[str], Path]) -> None:
    def prefixes(count: int) -> tuple[str, int]:
        sources: list[tuple[str, object]] = [
            ("config", write("output: {prefix: file_}\nengine: {threads: 3}")),
            ("environ", {"I2V_OUTPUT__PREFIX": "variable_"}),
            ("flags", {"output.prefix": "flag_", "output.format": None}),
        ]
        loaded = load_settings(**dict(sources[:count]))
        return loaded.output.prefix, loaded.engine.threads

    assert [prefixes(count) for count in range(4)] == [
        ("video_", 0),
        ("file_", 3),
        ("variable_", 3),
        ("flag_", 3),
    ]


def test_the_users_file_is_the_given_one_then_the_variables_then_the_one_beside_the_app(
    repository: Path, tmp_path: Path
) -> None:
    for name in ("given", "variable"):
        (tmp_path / name).write_text(f"output: {{prefix: {name}}}")
    environ = {"I2V_CONFIG": str(tmp_path / "variable")}
    assert load_settings(None, {"I2V_CONFIG": ""}).output.prefix == "video_"
    (repository / "config.yaml").write_text("output: {prefix: beside}")
    assert load_settings().output.prefix == "beside"
    assert load_settings(None, environ).output.prefix == "variable"
    assert load_settings(tmp_path / "given", environ).output.prefix == "given"


def test_the_environment_is_what_is_passed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("I2V_OUTPUT__PREFIX", "leaked_")
    assert load_settings().output.prefix == "video_"
    assert load_settings(environ=os.environ).output.prefix == "leaked_"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load_settings().output.prefix = "x"


# --- what paths are relative to


def test_a_relative_path_is_relative_to_the_file_or_the_folder_that_names_it(
    repository: Path, write: Callable[[str], Path]
) -> None:
    path = write("output: {directory: clips/new}")
    assert load_settings().output.directory == repository / "outputs"
    assert load_settings(path).output.directory == path.parent / "clips/new"
    assert load_settings(path).models.directory == repository / "models"
    relative = Path(os.path.relpath(path))
    assert load_settings(relative).output.directory.resolve() == (path.parent / "clips/new").resolve()
    variable = load_settings(path, {"I2V_OUTPUT__DIRECTORY": "clips"})
    assert variable.output.directory == Path.cwd() / "clips"
    assert load_settings(path, flags={"output.directory": Path("x")}).output.directory == Path.cwd() / "x"


def test_a_path_may_be_absolute_or_start_at_home(
    write: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert load_settings(write("output: {directory: /data/图 片}")).output.directory == Path("/data/图 片")
    assert load_settings(write("output: {directory: ~/clips}")).output.directory == Path(
        "/home/somebody/clips"
    )


# --- files that cannot be read


@pytest.mark.parametrize(
    "content",
    [
        "",
        "\n",
        "# nothing but a comment\n",
        "---\n",
        "{}",
        "\ufeff",
        "output: {}",
        "output:",
        "output:\n  # prefix: x\nengine: ~\n",
    ],
)
def test_an_empty_file_changes_nothing(write: Callable[[str], Path], content: str) -> None:
    assert load_settings(write(content)) == load_settings()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("- output\n- engine", "not a table"),
        ("just text", "not a table"),
        ("42", "not a table"),
        ("output: {directory: [", "line 1"),
        ("output:\n\tprefix: x", "line 2"),
        ("output: a: b", "line 1"),
        ("--- {}\n--- {}", "single document"),
        ("output: {}\nengine: {}\noutput: {prefix: x}", "the key output stands here twice in line 3"),
        ("output: {prefix: x, prefix: y}", "the key prefix stands here twice in line 1"),
        ("? [a]\n: b", "unhashable key"),
        ("output: *missing", "undefined alias"),
        ("output: {prefix: 2025-99-99}", "month"),
        ("output: {prefix: !!bool maybe}", "maybe"),
        ("output: {prefix: !!timestamp x}", "AttributeError"),
        ("output: {prefix: !!int ''}", "IndexError"),
        ("x: !!python/object/apply:os.system ['false']", "could not determine a constructor"),
        ("engine: {threads: " + "9" * 5000 + "}", "digits"),
        ("[" * 500, "recursion"),
        ("a\0b", "special characters"),
        (b"\xff\xfeo\0u\0t\0", "not UTF-8"),
        (b"\x00\x00\x00 ftypisom\xb3\xff", "not UTF-8"),
        (bytes(range(256)) * 9, "not UTF-8"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_file_that_is_no_table_of_settings_is_refused_with_the_reason(
    write: Callable[[str | bytes], Path], content: str | bytes, reason: str
) -> None:
    path = write(content)
    error = refusal(config=path)
    assert error.code == "settings.unreadable"
    assert error.params["source"] == str(path)
    assert reason in str(error.params["reason"])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing.yaml", "No such file"),
        (".", "Is a directory"),
        ("loop", "symbolic links"),
        ("x" * 5000, "too long"),
        ("missing\udcff", "No such file"),
        ("nul\0", "null byte"),
    ],
)
@pytest.mark.parametrize("how", ["flag", "variable"])
def test_a_file_that_is_not_there_is_refused(tmp_path: Path, name: str, reason: str, how: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    path = tmp_path / name
    error = refusal(config=path) if how == "flag" else refusal(environ={"I2V_CONFIG": str(path)})
    assert error.code == "settings.unreadable"
    assert reason in str(error.params["reason"])


def test_a_file_from_another_system_is_read_or_refused_with_the_reason(
    write: Callable[[str | bytes], Path],
) -> None:
    windows = "\ufeffoutput:\r\n  prefix: gen_\r\n  directory: clips\r\nserver:\r\n  port: 8000\r\n"
    loaded = load_settings(write(windows))
    assert (loaded.output.prefix, loaded.output.directory.name, loaded.server.port) == ("gen_", "clips", 8000)
    assert "not with tabs" in refusal(config=write("output:\n\tprefix: x")).message
    assert "save it as UTF-8" in refusal(config=write("output: {}".encode("utf-16"))).message


@pytest.mark.parametrize(("text", "port"), [("010", 10), ("7_860", 7860), ("0x50", 80), ("'80'", 80)])
def test_a_number_is_what_it_looks_like(write: Callable[[str], Path], text: str, port: int) -> None:
    assert load_settings(write(f"server: {{port: {text}}}")).server.port == port


@pytest.mark.parametrize("text", ["1:30", "1:30.5", "7860/tcp", "80 ms", "[80]", "yes", "1,5"])
def test_what_only_yaml_takes_for_a_number_is_none(write: Callable[[str], Path], text: str) -> None:
    assert refusal(config=write(f"worker:\n  idle_seconds: {text}")).params["key"] == "worker.idle_seconds"


# --- keys


@pytest.mark.parametrize(
    ("content", "key", "nearest"),
    [
        ("outptu: {}", "outptu", "output"),
        ("prefix: gen_", "prefix", "output.prefix"),
        ("output_directory: x", "output_directory", "output.directory"),
        ("output: {dir: x}", "output.dir", "output.directory"),
        ("output: {Prefix: x}", "output.Prefix", "output.prefix"),
        ("engine: {prefix: x}", "engine.prefix", "output.prefix"),
        ("model: {directory: x}", "model", "models"),
        ("engine: {dtypes: x}", "engine.dtypes", "engine.dtype"),
        ("image: {max_megapixel: 3}", "image.max_megapixel", "image.max_megapixels"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(
    write: Callable[[str], Path], content: str, key: str, nearest: str
) -> None:
    path = write(content)
    error = refusal(config=path)
    assert (error.code, error.params) == (
        "settings.unknown_key",
        {"source": str(path), "key": key, "nearest": nearest},
    )


@pytest.mark.parametrize(
    "content",
    [
        "1: x",
        "true: {}",
        "null: x",
        "2025-01-01: x",
        "output: {1: x}",
        "? " + "x" * 5000 + "\n: 1",
        '"\\ud800": 1',
        "base: &b {prefix: x}\noutput: {<<: *b}",
        "output: &a {again: *a}",
        '"": x',
        "output: {'': x}",
    ],
    ids=lambda content: content[:12],
)
def test_no_key_breaks_the_complaint(write: Callable[[str], Path], content: str) -> None:
    assert refusal(config=write(content)).code == "settings.unknown_key"


# --- values

SECTION = (
    "a section with the keys directory, format, upscaler, prefix, name, label, producer, language, prompts"
)
FOLDER = "the path of a folder"
QUOTES = "a text; put it in quotes if it looks like something else"
PREFIX = "at most 64 printable characters, neither / nor \\ among them"
THREADS = "a whole number from 0 to 256"


@pytest.mark.parametrize(
    ("content", "key", "value", "allowed"),
    [
        ("output: gen_", "output", "gen_", SECTION),
        ("output: [prefix]", "output", "['prefix']", SECTION),
        ("output: true", "output", "True", SECTION),
        ("output: {directory: }", "output.directory", "None", FOLDER),
        ("output: {directory: ~}", "output.directory", "None", FOLDER),
        ("output: {directory: ''}", "output.directory", "''", FOLDER),
        ("output: {directory: 5}", "output.directory", "5", FOLDER),
        ("output: {directory: true}", "output.directory", "True", FOLDER),
        ("output: {directory: [a]}", "output.directory", "['a']", FOLDER),
        ("output: {directory: {a: b}}", "output.directory", "{'a': 'b'}", FOLDER),
        ("output: {directory: ~nobody-here/x}", "output.directory", "~nobody-here/x", FOLDER),
        ('output: {directory: "a\\0b"}', "output.directory", "a\\x00b", FOLDER),
        ('models: {directory: "\\ud800"}', "models.directory", "\\ud800", FOLDER),
        ("output: {format: avi}", "output.format", "avi", "one of 'mp4'"),
        ("output: {format: 4}", "output.format", "4", "one of 'mp4'"),
        ("output: {prefix: }", "output.prefix", "None", QUOTES),
        ("output: {prefix: yes}", "output.prefix", "True", QUOTES),
        ("output: {prefix: 2025}", "output.prefix", "2025", QUOTES),
        ("output: {prefix: 1e3}", "output.prefix", "1e3", None),
        ("output: {prefix: 2025-01-01}", "output.prefix", "datetime.date(2025, 1, 1)", QUOTES),
        ('output: {name: "{stem}"}', "output.name", "{stem}", ALLOWED),
        ("output: {prefix: a/b}", "output.prefix", "a/b", PREFIX),
        ("output: {prefix: ../}", "output.prefix", "../", PREFIX),
        ("output: {prefix: a\\b}", "output.prefix", "a\\b", PREFIX),
        ('output: {prefix: "a\\nb"}', "output.prefix", "a\\nb", PREFIX),
        ("output: {prefix: " + "x" * 65 + "}", "output.prefix", "x" * 60 + "... (65 characters)", PREFIX),
        ("engine: {name: 3}", "engine.name", "3", QUOTES),
        ("engine: {device: gpu}", "engine.device", "gpu", "one of 'auto', 'cpu' or 'cuda'"),
        ("engine: {threads: true}", "engine.threads", "True", THREADS),
        ("engine: {threads: two}", "engine.threads", "two", THREADS),
        ("engine: {threads: 257}", "engine.threads", "257", THREADS),
        ("engine: {threads: 1.5}", "engine.threads", "1.5", THREADS),
        ("engine: {threads: .nan}", "engine.threads", "nan", THREADS),
        ("engine: {threads: [1]}", "engine.threads", "[1]", THREADS),
        ("engine: {decode_chunk: -1}", "engine.decode_chunk", "-1", "a whole number from 0 to 128"),
        ("engine: {cfg_passes: 3}", "engine.cfg_passes", "3", "a whole number from 1 to 2"),
        ("engine: {offload: true}", "engine.offload", "True", "one of 'none', 'encoders' or 'model'"),
        ("engine: {kernels: on}", "engine.kernels", "True", "one of 'auto' or 'off'"),
        ("image: {max_megapixels: .inf}", "image.max_megapixels", "inf", "a number from 0.001 to 400"),
        ("image: {max_megabytes: 0}", "image.max_megabytes", "0", "a number from 0.001 to 1000"),
    ],
)
def test_a_wrong_value_is_named_with_file_key_and_what_is_allowed(
    write: Callable[[str], Path], content: str, key: str, value: str, allowed: str | None
) -> None:
    path = write(content)
    if allowed is None:
        assert load_settings(path).output.prefix == value
        return
    error = refusal(config=path)
    assert (error.code, error.params) == (
        "settings.invalid",
        {"source": str(path), "key": key, "value": value, "allowed": allowed},
    )


@pytest.mark.parametrize("prefix", ["", "gen_", "视频_", "x" * 64, " ", "2025"])
def test_a_prefix_may_be_any_short_name(write: Callable[[str], Path], prefix: str) -> None:
    assert load_settings(write(f'output: {{prefix: "{prefix}"}}')).output.prefix == prefix


@pytest.mark.parametrize("threads", ["4", "'4'", "4.0", "' 4 '"])
def test_a_number_may_be_quoted(write: Callable[[str], Path], threads: str) -> None:
    assert load_settings(write(f"engine: {{threads: {threads}}}")).engine.threads == 4


def test_the_source_that_is_wrong_is_blamed_not_the_one_that_is_right(write: Callable[[str], Path]) -> None:
    error = refusal(config=write("engine: {threads: 2}"), environ={"I2V_ENGINE__THREADS": "two"})
    assert error.params["source"] == "I2V_ENGINE__THREADS"
    assert refusal(flags={"engine.threads": "x"}).params["source"] == "command line"


# --- the environment


@pytest.mark.parametrize(
    ("environ", "code", "key", "last"),
    [
        ({"I2V_FOO": "x"}, "unknown_key", "foo", "webhooks"),
        ({"I2V_OUTPUT_DIRECTORY": "x"}, "unknown_key", "output_directory", "output.directory"),
        ({"I2V_OUTPUT__DIR": "x"}, "unknown_key", "output.dir", "output.directory"),
        ({"I2V_OUTPUT__DIRECTORY__X": "x"}, "unknown_key", "output.directory.x", "output.directory"),
        ({"I2V_PREFIX": "x"}, "unknown_key", "prefix", "output.prefix"),
        ({"I2V_": "x"}, "unknown_key", "''", None),
        ({"I2V___X": "x"}, "unknown_key", "''", None),
        ({"I2V_\udcff": "\udcff"}, "unknown_key", "\\udcff", None),
        ({"I2V_" + "A__" * 5000: "x"}, "unknown_key", "a", None),
        ({"I2V_OUTPUT": "x"}, "invalid", "output", SECTION),
        ({"I2V_OUTPUT": "x", "I2V_OUTPUT__PREFIX": "y"}, "invalid", "output", SECTION),
        ({"I2V_OUTPUT__DIRECTORY": ""}, "invalid", "output.directory", FOLDER),
        ({"I2V_OUTPUT__DIRECTORY": "\udcff"}, "invalid", "output.directory", FOLDER),
        ({"I2V_ENGINE__THREADS": ""}, "invalid", "engine.threads", THREADS),
        ({"I2V_ENGINE__THREADS": "9" * 100_000}, "invalid", "engine.threads", THREADS),
        (
            {"I2V_OUTPUT__PREFIX": "a", "I2V_output__prefix": "b"},
            "invalid", "output.prefix", "I2V_OUTPUT__PREFIX sets the same",
        ),
    ],
    ids=lambda value: str(value)[:40].encode("ascii", "backslashreplace").decode(),
)  # fmt: skip
def test_a_wrong_variable_is_named(environ: dict[str, str], code: str, key: str, last: str | None) -> None:
    error = refusal(environ=environ)
    assert (error.code, error.params["key"]) == (f"settings.{code}", key)
    assert str(error.params["source"]).startswith("I2V_")
    if last is not None:
        assert last in (error.params.get("nearest"), error.params.get("allowed"))


@pytest.mark.parametrize(
    "name", ["PATH", "i2v_output__prefix", "I2VX", "OUTPUT__PREFIX", "_I2V_OUTPUT__PREFIX"]
)
def test_other_variables_are_nobodys_business(name: str) -> None:
    assert load_settings(environ={name: "x"}) == load_settings()


def test_the_variables_of_the_scripts_are_not_taken_for_settings(tmp_path: Path) -> None:
    scripts = "".join(path.read_text() for path in (REPOSITORY / "scripts").glob("*.sh"))
    names = set(re.findall(r"\bI2V_[A-Z_]*[A-Z]\b", scripts))
    assert {"I2V_PYTHON", "I2V_TORCH"} <= names
    (tmp_path / "empty.yaml").touch()
    environ = {**dict.fromkeys(names, "x"), "I2V_CONFIG": str(tmp_path / "empty.yaml")}
    assert load_settings(environ=environ) == load_settings()


@pytest.mark.parametrize(
    ("key", "value", "fix"),
    [
        ("SECURITY__ALLOWED_HOSTS", "https://x", "write x instead of https://x"),
        ("SECURITY__ALLOWED_HOSTS", "studio, x:8443", "write x instead of x:8443"),
        ("SECURITY__ALLOWED_HOSTS", "*", "without scheme, port, path or *"),
        ("SECURITY__TRUSTED_PROXIES", "nginx", "127.0.0.1"),
        ("SECURITY__CORS_ORIGINS", "*", "https://studio.example"),
        ("SECURITY__FRAME_ANCESTORS", "studio", "https://studio.example"),
        ("SERVER__HOST", "http://0.0.0.0", "server.port"),
        ("SERVER__ROOT_PATH", "https://studio.example/i2v", "/i2v"),
        ("MODELS__SEARCH_PATHS", "/a:/b", "commas"),
        ("DATA_DIR", "$I2V_NOWHERE/x", "the variable I2V_NOWHERE is not set"),
    ],
)
def test_a_value_that_cannot_work_is_refused_with_the_fix(key: str, value: str, fix: str) -> None:
    error = refusal(environ={f"I2V_{key}": value})
    assert (error.code, error.params["source"]) == ("settings.invalid", f"I2V_{key}")
    assert fix in str(error.params["allowed"])


@pytest.mark.parametrize("value", ["a,b", "[a, b]", '["a","b"]', '"a","b"', "'a, b'", '"[a, b]"'])
def test_a_variable_has_a_list_in_every_usual_form(value: str) -> None:
    loaded = load_settings(environ={"I2V_SECURITY__ALLOWED_HOSTS": value})
    assert loaded.security.allowed_hosts == ("a", "b")


def test_quotes_that_a_file_of_variables_keeps_are_none(tmp_path: Path) -> None:
    environ = {"I2V_DATA_DIR": f'"{tmp_path}"', "I2V_SERVER__PORT": "'80'", "I2V_OUTPUT__PREFIX": '""'}
    loaded = load_settings(environ=environ)
    assert (loaded.service.data_dir, loaded.server.port, loaded.output.prefix) == (tmp_path, 80, "")


def test_variables_in_paths_are_expanded_in_files_and_in_the_environment(
    write: Callable[[str], Path],
) -> None:
    environ = {"CLIPS": "/clips", "I2V_DATA_DIR": "${CLIPS}/data"}
    path = write("output: {directory: $CLIPS/out}\nmodels: {search_paths: [$CLIPS, near]}")
    loaded = load_settings(path, environ)
    assert (loaded.output.directory, loaded.service.data_dir) == (Path("/clips/out"), Path("/clips/data"))
    assert loaded.models.search_paths == (Path("/clips"), path.parent / "near")
    chosen = {"MINE": str(path.parent), "CLIPS": "/x", "I2V_CONFIG": "$MINE/my config.yaml"}
    assert load_settings(None, chosen).output.directory == Path("/x/out")
    error = refusal(config=path, environ={})
    assert error.params["allowed"] == "the variable CLIPS is not set; write $$ for a dollar sign"


def test_what_kubernetes_sets_for_a_neighbour_is_no_setting() -> None:
    links = {
        "I2V_SERVICE_HOST": "10.0.0.7", "I2V_SERVICE_PORT": "7860", "I2V_SERVICE_PORT_HTTP": "7860",
        "I2V_PORT": "tcp://10.0.0.7:7860", "I2V_PORT_7860_TCP": "tcp://10.0.0.7:7860",
        "I2V_PORT_7860_TCP_PROTO": "tcp", "I2V_PORT_7860_TCP_ADDR": "10.0.0.7",
    }  # fmt: skip
    assert load_settings(environ=links) == load_settings()
    assert refusal(environ={"I2V_PORT": "7860"}).params["nearest"] == "server.port"


# --- the token

SECRET = "correct horse battery staple"


@pytest.mark.parametrize("token", ["", "correct-horse-16", "x" * 200, "!#$%&()*+,-./:;<=>?@[]^_`{|}~"])
def test_a_token_is_none_or_hard_to_guess(token: str) -> None:
    loaded = load_settings(environ={"I2V_SECURITY__TOKEN": token})
    assert loaded.security.token.get_secret_value() == token
    assert not token or token not in f"{loaded!r} {loaded} {loaded.security.token}"


@pytest.mark.parametrize(
    "token", ["x", "fifteen-letters", "x" * 201, SECRET, "令牌" * 10, "tab\tin-the-middle"]
)
def test_a_token_that_is_too_easy_or_cannot_be_sent_is_refused_and_not_shown(token: str) -> None:
    error = refusal(environ={"I2V_SECURITY__TOKEN": token})
    assert error.params == {
        "source": "I2V_SECURITY__TOKEN",
        "key": "security.token",
        "value": "(not shown)",
        "allowed": "16 to 200 printable ASCII characters without spaces",
    }


@pytest.mark.parametrize("content", [
    f"security: {SECRET}", f"security: [{SECRET}]", f"security: {{token: [{SECRET}]}}",
    f'security:\n  token: "{SECRET}', f"security:\n  token: '{SECRET}\n", f"security:\n\ttoken: {SECRET}",
    f"security:\n  token: {SECRET}: x", f"security:\n  token: x\n  token: {SECRET}",
    f"security:\n  token: a\0{SECRET}",
])  # fmt: skip
def test_no_mistake_around_a_token_shows_it(write: Callable[[str], Path], content: str) -> None:
    error = refusal(config=write(content))
    assert "horse" not in f"{error.message} {error.params}"


def test_no_variable_shows_a_token() -> None:
    for environ in (
        {"I2V_SECURITY__TOKEN": SECRET, "I2V_security__token": SECRET},
        {"I2V_SECURITY": SECRET},
        {"I2V_SECURITY__TOKENS": SECRET},
        {"I2V_TOKEN": SECRET},
    ):
        error = refusal(environ=environ)
        assert "horse" not in f"{error.message} {error.params}"


# --- presets


def test_the_presets_are_the_published_ones() -> None:
    assert load_presets() == {
        "quick": Preset(512, 8, 30, 8, 9.0),
        "standard": Preset(512, 16, 50, 8, 9.0),
        "high": Preset(768, 24, 80, 8, 9.0),
        "extreme": Preset(1024, 32, 100, 8, 9.0),
    }


def test_presets_that_cannot_be_read_are_reported(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="No such file"):
        load_presets(tmp_path / "presets.yaml")


# --- where models come from


def test_huggingface_hubs_own_variables_count_and_ours_win(tmp_path: Path) -> None:
    theirs = {"HF_ENDPOINT": "https://hf-mirror.com/", "HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    models = load_settings(environ=theirs).models
    assert (models.endpoint, models.offline) == ("https://hf-mirror.com", True)
    assert models.hub_cache == tmp_path / "hub"
    assert load_settings(environ=theirs | {"HF_HUB_CACHE": "/cache"}).models.hub_cache == Path("/cache")
    ours = {"I2V_MODELS__ENDPOINT": "http://localhost:1", "I2V_MODELS__OFFLINE": "false"}
    models = load_settings(environ=theirs | ours).models
    assert (models.endpoint, models.offline) == ("http://localhost:1", False)
    assert load_settings(environ={"HF_ENDPOINT": "", "HF_HUB_OFFLINE": ""}) == load_settings()


def test_a_list_of_folders_is_relative_to_what_names_it(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("models: {search_paths: [near, /far, ~/home]}")
    assert load_settings(path).models.search_paths == (tmp_path / "near", Path("/far"), Path.home() / "home")
    assert load_settings(environ={"I2V_MODELS__SEARCH_PATHS": "/a, /b"}).models.search_paths == (
        Path("/a"),
        Path("/b"),
    )
    assert load_settings(environ={"I2V_MODELS__SEARCH_PATHS": ""}).models.search_paths == ()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sources", "huggingface.co"),
        ("sources", "https://a,ftp://b"),
        ("endpoint", "https://user:password@mirror"),
        ("endpoint", "https://a b"),
        ("offline", "perhaps"),
        ("search_paths", "\udcff"),
    ],
)
def test_a_source_that_cannot_be_one_is_refused(key: str, value: str) -> None:
    error = refusal(environ={f"I2V_MODELS__{key.upper()}": value})
    assert (error.code, error.params["key"]) == ("settings.invalid", f"models.{key}")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("auto", "auto"), ("cpu", "cpu"), ([0, 2], (0, 2)), ("2, 0,2", (0, 2)), ("[1]", (1,)), (3, (3,)),
        (["1", 0], (0, 1)),
    ],
)  # fmt: skip
def test_devices_are_words_or_numbers(given: object, expected: object) -> None:
    assert load_settings(flags={"worker.devices": given}).worker.devices == expected


@pytest.mark.parametrize("given", [[], "", "cuda", "cuda:1", -1, True, [0.5], [True], "0;1", {"a": 1}, 100])
def test_what_names_no_devices_is_refused(given: object) -> None:
    with pytest.raises(InvalidRequest) as caught:
        load_settings(flags={"worker.devices": given})
    assert caught.value.params["key"] == "worker.devices"
    assert "nvidia-smi" in str(caught.value.params["allowed"])
