"""Prompts in both languages: which move, how far, how eased, and what is said of it."""

from __future__ import annotations

import math
import random

import pytest

from i2v.engines.camera.move import Move
from i2v.engines.camera.phrases import default_move, read_prompt
from scripts.train_embedded import phrases as demo
from scripts.train_embedded.motions import MOTIONS, Mix, signs

SECONDS = 4.0
PAN, ZOOM, ROLL = 0.2, math.exp(0.2), 8.0  # at the usual speed in so many seconds

# Motions of the demo model by the axes of ours: its pans are those of the content, on the screen.
DEMO = {
    name: {
        axis: sign
        for axis, sign in zip(
            ("pan", "tilt", "zoom", "roll"),
            (lambda x, y, zoom, turn: (-x, y, zoom, turn))(*signs(name)),
            strict=True,
        )
        if sign
    }
    for name in MOTIONS
}
EASINGS = {"linear": "in-out", "ease_in": "in", "ease_out": "out"}
SPEEDS = {"slow": 0.5, "normal": 1.0, "fast": 2.0}


def amounts(move: Move) -> dict[str, float]:
    """Return how far a move goes along each axis, in what the usual speed comes to."""
    parts = {
        "pan": move.pan / PAN,
        "tilt": move.tilt / PAN,
        "zoom": math.log(move.zoom) / math.log(ZOOM),
        "roll": move.roll / ROLL,
    }
    return {axis: round(part, 6) for axis, part in parts.items() if part}


@pytest.mark.parametrize("name", MOTIONS)
def test_every_phrase_that_the_demo_model_knows_is_the_same_motion_here(name: str) -> None:
    for table in (demo.PHRASES, demo.CHINESE_PHRASES, demo.HELD_OUT_PHRASES):
        for phrase in table[name]:
            assert amounts(read_prompt(phrase, SECONDS).move) == DEMO[name], phrase


@pytest.mark.parametrize("phrase", [*demo.STATIC_PHRASES, *demo.HELD_OUT_STATIC_PHRASES])
def test_a_static_phrase_is_no_move_at_all(phrase: str) -> None:
    reading = read_prompt(phrase, SECONDS)
    assert (reading.move.is_still, reading.names_motion, reading.notices) == (True, True, ())


def test_whole_prompts_of_the_demo_model_say_the_same_motions_speed_and_easing_here() -> None:
    rng = random.Random(20)
    for _ in range(1500):
        take = Mix().draw(rng)
        prompt = demo.sentence(take.motions, take.speed, take.easing, rng, unseen=rng.random() < 0.5)
        move = read_prompt(prompt, SECONDS).move
        expected = {
            axis: sign * SPEEDS[take.speed] for name in take.motions for axis, sign in DEMO[name].items()
        }
        assert (amounts(move), move.easing) == (expected, EASINGS[take.easing]), prompt


def test_a_prompt_of_the_demo_model_without_a_motion_names_none_here() -> None:
    rng = random.Random(21)
    for _ in range(300):
        prompt = demo.plain_prompt(rng)
        assert not read_prompt(prompt, SECONDS).names_motion, prompt


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("slowly zoom in while panning left", {"zoom": 0.5, "pan": -0.5}),
        ("镜头缓慢推进并向左移动", {"zoom": 0.5, "pan": -0.5}),
        ("zoom in and pan left slowly", {"zoom": 0.5, "pan": -0.5}),
        ("pan left quickly, then zoom in slightly", {"pan": -2, "zoom": 0.5}),
        ("镜头快速向右平移，同时稍微放大", {"pan": 2, "zoom": 0.5}),
        ("pan left, slowly", {"pan": -0.5}),
        ("very slowly push in", {"zoom": 0.25}),
        ("非常缓慢地推近", {"zoom": 0.25}),
        ("the camera zooms in, extremely fast", {"zoom": 3}),
        ("the camera moves up and to the right, a little", {"tilt": 0.5, "pan": 0.5}),
        ("a fast car, the camera pans left", {"pan": -1}),
        ("the camera moves to the upper left", {"pan": -1, "tilt": 1}),
        ("镜头向左上方移动", {"pan": -1, "tilt": 1}),
        ("pan from left to right", {"pan": 1}),
        ("从左向右平移", {"pan": 1}),
        ("the camera slowly pans across the lake to the left", {"pan": -0.5}),
        ("pan the camera left", {"pan": -1}),
        ("ＰＡＮ　ＬＥＦＴ", {"pan": -1}),
        ("push-in", {"zoom": 1}),
        ("slow zoom", {"zoom": 0.5}),
        ("zoom lens, pan right", {"pan": 1}),
        ("the camera pulls slowly back", {"zoom": -0.5}),
        ("the camera pushes in, easing out", {"zoom": 1}),
        ("a still lake, the camera pans left", {"pan": -1}),
        ("leaves drift down as the camera zooms in", {"zoom": 1}),
        ("the camera zooms out, revealing the right side of the valley", {"zoom": -1}),
        ("no zoom, pan right", {"pan": 1}),
        ("不断推进", {"zoom": 1}),
        ("the camera rises", {"tilt": 1}),
    ],
)
def test_what_a_prompt_asks_for(prompt: str, expected: dict[str, float]) -> None:
    reading = read_prompt(prompt, SECONDS)
    assert (amounts(reading.move), reading.notices, reading.move.loop) == (expected, (), False)
    assert reading.names_motion


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "   ",
        "a city at dusk",
        "frying pan on a stove",
        "turn left at the lights",
        "leaves drift down",
        "你好",
    ],
)
def test_what_names_no_motion(prompt: str) -> None:
    reading = read_prompt(prompt, SECONDS)
    assert reading.move.is_still
    assert not reading.names_motion


@pytest.mark.parametrize(
    "prompt", ["don't move the camera", "no panning", "镜头不要推进", "不要移动", "never zoom"]
)
def test_a_move_that_is_only_forbidden_is_stillness(prompt: str) -> None:
    reading = read_prompt(prompt, SECONDS)
    assert reading.move.is_still
    assert reading.names_motion


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("pan left, back and forth", {"pan": -0.5}),
        ("the camera pans back and forth", {"pan": -0.5}),
        ("pan left and right", {"pan": -0.5}),
        ("pan left then pan right in a loop", {"pan": -0.5}),
        ("zoom in and out", {"zoom": 0.5}),
        ("快速拉远，循环", {"zoom": -1}),
        ("左右摇摆", {"pan": -0.5}),
        ("镜头来回推近", {"zoom": 0.5}),
    ],
)
def test_there_and_back_goes_half_as_far_in_the_same_time(prompt: str, expected: dict[str, float]) -> None:
    reading = read_prompt(prompt, SECONDS)
    assert reading.move.loop
    assert (amounts(reading.move), reading.notices) == (expected, ())


@pytest.mark.parametrize(
    ("prompt", "expected", "dropped", "kept"),
    [
        ("pan left and pan right", {"pan": 1}, "pan left", "pan right"),
        ("zoom out, then slowly zoom in", {"zoom": 0.5}, "zoom out", "zoom in"),
        ("向左平移，再向右平移", {"pan": 1}, "向左平移", "向右平移"),
        ("static camera, zoom in", {"zoom": 1}, "static camera", "zoom in"),
        ("镜头固定，向右平移", {"pan": 1}, "镜头固定", "向右平移"),
    ],
)
def test_of_two_opposite_moves_the_later_one_counts_and_that_is_said(
    prompt: str, expected: dict[str, float], dropped: str, kept: str
) -> None:
    reading = read_prompt(prompt, SECONDS)
    assert amounts(reading.move) == expected
    (notice,) = reading.notices
    assert notice.code == "camera.contradiction"
    assert notice.params == {"dropped": dropped, "kept": kept}


@pytest.mark.parametrize(
    ("words", "easing"),
    [
        ("at a constant speed", "linear"), ("匀速", "linear"), ("speeding up", "in"), ("由慢到快", "in"),
        ("slowing to a stop", "out"), ("缓出", "out"), ("ease-in-out", "in-out"), ("", "in-out"),
    ],
)  # fmt: skip
def test_words_for_the_easing_are_no_words_for_the_move_or_its_amount(words: str, easing: str) -> None:
    move = read_prompt(f"pan right {words}", SECONDS).move
    assert (amounts(move), move.easing) == ({"pan": 1}, easing)


def test_a_longer_clip_goes_further_up_to_a_limit() -> None:
    pans = [read_prompt("pan right", seconds).move.pan for seconds in (1, 2, 10, 60)]
    assert pans == pytest.approx([0.05, 0.1, 0.5, 0.5])
    assert read_prompt("quickly zoom out", 60).move.zoom == pytest.approx(0.5)
    assert read_prompt("rotate clockwise", 60).move.roll == 20


def test_a_request_can_make_any_prompt_a_loop_or_none() -> None:
    assert read_prompt("pan left", SECONDS, loop=True).move == Move(pan=-PAN / 2, loop=True)
    assert read_prompt("pan left, loop", SECONDS, loop=False).move == Move(pan=-PAN)


def test_the_move_of_a_prompt_that_names_none_is_a_slow_push_in() -> None:
    assert amounts(default_move(Move(), SECONDS)) == {"zoom": 0.5}
    assert amounts(default_move(Move(loop=True), SECONDS)) == {"zoom": 0.25}


@pytest.mark.parametrize(
    "piece",
    ["camera ", "pan ", "pan a ", "zoom very ", "camera. drift up ", "from left to ", "left and ", "no any ",
     "左右", " "],
)  # fmt: skip
def test_a_hostile_prompt_is_read_in_steps_that_grow_slowly(piece: str) -> None:
    read_prompt((piece * 2000)[:2000], SECONDS)  # exponential or cubic matching would not come to its end
