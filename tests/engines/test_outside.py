"""An engine of another package, installed beside i2v: found by its entry point, listed, and run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from i2v.core.settings_sources import ROOT
from i2v.engines.registry import GROUP
from i2v.media.provenance import Provenance
from i2v.media.video import probe, read_tags
from tests.fake_family.network import write_folder
from tests.fake_family.specs import FAKE
from tests.rehearsal import picture


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a machine where pip has installed the package `i2v-fake`: what it leaves."""
    info = tmp_path / "site" / "i2v_fake-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: i2v-fake\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{GROUP}]\nfake = tests.fake_family.specs:FAKE\n")
    models = tmp_path / "models"
    (models / "fake").mkdir(parents=True)
    write_folder(models / "fake")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(tmp_path / "site"), str(ROOT))),
        "I2V_MODELS__DIRECTORY": str(models),
        "I2V_OUTPUT__DIRECTORY": str(tmp_path / "videos"),
        "I2V_SERVICE__DATA_DIR": str(tmp_path / "data"),
        "I2V_ENGINE__DEVICE": "cpu",
    }


def i2v(environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "-m", "i2v", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_is_listed_with_its_own_folder_and_described_with_its_own_options(
    installed: dict[str, str],
) -> None:
    listed = json.loads(i2v(installed, "models", "--json"))["engines"]
    (found,) = (row for row in listed if row["name"] == "fake")
    assert (found["title"], found["available"]) == (FAKE.title, True)
    assert Path(found["path"]) == Path(installed["I2V_MODELS__DIRECTORY"]) / "fake"
    told = i2v(installed, "generate", "--help")
    assert all(name in told for name in FAKE.options_model.model_fields)


@pytest.mark.slow
def test_it_makes_a_clip_that_says_what_it_was_asked(installed: dict[str, str], tmp_path: Path) -> None:
    photo, clip = tmp_path / "photo.png", tmp_path / "clip.mp4"
    photo.write_bytes(picture())
    option = ("--option", "motion=0.25")
    i2v(
        installed,
        "generate",
        str(photo),
        "--engine",
        "fake",
        "--preset",
        "quick",
        *option,
        "--output",
        str(clip),
    )
    assert probe(clip).num_frames == 5
    made = Provenance.from_tags(read_tags(clip), clip).generation
    assert made["engine"] == "fake"
    assert isinstance(made["options"], dict)
    assert made["options"]["motion"] == 0.25
