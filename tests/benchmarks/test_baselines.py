"""The ways of sampling that ours is held to do what their papers say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.baselines import (
    CHUNK_TOKENS,
    EXACT,
    Adaptive,
    Bench,
    DeepCache,
    Sampler,
    deep_features,
    shallow,
)
from benchmarks.cases import Case, cases
from benchmarks.measure import counting
from i2v.engines.i2vgen_xl.sampling import initial_state
from i2v.weights import EMBEDDED_FOLDER

STEPS = 12


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench(EMBEDDED_FOLDER)


@pytest.fixture(scope="module")
def case() -> Case:
    """Two frames of 32 x 32, with guidance: small, and all that is done for a clip is done."""
    small = cases(2.0, 1, 32)[0].at(STEPS)
    return replace(small, generation=replace(small.generation, num_frames=2))


def counted(bench: Bench, case: Case, sampler: Sampler) -> tuple[np.ndarray, int, int]:
    """Latents, UNet evaluations, and those of the whole UNet, a guided step having two."""
    with counting(bench.components.unet) as pictures:
        clip = bench.make(case, sampler)
    return clip.latents, pictures["out"] // 2, pictures["middle"] // 2


@pytest.mark.slow
def test_adaptive_diffusion_reuses_nothing_at_threshold_zero_and_all_it_may_at_a_large_one(
    bench: Bench, case: Case
) -> None:
    exact, evaluations, _ = counted(bench, case, EXACT)
    careful, all_of_them, _ = counted(bench, case, Adaptive(STEPS, threshold=-1))
    assert evaluations == all_of_them == 2 * STEPS
    assert np.abs(careful - exact).max() < 1e-4
    # the first four steps are computed, then four are reused, one computed, three reused
    careless, few, _ = counted(bench, case, Adaptive(STEPS, threshold=1e9))
    assert few == 2 * 5
    assert np.abs(careless - exact).max() > 1e-2


@pytest.mark.parametrize(
    ("changes", "is_even"),
    [
        ([1, 1, 1], False),  # too early
        ([9, 1, 1, 1], True),
        ([9, 1, 2, 3], True),  # a line
        ([9, 1, 1, 1.021], False),
        ([9, 1, 1, 1.019], True),
    ],
)
def test_a_prediction_is_reused_where_the_third_order_difference_is_a_hundredth_at_most(
    changes: list[float], is_even: bool
) -> None:
    assert Adaptive(threshold=0.01).is_even(changes) is is_even


@pytest.mark.slow
def test_deep_cache_computes_the_whole_unet_at_every_third_step(bench: Bench, case: Case) -> None:
    latents, evaluations, whole = counted(bench, case, DeepCache(STEPS, 3))
    assert (evaluations, whole) == (2 * STEPS, 2 * STEPS // 3)
    exact, _, _ = counted(bench, case, EXACT)
    always, _, _ = counted(bench, case, DeepCache(STEPS, 1))
    assert np.abs(always - exact).max() < 1e-4
    assert np.abs(latents - exact).max() > 1e-3


@torch.inference_mode()
def test_a_shallow_evaluation_over_its_own_deep_features_is_the_whole_one(bench: Bench, case: Case) -> None:
    unet, timestep = bench.components.unet, torch.tensor(481)
    latents = initial_state(bench.components, case.generation).latents
    context = unet.encode_context(bench.condition(case.generation, case.picture))
    with deep_features(unet) as kept:
        whole = unet(latents, timestep, context, CHUNK_TOKENS)
    assert torch.allclose(shallow(unet, latents, timestep, context, kept[0]), whole, atol=1e-5)
    assert not torch.allclose(shallow(unet, latents, timestep, context, kept[0] * 1.1), whole, atol=1e-3)
