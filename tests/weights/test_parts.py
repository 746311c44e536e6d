"""Models of several repositories: one folder, its parts in sub-folders, each from where it is published."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.errors import ModelUnavailable
from i2v.core.settings import ModelSettings
from i2v.core.settings_sources import ROOT
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.engines.registry import engines
from i2v.weights import fetching
from i2v.weights.check import check_folder, verify
from i2v.weights.download import download, plan_download
from i2v.weights.folders import is_available, locate, own_folder
from i2v.weights.parts import mark_of, needed_files, part_of, parts_of
from i2v.weights.progress import TransferProgress
from i2v.weights.records import known_digest, read_listing, records_folder, weights_digest
from tests.weights.conftest import MakeHub, MakeModels
from tests.weights.families import (
    ADAPTER,
    ADAPTER_FILES,
    BASE,
    BASE_FILES,
    DRIVEN,
    SHARDED,
    driven_folder,
    make_spec,
    repositories,
    repository,
)
from tests.weights.hub import REVISION, Fault, Hub, make_files, wanted

WEIGHTS = "adapter/diffusion_pytorch_model.safetensors"
SENT = f"{ADAPTER}/diffusion_pytorch_model.safetensors"


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".i2v" not in path.parts
    }


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "PAUSES", (0.02, 0.04))


@pytest.fixture
def hub(make_hub: MakeHub) -> Hub:
    return make_hub(others=repositories())


# --- whose a file is


def test_a_file_is_of_the_repository_with_the_deepest_folder_above_it() -> None:
    base, adapter = DRIVEN.published
    assert [part_of(DRIVEN, name) for name in DRIVEN.files] == [base] * 3 + [adapter] * 2
    assert needed_files(DRIVEN, adapter) == ["config.json", "diffusion_pytorch_model.safetensors"]
    assert part_of(DRIVEN, "adapter.json") == base
    assert [mark_of(DRIVEN, part) for part in DRIVEN.published] == ["model_index.json", "config.json"]
    nowhere = replace(DRIVEN, published=())
    assert needed_files(nowhere, parts_of(nowhere)[0]) == list(DRIVEN.files)


@pytest.mark.parametrize("spec", [*engines().values(), DRIVEN, SHARDED], ids=lambda spec: spec.name)
def test_every_file_of_an_engine_has_one_repository(spec) -> None:  # type: ignore[no-untyped-def]
    parts = parts_of(spec)
    assert len({part.folder for part in parts}) == len(parts)
    owned = [
        f"{part.folder}/{name}" if part.folder else name
        for part in parts
        for name in needed_files(spec, part)
    ]
    assert sorted(owned) == sorted(spec.files)
    if spec.files:
        assert part_of(spec, spec.files[0]) == parts[0]


# --- a download


def test_every_part_is_fetched_from_its_repository_into_one_folder(hub: Hub, make_models: MakeModels) -> None:
    models = make_models(hub)
    reported: list[TransferProgress] = []
    done = download(DRIVEN, models, reported.append)
    folder = own_folder(DRIVEN, models)
    assert (done.folder.path, done.folder.missing, done.notice.code) == (folder, None, "weights.checked")
    assert contents(folder) == driven_folder()
    assert done.fetched == reported[-1].done == reported[-1].total == sum(map(len, driven_folder().values()))
    assert hub.sent[-1].name == f"{BASE}/model_index.json", "a folder is a model only when it is complete"
    assert WEIGHTS in {each.file for each in reported}, "files are called as they lie in the model's folder"
    records = folder / ".i2v"
    listings = [read_listing(records, part) for part in DRIVEN.published]
    assert [listing and listing.repo for listing in listings] == [BASE, ADAPTER]
    assert not (records / "fetching").exists()
    hub.requests.clear()
    assert download(DRIVEN, models).notice.code == "weights.already_there"
    assert hub.requests == []


def test_the_plan_says_each_repository_and_asks_nobody(hub: Hub, make_models: MakeModels) -> None:
    models = make_models(hub)
    plan = plan_download(DRIVEN, models)
    assert hub.requests == []
    assert (plan.size, plan.begun) == (1_200_000, 0)
    assert [part.origin for part in plan.parts] == [
        f"https://huggingface.co/{repo}/tree/{REVISION}" for repo in (BASE, ADAPTER)
    ]
    assert [part.is_fetched for part in plan.parts] == [True, True]
    hub.faults[SENT] = Fault(status=404)
    with pytest.raises(ModelUnavailable):
        download(DRIVEN, models)
    begun = plan_download(DRIVEN, models)
    assert [part.is_here for part in begun.parts] == [False, False], "the first file comes last"
    assert begun.begun > 300_000


def test_a_folder_of_all_parts_is_used_where_it_is(hub: Hub, make_models: MakeModels, tmp_path: Path) -> None:
    download(DRIVEN, make_models(hub, directory=tmp_path / "ComfyUI" / "models" / "diffusers"))
    hub.requests.clear()
    models = make_models(hub, search_paths=str(tmp_path / "ComfyUI"))
    done = download(DRIVEN, models)
    assert (done.fetched, done.folder.origin, hub.requests) == (0, "found", [])
    check_folder(DRIVEN, done.folder.path)


def test_each_part_is_verified_by_what_its_hub_told(hub: Hub, make_models: MakeModels) -> None:
    models = make_models(hub)
    folder = download(DRIVEN, models).folder.path
    hub.requests.clear()
    done = verify(DRIVEN, models)
    assert (done.is_right, done.hash_source, done.notice.code) == (True, hub.address, "weights.checked")
    assert {file.name: file.how for file in done.files}[WEIGHTS] == "sha256"
    assert hub.requests == []
    data = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(data[:-1] + b"?")
    bad = verify(DRIVEN, models)
    assert [file.name for file in bad.files if not file.is_right] == [WEIGHTS]
    hub.sent.clear()
    download(DRIVEN, models)
    assert [sent.name for sent in hub.sent] == [SENT]


@pytest.mark.slow
def test_of_a_folder_without_records_each_hub_is_asked(
    hub: Hub, make_models: MakeModels, tmp_path: Path
) -> None:
    folder = download(DRIVEN, make_models(hub, directory=tmp_path / "other")).folder.path
    for path in sorted((folder / ".i2v").rglob("*.json")):
        path.unlink()
    models = make_models(hub, search_paths=str(tmp_path / "other"))
    done = verify(DRIVEN, models)
    assert (done.is_right, done.notice.code) == (True, "weights.checked")
    assert {file.how for file in done.files} == {"sha256", "git-sha1"}
    records = records_folder(folder, models)
    assert all(read_listing(records, part) for part in DRIVEN.published)


def test_the_digest_covers_every_part(hub: Hub, make_models: MakeModels) -> None:
    models = make_models(hub)
    folder = download(DRIVEN, models).folder.path
    digest = weights_digest(DRIVEN, folder)
    assert known_digest(DRIVEN, folder, records_folder(folder, models)) == digest
    (folder / ADAPTER_FILES[0]).write_bytes(b"{}")
    assert weights_digest(DRIVEN, folder) != digest


def test_a_part_without_a_preferred_variant_has_its_plain_files(hub: Hub, make_models: MakeModels) -> None:
    full = make_spec("full", BASE_FILES, repository(BASE, variant=""))
    folder = download(full, make_models(hub)).folder.path
    assert contents(folder).keys() == set(BASE_FILES)


def test_a_repository_that_no_source_has_is_named_by_its_place(hub: Hub, make_models: MakeModels) -> None:
    del hub.others[ADAPTER]
    with pytest.raises(ModelUnavailable) as caught:
        download(DRIVEN, make_models(hub))
    assert (caught.value.code, caught.value.params["file"]) == ("weights.no_source", ADAPTER_FILES[0])
    assert hub.sent == [], "before a byte of the others is fetched"


@pytest.mark.slow
def test_modelscope_has_parts_too(hub: Hub, make_models: MakeModels, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("modelscope_hub")
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.address)
    models = make_models(sources="modelscope")
    done = download(DRIVEN, models)
    assert contents(done.folder.path) == driven_folder()
    assert (done.hash_source, done.notice.code) == ("modelscope", "weights.checked")


@pytest.mark.slow
def test_a_second_source_goes_on_with_a_part(make_hub: MakeHub, make_models: MakeModels) -> None:
    first = make_hub(others=repositories(), faults={SENT: Fault(stall=131_072)})
    second = make_hub(others=repositories())
    done = download(DRIVEN, make_models(first, second, stall_seconds=1.5))
    assert contents(done.folder.path) == driven_folder()
    assert [sent.start for sent in second.sent if sent.name == SENT] == [131_072]


PROGRAM = """
import os
from i2v.core.settings import load_settings
from i2v.weights.download import download
from tests.weights.families import DRIVEN
print(download(DRIVEN, load_settings(None, os.environ).models).fetched)
"""


def start(hub: Hub, models: ModelSettings) -> subprocess.Popen[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("I2V_")}
    environment = clean | {
        "I2V_MODELS__DIRECTORY": str(models.directory),
        "I2V_MODELS__SEARCH_PATHS": "",
        "I2V_MODELS__HUB_CACHE": str(models.hub_cache),
        "I2V_MODELS__SOURCES": hub.address,
    }
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environment, cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.slow
def test_a_download_that_is_killed_in_the_second_repository_goes_on_there(
    make_hub: MakeHub, make_models: MakeModels
) -> None:
    hub = make_hub(others=repositories(400_000), faults={SENT: Fault(stall=262_144, times=1)})
    models = make_models(hub)
    part = own_folder(DRIVEN, models) / ".i2v" / "fetching" / f"{WEIGHTS}.incomplete"
    first = start(hub, models)
    end = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size == 262_144):
        assert time.monotonic() < end, "it did not come so far"
        assert first.poll() is None, first.communicate()
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert not is_available(DRIVEN, models)
    second = start(hub, models)
    out, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    assert contents(own_folder(DRIVEN, models)) == driven_folder(400_000)
    assert [sent.start for sent in hub.sent if sent.name == SENT] == [0, 262_144]
    others = [sent.name for sent in hub.sent if sent.name != SENT]
    assert len(others) == len(set(others)), "no finished file was fetched again"
    assert int(out) < sum(map(len, driven_folder(400_000).values()))


# --- folders of the version before


def test_a_folder_that_was_downloaded_before_parts_is_complete_and_checked(
    make_hub: MakeHub, make_models: MakeModels
) -> None:
    """Its layout and records, as that version wrote them: the listing has no repository."""
    hub = make_hub()
    models = make_models(hub)
    folder = own_folder(I2VGEN_XL, models)
    files, rows, digests = wanted(hub.files), {}, {}
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        sha256, state = hashlib.sha256(data).hexdigest(), (folder / name).stat()
        git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        is_large = name.endswith(".safetensors")
        rows[name] = {
            "size": len(data),
            "sha256": sha256 if is_large else None,
            "git_sha1": None if is_large else git,
        }
        digests[str(folder / name)] = {
            "size": len(data), "mtime_ns": state.st_mtime_ns, "sha256": sha256, "source": "https://huggingface.co",
            "checked": "sha256" if is_large else "git-sha1",
        }  # fmt: skip
    (folder / ".i2v").mkdir()
    listing = {"told_by": "https://huggingface.co", "revision": REVISION, "files": rows}
    (folder / ".i2v" / "listing.json").write_text(json.dumps(listing))
    (folder / ".i2v" / "digests.json").write_text(json.dumps(digests))
    before = contents(folder)

    assert locate(I2VGEN_XL, models).missing is None
    done = download(I2VGEN_XL, models)
    assert (done.fetched, done.notice.code) == (0, "weights.already_there")
    checked = verify(I2VGEN_XL, models)
    assert (checked.is_right, checked.hash_source) == (True, "https://huggingface.co")
    assert hub.requests == []
    assert contents(folder) == before

    (folder / "model_index.json").unlink()
    assert download(I2VGEN_XL, models).fetched == len(make_files()["model_index.json"])
    assert hub.names() == {"model_index.json"}
