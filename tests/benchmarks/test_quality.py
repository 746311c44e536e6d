"""Each measure of quality, on clips whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from benchmarks.cases import Clip
from benchmarks.quality import Truth, end_point_error, energy, flow, luma, ms_ssim, psnr, rmse, ssim

Frames = NDArray[np.uint8]


@pytest.fixture(scope="module")
def scene() -> Frames:
    """A smooth texture of 96 x 96, larger than the views that are cut from it."""
    noise = np.random.default_rng(0).normal(size=(96, 96))
    waves = np.fft.rfft2(noise) * np.exp(
        -((np.fft.fftfreq(96)[:, None] ** 2 + np.fft.rfftfreq(96) ** 2) * 400)
    )
    smooth = np.fft.irfft2(waves)
    grey = 255 * (smooth - smooth.min()) / np.ptp(smooth)
    return np.repeat(grey[..., None], 3, axis=-1).round().astype(np.uint8)


def pan(scene: Frames, step: int, count: int = 3) -> Frames:
    """A view of 64 x 64 whose content moves `step` pixels to the left a frame."""
    return np.stack([scene[16:80, 8 + step * k : 72 + step * k] for k in range(count)])


def clip(frames: Frames, latent: float = 0.0) -> Clip:
    return Clip(np.full((1, 4, len(frames), 2, 2), latent, np.float32), frames)


def flat(*values: int) -> Frames:
    return np.stack([np.full((64, 64, 3), value, np.uint8) for value in values])


def test_equal_clips_are_at_no_distance(scene: Frames) -> None:
    moving = pan(scene, 2)
    found = Truth(clip(moving), clip(moving), moving[0]).measure(clip(moving))
    assert (found.latent_error, found.flow_error, found.flow_to_stock, found.energy) == (0, 0, 0, 1)
    assert found.structure_error == pytest.approx(0, abs=1e-9)
    assert found.scales_error == pytest.approx(0, abs=1e-9)
    assert found.first_frame == float("inf")


def test_errors_are_to_the_reference_and_motion_also_to_stock(scene: Frames) -> None:
    stock, reference = clip(pan(scene, 1), 1.0), clip(pan(scene, 2), 2.0)
    found = Truth(stock, reference, scene[16:80, 8:72]).measure(clip(pan(scene, 2), 2.5))
    assert found.latent_error == pytest.approx(0.5)
    assert found.structure_error == pytest.approx(0, abs=1e-9)
    assert found.flow_error == 0
    assert found.flow_to_stock == pytest.approx(1, abs=0.1)  # 2 pixels a frame instead of 1
    assert found.energy > 1.5


def test_rmse_and_psnr_have_their_textbook_values() -> None:
    assert rmse(np.float32([0, 0, 0, 0]), np.float32([2, 0, 0, 0])) == 1
    black, grey = flat(0)[0], flat(51)[0]
    assert psnr(black, grey) == pytest.approx(20 * np.log10(5))  # 51 is a fifth of 255


def test_ssim_of_flat_pictures_is_luminance_alone() -> None:
    c1 = (0.01 * 255) ** 2
    assert ssim(flat(100), flat(100)) == pytest.approx(1)
    assert ssim(flat(100), flat(150)) == pytest.approx((2 * 100 * 150 + c1) / (100**2 + 150**2 + c1))


def test_ssim_is_scikit_images(scene: Frames) -> None:
    still, other = pan(scene, 0), pan(scene, 3)
    expected = [
        structural_similarity(
            one, another, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
        for one, another in zip(luma(still), luma(other), strict=True)
    ]
    assert expected[0] > 0.99 > 0.9 > expected[2]
    assert ssim(still, other) == pytest.approx(np.mean(expected), abs=1e-5)


def test_more_scales_forgive_noise_that_is_gone_at_half_the_size(scene: Frames) -> None:
    still = pan(scene, 0)
    checks = np.indices((64, 64)).sum(axis=0)[..., None] % 2 * 16 - 8
    noisy = (still.astype(int) + checks).clip(0, 255).astype(np.uint8)
    shifted = pan(scene, 4)
    assert ms_ssim(still, noisy) > ssim(still, noisy) + 0.02
    assert ms_ssim(still, shifted) < ms_ssim(still, still) == pytest.approx(1)


def test_flow_finds_a_pan_and_stillness(scene: Frames) -> None:
    moved, still = flow(pan(scene, 2)), flow(pan(scene, 0))
    assert moved.shape == (2, 2, 64, 64)
    down, right = moved[:, :, 8:-8, 8:-8].mean(axis=(0, 2, 3))  # what leaves at an edge has no match
    assert (down, right) == (pytest.approx(0, abs=0.05), pytest.approx(-2, abs=0.1))
    assert np.abs(still).max() == 0
    assert end_point_error(moved, still) == pytest.approx(2, abs=0.2)


def test_end_point_error_is_a_distance_in_the_plane() -> None:
    a, b = np.zeros((2, 2, 4, 4), np.float32), np.zeros((2, 2, 4, 4), np.float32)
    b[0, 0], b[0, 1] = 3, 4
    assert end_point_error(a, b) == 2.5  # 5 in the first of two


def test_energy_is_that_of_changes_and_a_frozen_clip_has_none() -> None:
    assert energy(flat(10, 20, 40)) == (10**2 + 20**2) / 2
    assert energy(flat(7, 7, 7)) == 0
