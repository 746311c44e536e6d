"""i2v.web.one_time: each works once, for a while; a picture is kept until it is used."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2v.core.errors import EncodeError, InvalidRequest
from i2v.web.one_time import MOST, SECONDS, OneTime


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def once(tmp_path: Path, clock: Clock) -> OneTime:
    return OneTime(tmp_path, clock)


def test_a_picture_is_sent_once_and_kept_until_it_is_used(once: OneTime, tmp_path: Path) -> None:
    secret, until = once.offer_upload()
    assert (len(secret) > 40, until) == (True, 1_700_000_000.0 + SECONDS)
    with pytest.raises(InvalidRequest, match="There is no picture"):
        once.upload(secret)
    once.check_upload(secret)
    once.keep_upload(secret, b"picture")
    assert [once.upload(secret) for _ in range(2)] == [b"picture"] * 2
    assert list(tmp_path.iterdir()) == [], "the file has no name"
    for again in (lambda: once.check_upload(secret), lambda: once.keep_upload(secret, b"other")):
        with pytest.raises(InvalidRequest) as caught:
            again()
        assert caught.value.code == "once.unknown"
    once.drop_upload(secret)
    with pytest.raises(InvalidRequest):
        once.upload(secret)


def test_a_video_is_fetched_once_unless_it_did_not_arrive(once: OneTime) -> None:
    secret, _ = once.offer_download("job")
    taken = once.take_download(secret)
    assert taken.job_id == "job"
    with pytest.raises(InvalidRequest):
        once.take_download(secret)
    once.give_back(secret, taken)
    assert once.take_download(secret) == taken


def test_after_its_time_an_address_is_unknown(once: OneTime, clock: Clock) -> None:
    upload, download = once.offer_upload()[0], once.offer_download("job")[0]
    once.keep_upload(upload, b"picture")
    taken = once.take_download(download)
    clock.now += SECONDS
    once.give_back(download, taken)
    for call in (lambda: once.upload(upload), lambda: once.take_download(download)):
        with pytest.raises(InvalidRequest):
            call()


def test_the_newest_push_out_the_oldest(once: OneTime) -> None:
    first = once.offer_upload()[0]
    once.keep_upload(first, b"picture")
    others = [once.offer_upload()[0] for _ in range(MOST)]
    with pytest.raises(InvalidRequest):
        once.upload(first)
    once.check_upload(others[0])


def test_a_folder_that_takes_nothing_is_named(tmp_path: Path) -> None:
    once = OneTime(tmp_path / "gone")
    with pytest.raises(EncodeError) as caught:
        once.keep_upload(once.offer_upload()[0], b"picture")
    assert caught.value.code == "image.not_stored"
