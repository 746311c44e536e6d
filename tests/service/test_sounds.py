"""Sounds through the service: kept once for each content, beside the frames, and treated as pictures are."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from i2v.core.errors import InvalidRequest
from i2v.core.settings import Settings
from i2v.media.audio.loudness import TARGET
from i2v.media.sound import Sound
from i2v.media.video import probe, read_tags
from i2v.service.backup import back_up
from i2v.service.job_files import check_video
from i2v.service.service import Service
from i2v.service.transfer import export_jobs, import_jobs
from tests.clips import names, read_sound
from tests.rehearsal import picture, stage
from tests.service.moving import quiet, working
from tests.service.waiting import FIELDS
from tests.sounds import loudness, sound_file

ASKED = FIELDS | {"num_frames": 8, "sound": {"start": 0.5, "fade_in": 0}}
NAME = f"{hashlib.sha256(sound_file('mp3')).hexdigest()}.sound"


def test_a_sound_is_beside_the_frames_and_told_where_the_clip_comes_from(
    working: Service, settings: Settings
) -> None:
    job = working.submit(ASKED, picture(), others=[sound_file("mp3")])
    job = working.get(job.id)
    assert (job.status, job.error) == ("succeeded", None)
    assert (job.inputs, job.pictures, job.track) == ((job.input, NAME), (job.input,), NAME)
    video = check_video(job)
    info = probe(video)
    assert info.sound is not None
    assert (info.num_frames, info.sound.codec, info.duration) == (8, "aac", 1.0)
    heard = Sound(read_sound(video, 48_000, 2), 48_000)
    assert loudness(heard)[0] == pytest.approx(TARGET, abs=1)
    made = json.loads(read_tags(video)["i2v"])
    assert made["generation"]["sound"]["start"] == 0.5
    assert len(made["sound_sha256"]) == 64
    assert working.sound(job) == (settings.inputs / NAME).read_bytes()


def test_a_narration_is_spoken_marked_as_synthetic_and_holds_the_last_frame(working: Service) -> None:
    pytest.importorskip("espeakng_loader")
    asked = FIELDS | {"num_frames": 8, "narration": "A quiet morning by the lake."}
    job = working.get(working.submit(asked, picture()).id)
    assert (job.status, job.error) == ("succeeded", None)
    info = probe(check_video(job))
    assert info.num_frames > 8, "the speech is longer than the clip"
    assert job.result is not None
    assert (job.video_frames, job.result.to_dict()["held_frames"]) == (info.num_frames, info.num_frames - 8)
    assert info.sound is not None
    assert info.sound.duration == pytest.approx(info.duration, abs=0.1)
    made = json.loads(read_tags(info.path)["i2v"])
    assert made["synthetic_speech"].startswith("espeak-ng 1.")
    assert made["generation"]["narration"]["language"] == "en"
    larger = working.get(working.enhance(job.id, {"scale": 2}).id)
    assert (larger.video_frames, probe(check_video(larger)).num_frames) == (info.num_frames, info.num_frames)


def test_without_a_program_that_speaks_a_narration_is_refused_with_the_fix(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("i2v.media.speech.voices.has_espeak", lambda: False)
    for ask in (
        lambda: service.plan(FIELDS | {"narration": "x"}),
        lambda: service.submit(FIELDS | {"narration": "x"}, picture()),
    ):
        with pytest.raises(InvalidRequest, match=r"setup\.sh speech") as caught:
            ask()
        assert caught.value.code == "narration.no_espeak"


def test_it_is_kept_once_and_goes_with_its_last_job(service: Service, settings: Settings) -> None:
    jobs = [service.submit(ASKED, picture(), others=[sound_file("mp3")]) for _ in range(2)]
    assert names(settings.inputs) == sorted([jobs[0].input, f"{Path(jobs[0].input).stem}.jpg", NAME])
    for job in jobs:
        assert NAME in names(settings.inputs)
        service.cancel(job.id)
        service.delete(job.id)
    assert names(settings.inputs) == []


@pytest.mark.parametrize(
    ("fields", "others", "code"),
    [
        (ASKED, [], "request.missing_field"),
        (ASKED, [b"no sound"], "sound.unknown_kind"),
        (FIELDS | {"sound": {"start": 30}}, [sound_file("mp3")], "request.invalid"),
    ],
)
def test_what_is_refused_leaves_nothing(
    service: Service, settings: Settings, fields: dict[str, object], others: list[bytes], code: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        service.submit(fields, picture(), others=others)
    assert caught.value.code == code
    assert names(settings.inputs) == []


def test_an_export_and_a_backup_have_it(tmp_path: Path) -> None:
    home, there = stage(tmp_path / "home"), stage(tmp_path / "there")
    with working(home) as service:
        service.submit(ASKED, picture(), others=[sound_file("mp3")])
    export_jobs(home, None, tmp_path / "jobs.zip", False, quiet)
    back_up(home, tmp_path / "backup.zip", False, quiet)
    assert f"inputs/{NAME}".encode() in (tmp_path / "backup.zip").read_bytes()
    import_jobs(there, tmp_path / "jobs.zip", quiet)
    with working(there) as service:
        (job,) = service.page().jobs
        assert job.track is not None
        assert (there.inputs / job.track).read_bytes()[:4] == b"RIFF"
        assert service.sound(job) is not None
