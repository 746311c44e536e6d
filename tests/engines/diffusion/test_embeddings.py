"""i2v.engines.diffusion.embeddings: texts are encoded once; what is kept is the same bits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from i2v.engines.diffusion.embeddings import states_of
from i2v.host.embedding_cache import EmbeddingCache, KeptEmbeddings

BF16 = torch.bfloat16


class Encoder:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> list[torch.Tensor]:
        self.asked += texts
        return [torch.full((len(text), 4), 0.1, dtype=BF16) for text in texts]


@pytest.fixture
def kept(tmp_path: Path) -> KeptEmbeddings:
    return KeptEmbeddings(EmbeddingCache(tmp_path, 1), "digest")


def test_only_what_is_not_kept_is_encoded_and_order_stays(kept: KeptEmbeddings) -> None:
    encode = Encoder()
    first = states_of(["ab", "c"], kept, {}, 4, BF16, encode)
    second = states_of(["c", "ddd", "ab", "c"], kept, {}, 4, BF16, encode)
    assert encode.asked == ["ab", "c", "ddd"]
    assert [len(states) for states in second] == [1, 3, 2, 1]
    assert torch.equal(first[0], second[2])


def test_other_weights_and_other_facts_are_other_embeddings(kept: KeptEmbeddings) -> None:
    encode = Encoder()
    other = KeptEmbeddings(kept.cache, "another digest")
    for keeper, facts, dtype in (
        (kept, {}, BF16), (other, {}, BF16), (kept, {"limit": 1}, BF16), (kept, {}, torch.float32),
        (None, {}, BF16),
    ):  # fmt: skip
        states_of(["a"], keeper, facts, 4, dtype, encode)
    assert encode.asked == ["a"] * 5


def test_what_is_no_such_tensor_is_made_again(kept: KeptEmbeddings) -> None:
    encode = Encoder()
    states_of(["a"], kept, {}, 4, BF16, encode)
    states_of(["a"], kept, {}, 5, BF16, encode)  # of another width than what is kept
    (path,) = kept.cache.folder.iterdir()
    path.write_bytes(hashlib.sha256(b"no tensors").digest() + b"no tensors")
    states_of(["a"], kept, {}, 4, BF16, encode)
    assert encode.asked == ["a"] * 3
