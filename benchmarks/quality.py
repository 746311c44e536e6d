"""How far a clip is from its references, and from the picture it starts with.

References of a case (see `benchmarks.cases`): (a) the exact way at 50 steps, what stock gives; (b) the exact
way at 200 steps, which both stock and any faster way approximate. Errors are to (b), so that imitating
stock's own error earns nothing.

LPIPS, the usual perceptual distance, is not here: it needs the weights of a network trained for it, which
could not be had. Structure at several scales and optical flow do not stand in for people's judgement.

Frames are (F, H, W, 3) uint8 throughout; structure and flow are measured on their luma.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from skimage.registration import optical_flow_tvl1

from benchmarks.cases import Clip

Frames = NDArray[np.uint8]

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R BT.601
# Wang et al. 2004: a Gaussian window of 11 pixels, 1.5 wide, and the two constants for values up to 255.
_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
# Wang, Simoncelli and Bovik 2003, fine to coarse.
_SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


@dataclass(frozen=True)
class Quality:
    """One clip, measured.

    Attributes:
        latent_error: RMSE of its latents to (b)'s.
        structure_error: 1 - SSIM to (b), mean of frames.
        scales_error: 1 - multi-scale SSIM to (b), mean of frames.
        flow_error: end-point error of the optical flow from each frame to the next, to (b)'s, in pixels.
        flow_to_stock: the same to (a)'s.
        energy: of its frame differences over (a)'s: below 1, it moves or flickers less.
        first_frame: PSNR of frame 0 to the picture, in dB.
    """

    latent_error: float
    structure_error: float
    scales_error: float
    flow_error: float
    flow_to_stock: float
    energy: float
    first_frame: float


class Truth:
    """What one case's clips are measured against."""

    def __init__(self, stock: Clip, reference: Clip, picture: Frames) -> None:
        """`stock`: (a); `reference`: (b); `picture`: (H, W, 3)."""
        self.stock, self.reference = stock, reference
        self._picture = picture

    @cached_property
    def _stock_flow(self) -> NDArray[np.float32]:
        return flow(self.stock.frames)

    @cached_property
    def _reference_flow(self) -> NDArray[np.float32]:
        return flow(self.reference.frames)

    def measure(self, clip: Clip) -> Quality:
        moved = flow(clip.frames)
        return Quality(
            latent_error=rmse(clip.latents, self.reference.latents),
            structure_error=1 - ssim(clip.frames, self.reference.frames),
            scales_error=1 - ms_ssim(clip.frames, self.reference.frames),
            flow_error=end_point_error(moved, self._reference_flow),
            flow_to_stock=end_point_error(moved, self._stock_flow),
            energy=energy(clip.frames) / energy(self.stock.frames),
            first_frame=psnr(clip.frames[0], self._picture),
        )


def rmse(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean((a.astype(np.float64) - b) ** 2)))


def psnr(a: Frames, b: Frames) -> float:
    """Return dB; infinite for equal pictures."""
    error = np.mean((a.astype(np.float64) - b) ** 2)
    return float(10 * np.log10(255**2 / error)) if error else float("inf")


def energy(frames: Frames) -> float:
    """Return the mean square of what changes from each frame to the next."""
    return float(np.mean(np.diff(frames.astype(np.float64), axis=0) ** 2))


def luma(frames: Frames) -> NDArray[np.float32]:
    """(F, H, W, 3) uint8 -> (F, H, W), 0 to 255."""
    return frames.astype(np.float32) @ _LUMA


def ssim(a: Frames, b: Frames) -> float:
    """Return the structural similarity (Wang et al. 2004), the mean of all frames."""
    luminance, structure = _similarity(*_planes(a, b))
    return float((luminance * structure).mean())


def ms_ssim(a: Frames, b: Frames) -> float:
    """Return SSIM over scales (Wang, Simoncelli and Bovik 2003), the mean of all frames.

    Of the five scales as many as the window fits in, the weights scaled to sum to 1: four at 128 pixels.
    """
    one, other = _planes(a, b)
    scales = int(np.log2(min(one.shape[-2:]) / _WINDOW)) + 1
    weights = np.array(_SCALE_WEIGHTS[:scales])
    result = torch.ones(len(one))
    for scale, weight in enumerate(weights / weights.sum(), start=1):
        luminance, structure = _similarity(one, other)
        term = luminance * structure if scale == len(weights) else structure
        result *= term.mean(dim=(1, 2, 3)).clamp(min=0) ** weight
        one, other = F.avg_pool2d(one, 2), F.avg_pool2d(other, 2)
    return float(result.mean())


def _planes(a: Frames, b: Frames) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(luma(a))[:, None].double(), torch.from_numpy(luma(b))[:, None].double()


def _similarity(a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (luminance, contrast and structure) at each place where the whole window fits."""
    offsets = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
    row = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    row = row / row.sum()

    def mean(values: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.conv2d(values, row.view(1, 1, 1, -1)), row.view(1, 1, -1, 1))

    mean_a, mean_b = mean(a), mean(b)
    variance_a, variance_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    covariance = mean(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    structure = (2 * covariance + _C2) / (variance_a + variance_b + _C2)
    return luminance, structure


def flow(frames: Frames) -> NDArray[np.float32]:
    """Return (F - 1, 2, H, W): where each pixel goes in the next frame (down, right), by TV-L1.

    Zach, Pock and Bischof 2007, as scikit-image has it.
    """
    grey = luma(frames) / 255
    return np.stack([optical_flow_tvl1(one, other, dtype=np.float32) for one, other in pairwise(grey)])


def end_point_error(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return the mean distance of two flows (n, 2, H, W), in pixels."""
    return float(np.hypot(*np.moveaxis(a.astype(np.float64) - b, 1, 0)).mean())
