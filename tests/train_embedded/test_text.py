"""The tokenizer: every text can be written in it, and a Chinese phrase falls into characters."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import pytest
import torch
from transformers import CLIPTokenizer

from scripts.train_embedded.motions import CHINESE_PHRASES, MOTIONS, PHRASES, Take
from scripts.train_embedded.text import (
    MAX_LENGTH,
    build_tokenizer,
    embed,
    new_text_encoder,
    place_of,
    states_of_motions,
    take_over,
    train,
    with_foreign_words,
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    folder = tmp_path_factory.mktemp("tokenizer")
    build_tokenizer(folder)
    return CLIPTokenizer.from_pretrained(folder)


@pytest.mark.parametrize(
    "text", ["the camera pans left", "zoom in, 4k!", "镜头向左移动", "naïve žluť 🎬 مرحبا"]
)
def test_a_text_survives(tokenizer: CLIPTokenizer, text: str) -> None:
    ids = tokenizer(text).input_ids
    assert tokenizer.unk_token_id not in ids[1:-1] or tokenizer.unk_token_id == tokenizer.eos_token_id
    decoded = tokenizer.decode(ids, skip_special_tokens=True)
    assert decoded.replace(" ", "") == text.replace(" ", "")


def test_a_chinese_character_is_one_token_wherever_it_stands(tokenizer: CLIPTokenizer) -> None:
    for phrases in CHINESE_PHRASES.values():
        for phrase in phrases:
            assert len(tokenizer.tokenize(phrase)) == len(phrase)


def test_english_phrases_are_a_token_a_word(tokenizer: CLIPTokenizer) -> None:
    for phrases in PHRASES.values():
        for phrase in phrases:
            assert len(tokenizer.tokenize(phrase)) <= len(phrase.replace("-", " - ").split()) + 1


def test_long_texts_are_cut_to_the_length_the_model_reads(tokenizer: CLIPTokenizer) -> None:
    ids = tokenizer("pan " * 500, truncation=True, padding="max_length").input_ids
    assert len(ids) == MAX_LENGTH == 77


@pytest.mark.parametrize("prompt", ["the camera pans left", "镜头向左移动"])
def test_foreign_words_come_between_those_of_the_prompt(prompt: str) -> None:
    rng = random.Random(0)
    for _ in range(20):
        noisy = with_foreign_words(prompt, rng)
        assert len(noisy) > len(prompt)
        if prompt.isascii():
            left = iter(noisy.split(" "))
            assert all(word in left for word in prompt.split(" ")), "whole, and in their order"
        else:
            assert prompt in noisy


def test_a_plain_motion_has_its_place_and_the_rest_has_none() -> None:
    assert [place_of(Take((name,))) for name in MOTIONS] == list(range(8))
    assert place_of(None) == 8
    for take in (Take(()), Take(("pan_left", "zoom_in")), Take(("pan_left",), "slow")):
        assert place_of(take) == -1


@pytest.mark.slow
def test_an_encoder_that_takes_over_starts_where_the_other_was_and_can_be_kept_there(
    tokenizer: CLIPTokenizer,
) -> None:
    torch.manual_seed(0)
    earlier, later = new_text_encoder(tokenizer), new_text_encoder(tokenizer)
    assert tokenizer.backend_tokenizer.model.dropout is None
    prompts = ["the camera pans left", "拉近"]
    with torch.no_grad():
        before = embed(tokenizer, earlier, prompts)[0]
        assert not torch.allclose(embed(tokenizer, later, prompts)[0], before, atol=0.1)
        take_over(tokenizer, later, tokenizer, earlier)
        assert torch.equal(embed(tokenizer, later, prompts)[0], before)
    kept = states_of_motions(tokenizer, earlier, random.Random(0))
    assert kept.shape == (9, 64)
    freely = copy.deepcopy(later)
    train(tokenizer, later, 12, 0, kept)
    train(tokenizer, freely, 12, 0)
    held, free = (
        (states_of_motions(tokenizer, model, random.Random(0)) - kept).norm() for model in (later, freely)
    )
    assert held < free
    assert tokenizer.backend_tokenizer.model.dropout is None, "only while it learns"


@pytest.mark.slow
def test_a_token_keeps_its_embedding_in_another_vocabulary(tmp_path: Path, tokenizer: CLIPTokenizer) -> None:
    build_tokenizer(tmp_path, vocabulary=540)
    smaller = CLIPTokenizer.from_pretrained(tmp_path)
    earlier, later = new_text_encoder(smaller), new_text_encoder(tokenizer)
    own = later.get_input_embeddings().weight.clone()
    take_over(tokenizer, later, smaller, earlier)
    was, now = (model.get_input_embeddings().weight for model in (earlier, later))
    known = smaller.get_vocab()
    assert len(known) < len(tokenizer.get_vocab())
    for token, row in tokenizer.get_vocab().items():
        assert torch.equal(now[row], was[known[token]] if token in known else own[row]), token
