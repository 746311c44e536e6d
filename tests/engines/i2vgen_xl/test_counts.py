"""What a clip costs, in counts that no machine changes: evaluations, operations, projections."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.i2vgen_xl.components import Components, load_components
from i2v.engines.i2vgen_xl.conditioning import Conditioning, condition
from i2v.engines.i2vgen_xl.sampling import denoise, initial_state
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.engines.i2vgen_xl.stock import load_stock
from i2v.media.image import fit_picture
from i2v.weights import EMBEDDED_FOLDER as FOLDER

PLAN = MemoryPlan("cpu", "float32")


@pytest.fixture(scope="module")
def components() -> Components:
    return load_components(EMBEDDED, FOLDER, PLAN)


@pytest.fixture
def asked(generation: Generation) -> Generation:
    size = {"generated_width": 32, "generated_height": 32}
    return replace(generation, num_inference_steps=25, guidance_scale=1.0, num_frames=8, **size)


def conditioned(components: Components, asked: Generation, photo: Image.Image) -> Conditioning:
    return condition(components, EMBEDDED, asked, fit_picture(photo, 32, 32, "crop").image)


@pytest.mark.parametrize(
    ("speed", "guidance_scale", "evaluations", "rows"),
    [pytest.param("exact", 1.0, 25, 1, marks=pytest.mark.slow), ("fast", 1.0, 11, 1), ("fast", 2.5, 11, 2)],
)
def test_a_clip_asks_the_network_so_often_and_projects_its_context_once(
    components: Components,
    asked: Generation,
    photo: Image.Image,
    speed: str,
    guidance_scale: float,
    evaluations: int,
    rows: int,
) -> None:
    asked = replace(asked, speed=speed, guidance_scale=guidance_scale)
    given = conditioned(components, asked, photo)
    unet = components.unet
    seen: dict[str, list[int]] = {"network": [], "keys": []}
    attention = unet.mid_block.attentions[0].transformer_blocks[0].attn2
    watched = {"network": unet.conv_out, "keys": attention.to_k}
    hooks = [
        module.register_forward_pre_hook(lambda _, inputs, rows=seen[name]: rows.append(len(inputs[0])))
        for name, module in watched.items()
    ]
    try:
        for _ in denoise(components, given, initial_state(components, asked), asked, PLAN):
            pass
    finally:
        for hook in hooks:
            hook.remove()
    assert seen == {"network": [rows * asked.num_frames] * evaluations, "keys": [rows]}


@torch.inference_mode()
def test_a_step_takes_fewer_operations_than_stocks(
    components: Components, asked: Generation, photo: Image.Image
) -> None:
    asked = replace(asked, guidance_scale=2.5)
    given = conditioned(components, asked, photo)
    latents = initial_state(components, asked).latents
    with FlopCounterMode(display=False) as ours:
        next(denoise(components, given, initial_state(components, asked), asked, PLAN))
    with FlopCounterMode(display=False) as stocks:
        load_stock(FOLDER).unet(
            latents.expand(2, -1, -1, -1, -1),
            torch.tensor(481),
            fps=given.fps,
            image_latents=given.image_latents,
            image_embeddings=given.image_embeddings[:, 0],
            encoder_hidden_states=given.prompt_embeds,
        )
    # ours has what is computed once a clip in it
    assert ours.get_total_flops() < 0.9 * stocks.get_total_flops()
