"""A source's process: what becomes of one that dies, hangs, or cannot start."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.weights.folders import INDEX
from i2v.weights.hubs import part_file
from i2v.weights.sources import DiskFailed, Source, SourceFailed
from tests.weights.conftest import MakeHub, MakeModels
from tests.weights.hub import Fault, Hub

(PART,) = I2VGEN_XL.published
UNET = "unet/diffusion_pytorch_model.fp16.safetensors"


@pytest.fixture
def hub(make_hub: MakeHub) -> Hub:
    return make_hub()


@pytest.fixture
def source(hub: Hub, make_models: MakeModels) -> Iterator[Source]:
    source = Source(hub.address, make_models(hub), lock=None)
    yield source
    source.close()


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "i2v.weights.fetcher" in child.cmdline()]


def test_one_process_serves_many_questions_and_ends_with_its_source(
    hub: Hub, source: Source, tmp_path: Path
) -> None:
    listing = source.list_files(PART, INDEX, lambda: None)
    assert listing.files.keys() == hub.files.keys()
    (process,) = children()
    for name in ("unet/config.json", UNET):
        source.fetch(PART, name, len(hub.files[name]), tmp_path, lambda done: None)
        assert (tmp_path / name).read_bytes() == hub.files[name]
    assert children() == [process]
    source.close()
    assert children() == []


def test_a_process_that_dies_is_a_failure_and_the_next_question_starts_another(
    hub: Hub, source: Source, tmp_path: Path
) -> None:
    hub.faults[UNET] = Fault(stall=70_000, times=1)

    def kill(done: int) -> None:
        if done >= 65_536:
            for child in children():
                child.kill()

    with pytest.raises(SourceFailed, match="its process died"):
        source.fetch(PART, UNET, len(hub.files[UNET]), tmp_path, kill)
    source.fetch(PART, UNET, len(hub.files[UNET]), tmp_path, lambda done: None)
    assert (tmp_path / UNET).read_bytes() == hub.files[UNET]


@pytest.mark.slow
def test_a_silent_hub_is_given_up_in_time(hub: Hub, make_models: MakeModels) -> None:
    hub.is_silent = True
    source = Source(hub.address, make_models(hub, probe_seconds=2), lock=None)
    with pytest.raises(SourceFailed):
        source.list_files(PART, INDEX, lambda: None)
    source.close()
    assert len(hub.requests) == 1


def test_what_is_raised_while_waiting_ends_the_process(hub: Hub, source: Source, tmp_path: Path) -> None:
    hub.faults[UNET] = Fault(stall=70_000)

    def stop(done: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        source.fetch(PART, UNET, len(hub.files[UNET]), tmp_path, stop)
    assert children() == []


def test_a_disk_that_refuses_is_not_the_sources_fault(hub: Hub, source: Source, tmp_path: Path) -> None:
    (tmp_path / "unet").touch()
    with pytest.raises(DiskFailed) as caught:
        source.fetch(PART, UNET, len(hub.files[UNET]), tmp_path, lambda done: None)
    assert not caught.value.is_full


def test_a_hub_that_tells_nonsense_is_a_lasting_failure(make_hub: MakeHub, make_models: MakeModels) -> None:
    hub = make_hub(files={"model_index.json": b""}, revision="main")
    source = Source(hub.address, make_models(hub), lock=None)
    with pytest.raises(SourceFailed, match="it has revision main"):
        source.list_files(PART, INDEX, lambda: None)
    source.close()


@pytest.mark.parametrize(
    "portal", ["page", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("redirect", "511"))]
)
def test_a_network_that_asks_to_log_in_is_named_as_one(
    hub: Hub, source: Source, make_models: MakeModels, tmp_path: Path, portal: str
) -> None:
    """And what has come of a file before is not written over."""
    size = len(hub.files[UNET])
    hub.faults[UNET] = Fault(stall=100_000)
    impatient = Source(hub.address, make_models(hub, stall_seconds=2), lock=None)
    with pytest.raises(SourceFailed):
        impatient.fetch(PART, UNET, size, tmp_path, lambda done: None)
    impatient.close()
    begun = part_file(tmp_path, UNET).read_bytes()
    assert hub.files[UNET].startswith(begun)
    hub.portal = portal
    for ask in (
        lambda: source.list_files(PART, INDEX, lambda: None),
        lambda: source.fetch(PART, UNET, size, tmp_path, lambda done: None),
    ):
        with pytest.raises(SourceFailed, match="may ask you to log in") as caught:
            ask()
        assert (caught.value.portal, caught.value.is_lasting) == (hub.address.removeprefix("http://"), False)
    assert part_file(tmp_path, UNET).read_bytes() == begun
    hub.portal, hub.faults = "", {}
    source.fetch(PART, UNET, size, tmp_path, lambda done: None)
    assert (tmp_path / UNET).read_bytes() == hub.files[UNET]


@pytest.mark.slow
def test_modelscope_behind_such_a_network_is_named_too(
    hub: Hub, make_models: MakeModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODELSCOPE_ENDPOINT", hub.address)
    source = Source("modelscope", make_models(hub, probe_seconds=30), lock=None)
    try:
        source.list_files(PART, INDEX, lambda: None)
        hub.portal = "page"
        for ask in (
            lambda: source.list_files(PART, INDEX, lambda: None),
            lambda: source.fetch(PART, UNET, len(hub.files[UNET]), tmp_path, lambda done: None),
        ):
            with pytest.raises(SourceFailed, match="may ask you to log in"):
                ask()
    finally:
        source.close()
