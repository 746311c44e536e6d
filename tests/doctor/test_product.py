"""What i2v itself needs: real folders that cannot be written, real weights, a real and a broken ffmpeg."""

from __future__ import annotations

import shutil
from pathlib import Path

import imageio_ffmpeg
import pytest

from i2v.core.errors import I2VError
from i2v.core.settings import OutputSettings
from i2v.core.settings_sources import ROOT, load_settings
from i2v.doctor import product
from i2v.doctor.findings import Finding, Status
from i2v.doctor.product import (
    check_executor,
    check_ffmpeg,
    check_logs,
    check_output,
    check_reading,
    check_settings,
    check_weights,
    list_variables,
)
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.engines.svd.specs import SVD, SVD_XT
from i2v.weights import EMBEDDED_FOLDER
from i2v.workers.cluster.places import Node
from tests.models import models_in

DEFAULTS = ROOT / "configs" / "default.yaml"
UNWRITABLE = Path("/proc")  # not even root can make a file there


def outcome(finding: Finding | None) -> tuple[Status, str]:
    assert finding is not None
    return finding.status, finding.found.code


# --- settings


def test_valid_settings_are_returned_and_their_file_is_named(tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("output: {prefix: clip_}")
    settings, finding = check_settings(config, {})
    assert settings is not None
    assert settings.output.prefix == "clip_"
    assert outcome(finding) == ("ok", "doctor.settings_ok")
    assert finding.found.params == {"path": str(config)}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("output: {prefx: clip_}", "settings.unknown_key"),
        ("engine: {threads: -1}", "settings.invalid"),
        ("engine: {name: sora}", "request.unknown_engine"),
        ("{", "settings.unreadable"),
    ],
)
def test_broken_settings_are_a_problem_and_no_crash(tmp_path: Path, text: str, code: str) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text(text)
    settings, finding = check_settings(config, {})
    assert settings is None
    assert outcome(finding) == ("problem", code)


# --- folders


def output(folder: Path) -> OutputSettings:
    return load_settings(DEFAULTS, flags={"output.directory": str(folder)}).output


def test_a_folder_for_videos_that_can_be_written_is_good_news(tmp_path: Path) -> None:
    assert outcome(check_output(output(tmp_path / "new"))) == ("ok", "doctor.output_ok")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_folder_for_videos_that_cannot_be_used_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert outcome(check_output(output(tmp_path / "file"))) == ("problem", "output.not_a_folder")
    assert outcome(check_output(output(UNWRITABLE))) == ("problem", "output.not_writable")


def test_little_space_for_videos_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "LOW_GB", shutil.disk_usage(tmp_path).free / 1e9 + 1000)
    finding = check_output(output(tmp_path))
    assert outcome(finding) == ("warning", "doctor.output_low")
    assert finding.fix is not None


def test_a_folder_for_logs_that_cannot_be_written_is_warned_of(tmp_path: Path) -> None:
    assert outcome(check_logs(tmp_path / "logs")) == ("ok", "doctor.logs_ok")
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", UNWRITABLE):
        assert outcome(check_logs(folder)) == ("warning", "doctor.logs_unwritable")


# --- weights


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder of models in which I2VGen-XL is complete, if the embedded model's files pass for its own."""
    shutil.copytree(EMBEDDED_FOLDER, tmp_path / "models" / I2VGEN_XL.name)
    return tmp_path / "models"


def test_complete_weights_are_good_news(models: Path) -> None:
    (finding,) = check_weights([I2VGEN_XL], models_in(models), "auto", "info")
    assert outcome(finding) == ("ok", "doctor.weights_ok")


def test_a_needed_model_that_is_absent_is_a_problem_and_the_others_are_one_line(tmp_path: Path) -> None:
    engines = [SVD, I2VGEN_XL, SVD_XT]
    needed, others = check_weights(engines, models_in(tmp_path), I2VGEN_XL.name, "warning")
    assert outcome(needed) == ("problem", "weights.missing_folder")
    assert outcome(others) == ("warning", "doctor.not_installed")
    assert others.found.params == {"titles": f"{SVD.title}, {SVD_XT.title}"}


def test_incomplete_weights_are_a_problem_that_names_the_first_missing_file(models: Path) -> None:
    for name in ("unet/diffusion_pytorch_model.fp16.safetensors", "text_encoder/config.json"):
        (models / I2VGEN_XL.name / name).unlink()
    (finding,) = check_weights([I2VGEN_XL], models_in(models), "auto", "info")
    assert outcome(finding) == ("problem", "weights.missing_file")
    assert finding.found.params["path"] == str(models / I2VGEN_XL.name / "text_encoder" / "config.json")


def test_the_disk_of_the_weights_is_timed(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finding = check_reading(I2VGEN_XL, models_in(models))
    assert outcome(finding) == ("ok", "doctor.reading")
    assert finding is not None
    assert float(str(finding.found.params["speed"])) > 1  # MB/s: slower than any disk
    monkeypatch.setattr(product, "SLOW_SECONDS", 0)
    slow = check_reading(I2VGEN_XL, models_in(models))
    assert outcome(slow) == ("warning", "doctor.reading")
    assert check_reading(I2VGEN_XL, models_in(models / "nowhere")) is None


def test_weights_that_cannot_be_read_are_a_problem(models: Path) -> None:
    sealed = Path("/sys/bus/platform/uevent")  # 4096 bytes that not even root may read
    shutil.rmtree(models / I2VGEN_XL.name)
    (models / I2VGEN_XL.name).mkdir()
    (models / I2VGEN_XL.name / "model_index.json").symlink_to(sealed)
    assert outcome(check_reading(I2VGEN_XL, models_in(models))) == ("problem", "weights.unreadable")


# --- ffmpeg


def test_ffmpeg_makes_a_real_clip() -> None:
    assert outcome(check_ffmpeg()) == ("ok", "doctor.ffmpeg_ok")


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 1", "status 1"),
        (
            'exec {ffmpeg} "${{@/libx264/libx999}}"',
            "libx999",
        ),  # stands for an ffmpeg that was built without it
    ],
    ids=["broken", "without x264"],
)
def test_an_ffmpeg_that_makes_no_clip_is_a_problem_in_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
) -> None:
    tool = tmp_path / "ffmpeg"
    tool.write_text("#!/bin/bash\n" + script.format(ffmpeg=imageio_ffmpeg.get_ffmpeg_exe()))
    tool.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tool))
    finding = check_ffmpeg()
    assert outcome(finding) == ("problem", "doctor.ffmpeg_broken")
    assert words in finding.found.message
    assert finding.fix is not None


# --- variables


def test_proxies_and_mirrors_are_shown_without_passwords() -> None:
    environ = {"https_proxy": "http://me:secret@proxy:3128", "HF_ENDPOINT": "https://mirror", "HOME": "/root"}
    finding = list_variables(environ)
    assert outcome(finding) == ("info", "doctor.variables")
    assert "https_proxy=http://***@proxy:3128" in finding.found.message
    assert "HF_ENDPOINT=https://mirror" in finding.found.message
    assert "secret" not in finding.found.message
    assert "HOME" not in finding.found.message
    assert outcome(list_variables({})) == ("info", "doctor.no_variables")


def test_a_missing_ray_is_a_problem_only_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "find_package", lambda name: None)
    assert cluster_finding(executor="process") is None
    assert cluster_finding() == ("problem", "cluster.no_ray")


def test_the_cluster_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "find_package", lambda name: object())
    nodes = [Node("1", "head", 0, 0), Node("2", "studio", 16, 2)]
    monkeypatch.setattr(product, "look", lambda address: nodes)
    flags = {"worker.executor": "ray", "ray.address": "10.0.0.1:6379"}
    settings = load_settings(flags=flags)
    found = check_executor(settings.worker, settings.ray)
    assert found is not None
    assert "10.0.0.1:6379" in found.found.message
    assert "studio (2 GPU, 16 CPU)" in found.found.message
    assert "head" not in found.found.message
    nodes.pop()
    assert cluster_finding() == ("warning", "cluster.no_device")

    def fail(address: str) -> list[Node]:
        raise I2VError("cluster.unreachable", address=address, reason="no answer")

    monkeypatch.setattr(product, "look", fail)
    assert cluster_finding() == ("info", "doctor.cluster_none"), "the server starts it"
    assert cluster_finding(address="10.0.0.1:6379") == ("problem", "cluster.unreachable")


def cluster_finding(executor: str = "ray", address: str = "") -> tuple[str, str] | None:
    settings = load_settings(flags={"worker.executor": executor, "ray.address": address})
    found = check_executor(settings.worker, settings.ray)
    return None if found is None else outcome(found)
