"""What moves in a clip: a pan, a zoom and a turn fitted between frame 0 and each later frame.

It knows nothing of what was asked.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F

from scripts.train_embedded.motions import PAN, ROTATION, SIDE, ZOOM


def unit(height: int, width: int) -> np.ndarray:
    """(4,): what pan x, pan y (pixels), log zoom and turn amount to in one full motion."""
    pan = PAN * math.sqrt(height * width) / SIDE
    return np.array([pan, pan, ZOOM, ROTATION])


def warp(picture: torch.Tensor, p: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Show `picture` (1, 1, H, W) after the motion `p` (pan x, pan y, log zoom, turn).

    Also where it is defined.
    """
    _, _, height, width = picture.shape
    y, x = torch.meshgrid(
        torch.arange(height) - (height - 1) / 2, torch.arange(width) - (width - 1) / 2, indexing="ij"
    )
    x0, y0 = x.double() - p[0], y.double() - p[1]
    cos, sin, shrink = torch.cos(p[3]), torch.sin(p[3]), torch.exp(-p[2])
    grid = torch.stack(
        (shrink * (cos * x0 + sin * y0) * 2 / width, shrink * (-sin * x0 + cos * y0) * 2 / height), dim=-1
    )
    edge = torch.tensor(
        [1 - 1 / width, 1 - 1 / height]
    )  # beyond the outermost pixels' centres, nothing is known
    inside = (grid.abs() <= edge).all(-1).double()
    shown = F.grid_sample(picture, grid[None], mode="bilinear", padding_mode="border", align_corners=False)
    return shown, inside[None, None]


def register(first: torch.Tensor, later: torch.Tensor, start: torch.Tensor, rounds: int = 12) -> torch.Tensor:
    """Gauss-Newton fit of the motion (4,) that takes `first` (1, 1, H, W) to `later`, coarse to fine."""
    p = start.clone().double()
    for factor in (8, 4, 2, 1):
        a, b = (
            F.avg_pool2d(frame, factor).double() if factor > 1 else frame.double() for frame in (first, later)
        )
        scale = torch.tensor([1 / factor, 1 / factor, 1.0, 1.0], dtype=torch.float64)
        steps = torch.tensor([0.25, 0.25, 0.005, 0.005], dtype=torch.float64)
        for _ in range(rounds):
            q = p * scale
            here, inside = warp(a, q)
            columns = []
            for axis in range(4):
                delta = torch.zeros(4, dtype=torch.float64)
                delta[axis] = steps[axis]
                columns.append(
                    ((warp(a, q + delta)[0] - warp(a, q - delta)[0]) / (2 * steps[axis])).flatten()
                )
            residual, weight = (b - here).flatten(), inside.flatten()
            weight = weight / (1 + (residual / 0.3) ** 2)  # Cauchy: content that came in must not pull
            jacobian = torch.stack(columns, dim=1)
            normal = jacobian.T @ (weight[:, None] * jacobian) + 1e-3 * torch.eye(4, dtype=torch.float64)
            change = torch.linalg.solve(normal, jacobian.T @ (weight * residual))
            p = p + change / scale
            if change.abs().max() < 1e-3:
                break
    return p


def track(frames: np.ndarray) -> np.ndarray:
    """Return the motion from the first to each of (F, H, W, 3) uint8 frames: (F, 4), as `register` does."""
    grey = torch.from_numpy(frames).float().mean(-1)[:, None, None] / 255
    found = [torch.zeros(4, dtype=torch.float64)]
    for k, frame in enumerate(grey[1:], start=1):
        found.append(register(grey[0], frame, found[-1] * k / max(1, k - 1)))
    return torch.stack(found).numpy()


def shares_of(path: np.ndarray, height: int, width: int) -> np.ndarray:
    """(F, 4) as `track` gives it -> full motions."""
    return path / unit(height, width)


def measure(frames: np.ndarray) -> np.ndarray:
    """Return the (4,) motion from the first to the last of (F, H, W, 3) uint8 frames, in full motions."""
    shares: np.ndarray = shares_of(track(frames), *frames.shape[1:3])[-1]
    return shares


def grey_of(frame: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(frame).double().mean(-1)[None, None] / 255


def explained(frames: np.ndarray, path: np.ndarray) -> float:
    """Return how the first frame, moved as found, correlates with the last: near 0 if nothing was found."""
    shown, inside = warp(grey_of(frames[0]), torch.from_numpy(path[-1]))
    known = inside.bool()
    a, b = shown[known], grey_of(frames[-1])[known]
    if len(a) < 2 or a.std() < 1e-6 or b.std() < 1e-6:
        return 0.0
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def aligned(frames: np.ndarray, path: np.ndarray) -> float:
    """Return how near the last frame is to the first one moved as found: PSNR in dB, grey, inner half.

    No truth is needed, and a wrong motion costs nothing: it says whether content is kept.
    """
    shown, last, known = _last_and_moved_first(frames, path)
    error = (shown - last)[known].pow(2).mean().item() if known.any() else 1.0
    return -10 * math.log10(error + 1e-12)


def sharpness(frames: np.ndarray, path: np.ndarray) -> float:
    """Return what is left of the first frame's detail in the last one, over the inner half.

    The last frame's gradients are fitted by a multiple of those of the first one moved as found; this is the
    factor. Blur makes it less than 1; grain, which has nothing to do with the first frame, adds nothing.
    """
    shown, last, known = _last_and_moved_first(frames, path)
    product = size = 0.0
    for dim in (2, 3):
        both = known.narrow(dim, 1, known.shape[dim] - 1) & known.narrow(dim, 0, known.shape[dim] - 1)
        was, now = shown.diff(dim=dim)[both], last.diff(dim=dim)[both]
        product += (was * now).sum().item()
        size += was.pow(2).sum().item()
    return product / (size + 1e-12)


def _last_and_moved_first(
    frames: np.ndarray, path: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the first frame moved as found, the last one, both grey, and where they can be compared."""
    shown, inside = warp(grey_of(frames[0]), torch.from_numpy(path[-1]))
    _, height, width, _ = frames.shape
    known = torch.zeros_like(inside, dtype=torch.bool)
    known[..., height // 4 : height - height // 4, width // 4 : width - width // 4] = True
    return shown, grey_of(frames[-1]), known & inside.bool()


def flicker(frames: np.ndarray, path: np.ndarray) -> float:
    """Return the warping error between neighbouring frames, RMS in grey levels of 255.

    What is left of a frame's difference from the one before it, once that has moved as it was found to (Lai
    et al. 2018, Learning Blind Video Temporal Consistency,
    section 4.3, with a motion by registration as flow).
    """
    squares = []
    for k in range(1, len(frames)):
        shown, inside = warp(grey_of(frames[k - 1]), torch.from_numpy(_between(path[k - 1], path[k])))
        squares.append((shown - grey_of(frames[k]))[inside.bool()].pow(2).mean().item())
    return 255 * float(np.mean(squares)) ** 0.5


def _between(earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
    """Return the motion that follows `earlier` so that both together are `later`."""
    zoom, turn = later[2] - earlier[2], later[3] - earlier[3]
    scale, cos, sin = math.exp(zoom), math.cos(turn), math.sin(turn)
    x, y = earlier[0], earlier[1]
    return np.array(
        [later[0] - scale * (cos * x - sin * y), later[1] - scale * (sin * x + cos * y), zoom, turn]
    )
