"""Plans of batches: what is drawn, in which shapes, and the same in every process that must agree."""

from __future__ import annotations

import random

import pytest
import torch
from transformers import CLIPTokenizer

from i2v.weights import EMBEDDED_FOLDER as FOLDER
from scripts.train_embedded.motions import EASY, Clip, Mix, Take
from scripts.train_embedded.plans import Course, Plan, Recipe, draw_plan, motion_in, oblongs, plans

SIZES = [[(200, 280), (141, 198)], [(240, 180)]]


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(FOLDER / "tokenizer")


def clip(name: str) -> Clip:
    return Clip(Take((name,)), 8, 8, "a prompt", "another")


def test_a_plan_has_the_positions_of_the_frames_that_are_shown(tokenizer: CLIPTokenizer) -> None:
    recipe = Recipe(Mix(), num_frames=16, shown=4, first=2, view=(112, 144))
    plan = draw_plan(SIZES, tokenizer, 3, recipe, random.Random(0))
    assert plan.geometry.shape == (3, 4, 2, 3)
    assert plan.ids.shape == plan.opposite_ids.shape == (3, 77)
    frames = plan.ramp * 15
    assert torch.allclose(frames, frames.round(), atol=1e-4)
    assert (frames[:, 0] == 0).all()
    assert (frames.diff(dim=1) > 0.5).all()
    assert frames[:, 1:].min() > 1.5, "from the frame that was said to be the first"
    assert plan.fps.tolist() == [each.fps for each in plan.clips]


def test_what_is_seen_lies_in_the_photograph(tokenizer: CLIPTokenizer) -> None:
    plan = draw_plan(SIZES, tokenizer, 40, Recipe(Mix(), 8, 8, view=(128, 128)), random.Random(1))
    x, y = torch.meshgrid(torch.tensor([-64.0, 64.0]), torch.tensor([-64.0, 64.0]), indexing="ij")
    corners = torch.stack([x.flatten(), y.flatten(), torch.ones(4)])
    for place, geometry in zip(plan.places, plan.geometry, strict=True):
        height, width = SIZES[place[0]][place[1]]
        across, down = (geometry @ corners).unbind(1)
        assert across.min() > -1
        assert across.max() < width + 1
        assert down.min() > -1
        assert down.max() < height + 1


def test_prompts_and_pictures_are_left_out_as_often_as_is_asked(tokenizer: CLIPTokenizer) -> None:
    whole = draw_plan(SIZES, tokenizer, 20, Recipe(EASY, 8, 2), random.Random(0))
    bare = draw_plan(SIZES, tokenizer, 20, Recipe(EASY, 8, 2, dropout=1.0), random.Random(0))
    assert whole.shown.all()
    assert not bare.shown.any()
    wanted = tokenizer([c.prompt for c in whole.clips], padding="max_length", return_tensors="pt").input_ids
    assert torch.equal(whole.ids, wanted)
    assert not torch.equal(bare.ids, bare.opposite_ids)


def test_processes_that_train_together_draw_other_clips_of_the_same_shapes(tokenizer: CLIPTokenizer) -> None:
    course = Course(Mix(), (8, 16), (64, 96), batch=2, aspects=0.3, pairs=0.3)

    def drawn(rank: int) -> list[Plan]:
        stream = plans(SIZES, tokenizer, course, seed=0, rank=rank)
        return [next(stream) for _ in range(8)]

    first, second, again = drawn(0), drawn(1), drawn(0)
    assert [(p.view, p.ramp.shape) for p in first] == [(p.view, p.ramp.shape) for p in second]
    assert len({(p.view, p.ramp.shape) for p in first}) > 2
    assert first[0].clips != second[0].clips
    assert [p.clips for p in first] == [p.clips for p in again]


def test_a_batch_of_larger_or_longer_clips_has_fewer() -> None:
    course = Course(EASY, (8,), (64, 128), batch=8)
    counts = {recipe.view: count for count, recipe in (course.draw(random.Random(k)) for k in range(20))}
    assert counts == {(64, 64): 8, (128, 128): 2}


def test_in_a_part_of_a_frame_a_border_moves_by_as_many_pixels() -> None:
    whole, part = motion_in(clip("zoom_in"), 128, 128), motion_in(clip("zoom_in"), 64, 64)
    assert part.zoom == pytest.approx(2 * whole.zoom)
    assert motion_in(clip("pan_left"), 64, 64).pan == motion_in(clip("pan_left"), 128, 128).pan


@pytest.mark.parametrize("side", [128, 160])
def test_oblong_views_have_a_squares_area_and_sides_that_the_unet_can_halve(side: int) -> None:
    for height, width in oblongs(side):
        assert height != width
        assert height % 16 == width % 16 == 0
        assert height * width == pytest.approx(side**2, rel=0.13)
