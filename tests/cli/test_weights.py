"""`i2v models download | verify | add | remove` as a person sees them; tests/weights has what they do."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from i2v.cli.main import main
from i2v.cli.weights import _Line, _time
from i2v.engines import registry
from i2v.weights import EMBEDDED_FOLDER
from i2v.weights.progress import TransferProgress
from scripts.full_size.layout import read_table
from scripts.full_size.write import write_model
from tests.tiny_wan import write_tiny_wan
from tests.weights.families import ADAPTER, ASKING, repositories
from tests.weights.hub import Hub, make_files, running


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running(Hub(make_files(50_000))) as hub:
        yield hub


@pytest.fixture
def models(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HF_ENDPOINT", "HF_HUB_OFFLINE", "HTTP_PROXY", "http_proxy", "I2V_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "DIRECTORY": tmp_path / "models", "SEARCH_PATHS": "", "HUB_CACHE": tmp_path, "SOURCES": hub.address,
    }.items():  # fmt: skip
        monkeypatch.setenv(f"I2V_MODELS__{name}", str(value))
    monkeypatch.setenv("I2V_ENGINE__DEVICE", "cpu")
    return tmp_path / "models"


Shown = pytest.CaptureFixture[str]


def test_what_it_is_and_where_it_goes_is_said_before_anything_is_fetched(
    hub: Hub, models: Path, capsys: Shown
) -> None:
    assert main(["models", "download", "i2vgen-xl", "--dry-run"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert hub.requests == []
    for word in (
        "4.98 GB",
        "licence: MIT",
        "huggingface.co/ali-vilab/i2vgen-xl",
        hub.address,
        str(models),
        "free",
    ):
        assert word in err


def test_a_model_is_downloaded_verified_listed_and_removed(hub: Hub, models: Path, capsys: Shown) -> None:
    assert main(["models", "download", "i2vgen-xl"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{models / 'i2vgen-xl'}\n"
    assert err.index("licence: MIT") < err.index("MB/s")
    assert f"all files match the checksums from {hub.address}" in err

    assert main(["models", "verify", "i2vgen-xl"]) == 0
    assert "ok       sha256    unet/diffusion_pytorch_model.fp16.safetensors" in capsys.readouterr().out
    assert main(["models", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["engines"][0]["origin"] == "downloaded"

    vocabulary = models / "i2vgen-xl" / "tokenizer" / "vocab.json"
    vocabulary.write_bytes(vocabulary.read_bytes().replace(b"vocab", b"vocal"))
    assert main(["models", "verify", "i2vgen-xl", "--json"]) == 1
    reported = json.loads(capsys.readouterr().out)
    assert reported["code"] == "weights.bad_files"
    assert [file["name"] for file in reported["files"] if not file["is_right"]] == ["tokenizer/vocab.json"]

    assert main(["models", "remove", "i2vgen-xl"]) == 2, "nobody said yes"
    assert "pass --yes" in capsys.readouterr().err
    assert main(["models", "remove", "i2vgen-xl", "--yes"]) == 0
    assert not (models / "i2vgen-xl").exists()


@pytest.mark.parametrize(("answer", "code"), [("yes\n", 0), ("no\n", 2), ("", 2)])
def test_on_a_terminal_removing_is_asked_about(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: Shown, answer: str, code: int
) -> None:
    shutil.copytree(EMBEDDED_FOLDER, models / "i2vgen-xl")
    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", terminal)
    assert main(["models", "remove", "i2vgen-xl"]) == code
    assert f"Delete {models / 'i2vgen-xl'} (0.03 GB)? [yes/no]" in capsys.readouterr().err
    assert (models / "i2vgen-xl").exists() == (code != 0)


def test_a_folder_is_added_where_it_is_and_forgotten(models: Path, tmp_path: Path, capsys: Shown) -> None:
    write_model(tmp_path / "usb" / "i2vgen-xl", None, read_table())
    assert main(["models", "add", str(tmp_path / "usb")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'usb' / 'i2vgen-xl'}\n"
    assert main(["models"]) == 0
    assert "installed, 4978.7 MB in" in capsys.readouterr().out
    assert main(["models", "remove", "i2vgen-xl", "--yes"]) == 0
    assert (tmp_path / "usb" / "i2vgen-xl" / "model_index.json").is_file()
    assert main(["models", "add", str(tmp_path / "models")]) == 2
    assert (
        "i2vgen-xl, svd, svd-xt, animatediff, animatediff-lightning, animatelcm, wan-ti2v-5b, wan-i2v-a14b,"
        " ip-adapter" in capsys.readouterr().err
    )
    assert main(["models", "add", "i2vgen-xl", str(tmp_path / "models")]) == 1
    assert "it has no model_index.json" in capsys.readouterr().err


def test_a_wrong_name_is_answered_with_the_right_ones(models: Path, capsys: Shown) -> None:
    for action in ("download", "verify", "remove"):
        assert main(["models", action, "sora"]) == 2
        assert "i2vgen-xl" in capsys.readouterr().err


def test_a_terminal_sees_one_line_that_moves_and_a_file_one_line_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: Shown
) -> None:
    steps = [
        TransferProgress("fetching", "https://hub", name, done, 100, done, 2_000_000, speed, eta)
        for name, done, speed, eta in (("a", 0, 0, None), ("a", 50, 1e6, 200.0), ("b", 0, 1e6, 4000.0))
    ]
    with _Line() as line:
        for step in steps:
            line.show(step)
    assert capsys.readouterr().err.splitlines() == [
        "0 of 2 MB, 0.00 MB/s: a from https://hub",
        "0 of 2 MB, 1.00 MB/s, 1 h 06 min left: b from https://hub",
    ]
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with _Line() as line:
        for step in steps:
            line.show(step)
    shown = capsys.readouterr().err
    assert shown.count("\r") == 3
    assert "3 min 20 s left" in shown
    assert [_time(seconds) for seconds in (0.4, 59.6, 3599, 3600)] == [
        "0 s", "1 min 00 s", "59 min 59 s", "1 h 00 min",
    ]  # fmt: skip


@pytest.fixture
def asking(hub: Hub, models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model of two repositories, one of which has a licence to accept."""
    hub.others = repositories(50_000)
    known = {**registry.engines(), "asking": ASKING}
    monkeypatch.setattr(registry, "engines", lambda: known)


@pytest.mark.usefixtures("asking")
def test_each_repository_and_its_licence_are_said_and_accepted_by_a_flag(
    hub: Hub, models: Path, capsys: Shown
) -> None:
    assert main(["models", "download", "asking"]) == 2
    err = capsys.readouterr().err
    assert "someone/base" in err
    assert f"{ADAPTER}/tree/" in err
    assert "licence to accept: Community, https://example.org/licence" in err
    assert "--accept-licence" in err
    assert hub.requests == []
    assert main(["models", "download", "asking", "--accept-licence"]) == 0
    assert capsys.readouterr().out == f"{models / 'asking'}\n"
    assert main(["models", "remove", "asking", "--yes"]) == 0
    capsys.readouterr()
    assert main(["models", "download", "asking"]) == 0
    assert "licence to accept" not in capsys.readouterr().err


@pytest.mark.usefixtures("asking")
@pytest.mark.parametrize(("answer", "code"), [("yes\n", 0), ("no\n", 2)])
def test_on_a_terminal_a_licence_is_asked_about(
    monkeypatch: pytest.MonkeyPatch, capsys: Shown, answer: str, code: int
) -> None:
    terminal = io.StringIO(answer)
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys, "stdin", terminal)
    assert main(["models", "download", "asking"]) == code
    question = "Do you accept the licence (Community, https://example.org/licence)? [yes/no]"
    assert question in capsys.readouterr().err


@pytest.mark.usefixtures("asking")
def test_a_folder_is_added_by_name_or_where_it_is_clear_whose_it_is(
    models: Path, tmp_path: Path, capsys: Shown
) -> None:
    write_model(tmp_path / "usb" / "i2vgen-xl", None, read_table())
    assert main(["models", "add", "asking", str(tmp_path / "usb")]) == 1
    assert "is not a model folder" in capsys.readouterr().err
    assert main(["models", "add", "i2vgen-xl", str(tmp_path / "usb")]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'usb' / 'i2vgen-xl'}\n"
    assert main(["models", "add", str(tmp_path / "usb")]) == 0
    assert main(["models", "add", str(tmp_path)]) == 2
    assert "i2v models add NAME FOLDER" in capsys.readouterr().err
    assert main(["models", "add", "embedded", str(tmp_path)]) == 2


@pytest.mark.parametrize("name", [[], ["wan-i2v-a14b"]], ids=["unnamed", "named"])
def test_both_experts_are_added_at_once_and_each_finds_its_place(
    models: Path, tmp_path: Path, capsys: Shown, name: list[str]
) -> None:
    files = [tmp_path / f"A14B-{noise}Noise-Q4_K_M.gguf" for noise in ("High", "Low")]
    for file in files:
        file.write_bytes(b"GGUF")
    assert main(["models", "add", *name, *map(str, files)]) == 0
    folders = (models / "wan-i2v-a14b" / part for part in ("transformer", "transformer_2"))
    links = [str(folder / file.name) for folder, file in zip(folders, files, strict=True)]
    assert capsys.readouterr().out.split() == links


def test_float32_weights_are_converted_and_the_space_is_said_before(models: Path, capsys: Shown) -> None:
    assert main(["models", "download", "wan-ti2v-5b", "--dry-run"]) == 0
    assert "10.10 GB less in the end, 10.10 GB more while it does" in capsys.readouterr().err
    assert main(["models", "convert", "wan-ti2v-5b"]) == 2
    assert "nothing to convert" in capsys.readouterr().err
    folder = models / "wan-ti2v-5b"
    folder.mkdir(parents=True)
    write_tiny_wan(folder)
    original = folder / "transformer/diffusion_pytorch_model.safetensors"
    assert main(["models", "convert", "wan-ti2v-5b"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{folder}\n"
    assert "GB more while it runs" in err
    assert "i2v models convert wan-ti2v-5b --remove-originals" in err
    assert original.exists()
    assert main(["models", "convert", "wan-ti2v-5b", "--remove-originals", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["code"] == "weights.converted_alone"
    assert not original.exists()
    assert main(["models", "list"]) == 0
    assert "wan-ti2v-5b (Wan 2.2 TI2V-5B): installed" in capsys.readouterr().out
