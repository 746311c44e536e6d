"""Jobs of families with weights through the service and a real worker: done, cancelled, and gone on with."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InvalidRequest
from i2v.core.settings_sources import load_settings
from i2v.engines.animatediff.specs import ANIMATEDIFF
from i2v.engines.svd.options import SVDOptions
from i2v.engines.svd.specs import SVD
from i2v.engines.wan.specs import WAN_I2V_A14B, WAN_TI2V_5B
from i2v.jobs.model import Job
from i2v.jobs.store import JobStore
from i2v.media.provenance import Provenance
from i2v.media.video import probe, read_tags
from i2v.service.service import Service
from i2v.workers.executors.process import ProcessExecutor
from tests import tiny_wan_loras
from tests.clips import read_frames
from tests.engines.subjects import write_weights
from tests.house import endings
from tests.rehearsal import find_workers, picture
from tests.tiny_animatediff import write_tiny_animatediff
from tests.tiny_loras import base_layers, write_kohya, write_single_file
from tests.tiny_wan import tiny_expert, tiny_transformer

pytestmark = pytest.mark.slow  # a worker loads torch for each

SHORT: dict[str, object] = {
    "width": 64, "height": 64, "num_frames": 5, "num_inference_steps": 2, "seed": 3,
}  # fmt: skip
OF_ENGINES: dict[str, dict[str, object]] = {
    "svd": {"options": {"motion_bucket_id": 100}},
    "animatediff": {"prompt": "zoom in", "options": {"controlnet_conditioning_scale": 0.5}},
    "wan-ti2v-5b": {"prompt": "a cat", "options": {"flow_shift": 3.0}},
    "wan-i2v-a14b": {"prompt": "a cat", "options": {"guidance_scale_2": 2.0}},
}


@dataclass(frozen=True)
class Stage:
    service: Service
    spec: EngineSpec
    models: Path

    def asked(self, **fields: object) -> dict[str, object]:
        return {"engine": self.spec.name, **SHORT, **OF_ENGINES[self.spec.name], **fields}

    def made(self, job: Job) -> Provenance:
        assert job.status == "succeeded", job.error
        return Provenance.from_tags(read_tags(Path(job.output)), Path(job.output))


@pytest.fixture(
    scope="module", params=[SVD, ANIMATEDIFF, WAN_TI2V_5B, WAN_I2V_A14B], ids=lambda spec: str(spec.name)
)
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    spec, folder = request.param, tmp_path_factory.mktemp("service")
    (folder / "models").mkdir()
    write_weights(spec, folder / "models" / spec.name)
    settings = load_settings(
        flags={
            "service.data_dir": folder / "data",
            "output.directory": folder / "videos",
            "models.directory": folder / "models",
            "engine.device": "cpu",
            "worker.idle_seconds": 60,
            "worker.keep_latents_seconds": 0.001,
        }
    )
    engines, store = {spec.name: spec}, JobStore(settings.database)
    made = Service(settings, store, ProcessExecutor(settings, store, engines, folder / "logs"), engines)
    made.start()
    yield Stage(made, spec, folder / "models")
    made.stop()


def wait(service: Service, job: Job, until: Callable[[Job], bool]) -> Job:
    end = time.monotonic() + 240  # a worker loads torch first
    while not until(found := service.get(job.id)):
        assert time.monotonic() < end, f"{found.status}, {found.phase} {found.step}"
        time.sleep(0.02)
    return found


def is_over(job: Job) -> bool:
    return job.finished_at is not None


def is_denoising(job: Job) -> bool:
    return job.step is not None and job.step >= 2


def test_a_job_becomes_a_video_that_says_how_it_was_made(stage: Stage) -> None:
    job = wait(stage.service, stage.service.submit(stage.asked(), picture()), is_over)
    made = stage.made(job).request_fields({}, stage.spec.capabilities.unused)
    assert probe(Path(job.output)).num_frames == 5
    assert probe(Path(job.output)).fps == stage.spec.presets["standard"].fps
    if stage.spec is SVD:
        whole = SVDOptions(motion_bucket_id=100).model_dump(exclude_none=True)
        assert made["options"] == whole, "all of them, for the day defaults change"
    else:
        assert made["options"].items() >= OF_ENGINES[stage.spec.name]["options"].items()


def test_a_running_job_is_cancelled_at_a_step(stage: Stage) -> None:
    asked = stage.asked(num_inference_steps=100)
    job = wait(stage.service, stage.service.submit(asked, picture()), is_denoising)
    stage.service.cancel(job.id)
    job = wait(stage.service, job, is_over)
    assert job.status == "cancelled"
    assert not Path(job.output).exists()


def test_a_job_whose_worker_was_killed_is_made_by_the_next_one(stage: Stage) -> None:
    asked = stage.asked(num_inference_steps=60)
    job = wait(stage.service, stage.service.submit(asked, picture()), is_denoising)
    (worker,) = find_workers(os.getpid())
    worker.kill()
    job = wait(stage.service, job, is_over)
    assert job.status == "succeeded", job.error
    assert endings(job) == ["died", "succeeded"]
    assert probe(Path(job.output)).num_frames == 5


def test_a_clip_whose_worker_was_killed_goes_on_after_the_last_step_that_it_kept(stage: Stage) -> None:
    """With the frames of a clip that nobody killed, where the plan after a death computes none otherwise."""
    unguided = {} if stage.spec is SVD else {"guidance_scale": 1.0}
    asked = stage.asked(num_inference_steps=60, **unguided)
    whole = wait(stage.service, stage.service.submit(asked, picture()), is_over)
    job = stage.service.submit(asked, picture())
    unpublished = stage.models.parent / "data" / "unpublished"
    wait(stage.service, job, lambda found: any(unpublished.glob("*.latents")) or is_over(found))
    (worker,) = find_workers(os.getpid())
    worker.kill()
    job = wait(stage.service, job, is_over)
    assert job.status == "succeeded", job.error
    assert endings(job) == ["died", "succeeded"]
    (resumed,) = (notice for notice in job.notices if notice.code == "denoise.resumed")
    assert 0 < resumed.params["step"] <= resumed.params["total"] == 60
    assert not any(unpublished.iterdir())
    frames, expected = (read_frames(Path(each.output)).astype(int) for each in (job, whole))
    rounding = 4 if stage.spec is SVD else 0  # whose guided step has two rows, and one after the other then
    assert np.abs(frames - expected).max() <= rounding


def test_a_story_whose_worker_was_killed_goes_on_with_the_same_frames(stage: Stage) -> None:
    """The kill comes in the third segment: the first two are not made again.

    After a death the rest is made by the plan that takes least, whose frames differ by rounding.
    """
    prompts = {} if stage.spec is SVD else {"prompt": "pan left"}
    asked = stage.asked(fps=8, num_inference_steps=20, story=[{"seconds": 1.5, **prompts}, {"seconds": 0.5}])
    whole = wait(stage.service, stage.service.submit(asked, picture()), is_over)
    assert whole.status == "succeeded", whole.error
    job = stage.service.submit(asked, picture())
    wait(stage.service, job, lambda found: found.step is not None and found.step > 2 * 20)
    (worker,) = find_workers(os.getpid())
    worker.kill()
    job = wait(stage.service, job, is_over)
    assert job.status == "succeeded", job.error
    assert endings(job) == ["died", "succeeded"]
    assert job.result is not None
    assert "story.resumed" in [notice.code for notice in job.result.notices]
    frames, expected = (read_frames(Path(each.output)).astype(int) for each in (job, whole))
    # on average: one number that rounds another way changes all of the next segment, and the encoder's mind
    assert np.abs(frames - expected).mean() <= 0.5
    assert probe(Path(job.output)).num_frames == 16
    assert not any((stage.models.parent / "data" / "unpublished").iterdir())


def test_keyframes_a_checkpoint_and_loras_stand_in_the_clip_with_their_hashes(stage: Stage) -> None:
    service, spec = stage.service, stage.spec
    loras = [{"name": "ink", "strength": 0.8}, {"name": "soft", "strength": -0.5}]
    if not spec.lora_parts:
        with pytest.raises(InvalidRequest) as caught:
            service.submit(stage.asked(loras=["ink"]), picture())
        assert (caught.value.code, caught.value.params["field"]) == ("request.not_supported", "loras")
        return
    asked: dict[str, object] = {"loras": ["ink:0.8", loras[1]]}
    if spec is ANIMATEDIFF:
        files = _write_files(stage.models)
        asked |= {"inputs": [{"role": "keyframe", "frame": 2}], "checkpoint": "film"}
    else:
        files = _write_wan_files(stage.models, spec)
    if spec.has_two_experts:
        asked |= {"inputs": [{"role": "last_image"}]}
        loras = [{**lora, "strength_2": lora["strength"]} for lora in loras]
    others = (picture("#909090"),) if "inputs" in asked else ()
    job = wait(service, service.submit(stage.asked(**asked), picture(), others=others), is_over)
    made = stage.made(job)
    fields = made.request_fields({}, spec.capabilities.unused)
    assert fields.get("inputs", []) == asked.get("inputs", [])
    assert fields["loras"] == loras
    assert (fields.get("checkpoint", ""), made.checkpoint_sha256) == (
        asked.get("checkpoint", ""),
        files.get("film", ""),
    )
    assert made.loras_sha256 == [files["ink"], files["soft"]]
    plain = wait(service, service.submit(stage.asked(), picture()), is_over)
    assert stage.made(plain).loras_sha256 == []


def _write_files(models: Path) -> dict[str, str]:
    """Put LoRAs and a checkpoint into the models folder; return their SHA-256 by name."""
    other = models.parent / "other"
    other.mkdir()
    write_tiny_animatediff(other, seed=5)
    layers = base_layers(other, "attn1.to_q.weight")
    for kind in ("loras", "checkpoints"):
        (models / kind).mkdir()
    for name in ("ink", "soft"):
        write_kohya(models / f"loras/{name}.safetensors", layers, alpha=1)
    write_single_file(other, models / "checkpoints/film.safetensors")
    found = sorted(models.glob("loras/*")) + sorted(models.glob("checkpoints/*.safetensors"))
    return {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def _write_wan_files(models: Path, spec: EngineSpec) -> dict[str, str]:
    """Put LoRAs of two kinds into the models folder; return their SHA-256 by name."""
    transformer = tiny_expert() if spec.has_two_experts else tiny_transformer()
    (models / "loras").mkdir()
    tiny_wan_loras.write_lightx2v(models / "loras/ink.safetensors", transformer)
    tiny_wan_loras.write_kohya(models / "loras/soft.safetensors", transformer, alpha=1)
    return {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in models.glob("loras/*")}
