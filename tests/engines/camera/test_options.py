"""Prompts and options become one move, and its notices say what it is."""

from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.engines.camera.move import Move, describe
from i2v.engines.camera.options import CameraPathOptions
from i2v.engines.camera_move.options import CameraMoveOptions


def completed(prompt: str, options: CameraMoveOptions) -> tuple[Move, tuple[Notice, ...]]:
    """Return the move of a clip of four seconds."""
    clip = Generation(prompt, "", 64, 64, 64, 64, "keep", 96, 24, 24, 0, 1.0, seed=0, engine="camera-move")
    filled, notices = options.completed(clip)
    return Move(**filled.model_dump()), notices


def codes(prompt: str, **options: object) -> list[str]:
    _, notices = completed(prompt, CameraMoveOptions.model_validate(options))
    return [notice.code for notice in notices]


def test_without_options_the_prompt_decides() -> None:
    move, _ = completed("pan left while zooming in", CameraMoveOptions())
    assert move == Move(pan=-0.2, zoom=math.exp(0.2))
    assert codes("pan left while zooming in") == ["camera.pan_left", "camera.zoom_in"]


def test_an_option_replaces_its_part_of_the_prompts_move() -> None:
    options = CameraMoveOptions(pan=0.5, roll=-3, easing="linear")
    move, _ = completed("pan left while zooming in", options)
    assert move == Move(pan=0.5, zoom=math.exp(0.2), roll=-3, easing="linear")


def test_zero_takes_a_part_of_the_move_away() -> None:
    move, _ = completed("pan left while zooming in", CameraMoveOptions(pan=0))
    assert move == Move(zoom=math.exp(0.2))


def test_a_prompt_without_a_motion_gets_a_slow_push_in_and_is_told_so() -> None:
    move, _ = completed("a cat", CameraMoveOptions())
    assert move == Move(zoom=math.exp(0.1))
    assert codes("a cat") == ["camera.zoom_in", "camera.default_move"]


def test_options_that_say_the_move_leave_no_room_for_a_default() -> None:
    assert completed("a cat", CameraMoveOptions(tilt=0.1))[0] == Move(tilt=0.1)
    assert codes("a cat", tilt=0.1) == ["camera.tilt_up"]
    assert codes("a cat", easing="linear", loop=True) == [
        "camera.zoom_in", "camera.loop", "camera.default_move", "camera.loop_easing",
    ]  # fmt: skip


def test_a_still_camera_is_one_notice() -> None:
    assert codes("static shot") == codes("static shot", loop=True, easing="out") == ["camera.still"]


def test_a_move_is_described_in_numbers() -> None:
    move = Move(pan=-0.25, tilt=-0.1, zoom=0.8, roll=2.25, loop=True)
    assert [(notice.code, notice.params) for notice in describe(move)] == [
        ("camera.pan_left", {"percent": 25}),
        ("camera.tilt_down", {"percent": 10}),
        ("camera.zoom_out", {"percent": 80}),
        ("camera.roll_clockwise", {"degrees": 2.2}),
        ("camera.loop", {}),
    ]


@pytest.mark.parametrize(
    "fields",
    [{"pan": 1.01}, {"tilt": float("nan")}, {"zoom": 0.2}, {"zoom": 4.1}, {"roll": 181}, {"easing": "bounce"},
     {"pan": True}, {"speed": 1}],
)  # fmt: skip
def test_options_outside_their_bounds_are_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        CameraMoveOptions.model_validate(fields)


def test_every_option_has_a_title_and_says_what_it_is() -> None:
    for name, field in CameraMoveOptions.model_fields.items():
        assert field.title, name
        assert len(field.description or "") > 30, name


def path(
    prompt: str, kind: type[CameraPathOptions] = CameraPathOptions, **fields: object
) -> CameraPathOptions:
    clip = Generation(prompt, "", 64, 64, 64, 64, "keep", 8, 8, 8, 25, 1.0, seed=0, engine="x")
    return kind.model_validate(fields).completed(clip)[0]


class Follower(CameraPathOptions):
    default_strength = 0.3
    follows_prompt = True
    least_seconds = 4.0


def test_a_model_follows_a_path_where_numbers_ask_for_one() -> None:
    assert path("the camera pans left").denoising_strength == 1
    assert path("the camera pans left", pan=0.1).move == Move(pan=0.1)
    assert path("x", pan=0.1).denoising_strength == CameraPathOptions.default_strength
    assert path("the camera pans left", camera_strength=0.4).move == Move(pan=-0.05)
    assert path("x", pan=0.1, camera_strength=0.4).denoising_strength == 0.4
    assert path("x", pan=0.1, camera_strength=1).denoising_strength == 1, "the model alone"


def test_an_engine_may_follow_the_prompt_too() -> None:
    moving = path("the camera pans left", Follower)
    assert (moving.denoising_strength, moving.move) == (0.3, Move(pan=-0.2))
    assert path("the camera pans left", Follower, camera_strength=1).denoising_strength == 1


def test_a_completed_path_stays_as_it_is() -> None:
    for first in (path("pan left", Follower), path("pan left"), path("x", zoom=2.0)):
        again = path("pan left", type(first), **first.model_dump(exclude_none=True))
        assert again == first
