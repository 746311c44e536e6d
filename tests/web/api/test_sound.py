"""A sound in a request: by form or JSON it is beside the frames of the same clip."""

from __future__ import annotations

import base64
import json

import pytest

from i2v.media.video import probe
from tests.sounds import sound_file
from tests.web.house import House


def test_by_form_or_json_it_is_beside_the_frames(shared_house: House) -> None:
    house, sound = shared_house, {"start": 0.25, "fade_out": 0.5}
    data = {"prompt": "nothing", "num_frames": "4"}
    files = {"image": ("a.png", house.picture), "sound_file": ("b.mp3", sound_file("mp3"))}
    form = house.session.post(
        f"{house.api}/jobs", data=data | {"sound": json.dumps(sound)}, files=files, timeout=60
    )
    assert form.status_code == 202, form.text
    image, track = (base64.b64encode(each).decode() for each in (house.picture, sound_file("mp3")))
    body = {**data, "image": image, "sound_file": track, "sound": sound}
    as_json = house.session.post(f"{house.api}/jobs", json=body, timeout=60)
    assert as_json.json()["request"] == form.json()["request"]
    assert form.json()["request"]["sound"]["start"] == 0.25
    jobs = [house.store.get(each.json()["id"]) for each in (form, as_json)]
    assert jobs[0].inputs == jobs[1].inputs
    again = house.session.post(f"{house.api}/jobs/{jobs[0].id}/rerun", timeout=60)
    assert again.status_code == 202, again.text
    while house.executor.run_next():
        pass
    for job in (*jobs, house.store.get(again.json()["id"])):
        done = house.store.get(job.id)
        assert done.result is not None, done.error
        assert probe(done.result.path).sound is not None
    for job in (*jobs, house.store.get(again.json()["id"])):
        assert house.session.delete(f"{house.api}/jobs/{job.id}?purge=true", timeout=60).status_code == 200
    assert jobs[0].track is not None
    assert not (house.settings.inputs / jobs[0].track).exists()


@pytest.mark.parametrize(
    ("fields", "status", "code", "field"),
    [
        ({"sound": {}}, 422, "request.missing_field", "sound_file"),
        ({"narration": "..."}, 422, "request.invalid", "narration.text"),
        ({"narration": {"text": "x", "voice": "amy"}}, 422, "narration.unknown_voice", "narration.voice"),
        ({"sound_file": 7}, 422, "request.invalid", "sound_file"),
        ({"sound_file": "AAAAAAAA"}, 415, "sound.unknown_kind", "sound_file"),
        ({"sound_file": "AAAAAAAA", "sound": {"volume": 3}}, 422, "request.invalid", "sound.volume"),
        ({"sound_file": "AAAAAAAA", "sound": {"file": "x"}}, 422, "request.invalid", "sound"),
    ],
)
def test_what_is_wrong_is_named(
    shared_house: House, fields: dict[str, object], status: int, code: str, field: str
) -> None:
    image = base64.b64encode(shared_house.picture).decode()
    body = {"prompt": "nothing", "image": image, **fields}
    answer = shared_house.session.post(f"{shared_house.api}/jobs", json=body, timeout=60)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (status, code, field)


def test_a_batch_has_no_sound_of_its_own(shared_house: House) -> None:
    answer = shared_house.session.post(
        f"{shared_house.api}/batches", json={"fields": {"sound": {}}}, timeout=60
    )
    assert (answer.status_code, answer.json()["field"]) == (422, "sound")
