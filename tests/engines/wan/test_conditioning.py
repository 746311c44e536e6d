"""i2v.engines.wan.conditioning: prompts and picture as diffusers encodes them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers.pipelines.wan.pipeline_wan_i2v import prompt_clean
from PIL import Image

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.engines.base import Inputs
from i2v.engines.wan.conditioning import cleaned, condition, embed
from i2v.engines.wan.engine import WanEngine
from i2v.engines.wan.specs import WAN_TI2V_5B
from i2v.host.embedding_cache import EmbeddingCache, KeptEmbeddings


@pytest.mark.parametrize(
    "text", ["a  cat\n turns", "镜头向左，猫转头！", "Rock &amp;amp; roll", "“quoted” schÃ¶n", "", "\ufeffa"]
)
def test_prompts_are_cleaned_as_stock_cleans_them(text: str) -> None:
    assert cleaned(text) == prompt_clean(text)


def test_what_is_cut_off_a_prompt_is_said(engine: WanEngine, clip: Generation, image: Image.Image) -> None:
    long = "a cat pans left " * 128 + "the camera turns"  # 4 x 128 tokens are one more than fit
    given, (notice,) = condition(engine.components, WAN_TI2V_5B, replace(clip, prompt=long), Inputs(image))
    assert (notice.code, notice.params["limit"]) == ("prompt.truncated", 512)
    assert notice.params["removed"] == "left the camera turns"
    assert given.prompt_embeds.shape[:2] == (2, 512)


def test_without_guidance_the_negative_prompt_is_not_encoded(
    engine: WanEngine, clip: Generation, image: Image.Image
) -> None:
    given, _ = condition(engine.components, WAN_TI2V_5B, replace(clip, guidance_scale=1.0), Inputs(image))
    assert len(given.prompt_embeds) == 1
    assert [len(rows) for rows in given.rows(1.0, 2)] == [1]


@torch.inference_mode()
def test_after_its_end_a_text_says_nothing(engine: WanEngine) -> None:
    states, removed = embed(engine.components, ["a cat", ""], 16)
    assert removed == ["", ""]
    assert states[0, :3].abs().sum(-1).min() > 0
    assert states[0, 3:].abs().max() == 0
    alone, _ = embed(engine.components, ["a cat"], 16)
    assert torch.equal(states[0], alone[0]), "whatever is encoded beside it"


def test_a_kept_prompt_gives_the_same_states_without_the_text_encoder(
    wan_folder: Path, clip: Generation, image: Image.Image, tmp_path: Path
) -> None:
    def load() -> WanEngine:
        return WanEngine.load(WAN_TI2V_5B, wan_folder, MemoryPlan("cpu", "float32"))

    clip = replace(clip, prompt="the  camera &amp; pans left ")  # which is not what the encoder reads
    kept = KeptEmbeddings(EmbeddingCache(tmp_path / "embeddings", 1), "digest")
    first, second = load(), load()
    inputs = Inputs(image, embeddings=kept)
    plain, _ = condition(first.components, WAN_TI2V_5B, clip, Inputs(image))
    made, _ = condition(first.components, WAN_TI2V_5B, clip, inputs)
    again, _ = condition(second.components, WAN_TI2V_5B, clip, inputs)
    assert torch.equal(plain.prompt_embeds, made.prompt_embeds)
    assert torch.equal(plain.prompt_embeds, again.prompt_embeds)
    assert second.components.text_encoder.shared.weight.is_meta, "it was not loaded"
    second.components.settle("none")  # nor is it moved, wherever it is to be
    kept.cache.forget([clip.prompt, clip.negative_prompt])
    assert list(kept.cache.folder.iterdir()) == [], "a prompt is known by the words of the request"
    condition(first.components, WAN_TI2V_5B, clip, inputs)
    for changes in ({"prompt": "a cat"}, {"negative_prompt": "head"}):
        other = load()
        condition(other.components, WAN_TI2V_5B, replace(clip, **changes), inputs)
        assert not other.components.text_encoder.shared.weight.is_meta, changes


@torch.inference_mode()
def test_the_picture_takes_the_place_of_the_first_latent_frame(
    engine: WanEngine, clip: Generation, image: Image.Image
) -> None:
    given, _ = condition(engine.components, WAN_TI2V_5B, clip, Inputs(image))
    latents = torch.randn(1, 48, 3, 4, 6)
    placed = given.placed(latents)
    assert torch.equal(placed[:, :, :1], given.first_frame)
    assert torch.equal(placed[:, :, 1:], latents[:, :, 1:])
