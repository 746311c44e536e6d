"""Frames: sharp, without shimmer, in linear light, the same every time, and one at a time."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from i2v.engines.camera.move import Move
from i2v.engines.camera.path import CameraPath, View, plan_path
from i2v.engines.camera.render import plan_stretches, render
from i2v.engines.camera_move.options import CameraMoveOptions
from tests.engines.camera.charts import grid, photograph, to_linear
from tests.engines.camera.frames import CENTRE, HEIGHT, WIDTH, along, bicubic_errors, errors

# dB to a supersampled frame by definition. Measured: 55 and more; both pictures are rounded to 8 bits, which
# alone leaves 56. Pillow's bicubic transform, without a filter, gets 24 at scale 2.1.
BOUND = 53


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def film(
    move: Move, num_frames: int, picture: Image.Image, size: tuple[int, int], cpus: int = 1
) -> list[np.ndarray]:
    return list(render(picture, plan_path(move, num_frames, picture.size, size), cpus))


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.0, 1.3, 2.1, pytest.param(3.0, marks=pytest.mark.slow)])
def test_rings_pan_by_parts_of_a_pixel_as_by_definition(scale: float) -> None:
    views = [View(CENTRE[0] + scale * part / 8, CENTRE[1] + scale * part / 16, scale) for part in range(5)]
    assert min(errors(views)) > BOUND
    if scale > 2:
        assert max(bicubic_errors(views)) < 30  # what the bound keeps out


def test_rings_zoom_as_by_definition() -> None:
    views = [View(*CENTRE, float(scale)) for scale in np.geomspace(1, 3.5, 12)]
    found = errors(views)
    assert min(found) > BOUND
    assert max(abs(after - before) for before, after in itertools.pairwise(found)) < 3  # no level stands out


@pytest.mark.parametrize(
    ("period", "scale", "bound"),
    [(2.5, 2.1, 53), (3, 2.1, 53), (4, 2.1, 53), (5, 2.1, 53), (3, 1, 47), (4, 1, 50), (2.5, 1, 41)],
)
def test_a_fine_grid_does_not_shimmer(period: float, scale: float, bound: float) -> None:
    views = [View(CENTRE[0] + scale * part / 8, CENTRE[1], scale) for part in range(5)]
    assert min(errors(views, grid(period))) > bound


def test_a_grid_keeps_its_contrast_wherever_it_falls_between_the_pixels() -> None:
    period, scale = 6, 2.1  # 2.9 pixels of the frame
    picture = photograph(grid(period), WIDTH, HEIGHT)
    views = [View(CENTRE[0] + scale * part / 8, CENTRE[1], scale) for part in range(9)]
    contrasts = [to_linear(frame[..., 0]).std() for frame in along(views, picture)]
    assert max(contrasts) / min(contrasts) < 1.02


@pytest.mark.parametrize("move", [Move(zoom=1.05), Move(pan=0.05), Move(roll=3)])
def test_a_fine_checkerboard_averages_its_light_not_its_numbers(move: Move) -> None:
    squares = np.indices((800, 800)).sum(axis=0) % 2 * 255
    picture = Image.fromarray(np.repeat(squares[..., None].astype(np.uint8), 3, axis=2))
    for frame in film(move, 4, picture, (150, 150)):
        # half the light; half the number would be 128. In the corners, the repeated edge is no checkerboard.
        assert np.abs(frame.astype(int) - 188).max() <= 2


def test_a_still_camera_over_pixels_of_the_videos_size_hardly_changes_them() -> None:
    picture = Image.open("examples/coffee.jpg").convert("RGB")
    (frame,) = film(Move(), 1, picture, picture.size)
    assert np.abs(frame.astype(int) - np.asarray(picture)).mean() < 2


def test_colours_keep_their_places() -> None:
    picture = Image.new("RGB", (300, 200), (200, 30, 90))
    for move in (Move(pan=0.1, zoom=1.3), Move(roll=17)):
        for frame in film(move, 3, picture, (64, 48)):
            assert (frame == (200, 30, 90)).all()


def test_the_content_moves_as_the_demo_models_does() -> None:
    array = np.zeros((400, 600, 3), np.uint8)
    array[180:220, 280:320] = 255  # a white square in the middle
    picture = Image.fromarray(array)

    def shift(move: Move) -> tuple[float, float]:
        frames = film(move, 2, picture, (300, 200))
        places = [np.argwhere(frame[..., 0] > 128).mean(axis=0) for frame in frames]
        return tuple(places[1] - places[0])

    down, right = shift(Move(pan=-0.1))
    assert right > 20  # the camera pans left: the content moves right
    assert abs(down) < 1
    down, right = shift(Move(tilt=0.1))
    assert down > 10  # the camera tilts up: the content moves down
    assert abs(right) < 1


def test_a_positive_roll_turns_the_content_clockwise() -> None:
    array = np.zeros((400, 400, 3), np.uint8)
    array[:200, 190:210] = 255  # a hand of a clock at twelve
    first, last = film(Move(roll=90), 2, Image.fromarray(array), (100, 100))
    assert first[20, 50, 0] > 250
    assert last[50, 80, 0] > 250  # at three
    _, last = film(Move(roll=-60), 2, Image.fromarray(array), (100, 100))
    y, x = np.argwhere(last[..., 0] > 128).mean(axis=0)
    assert (x < 45, y < 50) == (True, True)  # at ten


@pytest.mark.parametrize(
    "move", [Move(zoom=1.4, pan=0.2), Move(roll=12, tilt=0.1), Move(roll=130, loop=True)]
)
def test_the_frames_are_the_same_every_time_and_with_any_number_of_threads(move: Move) -> None:
    picture = noise(320, 240)
    first = film(move, 5, picture, (97, 61))
    for again in (film(move, 5, picture, (97, 61)), film(move, 5, picture, (97, 61), cpus=3)):
        assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))


def test_no_frame_jumps_where_one_level_follows_another() -> None:
    picture = Image.open("examples/coffee.jpg").convert("RGB").resize((1800, 1200), Image.Resampling.LANCZOS)
    path = plan_path(Move(zoom=3, easing="linear"), 60, picture.size, (240, 160))
    assert len(plan_stretches(path)) > 5
    frames = [frame.astype(int) for frame in render(picture, path)]
    steps = [np.abs(after - before).mean() for before, after in itertools.pairwise(frames)]
    jumps = [step / np.median(steps[max(0, i - 3) : i + 4]) for i, step in enumerate(steps)]
    assert max(jumps) < 1.2


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (31, 33), (97, 3), (640, 2)])
@pytest.mark.parametrize("shape", [(1, 1), (2, 7), (5, 3), (999, 4), (400, 301)])
def test_any_size_of_any_picture_has_its_frames(shape: tuple[int, int], size: tuple[int, int]) -> None:
    for move in (Move(zoom=1.2, pan=0.1), Move(roll=20), Move(roll=-100, loop=True)):
        frames = film(move, 3, noise(*shape), size)
        assert [(frame.shape, frame.dtype) for frame in frames] == [((size[1], size[0], 3), np.uint8)] * 3


def test_a_panorama_is_seen_from_one_end_to_the_other() -> None:
    array = np.zeros((100, 2000, 3), np.uint8)
    array[:, :, 0] = np.linspace(0, 255, 2000)
    frames = film(Move(pan=1, zoom=1), 5, Image.fromarray(array), (160, 90))
    means = [frame[..., 0].mean() for frame in frames]
    assert means == sorted(means)
    assert frames[0][..., 1:].max() == 0


def test_a_small_picture_is_enlarged_smoothly_and_without_a_border() -> None:
    picture = photograph(grid(8), 64, 48)
    for frame in film(Move(zoom=1.1), 3, picture, (320, 240)):
        assert frame.min() > 30  # a border would be black
        light = to_linear(frame[..., 0])
        assert np.abs(np.diff(light, axis=1)).max() < 0.05  # steps of whole pixels would be 0.13


def test_a_still_clip_is_one_frame_again_and_again_each_its_own_array() -> None:
    frames = film(Move(), 3, noise(60, 40), (30, 20))
    assert np.array_equal(frames[0], frames[2])
    frames[0][:] = 0
    assert frames[1].any()


@pytest.mark.slow
@pytest.mark.parametrize("move", [Move(zoom=1.01), Move(roll=1)])
def test_ten_times_the_frames_take_no_more_memory(move: Move) -> None:
    picture = noise(800, 600)

    def peak(num_frames: int) -> int:
        path = plan_path(move, num_frames, picture.size, (200, 150))
        tracemalloc.start()
        for _ in render(picture, path):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(60) < 1.1 * peak(6)


def test_a_pan_over_a_huge_picture_never_holds_much_more_than_two_frames_need() -> None:
    picture = Image.new("RGB", (12000, 400))
    path = plan_path(Move(pan=1, tilt=0), 40, picture.size, (160, 90))
    wide = CameraPath(
        tuple(View(400 + 280 * index, 200, 400 / 90) for index in range(40)), path.picture, path.size, 1, 1, 1
    )
    boxes = [stretch.box.area for stretch in plan_stretches(wide)]
    assert len(boxes) > 5
    assert max(boxes) <= 2 * min(boxes)


def test_frames_come_one_at_a_time_and_stopping_ends_the_threads() -> None:
    before = threading.active_count()
    frames = render(noise(200, 150), plan_path(Move(zoom=1.2), 3600, (200, 150), (64, 48)), cpus=2)
    next(frames)
    frames.close()
    assert threading.active_count() == before


@pytest.mark.parametrize("picture", [Image.new("RGB", (10, 11)), Image.new("L", (10, 10))])
def test_a_picture_that_the_path_is_not_for_is_refused_at_once(picture: Image.Image) -> None:
    with pytest.raises(ValueError, match="RGB picture"):
        render(picture, plan_path(Move(), 1, (10, 10), (4, 4)))


def test_the_package_works_without_torch() -> None:
    code = (
        "import sys; import i2v.engines.camera.render, i2v.engines.camera.resolve;"
        "print(sorted({'torch', 'diffusers', 'transformers', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_corners_of_a_view_are_what_the_corners_of_its_frame_show() -> None:
    """The picture's colours tell where they lie: red across, green down."""
    size, frame_size = (400, 300), (160, 120)
    across, down = np.meshgrid(np.linspace(0, 255, size[0]), np.linspace(0, 255, size[1]))
    picture = Image.fromarray(np.stack([across, down, 0 * down], -1).round().astype(np.uint8))
    options = CameraMoveOptions(pan=0.2, tilt=-0.1, zoom=1.3, roll=25, easing="linear", loop=False)
    path = plan_path(options.move, 8, size, frame_size)
    for view, frame in zip(options.views(8, size, frame_size), render(picture, path, 1), strict=True):
        expected = np.array(view).reshape(4, 2) / size
        shown = [frame[row, column, :2] / 255 for row, column in ((0, 0), (0, -1), (-1, -1), (-1, 0))]
        assert np.abs(np.array(shown) - expected).max() < 0.012  # a pixel of the frame, and rounding
