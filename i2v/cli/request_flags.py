"""A flag for each field of a request, for the commands that make clips. What they mean, the request says."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import get_args

from i2v.core.option_fields import option_fields
from i2v.core.schema import (
    MAX_OUTPUT_FPS,
    Fit,
    GenerationRequest,
    Interpolation,
    PresetName,
    Resolution,
    Speed,
    Upscaling,
)
from i2v.core.styles import StyleName


def add_request_flags(parser: argparse.ArgumentParser) -> None:
    """Add a flag for each field of the request. Values stay text: `GenerationRequest` checks them.

    Bounds are the widest that any engine has; which has less stands at the end of the help.
    """
    allowed = {field.name: field.allowed for field in option_fields(GenerationRequest)}
    _add_content(parser)
    _add_size(parser, allowed)
    _add_frames(parser, allowed)
    _add_model(parser, allowed)
    _add_length(parser)
    _add_rest(parser)


def _add_content(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prompt", help="what should happen, e.g. 'the camera pans left'")
    parser.add_argument(
        "--style", help=f"a look that is added to both prompts: {', '.join(get_args(StyleName))}"
    )
    parser.add_argument("--negative-prompt", help="what to avoid (default: the model's own)")
    parser.add_argument(
        "--preset", help=f"{', '.join(get_args(PresetName))} (default: standard); other flags override it"
    )


def _add_size(parser: argparse.ArgumentParser, allowed: Mapping[str, str]) -> None:
    parser.add_argument(
        "--resolution", help=f"{', '.join(get_args(Resolution))}: 512p means an area of 512 x 512 pixels"
    )
    parser.add_argument(
        "--fit", help=f"{', '.join(get_args(Fit))} (default: keep the picture's aspect ratio)"
    )
    parser.add_argument(
        "--crop",
        metavar="PART",
        help="part of the picture to use: LEFT,TOP,RIGHT,BOTTOM from 0 to 1, or a shape such as 16:9",
    )
    parser.add_argument(
        "--height", help=f"pixels, {allowed['height']}; with --width, instead of --resolution"
    )
    parser.add_argument("--width", help=f"pixels, {allowed['width']}; with --height")


def _add_frames(parser: argparse.ArgumentParser, allowed: Mapping[str, str]) -> None:
    parser.add_argument("--num-frames", help=f"{allowed['num_frames']}; fewer with most models (see below)")
    parser.add_argument("--fps", help=f"frames per second of the video, {allowed['fps']}")
    parser.add_argument(
        "--output-fps",
        help=f"frame rate of the video, up to {MAX_OUTPUT_FPS}: frames between those at --fps are computed",
    )
    parser.add_argument(
        "--interpolation",
        help=f"how: {', '.join(get_args(Interpolation))} (default: auto, which is motion)",
    )
    parser.add_argument(
        "--upscaler",
        help=f"what enlarges frames that are smaller than the video: {', '.join(get_args(Upscaling))}"
        " (default: output.upscaler in the settings)",
    )
    parser.add_argument("--target-fps", help="frame rate given to the model as a condition (default: --fps)")


def _add_model(parser: argparse.ArgumentParser, allowed: Mapping[str, str]) -> None:
    parser.add_argument(
        "--num-inference-steps",
        help=f"denoising steps, {allowed['num_inference_steps']}; more steps look better and take longer",
    )
    parser.add_argument(
        "--guidance-scale", help="how closely to follow the prompt, 1 to 30; 1 turns guidance off"
    )
    parser.add_argument(
        "--speed", help=f"{', '.join(get_args(Speed))} (default: auto, which is fast where verified)"
    )
    parser.add_argument(
        "--seed", help="0 to 4294967295; the same seed gives the same clip (default: -1, random)"
    )
    parser.add_argument(
        "--engine", help="auto, or a model listed below (default: engine.name in the settings)"
    )
    parser.add_argument(
        "--checkpoint",
        metavar="NAME",
        help="other weights for the base of a model that takes some: see i2v models checkpoints",
    )
    parser.add_argument(
        "--lora",
        action="append",
        dest="loras",
        metavar="NAME[:STRENGTH[:STRENGTH_2]]",
        help="a LoRA, -4 to 4 strong (default: 1), for a model that takes some; STRENGTH_2 is that in the"
        " second of two experts; may be repeated: see i2v models loras",
    )


def _add_length(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--loop", action="store_true", default=None, help="make a clip that can be repeated without a jump"
    )
    parser.add_argument(
        "--scene",
        action="append",
        dest="story",
        metavar="SECONDS[:PROMPT]",
        help="a longer clip: this scene, for so long (without a prompt: that of --prompt); may be repeated,"
        " for a model that takes it",
    )
    parser.add_argument(
        "--no-correct-drift",
        action="store_false",
        dest="correct_drift",
        default=None,
        help="with --scene: let colours and sharpness go where the model takes them",
    )


def _add_rest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--option",
        action="append",
        metavar="NAME=VALUE",
        help="an option of one model (see below); may be repeated",
    )
    parser.add_argument(
        "--device", help="cpu, or a GPU such as cuda:1 (default: the first; of a server, one that is free)"
    )
    parser.add_argument(
        "--gradient-checkpointing",
        action="store_true",
        default=None,
        help="accepted for compatibility; has no effect",
    )
