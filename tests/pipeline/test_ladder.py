"""i2v.pipeline.ladder: where a job begins, when memory is short, and what is promised at the end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from i2v.core.errors import InsufficientMemory, ModelUnavailable
from i2v.core.generation import Generation
from i2v.core.memory_plan import DeviceInfo, MemoryPlan
from i2v.core.settings_sources import load_settings
from i2v.engines.i2vgen_xl.memory import MEMORY
from i2v.engines.i2vgen_xl.specs import EMBEDDED, I2VGEN_XL
from i2v.memory.model import GIB
from i2v.pipeline.ladder import LOW_RAM, MemoryLadder
from tests.rehearsal import REHEARSAL

CPU = DeviceInfo("cpu", "CPU", 2**34)
CARD = DeviceInfo("cuda", "NVIDIA RTX 4090", 24 * GIB, 20 * GIB, 64 * GIB)
OPTIONS = load_settings().engine


@pytest.fixture
def large(generation: Generation) -> Generation:
    sides = {"width": 1024, "height": 1024, "generated_width": 1024, "generated_height": 1024}
    return replace(generation, num_frames=32, engine="i2vgen-xl", **sides)


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is free here stays as the tests say: there is no card to measure."""
    monkeypatch.setattr("i2v.pipeline.ladder.measure_free", lambda device: device)


def test_the_next_plan_is_chosen_by_what_is_free_now(
    large: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card's weights go to the CPU's memory where that has room: now, not when the worker started."""
    ladder, plan = MemoryLadder(I2VGEN_XL, large, CARD, OPTIONS), MemoryPlan("cuda", "float16")
    for free, is_offloaded in ((64 * GIB, True), (GIB, False)):
        monkeypatch.setattr(
            "i2v.pipeline.ladder.measure_free", lambda device, free=free: replace(device, free_ram=free)
        )
        lowest = plan
        while (lower := ladder.step_down(lowest)) is not None:
            lowest = lower
        assert (lowest.offload != "none") is is_offloaded


@pytest.mark.parametrize("device", [CPU, CARD])
def test_after_a_death_all_is_low_that_takes_no_other_memory_and_changes_no_frame(
    large: Generation, device: DeviceInfo
) -> None:
    ladder = MemoryLadder(I2VGEN_XL, large, device, OPTIONS)
    plan = MemoryPlan(device.type, "float16")
    lowest, notices = ladder.after_death(plan, 1)
    # without a number, a CPU decodes one frame of this size at a time, a card the whole clip
    decode_chunk = 1 if device is CARD else 0
    assert lowest == replace(plan, chunk_tokens=4096, cfg_passes=2, decode_chunk=decode_chunk)
    codes = [notice.code for notice in notices]
    chunks = ["ladder.chunk_tokens", *(["ladder.decode_chunk"] if decode_chunk else [])]
    assert codes == ["ladder.after_death", *chunks, "ladder.cfg_passes"]
    assert notices[0].params == {"deaths": 1}


def test_only_a_cpu_is_short_of_ram_and_what_is_merely_kept_is_given_back_first(
    large: Generation, monkeypatch: pytest.MonkeyPatch
) -> None:
    available = [LOW_RAM]

    def release() -> None:
        available.append(LOW_RAM + 1)

    monkeypatch.setattr("i2v.pipeline.ladder.available_ram", lambda: available[-1])
    monkeypatch.setattr("i2v.memory.allocator.release", release)
    ladder = MemoryLadder(I2VGEN_XL, large, CPU, OPTIONS)
    assert not ladder.is_short()
    available.append(LOW_RAM - 1)
    assert not ladder.is_short()
    monkeypatch.setattr("i2v.memory.allocator.release", lambda: None)
    available.append(LOW_RAM - 1)
    assert ladder.is_short()
    assert not MemoryLadder(I2VGEN_XL, large, CARD, OPTIONS).is_short()


@pytest.mark.parametrize("free", [6 * GIB, 20 * GIB, 80 * GIB])
def test_what_is_said_to_fit_takes_clearly_less_than_what_did_not(
    large: Generation, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    """Whatever is free by the measurement: the clip has shown that it is not enough."""
    device = replace(CARD, free_memory=free)
    monkeypatch.setattr("i2v.pipeline.ladder.measure_free", lambda device: replace(device, free_memory=free))
    ladder = MemoryLadder(I2VGEN_XL, large, device, OPTIONS)
    with pytest.raises(InsufficientMemory, match="CUDA out of memory") as caught, ladder.explained():
        raise InsufficientMemory("engine.out_of_memory", reason="CUDA out of memory")
    params = caught.value.params
    assert caught.value.code == "ladder.exhausted_either"
    assert isinstance(params["num_frames"], int)
    assert params["num_frames"] < large.num_frames
    assert params["resolution"] in ("256p", "512p", "768p")
    lowest = MemoryPlan("cuda", "float16", 1, 0, 2, "model", 4096, vae_tiling=True)
    fewer = MEMORY.estimate(I2VGEN_XL, replace(large, num_frames=params["num_frames"]), lowest)
    same = MEMORY.estimate(I2VGEN_XL, large, lowest)
    assert fewer is not None
    assert same is not None
    assert fewer.device_bytes <= 0.9 * same.device_bytes


def test_where_nothing_is_known_of_an_engine_nothing_is_promised(large: Generation) -> None:
    with (
        pytest.raises(InsufficientMemory) as caught,
        MemoryLadder(REHEARSAL, large, CPU, OPTIONS).explained(),
    ):
        raise MemoryError
    assert (caught.value.code, caught.value.params) == ("ladder.exhausted", {"reason": "MemoryError"})


@pytest.mark.parametrize(
    "error",
    [
        InsufficientMemory("encode.out_of_memory", reason="x"),
        ModelUnavailable("weights.missing_file", title="x", path="y"),
        KeyError("z"),
    ],
)
def test_all_else_passes_unchanged(large: Generation, error: Exception) -> None:
    with pytest.raises(type(error)) as caught, MemoryLadder(EMBEDDED, large, CPU, OPTIONS).explained():
        raise error
    assert caught.value is error
