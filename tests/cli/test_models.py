"""`i2v models`: once in a process of its own, else in this one, where torch is loaded already."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch

from i2v.cli.main import main
from i2v.cli.remote import Server
from i2v.core.memory_plan import DeviceInfo
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.engines.registry import engines
from i2v.pipeline.choice import choose_engine, explain_choice
from i2v.weights import EMBEDDED_FOLDER, weights_digest
from tests.cli.running import run
from tests.contrary import CONTRARY
from tests.models import models_in
from tests.tiny_loras import write_kohya


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in os.environ:
        if name.startswith("I2V_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("I2V_MODELS__DIRECTORY", str(tmp_path / "models"))
    monkeypatch.setenv("I2V_MODELS__SEARCH_PATHS", "")
    monkeypatch.setenv("I2V_MODELS__HUB_CACHE", str(tmp_path / "nowhere"))
    monkeypatch.setenv("I2V_ENGINE__DEVICE", "cpu")
    return tmp_path / "models"


def fill(models: Path) -> Path:
    """Let the embedded model's files pass for I2VGen-XL's."""
    shutil.copytree(EMBEDDED_FOLDER, models / "i2vgen-xl")
    return models / "i2vgen-xl"


def test_json_is_one_line_with_every_engine_and_the_choice_of_auto(
    environment: dict[str, str], models: Path
) -> None:
    environment |= {name: value for name, value in os.environ.items() if name.startswith("I2V_")}
    done = run(environment, "models", "--json")
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    answer = json.loads(line)
    absent, embedded, camera_move, *others = answer["engines"]
    assert absent == {
        "name": "i2vgen-xl",
        "title": "I2VGen-XL",
        "available": False,
        "path": str(models / "i2vgen-xl"),
        "origin": "downloaded",
        "missing": "model_index.json",
        "bytes": 0,
        "sha256": None,
    }
    assert (embedded["name"], embedded["available"], embedded["missing"]) == ("embedded", True, None)
    assert embedded["path"] == str(EMBEDDED_FOLDER)
    assert embedded["bytes"] > 10**7
    assert (camera_move["name"], camera_move["available"]) == ("camera-move", True)
    names = "svd svd-xt animatediff animatediff-lightning animatelcm wan-ti2v-5b wan-i2v-a14b ip-adapter"
    assert [(other["name"], other["available"]) for other in others] == [
        (name, False) for name in names.split()
    ]
    assert answer["auto"]["engine"] == "embedded"
    assert answer["auto"]["code"] == "engine.auto_neither"


def test_the_digest_is_read_only_where_it_is_asked_for(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models"]) == 0
    assert "SHA-256" not in capsys.readouterr().out
    assert main(["models", "--digest"]) == 0
    assert f"  SHA-256 {weights_digest(EMBEDDED, EMBEDDED_FOLDER)}\n" in capsys.readouterr().out


def test_each_state_of_a_folder_is_a_plain_line(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    absent, way, embedded, camera_move, *others, auto = capsys.readouterr().out.splitlines()
    assert way == "  to install it: i2v models download i2vgen-xl"
    assert absent == f"i2vgen-xl (I2VGen-XL): not installed (no model in {models / 'i2vgen-xl'})"
    assert embedded.startswith("embedded (Demo model): installed, ")
    assert camera_move == "camera-move (Camera move, no AI): installed, nothing needs to be downloaded"
    assert others[::2] == [
        f"{name} ({title}): not installed (no model in {models / name})"
        for name, title in (
            ("svd", "Stable Video Diffusion"),
            ("svd-xt", "Stable Video Diffusion XT"),
            ("animatediff", "AnimateDiff"),
            ("animatediff-lightning", "AnimateDiff-Lightning"),
            ("animatelcm", "AnimateLCM"),
            ("wan-ti2v-5b", "Wan 2.2 TI2V-5B"),
            ("wan-i2v-a14b", "Wan 2.2 I2V-A14B"),
            ("ip-adapter", "IP-Adapter (style pictures)"),
        )
    ]
    assert auto.startswith("auto selects the demo model: there is no CUDA GPU")

    folder = fill(models)
    assert main(["models"]) == 0
    complete = capsys.readouterr().out.splitlines()[0]
    assert complete.startswith("i2vgen-xl (I2VGen-XL): installed, ")
    assert complete.endswith(f" MB in {folder}")

    (folder / "vae" / "config.json").unlink()
    assert main(["models", "--digest"]) == 0
    incomplete = capsys.readouterr().out.splitlines()[0]
    assert "): incomplete, " in incomplete
    assert incomplete.endswith("vae/config.json is missing")


def test_an_engine_without_weights_is_available_and_needs_no_download(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    known = {**engines(), CONTRARY.name: CONTRARY}
    monkeypatch.setattr("i2v.engines.registry.engines", lambda: known)
    assert main(["models"]) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("contrary"))
    assert line == "contrary (The contrary one): installed, nothing needs to be downloaded"
    assert main(["models", "--json"]) == 0
    answer = {engine["name"]: engine for engine in json.loads(capsys.readouterr().out)["engines"]}
    assert answer["contrary"].keys() == answer["embedded"].keys()
    assert (answer["contrary"]["available"], answer["contrary"]["path"]) == (True, None)


def test_a_device_that_cannot_be_had_leaves_auto_no_engine(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("I2V_ENGINE__DEVICE", "cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)  # whatever this machine has
    assert main(["models", "--json"]) == 0
    auto = json.loads(capsys.readouterr().out)["auto"]
    assert (auto["engine"], auto["code"]) == (None, "device.no_cuda")


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
@pytest.mark.parametrize("filled", [False, True])
def test_the_reason_for_autos_choice_is_that_of_the_choice(models: Path, kind: str, filled: bool) -> None:
    if filled:
        fill(models)
    device = DeviceInfo("cuda" if kind == "cuda" else "cpu", "stand-in", 0)
    chosen = choose_engine("auto", device, models_in(models), engines())
    reason = explain_choice(device, models_in(models), engines()).message
    runs = "I2VGen-XL" if chosen is I2VGEN_XL else "the demo model"
    assert reason.startswith(f"auto selects {runs}:")
    assert ("no CUDA GPU" in reason) == (kind == "cpu")
    assert ("no complete model in" in reason) == (not filled)


def test_loras_are_listed_with_what_they_say_of_themselves(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "loras"]) == 0
    assert capsys.readouterr().out == f"There are none. Put .safetensors files into {models / 'loras'}.\n"
    (models / "loras").mkdir(parents=True)
    weight = torch.zeros(8, 768)
    layers = {"unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": weight}
    path = models / "loras/ink.safetensors"
    write_kohya(path, layers, 1, modelspec__trigger_phrase="inkwash")
    assert main(["models", "loras"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"ink: Stable Diffusion 1.5, 0.0 MB in {path}"
    assert second == "  trigger words: inkwash"
    assert main(["models", "loras", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["loras"]
    assert (row["name"], row["path"], row["trigger_words"]) == ("ink", str(path), ["inkwash"])
    assert main(["models", "checkpoints", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"checkpoints": []}


def test_a_server_with_a_cluster_is_asked_which_machine_has_what(
    models: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("I2V_WORKER__EXECUTOR", "ray")
    monkeypatch.setenv("I2V_SERVICE__DATA_DIR", str(models.parent / "data"))
    assert main(["models"]) == 0
    assert "No i2v server" in capsys.readouterr().err
    fetch = {"engine": "svd", "done_bytes": 10**9, "total_bytes": 4 * 10**9}
    devices = [{"id": "studio/cuda:0", "models": ["i2vgen-xl"], "fetch": fetch}]
    monkeypatch.setattr(Server, "find", lambda settings, url: Server("http://127.0.0.1:1"))
    monkeypatch.setattr(Server, "ask", lambda self, method, path: {"devices": devices})
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    assert "studio/cuda:0: weights of i2vgen-xl; gets svd, 1.00 of 4.00 GB" in said
    assert main(["models", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["devices"] == devices
