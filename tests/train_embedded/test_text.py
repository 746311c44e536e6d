"""The tokenizer: every text can be written in it, and a Chinese phrase falls into characters."""

from __future__ import annotations

import pytest
from transformers import CLIPTokenizer

from scripts.train_embedded.motions import CHINESE_PHRASES, PHRASES
from scripts.train_embedded.text import MAX_LENGTH, build_tokenizer


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
