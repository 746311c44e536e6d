"""Queries, keys and values by one matrix: the same prediction, and cross-attention left alone."""

from __future__ import annotations

from pathlib import Path

import torch

from i2v.engines.i2vgen_xl.projections import JointProjection, use_joint_projections
from tests.engines.i2vgen_xl.test_unet import conditions, noise, our_prediction, relative, stock_unet
from tests.shaken import shaken


def test_predictions_stay_and_so_does_what_attends_to_the_prompt(tiny_folder: Path) -> None:
    plain, joint = (shaken(stock_unet(tiny_folder)) for _ in range(2))
    use_joint_projections(joint)
    latents, given = noise(1, 4, 4, 8, 8), conditions(plain, 2, 4, 8, 8)
    assert relative(our_prediction(joint, latents, given), our_prediction(plain, latents, given)) < 1e-4
    assert sum(parameter.numel() for parameter in joint.parameters()) == sum(
        parameter.numel() for parameter in plain.parameters()
    )
    block = joint.mid_block.attentions[0].transformer_blocks[0]
    assert isinstance(block.attn1.to_q, JointProjection)
    assert isinstance(block.attn2.to_q, torch.nn.Linear)
    along_time = joint.transformer_in.transformer_blocks[0]
    assert all(isinstance(each.to_q, JointProjection) for each in (along_time.attn1, along_time.attn2))
