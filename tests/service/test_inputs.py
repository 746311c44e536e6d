"""i2v.service.inputs: a file has its final name only when it is whole, and goes only with its last job."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.errors import EncodeError, InvalidRequest
from i2v.jobs.model import Job
from i2v.media.image import DEFAULT_LIMITS
from i2v.service.inputs import Inputs
from tests.rehearsal import picture
from tests.web.page.test_panels import JOB


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def used() -> set[str]:
    return set()


@pytest.fixture
def inputs(tmp_path: Path, used: set[str]) -> Inputs:
    return Inputs(tmp_path, used.__contains__)


def test_a_picture_is_named_when_it_is_a_jobs(inputs: Inputs, used: set[str], tmp_path: Path) -> None:
    new = inputs.decode(picture(), DEFAULT_LIMITS)
    assert new.name not in names(tmp_path)
    assert not {Path(name).stem for name in names(tmp_path)} & {Path(new.name).stem}  # the sweep takes it

    def accept() -> Job:
        assert new.name in names(tmp_path)
        used.add(new.name)
        return replace(JOB, input=new.name)

    inputs.accept([new], accept)
    new.close()
    assert names(tmp_path) == [f"{Path(new.name).stem}.jpg", new.name]
    assert inputs.png(new.name) is not None
    assert inputs.thumbnail(new.name) is not None
    inputs.release([new.name], lambda: replace(JOB, input=new.name))
    assert names(tmp_path) != []  # another job has it
    used.clear()
    inputs.release([new.name], lambda: replace(JOB, input=new.name))
    assert names(tmp_path) == []
    assert (inputs.png(new.name), inputs.thumbnail(new.name)) == (None, None)


def test_what_is_not_accepted_leaves_nothing(inputs: Inputs, tmp_path: Path) -> None:
    def refuse() -> Job:
        raise InvalidRequest("request.blank_prompt")

    new = inputs.decode(picture(), DEFAULT_LIMITS)
    with pytest.raises(InvalidRequest):
        inputs.accept([new], refuse)
    new.close()
    assert names(tmp_path) == []
    new = inputs.decode(picture(), DEFAULT_LIMITS)
    inputs.accept([new], lambda: replace(JOB, input="another.picture"))
    new.close()
    assert names(tmp_path) == []
    with pytest.raises(InvalidRequest):
        inputs.decode(b"no picture", DEFAULT_LIMITS)
    assert names(tmp_path) == []


def test_of_several_pictures_only_those_go_that_no_job_has(
    inputs: Inputs, used: set[str], tmp_path: Path
) -> None:
    first, last = (inputs.decode(picture(colour), DEFAULT_LIMITS) for colour in ("teal", "white"))
    inputs.accept([first, last], lambda: replace(JOB, input=first.name, other_inputs=(last.name,)))
    assert {first.name, last.name} < set(names(tmp_path))
    used.add(last.name)
    inputs.release([first.name, last.name], lambda: JOB)
    assert names(tmp_path) == [f"{Path(last.name).stem}.jpg", last.name]
    again = [inputs.decode(picture("teal"), DEFAULT_LIMITS) for _ in range(2)]  # the same picture, twice
    inputs.accept(again, lambda: replace(JOB, input=first.name, other_inputs=(first.name,)))
    assert first.name in names(tmp_path)


def test_a_name_that_cannot_be_given_names_the_folder(inputs: Inputs, tmp_path: Path) -> None:
    new = inputs.decode(picture(), DEFAULT_LIMITS)
    (tmp_path / new.name).mkdir()
    with pytest.raises(EncodeError) as caught:
        inputs.accept([new], lambda: JOB)
    assert caught.value.code == "image.not_stored"
    assert str(tmp_path) in caught.value.message
