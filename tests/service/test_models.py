"""service.models: real downloads from a hub on this machine, cancelled, gone on with, checked, removed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from i2v.core.errors import Cancelled, I2VError, InvalidRequest, ModelUnavailable, Notice
from i2v.core.memory_plan import DeviceInfo
from i2v.core.settings import ModelSettings
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.engines.registry import engines
from i2v.engines.wan.specs import WAN_TI2V_5B
from i2v.pipeline.choice import choose_engine
from i2v.service.models import Model, Models
from i2v.weights.download import alone
from i2v.weights.folders import own_folder
from i2v.weights.progress import TransferMeter
from tests.contrary import CONTRARY
from tests.models import models_in
from tests.tiny_wan import write_tiny_wan
from tests.web.house import wait_for
from tests.weights.families import ASKING, BASE_FILES, base_repository, make_spec, repositories
from tests.weights.hub import Hub, make_files, running, wanted

NAME = I2VGEN_XL.name
VAE = "vae/diffusion_pytorch_model.fp16.safetensors"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running(Hub(make_files())) as started:
        yield started


@pytest.fixture
def settings(tmp_path: Path, hub: Hub) -> ModelSettings:
    return models_in(tmp_path / "models", sources=hub.address, probe_seconds=60, stall_seconds=60)


@pytest.fixture
def models(settings: ModelSettings) -> Iterator[Models]:
    made = Models(settings, engines())
    yield made
    made.stop()


def ended(models: Models) -> Model:
    """Return the model once its task has ended."""

    def has_ended() -> bool:
        task = models.get(NAME).task
        return task is not None and task.ending is not None

    wait_for(has_ended)
    return models.get(NAME)


def sending(models: Models) -> None:
    """Wait until bytes of a large file are coming."""

    def comes() -> bool:
        task = models.get(NAME).task
        assert task is not None
        assert task.ending is None, task.ending
        return bool(task.progress and task.progress.phase == "fetching" and task.progress.file_bytes > 1000)

    wait_for(comes)


def test_a_model_is_fetched_while_others_ask_how_it_is_and_is_what_auto_runs_then(
    models: Models, settings: ModelSettings, hub: Hub
) -> None:
    cuda = DeviceInfo("cuda", "a card", 2**36)
    assert choose_engine("auto", cuda, settings, engines()) is EMBEDDED
    before = models.get(NAME)
    assert (before.state, before.checked, before.removable, before.task) == ("absent", None, None, None)
    hub.speed = 200_000
    assert models.download(NAME).state == "downloading"
    with pytest.raises(InvalidRequest) as refused:
        models.download(NAME)
    assert refused.value.code == "models.busy"
    for forbidden in (models.verify, models.remove):
        with pytest.raises(InvalidRequest):
            forbidden(NAME)
    sending(models)
    hub.speed = 0
    done = ended(models)
    assert done.state == "available"
    assert done.task is not None
    assert not done.task.has_failed
    assert done.task.ending is not None
    assert done.task.ending.code == "weights.checked"
    assert done.checked is not None
    assert done.checked.params["source"] == hub.address
    assert done.removable == done.folder
    assert choose_engine("auto", cuda, settings, engines()) is I2VGEN_XL

    removed = models.remove(NAME)
    assert removed.path == own_folder(I2VGEN_XL, settings)
    now = models.get(NAME)
    assert (now.state, now.task) == ("absent", None), "what came of the download is about what is gone"


def fetchers() -> list[psutil.Process]:
    """Return this process's children that talk to hubs; one that ends meanwhile is none."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if "fetcher" in " ".join(child.cmdline()):
                found.append(child)
    return found


@pytest.mark.slow
def test_a_cancelled_download_leaves_no_process_and_the_next_one_goes_on_with_it(
    models: Models, hub: Hub
) -> None:
    with pytest.raises(InvalidRequest) as idle:
        models.cancel(NAME)
    assert idle.value.code == "models.idle"
    hub.speed = 100_000
    models.download(NAME)
    sending(models)
    hub.speed = 5_000  # so that it cannot end before it is cancelled, however slow this machine is
    cancelled = models.cancel(NAME)
    assert cancelled.task is not None
    stopped = ended(models)
    assert stopped.task is not None
    assert isinstance(stopped.task.ending, Cancelled)
    assert not stopped.task.has_failed
    wait_for(lambda: not fetchers())
    assert stopped.state == "incomplete"
    assert stopped.plan is not None
    assert stopped.plan.begun > 1000
    hub.speed = 0
    models.download(NAME)
    assert ended(models).state == "available"
    assert sum(sent.count for sent in hub.sent) < sum(map(len, wanted(hub.files).values())) + 200_000


@pytest.mark.slow
def test_the_service_ends_a_download_when_it_stops(models: Models, hub: Hub) -> None:
    hub.speed = 100_000
    models.download(NAME)
    sending(models)
    models.stop()
    assert not [thread for thread in threading.enumerate() if NAME in thread.name]
    assert isinstance(ended(models).task.ending, Cancelled)  # type: ignore[union-attr]


def test_a_damaged_file_is_found_and_fetched_again(models: Models, hub: Hub, tmp_path: Path) -> None:
    models.download(NAME)
    folder = ended(models).folder.path
    with (folder / VAE).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"?")
    assert models.get(NAME).checked is None, "it is another file than the one that was checked"
    models.verify(NAME)
    found = ended(models)
    assert found.task is not None
    assert found.task.has_failed
    assert VAE in found.task.ending.message  # type: ignore[union-attr]
    assert found.state == "incomplete"
    models.download(NAME)
    assert ended(models).state == "available"
    assert (folder / VAE).read_bytes() == hub.files[VAE]
    models.verify(NAME)
    assert ended(models).task.ending.code == "weights.checked"  # type: ignore[union-attr]


def test_what_no_source_has_is_reported_and_logged(
    settings: ModelSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    nowhere = settings.model_copy(update={"sources": ("http://127.0.0.1:9",), "probe_seconds": 2})
    models = Models(nowhere, engines())
    models.download(NAME)
    task = ended(models).task
    assert task is not None
    assert task.has_failed
    assert isinstance(task.ending, ModelUnavailable)
    assert task.ending.code == "weights.no_source"
    assert task.ending.message in caplog.text


def test_an_error_that_nobody_understands_is_told_too(
    models: Models, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("rehearsed")

    monkeypatch.setattr("i2v.service.models.download", fail)
    models.download(NAME)
    task = ended(models).task
    assert task is not None
    assert task.has_failed
    assert isinstance(task.ending, I2VError)
    assert task.ending.params == {"kind": "RuntimeError"}
    assert "rehearsed" in caplog.text


def test_a_check_that_waits_for_nothing_can_be_stopped(models: Models, settings: ModelSettings) -> None:
    with alone(
        I2VGEN_XL, settings, TransferMeter(lambda message: None, lambda: False)
    ):  # as another process would
        models.download(NAME)
        wait_for(
            lambda: (message := models.get(NAME).task.progress) is not None and message.phase == "waiting"
        )  # type: ignore[union-attr]
        models.cancel(NAME)
        assert ended(models).state == "absent"


@pytest.mark.parametrize("path", ["", "  ", "~nobody-of-that-name/x", "/a\0b", "/" + 300 * "x", "/\udcff"])
def test_a_folder_that_cannot_be_is_refused_in_words(models: Models, path: str) -> None:
    with pytest.raises(ModelUnavailable):
        models.add(NAME, path)


def test_a_folder_that_fits_is_added_and_forgotten(models: Models, tmp_path: Path) -> None:
    from scripts.full_size.layout import read_table
    from scripts.full_size.write import write_model

    folder = tmp_path / "mount" / NAME
    write_model(folder, None, read_table())
    assert models.add(NAME, f" {folder} ") == folder
    added = models.get(NAME)
    assert (added.state, added.folder.origin, added.folder.path) == ("available", "added", folder)
    assert models.remove(NAME).path == folder
    assert (folder / "model_index.json").is_file()
    assert models.get(NAME).state == "absent"


def test_only_published_models_have_tasks(settings: ModelSettings) -> None:
    odd = replace(EMBEDDED, name="odd")
    models = Models(settings, {"odd": odd})
    (model,) = models.all()
    assert (model.state, model.plan, model.removable) == ("available", None, None)
    for name in ("odd", "unknown"):
        with pytest.raises(InvalidRequest):
            models.download(name)


def test_a_licence_is_asked_about_before_a_task_begins(settings: ModelSettings, hub: Hub) -> None:
    hub.others = repositories()
    models = Models(settings, {"asking": ASKING})
    with pytest.raises(InvalidRequest) as caught:
        models.download("asking")
    assert caught.value.code == "weights.licence"
    assert models.get("asking").task is None
    models.download("asking", accept_licences=True)
    wait_for(lambda: models.get("asking").state == "available")
    models.remove("asking")
    models.download("asking")
    wait_for(lambda: models.get("asking").state == "available")
    checked = models.get("asking").checked
    assert checked is not None
    assert checked.code == "weights.checked"
    models.stop()


def test_of_several_models_the_folder_says_which_it_is_of(settings: ModelSettings, tmp_path: Path) -> None:
    based = make_spec("based", BASE_FILES, pipelines=("BasePipeline",))
    models = Models(settings, {"embedded": EMBEDDED, "i2vgen-xl": I2VGEN_XL, "based": based})
    for name, data in base_repository().items():
        (tmp_path / "here" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here" / name).write_bytes(data)
    assert models.add("", str(tmp_path / "here")) == tmp_path / "here"
    added = models.get("based")
    assert (added.state, added.folder.origin, added.plan) == ("available", "added", None)
    assert models.remove("based").path == tmp_path / "here"
    with pytest.raises(ModelUnavailable) as wrong:
        models.add(NAME, str(tmp_path / "here"))
    assert wrong.value.code == "weights.missing_file"
    with pytest.raises(InvalidRequest) as none:
        models.add("", str(tmp_path))
    assert (none.value.code, none.value.params["allowed"]) == ("weights.which_model", "i2vgen-xl, based")
    with pytest.raises(InvalidRequest) as unpublished:
        models.download("based")
    assert unpublished.value.code == "weights.published_nowhere"


def test_an_engine_without_files_is_no_model_to_be_had_and_is_never_missing(settings: ModelSettings) -> None:
    models = Models(settings, {**engines(), CONTRARY.name: CONTRARY})
    assert CONTRARY.name not in {model.spec.name for model in models.all()}
    assert (models.missing(CONTRARY), models.missing(EMBEDDED), models.missing(I2VGEN_XL)) == (
        False,
        False,
        True,
    )
    for act in (models.get, models.download, models.verify, models.remove):
        with pytest.raises(InvalidRequest) as caught:
            act(CONTRARY.name)
        assert caught.value.code == "weights.none_needed"


def test_weights_in_float32_are_stored_again_and_what_is_not_is_refused(settings: ModelSettings) -> None:
    folder = settings.directory / WAN_TI2V_5B.name
    folder.mkdir(parents=True)
    write_tiny_wan(folder)
    models = Models(settings, engines())
    before = models.get(WAN_TI2V_5B.name)
    assert before.conversion is not None
    with pytest.raises(InvalidRequest, match="nothing to convert"):
        models.convert(NAME)
    models.convert(WAN_TI2V_5B.name, remove_originals=True)
    wait_for(lambda: (task := models.get(WAN_TI2V_5B.name).task) is not None and task.ending is not None)
    after = models.get(WAN_TI2V_5B.name)
    assert after.task is not None
    assert isinstance(after.task.ending, Notice)
    assert after.task.ending.code == "weights.converted_alone"
    assert (after.state, after.conversion) == ("available", None)
    assert after.folder.size < before.folder.size
    models.stop()
