"""`i2v extend`: a finished clip becomes a longer one, here or on a server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from i2v.media.video import probe
from tests.cli.running import run_here
from tests.rehearsal import picture
from tests.web.house import House, running


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with running(tmp_path / "server", picture()) as started:
        yield started


def test_a_servers_clip_is_made_longer_and_run_again(environment: dict[str, str], house: House) -> None:
    job = house.submit_id("an otter dives")
    assert house.executor.run_next()
    words = ("--seconds", "0.75", "--prompt", "it comes up", "--seed", "9")
    asked = run_here(environment, "extend", job, *words, "--server", house.url)
    assert asked.returncode == 0, asked.stderr
    made = house.store.get(asked.stdout.strip())
    assert made.generation is not None
    assert (made.request["source_job"], made.request["prompt"]) == (job, "it comes up")
    assert (made.generation.extends, made.generation.seed) == (4, 9)
    assert house.executor.run_next()
    assert probe(Path(house.store.get(made.id).output)).num_frames == 10
    again = house.post(f"/jobs/{made.id}/rerun")
    assert again.status_code == 202, again.text
    repeated = house.store.get(again.json()["id"]).generation
    assert repeated is not None
    assert (repeated.story, repeated.extends) == (made.generation.story, 4)
    assert repeated.seed != 9


@pytest.mark.slow
def test_a_clip_is_made_longer_here(environment: dict[str, str], tmp_path: Path) -> None:
    photo, clip, longer = tmp_path / "photo.png", tmp_path / "clip.mp4", tmp_path / "longer.mp4"
    photo.write_bytes(picture())
    quick = ("--preset", "quick", "--engine", "embedded", "--prompt", "zoom in")
    done = run_here(environment, "generate", photo, *quick, "--output", clip)
    assert done.returncode == 0, done.stderr
    done = run_here(environment, "extend", clip, "--seconds", "1", "--output", longer, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["extends"], told["video_frames"], probe(longer).num_frames) == (8, 16, 16)


@pytest.mark.parametrize(
    ("words", "said"), [(("--seconds", "2"), "none.mp4"), (("--seconds", "0"), "a number from 0.1 to 600")]
)
def test_what_is_wrong_is_said(
    environment: dict[str, str], tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = run_here(environment, "extend", tmp_path / "none.mp4", *words)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
