"""Digests and what hubs tell of files: kept beside the files, and for as long as these stay the same."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from i2v.core.errors import ModelUnavailable
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.weights import records
from i2v.weights.records import (
    Digests,
    Expected,
    Listing,
    hash_file,
    known_digest,
    read_listing,
    records_folder,
    weights_digest,
    write_listing,
)
from tests.models import models_in
from tests.weights.hub import git_sha1


@pytest.fixture
def model(tiny_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def test_a_digest_is_of_the_files_that_the_engine_reads(model: Path, tiny_folder: Path) -> None:
    digest = weights_digest(I2VGEN_XL, model)
    assert digest == weights_digest(I2VGEN_XL, tiny_folder)
    assert re.fullmatch("[0-9a-f]{64}", digest)
    (model / "README.md").write_text("not read")
    (model / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"the fp16 variant is read instead")
    assert weights_digest(I2VGEN_XL, model) == digest


@pytest.mark.parametrize("name", ["vae/diffusion_pytorch_model.fp16.safetensors", "unet/config.json"])
def test_one_changed_byte_changes_the_digest(model: Path, name: str) -> None:
    digest = weights_digest(I2VGEN_XL, model)
    data = bytearray((model / name).read_bytes())
    data[-2] ^= 1
    (model / name).write_bytes(data)
    assert weights_digest(I2VGEN_XL, model) != digest


def test_a_file_that_is_missing_is_named(model: Path) -> None:
    (model / "tokenizer" / "merges.txt").unlink()
    with pytest.raises(ModelUnavailable, match=r"tokenizer/merges\.txt is missing"):
        weights_digest(I2VGEN_XL, model)


def test_large_files_are_read_once(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "LARGE", 1000)
    kept = tmp_path / "kept"
    digest = weights_digest(I2VGEN_XL, model, kept)
    reads: list[str] = []
    real = hash_file

    def count(path: Path) -> records.Hashes:
        reads.append(path.name)
        return real(path)

    monkeypatch.setattr(records, "hash_file", count)
    assert weights_digest(I2VGEN_XL, model, kept) == digest
    assert reads
    assert not any(name.endswith(".safetensors") for name in reads)
    unet = model / "unet" / "diffusion_pytorch_model.fp16.safetensors"
    data = bytearray(unet.read_bytes())
    data[-1] ^= 1
    unet.write_bytes(data)
    reads.clear()
    assert weights_digest(I2VGEN_XL, model, kept) != digest
    assert unet.name in reads
    assert not list(model.glob(".*")), "the model's folder may be somebody else's"


@pytest.mark.parametrize("cache", ["not json", "[]", "null", '{"a": 1}', '{"a": {"sha256": 3}}'])
def test_broken_digests_are_made_anew(
    model: Path, tmp_path: Path, cache: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "LARGE", 1000)
    digest = weights_digest(I2VGEN_XL, model, tmp_path)
    (tmp_path / "digests.json").write_text(cache)
    assert weights_digest(I2VGEN_XL, model, tmp_path) == digest


def test_a_disk_that_cannot_be_written_costs_time_and_nothing_else(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "LARGE", 1000)
    (tmp_path / "file").touch()
    assert weights_digest(I2VGEN_XL, model, tmp_path / "file" / "x") == weights_digest(I2VGEN_XL, model)


def test_a_digest_is_known_where_no_large_file_must_be_read(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "records"
    digest = weights_digest(I2VGEN_XL, model)
    assert known_digest(I2VGEN_XL, model, kept) == digest  # the tiny model has none
    monkeypatch.setattr(records, "LARGE", 1000)
    assert known_digest(I2VGEN_XL, model, kept) is None
    weights_digest(I2VGEN_XL, model, kept)
    assert known_digest(I2VGEN_XL, model, kept) == digest
    (model / "unet/config.json").unlink()
    assert known_digest(I2VGEN_XL, model, kept) is None


def test_records_of_others_folders_are_kept_in_ours(tmp_path: Path) -> None:
    models = models_in(tmp_path / "models")
    own = tmp_path / "models" / "i2vgen-xl"
    assert records_folder(own, models) == own / ".i2v"
    others = {records_folder(tmp_path / name, models) for name in ("a", "b", "\udcff")}
    assert len(others) == 3
    assert all(path.is_relative_to(tmp_path / "models") for path in others)


# --- hashes


@pytest.mark.parametrize("size", [0, 1, 100, 2**23 + 1])
def test_both_hashes_are_those_of_the_standard(tmp_path: Path, size: int) -> None:
    data = b"x" * size
    (tmp_path / "file").write_bytes(data)
    reported: list[int] = []
    hashes = hash_file(tmp_path / "file", reported.append)
    assert (hashes.size, hashes.sha256) == (size, hashlib.sha256(data).hexdigest())
    assert hashes.git_sha1 == git_sha1(data)
    assert reported[-1:] == ([size] if size else [])


def test_a_file_is_held_to_all_that_is_told_of_it() -> None:
    hashes = records.Hashes(3, "a" * 64, "b" * 40)
    assert hashes.fits(Expected(3))
    assert hashes.fits(Expected(3, sha256="a" * 64))
    assert hashes.fits(Expected(3, git_sha1="b" * 40))
    assert not hashes.fits(Expected(4))
    assert not hashes.fits(Expected(3, sha256="c" * 64))
    assert not hashes.fits(Expected(3, git_sha1="c" * 40))
    reported = [Expected(3, sha256="a").how, Expected(3, git_sha1="b").how, Expected(3).how]
    assert reported == ["sha256", "git-sha1", "size"]


def test_a_listing_comes_back_from_the_disk_as_it_was(tmp_path: Path) -> None:
    listing = Listing("https://hub", "0" * 40, {"a/b": Expected(3, sha256="a"), "c": Expected(4)})
    assert read_listing(tmp_path) is None
    write_listing(tmp_path / "new", listing)
    assert read_listing(tmp_path / "new") == listing


@pytest.mark.parametrize(
    "content", ["x", "[]", "{}", '{"told_by": 1, "revision": 2, "files": {"a": {"b": 1}}}']
)
def test_a_damaged_listing_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "listing.json").write_text(content)
    assert read_listing(tmp_path) is None


def test_a_digest_is_forgotten_when_the_file_changes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a")
    digests = Digests(tmp_path / "records")
    digests.keep(path, "abc", "https://hub", "sha256")
    digests.save()
    again = Digests(tmp_path / "records")
    assert again.known(path) == "abc"
    assert (
        json.loads((tmp_path / "records" / "digests.json").read_text())[str(path)]["source"] == "https://hub"
    )
    path.write_bytes(b"ab")
    assert again.known(path) is None
