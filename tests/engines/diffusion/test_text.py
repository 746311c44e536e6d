"""i2v.engines.diffusion.text: a prompt's states, and what was cut off."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import ModelUnavailable
from i2v.engines.diffusion.folder import Folder
from i2v.engines.diffusion.text import encode_text, load_tokenizer
from tests.tiny_model import tiny_text_encoder


@torch.inference_mode()
def test_states_are_normed_and_those_of_an_earlier_layer_where_that_is_asked(
    tiny_spec: EngineSpec, tiny_folder: Path
) -> None:
    tokenizer, encoder = load_tokenizer(Folder(tiny_spec, tiny_folder)), tiny_text_encoder().eval()
    states, removed = encode_text(tokenizer, encoder, "zoom in", 77)
    ids = tokenizer("zoom in", padding="max_length", max_length=77, return_tensors="pt").input_ids
    assert torch.allclose(states, encoder(ids).last_hidden_state, atol=1e-6)
    assert removed == ""
    assert not torch.allclose(encode_text(tokenizer, encoder, "zoom in", 77, clip_skip=1)[0], states)
    _, removed = encode_text(tokenizer, encoder, "zoom in " * 60, 77)
    assert removed.startswith(("zoom", "in"))


def test_a_tokenizer_that_is_not_there_is_named(
    tiny_spec: EngineSpec, tiny_folder: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "model"))
    (folder / "tokenizer/vocab.json").unlink()
    with pytest.raises(ModelUnavailable) as caught:
        load_tokenizer(Folder(tiny_spec, folder))
    assert caught.value.params["path"] == str(folder / "tokenizer/vocab.json")
