"""Paths: inside the photograph, as wide as can be, smooth, and closed where they loop."""

from __future__ import annotations

import itertools
import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from i2v.engines.camera.move import Easing, Move
from i2v.engines.camera.path import CameraPath, View, plan_moves, plan_onward, plan_path, positions

EASINGS = get_args(Easing)
moves = st.builds(
    Move,
    pan=st.floats(-1, 1),
    tilt=st.floats(-1, 1),
    zoom=st.floats(0.25, 4),
    roll=st.floats(-180, 180),
    easing=st.sampled_from(EASINGS),
    loop=st.booleans(),
)
sizes = st.tuples(st.integers(1, 5000), st.integers(1, 5000))


def corners(view: View, size: tuple[int, int]) -> list[tuple[float, float]]:
    """Return what the four corners of a frame see: the picture turned clockwise is seen counterclockwise."""
    cos, sin = math.cos(math.radians(view.roll)), math.sin(math.radians(view.roll))
    return [
        (view.x + view.scale * (cos * x + sin * y), view.y + view.scale * (cos * y - sin * x))
        for x in (-size[0] / 2, size[0] / 2)
        for y in (-size[1] / 2, size[1] / 2)
    ]


def slack(path: CameraPath) -> tuple[float, float, float, float]:
    """Return how far all corners of all views stay inside the photograph: left, top, right, bottom."""
    xs, ys = zip(*(corner for view in path.views for corner in corners(view, path.size)), strict=True)
    return min(xs), min(ys), path.picture[0] - max(xs), path.picture[1] - max(ys)


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(move=moves, num_frames=st.integers(1, 40), picture=sizes, size=sizes)
def test_no_view_of_any_move_leaves_the_photograph_and_none_could_be_wider(
    move: Move, num_frames: int, picture: tuple[int, int], size: tuple[int, int]
) -> None:
    path = plan_path(move, num_frames, picture, size)
    room = slack(path)
    tolerance = 1e-9 * max(picture)
    assert min(room) >= -tolerance
    left, top, right, bottom = room
    assert min(left + right, top + bottom) <= tolerance  # both edges are touched in one direction
    assert left == pytest.approx(right, abs=tolerance)
    assert bottom == pytest.approx(2 * top, abs=2 * tolerance)
    assert len(path.views) == num_frames


@settings(deadline=None, derandomize=True, database=None)
@given(move=moves, picture=sizes, size=sizes)
def test_the_views_are_as_far_apart_as_the_move_says(
    move: Move, picture: tuple[int, int], size: tuple[int, int]
) -> None:
    views = plan_path(Move(move.pan, move.tilt, move.zoom, move.roll, move.easing), 9, picture, size).views
    first, last = views[0], views[-1]
    assert first.roll == 0
    assert last.roll == pytest.approx(move.roll)
    assert first.scale / last.scale == pytest.approx(move.zoom)
    tolerance = 1e-9 * max(picture)
    assert last.x - first.x == pytest.approx(move.pan * size[0] * first.scale, abs=tolerance)
    assert first.y - last.y == pytest.approx(move.tilt * size[1] * first.scale, abs=tolerance)


@pytest.mark.parametrize("easing", EASINGS)
@pytest.mark.parametrize("num_frames", [2, 3, 24, 3600])
def test_an_eased_move_goes_from_start_to_end_and_never_back(easing: Easing, num_frames: int) -> None:
    parts = positions(num_frames, easing, loop=False)
    assert (parts[0], parts[-1], len(parts)) == (0, 1, num_frames)
    assert all(after > before for before, after in itertools.pairwise(parts))


@pytest.mark.parametrize("easing", EASINGS)
def test_the_speed_of_an_easing_is_continuous_and_what_its_name_says(easing: Easing) -> None:
    parts = positions(1001, easing, loop=False)
    speeds = [1000 * (after - before) for before, after in itertools.pairwise(parts)]
    assert max(abs(after - before) for before, after in itertools.pairwise(speeds)) < 0.01
    starts_slowly, ends_slowly = speeds[0] < 0.1, speeds[-1] < 0.1
    expected = {"linear": (False, False), "in": (True, False), "out": (False, True), "in-out": (True, True)}
    assert (starts_slowly, ends_slowly) == expected[easing]


@settings(deadline=None, derandomize=True, database=None)
@given(num_frames=st.integers(2, 3600), easing=st.sampled_from(EASINGS))
def test_a_loop_closes_in_place_and_in_speed(num_frames: int, easing: Easing) -> None:
    parts = positions(num_frames, easing, loop=True)
    around = (*parts, *parts, *parts)
    speeds = [after - before for before, after in itertools.pairwise(around)]
    jumps = [abs(after - before) for before, after in itertools.pairwise(speeds)]
    assert max(jumps) <= (2 * math.pi / num_frames) ** 2 / 2 + 1e-12  # a cosine's, at the seam as elsewhere


def test_a_loop_comes_back_the_way_it_went_and_reaches_the_whole_move() -> None:
    views = plan_path(Move(pan=0.2, zoom=1.5, loop=True), 60, (4000, 3000), (1920, 1080)).views
    for index in range(1, 30):
        assert views[index].x == pytest.approx(views[60 - index].x)
        assert views[index].scale == pytest.approx(views[60 - index].scale)
    assert views[0].scale / views[30].scale == pytest.approx(1.5)


def test_the_directions_are_the_cameras() -> None:
    def ends(move: Move) -> tuple[View, View]:
        views = plan_path(move, 5, (4000, 3000), (1920, 1080)).views
        return views[0], views[-1]

    first, last = ends(Move(pan=0.1))
    assert last.x > first.x  # to the right in the photograph, so the content goes left
    first, last = ends(Move(tilt=0.1))
    assert last.y < first.y
    first, last = ends(Move(zoom=1.1))
    assert last.scale < first.scale


def test_a_push_in_costs_nothing_and_starts_with_all_that_fits() -> None:
    path = plan_path(Move(zoom=1.2), 10, (4000, 3000), (1920, 1080))
    assert path.views[0].scale == pytest.approx(4000 / 1920)
    assert (path.share, path.still_share, path.notices) == (pytest.approx(1), pytest.approx(1), ())


def test_what_a_wide_pan_costs_is_said() -> None:
    path = plan_path(Move(pan=-0.5), 10, (4000, 2250), (1920, 1080))
    assert path.share == pytest.approx(1 / 1.5)
    (notice,) = path.notices
    assert (notice.code, notice.params) == ("camera.room", {"percent": 67, "still_percent": 100})


def test_a_panorama_pans_in_the_room_that_it_has_anyway() -> None:
    path = plan_path(Move(pan=1), 10, (12000, 2000), (1920, 1080))
    assert path.share == pytest.approx(path.still_share)
    assert path.notices == ()
    assert path.views[-1].x - path.views[0].x == pytest.approx(2000 * 16 / 9)


def test_that_a_picture_is_enlarged_is_said() -> None:
    (notice,) = plan_path(Move(zoom=2), 10, (960, 540), (1920, 1080)).notices
    assert (notice.code, notice.params) == ("camera.enlarged", {"factor": 4.0})
    assert plan_path(Move(), 10, (1920, 1080), (1920, 1080)).notices == ()


def test_a_pan_keeps_its_speed_on_the_screen_while_zooming() -> None:
    views = plan_path(Move(pan=0.3, zoom=2, easing="linear"), 101, (4000, 3000), (1920, 1080)).views
    speeds = [
        (after.x - before.x) / math.sqrt(after.scale * before.scale)
        for before, after in itertools.pairwise(views)
    ]
    assert max(speeds) == pytest.approx(min(speeds), rel=1e-4)


@pytest.mark.parametrize("wrong", [(0, (4, 4), (4, 4)), (1, (0, 4), (4, 4)), (1, (4, 4), (4, 0))])
def test_nothing_to_see_is_refused(wrong: tuple[int, tuple[int, int], tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="positive sizes"):
        plan_path(Move(), *wrong)


def test_moves_follow_each_other_without_a_jump_and_the_first_can_be_told_alone() -> None:
    pan, zoom = Move(pan=0.4, easing="linear"), Move(zoom=2.0, roll=5, easing="linear")
    path = plan_moves([(pan, 8), (zoom, 8), (pan, 8)], (900, 600), (96, 64))
    assert len(path.views) == 24
    assert min(slack(path)) > -1e-6
    steps = [later.x - earlier.x for earlier, later in itertools.pairwise(path.views)]
    assert steps[:7] == pytest.approx([steps[0]] * 7)
    assert steps[7:15] == pytest.approx([0] * 8, abs=1e-9)
    assert steps[16:] == pytest.approx([steps[0] / 2 * 7 / 8] * 7), "magnified twice, the pan is half as wide"
    assert path.views[7].scale == pytest.approx(2 * path.views[15].scale)
    assert path.views[23].roll == 5
    assert path.part(20, 8).views == (*path.views[20:], *[path.views[23]] * 4)


def test_a_move_after_a_loop_begins_where_the_loop_did() -> None:
    path = plan_moves(
        [(Move(pan=0.4, loop=True), 8), (Move(pan=0.2, easing="linear"), 8)], (900, 600), (96, 64)
    )
    assert path.views[8].x - path.views[0].x == pytest.approx(0.2 / 8 * path.views[0].scale * 96)


@pytest.mark.parametrize(
    "move", [Move(pan=-0.3), Move(tilt=0.2, zoom=1.3), Move(zoom=0.5), Move(roll=40), Move(pan=1, roll=-90)]
)
def test_a_path_that_goes_on_begins_with_all_of_the_picture_and_stays_in_it(move: Move) -> None:
    picture, size = (288, 192), (144, 96)
    path = plan_onward([(move, 9), (Move(zoom=1.1), 9)], picture, size)
    assert path.views[0] == View(144, 96, 2)
    corners = np.array([view.corners(size) for view in path.views]).reshape(-1, 2)
    assert (corners >= -1e-6).all()
    assert (corners <= np.array(picture) + 1e-6).all()
    steps = np.diff([(view.x, view.y, view.scale) for view in path.views], axis=0)
    assert np.abs(steps).max() < 40, "and never jumps"


def test_a_camera_stands_still_before_its_path_begins() -> None:
    path = plan_path(Move(zoom=2), 6, (400, 300), (80, 60))
    assert path.part(-2, 5).views == (path.views[0], path.views[0], *path.views[:3])
    assert path.part(-9, 4).views == (path.views[0],) * 4
