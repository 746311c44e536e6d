"""The end of `i2v generate --help`: engines with what they take, and their options."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from i2v.cli.engine_help import WIDTH, describe_engines, flag, flag_of
from i2v.cli.main import main
from i2v.core.engine_spec import Options
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.engines.registry import engines
from i2v.engines.svd.specs import SVD
from tests.cli.running import run_here
from tests.contrary import CONTRARY

PLAIN = replace(I2VGEN_XL, name="plain", options_model=Options)
HELP = describe_engines({spec.name: spec for spec in (I2VGEN_XL, PLAIN, CONTRARY)})


def test_each_engine_has_its_bounds_and_what_it_goes_without() -> None:
    words = " ".join(HELP.split())
    assert "i2vgen-xl I2VGen-XL: 4 to 128 frames; 1 to 60 fps; sides up to 2048 pixels" in words
    assert "contrary The contrary one: 24 to 3600 frames; 24 to 60 fps; sides up to 4096 pixels" in words
    assert "needs no download; takes --last-image FILE, --keyframe FRAME=FILE; without --prompt," in words


def test_each_option_has_its_bounds_its_default_and_what_it_means() -> None:
    assert "options of contrary (--option NAME=VALUE):" in HELP
    assert "  strength  0 to 2 (default: 1.0). How much. 0: none." in HELP
    assert "  path      line | arc." in HELP
    assert "  mirror    true | false (default: false)." in HELP
    assert "options of plain" not in HELP
    assert max(map(len, HELP.splitlines())) <= WIDTH


def test_options_that_engines_have_alike_stand_once() -> None:
    both = describe_engines({spec.name: spec for spec in (SVD, I2VGEN_XL)})
    assert both.count("camera_strength") == 1
    assert "options of svd, i2vgen-xl (--option NAME=VALUE):" in both
    assert "options of svd (--option NAME=VALUE):" in both


def test_the_help_of_generate_ends_with_the_engines_that_are_installed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["generate", "--help"]) == 0
    said = capsys.readouterr().out
    assert said.endswith(f"{describe_engines(engines())}\n")
    for bounds in ("pixels, 64 to 4096", "1 to 3600", "1 to 60", "denoising steps, 1 to 200", "1 to 30"):
        assert bounds in said


def test_a_field_is_named_as_the_flag_that_gives_it(environment: dict[str, str], picture: Path) -> None:
    done = run_here(
        environment, "generate", picture, "--engine", "embedded", "--prompt", "x", "--lora", "ink"
    )
    assert (done.returncode, done.stderr.split(" (")[0]) == (2, "i2v: Demo model does not support --lora")
    assert (flag("num_frames"), flag("options")) == ("--num-frames", "--option")


def test_an_error_is_about_the_flag_that_a_field_is_given_by() -> None:
    flags = {
        ("num_frames", "3"): "--num-frames",
        ("story.seconds", "x"): "--scene",
        ("loras.strength", "9"): "--lora",
        ("options.pan", "9"): "--option",
        ("narration.text", ""): "--narration",
        ("narration.voice", "../x"): "--narration-voice",
        ("sound.fade_in", "-1"): "--sound-fade-in",
        ("inputs", "motion_mask"): "--motion-mask",
        ("inputs", "style_image"): "--style-image",
        ("inputs", "last_image"): "--last-image",
        ("inputs", "keyframe"): "--keyframe",
        ("inputs.frame", "0"): "--keyframe",
    }
    assert {given: flag_of(*given) for given in flags} == flags
    assert flag_of("address", "x") is None
