"""workers.cluster.server_source: a machine without weights gets the server's, whatever stops it meanwhile."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from i2v.core.settings_sources import load_settings
from i2v.service.service import Service
from i2v.weights import fetching
from i2v.weights.folders import locate
from i2v.workers.cluster import server_source
from i2v.workers.cluster.actor import Actor
from i2v.workers.cluster.wire import Shared
from i2v.workers.maker import GivenBack
from tests import rehearsal
from tests.service.waiting import Waiting
from tests.workers.cluster.conftest import Lab

WEIGHTS = "unet/model.bin"
SPEC = replace(rehearsal.REHEARSAL, files=("model_index.json", WEIGHTS))
CONTENT = hashlib.shake_128(b"weights").digest(10_000)


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """The server has weights of 10,000 bytes, sent 1,000 at a time; the machine has none."""
    monkeypatch.setenv("I2V_MODELS__DIRECTORY", str(tmp_path / "there"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setitem(rehearsal.ENGINES, SPEC.name, SPEC)
    monkeypatch.setattr(server_source, "PIECE_BYTES", 1000)
    monkeypatch.setattr(fetching, "PAUSES", ())
    here = tmp_path / "models" / SPEC.name / WEIGHTS
    here.parent.mkdir(parents=True)
    here.write_bytes(CONTENT)
    opened = Lab(tmp_path)
    with closing(opened.store):
        yield opened
    opened.handle.end()


def there(lab: Lab) -> Path:
    models = load_settings(flags={"models.directory": lab.settings.models.directory.parent / "there"}).models
    found = locate(SPEC, models)
    return found.path / WEIGHTS if found.missing is None else Path("missing")


def test_a_job_brings_its_weights(bare: Lab) -> None:
    job = bare.run()
    assert (job.status, job.error) == ("succeeded", None)
    assert there(bare).read_bytes() == CONTENT
    assert bare.noted == (SPEC.name,)
    shown = [fetch.done for fetch in bare.fetches if fetch is not None]
    assert shown == sorted(shown)
    assert bare.fetches[-1] is None
    sent = bare.handle.given
    assert bare.run().status == "succeeded"
    assert bare.handle.given == sent, "they are there now"


def test_a_longer_clip_brings_them_too(bare: Lab) -> None:
    first = bare.run()
    shutil.rmtree(there(bare).parents[1])
    service = Service(bare.settings, bare.store, Waiting(), rehearsal.ENGINES)
    job = service.extend(first.id, {"seconds": 0.5})
    assert bare.worker().run_next()
    assert bare.store.get(job.id).error is None
    assert there(bare).read_bytes() == CONTENT
    assert first.id not in str(bare.handle.orders[-1]), "an id opens a job"


def test_a_transfer_that_was_killed_is_gone_on_from(bare: Lab) -> None:
    bare.handle.lost_at = 4000
    bare.lose()
    assert 4000 <= bare.handle.given < len(CONTENT)
    assert there(bare) == Path("missing")
    bare.store.recover("owner")
    bare.handle.end()
    bare.handle.actor = Actor("studio", "cpu", 1, Shared.of(bare.settings), rehearsal.ENGINES, None)
    bare.handle.actor.look()
    bare.handle.lost_at = math.inf
    assert bare.worker("next").run_next()
    assert there(bare).read_bytes() == CONTENT
    assert bare.handle.given == len(CONTENT) + len('""'), "no piece came twice"


def test_a_damaged_transfer_is_no_model(bare: Lab) -> None:
    bare.handle.damaged = True
    job = bare.run()
    assert job.error is not None
    assert (job.status, job.error["code"]) == ("failed", "cluster.not_fetched")
    assert "checksum" in job.error["message"]
    assert there(bare) == Path("missing")
    bare.handle.damaged = False
    bare.store.retry(job.id)
    assert bare.worker().run_next()
    assert bare.store.get(job.id).status == "succeeded"
    assert there(bare).read_bytes() == CONTENT


def test_a_cancel_stops_the_transfer(bare: Lab) -> None:
    bare.handle.give = lambda answer: None  # type: ignore[method-assign]
    bare.store.at["loading", None] = lambda claim: bare.store.cancel(claim.job.id)
    assert bare.run().status == "cancelled"
    assert bare.maker.rest(), "it can make a clip"


def test_a_full_disk_is_the_machines(bare: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "free_space", lambda folder: 1000)
    job = bare.run()
    assert job.error is not None
    assert (job.status, job.error["code"]) == ("failed", "cluster.disk_full")
    assert "studio" in job.error["message"]
    bare.has_others = True
    bare.store.retry(job.id)
    with pytest.raises(GivenBack):
        bare.worker().run_next()


def test_weights_that_nobody_has_are_missed_by_the_engine(bare: Lab) -> None:
    (bare.settings.models.directory / SPEC.name / WEIGHTS).unlink()
    (bare.settings.models.directory / SPEC.name / "model_index.json").unlink()
    job = bare.run()
    assert job.error is not None
    assert job.error["code"] == "weights.missing_folder"
    assert bare.handle.errands == []
