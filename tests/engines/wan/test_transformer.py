"""i2v.engines.wan.transformer: diffusers' numbers, whatever the chunk."""

from __future__ import annotations

import pytest
import torch

from i2v.engines.wan.transformer import Pieces, predict, use_lean_blocks
from tests.tiny_wan import TEXT_WIDTH, tiny_transformer


@pytest.mark.parametrize("chunk_tokens", [0, 1, 4, 7])
@torch.inference_mode()
def test_it_predicts_what_diffusers_forward_does(chunk_tokens: int) -> None:
    torch.manual_seed(0)
    transformer = tiny_transformer().eval()
    latents, text = torch.randn(1, 48, 3, 4, 6), torch.randn(2, 5, TEXT_WIDTH)
    times = torch.full((1, 3, 2, 3), 700)
    times[:, 0] = 0
    stock = transformer(
        latents.expand(2, -1, -1, -1, -1), times.flatten()[None].expand(2, -1), text, return_dict=False
    )[0]
    names = set(transformer.state_dict())
    use_lean_blocks(transformer)
    assert set(transformer.state_dict()) == names
    ours = predict(transformer, latents, torch.tensor(700), text, chunk_tokens, first_is_still=True)
    assert ours.shape == stock.shape
    assert (ours - stock).abs().max() <= 1e-5


def test_pieces_hold_each_token_once_and_never_two_times() -> None:
    pieces = list(Pieces(still=6, total=20, chunk=4))
    assert [(piece.start, piece.stop, row) for piece, row in pieces] == [
        (0, 4, 0), (4, 6, 0), (6, 10, 1), (10, 14, 1), (14, 18, 1), (18, 20, 1),
    ]  # fmt: skip
