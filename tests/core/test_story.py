"""i2v.core.story: which frames of a story each segment has."""

from __future__ import annotations

import random

import pytest

from i2v.core.story import scene_frames, segments_of


def test_scenes_are_as_long_as_asked_for_together() -> None:
    assert scene_frames([0.3, 0.3, 0.3], 8) == [2, 3, 2]
    assert sum(scene_frames([0.31] * 50, 8)) == round(0.31 * 50 * 8)


def test_segments_lie_over_each_other_and_each_scene_begins_with_one_of_its_own() -> None:
    found = segments_of([14, 4], num_frames=8, overlap=2)
    assert [(each.scene, each.start, each.frames) for each in found] == [(0, 0, 8), (0, 6, 8), (1, 12, 6)]


def test_every_frame_is_made_once_but_for_the_overlaps() -> None:
    chance = random.Random(3)
    for _ in range(300):
        overlap = chance.randint(1, 4)
        num_frames = chance.randint(overlap + 1, 12)
        scenes = [chance.randint(overlap, 30) for _ in range(chance.randint(1, 5))]
        found = segments_of(scenes, num_frames, overlap)
        made = 0
        for segment in found:
            assert segment.start == (made - overlap if made else 0)
            assert 0 < segment.frames <= num_frames
            made = segment.start + segment.frames
        assert made == sum(scenes)
        assert [segment.number for segment in found] == list(range(len(found)))


@pytest.mark.parametrize(
    ("scenes", "num_frames", "overlap"), [([], 8, 2), ([1], 8, 2), ([9], 2, 2), ([9], 8, 0)]
)
def test_what_cannot_be_joined_is_a_defect(scenes: list[int], num_frames: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="needed"):
        segments_of(scenes, num_frames, overlap)
