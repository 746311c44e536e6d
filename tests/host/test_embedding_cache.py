"""i2v.host.embedding_cache: what is kept is whole, private, bounded, and can be forgotten."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from i2v.core.settings_sources import load_settings
from i2v.host.data_folder import EMBEDDINGS
from i2v.host.embedding_cache import EmbeddingCache

FACTS = {"model": "a", "limit": 512}


@pytest.fixture
def cache(tmp_path: Path) -> EmbeddingCache:
    return EmbeddingCache(tmp_path / "data/embeddings", 1, days=30)


def files(cache: EmbeddingCache) -> list[Path]:
    return sorted(cache.folder.iterdir())


def test_what_was_written_of_a_text_is_read_under_the_same_facts_alone(cache: EmbeddingCache) -> None:
    assert cache.read("猫", FACTS) is None
    cache.write("猫", FACTS, b"states")
    assert cache.read("猫", dict(reversed(FACTS.items()))) == b"states"
    assert cache.read("猫 ", FACTS) is None
    assert cache.read("猫", {**FACTS, "model": "b"}) is None


def test_nobody_else_may_read_it_and_no_name_shows_the_text(cache: EmbeddingCache) -> None:
    umask = os.umask(0)
    try:
        cache.write("a secret plan", FACTS, b"states")
    finally:
        os.umask(umask)
    (path,) = files(cache)
    assert "secret" not in path.name
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("cut", [0, 10, 33])
def test_a_damaged_file_is_nothing_and_is_deleted(cache: EmbeddingCache, cut: int) -> None:
    cache.write("a", FACTS, b"states")
    (path,) = files(cache)
    path.write_bytes(path.read_bytes()[:cut])
    assert cache.read("a", FACTS) is None
    assert files(cache) == []


def test_what_was_not_used_for_longest_goes_first(cache: EmbeddingCache) -> None:
    now = time.time()
    for index, text in enumerate("abc"):
        cache.write(text, FACTS, bytes(300_000))
        os.utime(cache._path(text, FACTS), (now - 100 + index, now - 100 + index))
    assert cache.read("a", FACTS) is not None
    cache.write("d", FACTS, bytes(300_000))
    assert [text for text in "abcd" if cache.read(text, FACTS) is not None] == ["a", "c", "d"]


def test_what_is_too_old_is_not_read_and_goes(cache: EmbeddingCache) -> None:
    cache.write("a", FACTS, b"states")
    long_ago = time.time() - 31 * 86400
    os.utime(cache._path("a", FACTS), (long_ago, long_ago))
    assert cache.read("a", FACTS) is None
    cache.write("b", FACTS, b"states")
    assert files(cache) == [cache._path("b", FACTS)]


def test_all_of_a_text_can_be_forgotten_whatever_it_was_made_by(cache: EmbeddingCache) -> None:
    for text, model in (("a", "x"), ("a", "y"), ("b", "x")):
        cache.write(text, {"model": model}, b"states")
    cache.forget(["a", "c"])
    assert files(cache) == [cache._path("b", {"model": "x"})]


def test_turned_off_it_keeps_nothing(cache: EmbeddingCache) -> None:
    cache.write("a", FACTS, b"states")
    off = EmbeddingCache(cache.folder, 0)
    assert off.read("a", FACTS) is None
    off.write("b", FACTS, b"states")
    off.trim()
    assert files(cache) == []


def test_what_a_killed_process_left_goes_and_what_another_writes_stays(cache: EmbeddingCache) -> None:
    cache.write("a", FACTS, b"states")
    old, new = cache.folder / ".x.embedding.1.part", cache.folder / ".y.embedding.2.part"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    cache.trim()
    assert (old.exists(), new.exists()) == (False, True)


def test_a_folder_that_cannot_be_used_ends_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for place in ("file", "link"):
        cache = EmbeddingCache(tmp_path / place, 1)
        cache.write("a", FACTS, b"states")
        cache.read("a", FACTS)
        cache.trim()
        assert "not kept" in caplog.text
        caplog.clear()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_it_lies_in_the_data_folder() -> None:
    settings = load_settings(flags={"service.embeddings_days": 2})
    cache = EmbeddingCache.of(settings)
    assert (cache.folder, cache.megabytes, cache.days) == (settings.service.data_dir / EMBEDDINGS, 500, 2)
