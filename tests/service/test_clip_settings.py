"""i2v.service.clip_settings: what a video says of its making becomes a request again, or is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from i2v.core.errors import InvalidRequest
from i2v.core.schema import GenerationRequest
from i2v.media.outputs import OutputFile
from i2v.media.video import Mp4Writer
from i2v.pipeline.resolve import resolve
from i2v.service.service import Service
from tests.clips import SIZE, make_frames, write
from tests.rehearsal import REHEARSAL, picture


def test_a_video_gives_back_the_settings_that_it_was_made_with(working: Service) -> None:
    asked = {"prompt": "镜头 = 左;", "negative_prompt": "blur", "seed": 7, "num_frames": 5, "fit": "pad"}
    job = working.submit(asked, picture())
    fields = working.settings_of(Path(job.output)).fields
    assert fields.items() >= asked.items()
    assert (fields["engine"], fields["preset"], fields["num_inference_steps"]) == ("rehearsal", "standard", 4)
    again, _ = resolve(GenerationRequest.parse(fields), REHEARSAL, {}, (64, 64))
    assert again == working.get(job.id).generation


def tagged(path: Path, **changed: object) -> Path:
    """Write a video whose provenance says what is `changed`."""
    generation = {"prompt": "x", "engine": "rehearsal", "seed": 1, **changed}
    made = {"generation": generation, "size": {}, "plan": {}, "versions": {}, "device": ""}
    tag = json.dumps({**made, "picture_sha256": "", "weights_sha256": ""})
    with Mp4Writer(OutputFile(path), fps=8, size=SIZE, tags={"i2v": tag}) as writer:
        writer.append(make_frames(1))
        return writer.finish().path


ODD: list[tuple[dict[str, object], str]] = [
    ({"engine": "sora"}, "sora"),
    ({"num_frames": 10**9}, "num_frames must be"),
    ({"seed": "'; DROP TABLE"}, "seed"),
    ({"prompt": "x" * 3000}, "prompt"),
    ({"fit": {"a": 1}}, "fit"),
]


def test_settings_that_nobody_could_have_asked_for_are_refused(service: Service, tmp_path: Path) -> None:
    assert service.settings_of(tagged(tmp_path / "fine.mp4")).fields["seed"] == 1
    for changed, message in ODD:
        path = tagged(tmp_path / "odd.mp4", **changed)
        with pytest.raises(InvalidRequest, match=re.escape(message)) as caught:
            service.settings_of(path)
        path.unlink()
        assert caught.value.code == "provenance.unreadable"
        assert caught.value.params["path"] == "odd.mp4"  # and not where it lies on this machine


def test_a_clip_of_a_later_version_gives_what_is_understood_and_says_what_is_not(
    service: Service, tmp_path: Path
) -> None:
    video = tagged(tmp_path / "later.mp4", masks=[{"name": "a"}], num_frames=6, keyframes=[])
    found = service.settings_of(video)
    assert found.fields == {
        "prompt": "x", "engine": "rehearsal", "seed": 1, "num_frames": 6, "speed": "exact",
    }  # fmt: skip
    (notice,) = found.notices
    assert notice.params == {"path": "later.mp4", "names": "generation.masks"}
    assert service.settings_of(tagged(tmp_path / "fine.mp4")).notices == ()


def test_what_is_no_video_of_ours_says_so_by_its_name(service: Service, tmp_path: Path) -> None:
    write(OutputFile(tmp_path / "other.mp4"))
    (tmp_path / "text.mp4").write_text("no video")
    for name, code in (("other.mp4", "provenance.none"), ("text.mp4", "clip.unreadable")):
        with pytest.raises(InvalidRequest) as caught:
            service.settings_of(tmp_path / name)
        assert (caught.value.code, caught.value.params["path"]) == (code, name)
