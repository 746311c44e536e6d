"""Layouts: views where memory is channels-last, and weights that no call has to copy first."""

from __future__ import annotations

import torch
from torch import nn

from i2v.engines.i2vgen_xl.layouts import as_frames, as_tokens, over_time, use_channels_last_weights

FRAMES = torch.randn(6, 5, 4, 3).contiguous(memory_format=torch.channels_last)  # two rows of three frames


def test_the_three_ways_to_see_a_clip_share_its_memory() -> None:
    tokens = as_tokens(FRAMES, num_frames=3)
    assert tokens.shape == (2, 3, 12, 5)
    assert over_time(FRAMES, num_frames=3).shape == (2, 5, 3, 12)
    back = as_frames(tokens, 4, 3)
    assert torch.equal(back, FRAMES)
    assert {seen.data_ptr() for seen in (tokens, over_time(FRAMES, 3), back)} == {FRAMES.data_ptr()}


def test_weights_keep_their_values_and_are_as_the_kernels_take_them() -> None:
    model = nn.ModuleList([nn.Conv2d(4, 8, 3), nn.Conv3d(4, 8, (3, 1, 1)), nn.Linear(4, 8)])
    before = [parameter.clone() for parameter in model.parameters()]
    use_channels_last_weights(model)
    assert all(map(torch.equal, before, model.parameters()))
    for weight in (model[0].weight, model[1].weight[..., 0]):  # the second as `convolve_over_time` has it
        assert weight.is_contiguous(memory_format=torch.channels_last)
        assert not weight.is_contiguous()
