"""What came of a clip, as JSON and back, by this version and by others."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.results import MadeWith, Result, StageUse
from i2v.core.schedules import evaluations, fast

RAN = Generation("p", "n", 96, 64, 48, 32, "keep", 8, 8, 8, 25, 9.0, seed=4, engine="embedded", speed="fast")
RESULT = Result(
    Path("/videos/a.mp4"),
    RAN,
    (Notice("image.transparent", {"background": "#fff"}),),
    {"denoise": 1.23456, "encode": 0.5},
    (StageUse("denoise", 1.235, 2**30, None),),
    MadeWith("NVIDIA H200", "float16", "triton", {"torch": "2.11.0"}, 1.5),
)


def read(stored: object) -> Result:
    assert isinstance(stored, dict)
    return Result.from_dict(json.loads(json.dumps(stored)), RAN)


def test_the_json_has_the_generation_beside_what_came_of_it() -> None:
    assert RESULT.to_dict() == {
        "path": "/videos/a.mp4", "seed": 4, "width": 96, "height": 64, "generated_width": 48,
        "generated_height": 32, "num_frames": 8, "fps": 8, "target_fps": 8, "num_inference_steps": 25,
        "guidance_scale": 9.0, "prompt": "p", "negative_prompt": "n", "fit": "keep", "engine": "embedded",
        "crop": None, "strength": 1.0, "speed": "fast", "upscaler": "lanczos", "inputs": [], "options": {},
            "checkpoint": "", "loras": [], "output_fps": None, "interpolation": None,
        "source": "", "style": None, "sound": None, "narration": None,
        "story": [], "made_frames": 0, "overlap": 0, "extends": 0, "correct_drift": False, "loop": False,
        "video_fps": 8, "video_frames": 8, "held_frames": 0,
        "solver": fast(25).solver,
        "unet_evaluations": evaluations("fast", 25), "seconds": {"denoise": 1.235, "encode": 0.5},
        "stages": [{"name": "denoise", "seconds": 1.235, "bytes": 2**30, "estimated_bytes": None}],
        "made_with": {
            "device": "NVIDIA H200", "dtype": "float16", "kernels": "triton", "versions": {"torch": "2.11.0"},
            "busy_cpus": 1.5,
        },
        "notices": [{
            "code": "image.transparent", "params": {"background": "#fff"},
            "message": RESULT.notices[0].message,
        }],
    }  # fmt: skip
    exact = replace(RESULT, generation=replace(RAN, speed="exact")).to_dict()
    assert (exact["solver"], exact["unet_evaluations"]) == ("ddim", 25)


def test_it_is_read_back_as_it_was() -> None:
    rounded = replace(RESULT, seconds={"denoise": 1.235, "encode": 0.5})
    assert read(RESULT.to_dict()) == rounded
    assert read(RESULT.to_dict()).extra == {}


def test_a_row_of_a_version_that_did_not_tell_is_read() -> None:
    older = {name: value for name, value in RESULT.to_dict().items() if name != "made_with"}
    assert read(older).made_with is None


def test_what_another_version_says_besides_or_otherwise_is_written_back() -> None:
    stored = RESULT.to_dict() | {
        "masks": [{"name": "a", "weight": 1}],
        "solver": "another",
        "stages": [{"name": "sound", "seconds": 1.0, "bytes": 1, "estimated_bytes": 2, "device": "cuda:1"}],
        "notices": [
            {"code": "from.tomorrow", "params": {"list": [1]}, "message": "Tomorrow.", "hint": "Wait."}
        ],
    }
    result = read(stored)
    assert result.stages == (StageUse("sound", 1.0, 1, 2),)
    assert [notice.message for notice in result.notices] == ["Tomorrow."]
    assert result.to_dict() == stored


def test_what_an_older_version_did_not_say_is_known_otherwise_or_has_its_default() -> None:
    result = read({"path": "/videos/a.mp4", "num_frames": 4, "seconds": {"denoise": 1}})
    assert result.generation == replace(RAN, num_frames=4)
    assert (result.stages, result.notices, result.seconds) == ((), (), {"denoise": 1.0})


@pytest.mark.parametrize(
    "wrong",
    [
        {"path": None}, {"seconds": [1]}, {"seconds": {"denoise": "long"}}, {"stages": {}}, {"width": "wide"},
        {"notices": {}}, {"notices": ["text"]}, {"notices": [{"code": "from.tomorrow"}]},
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_read_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whatever it is
        read(RESULT.to_dict() | wrong)
