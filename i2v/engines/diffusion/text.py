"""A prompt as CLIP's text encoder sees it."""

from __future__ import annotations

from typing import cast

import torch
from transformers import CLIPTextModel, CLIPTokenizer

from i2v.engines.diffusion.folder import Folder


def load_tokenizer(source: Folder) -> CLIPTokenizer:
    """Return the tokenizer of a model's folder; raises `ModelUnavailable`."""
    source.file("tokenizer/vocab.json")
    source.file("tokenizer/merges.txt")
    try:
        return cast(
            "CLIPTokenizer", CLIPTokenizer.from_pretrained(source.path / "tokenizer", local_files_only=True)
        )
    except (OSError, ValueError, KeyError) as error:
        raise source.unreadable(source.path / "tokenizer", error) from error


def encode_text(
    tokenizer: CLIPTokenizer, encoder: CLIPTextModel, text: str, limit: int, clip_skip: int = 0
) -> tuple[torch.Tensor, str]:
    """Return the text's (1, `limit`, D) states and what of `text` was cut off.

    The states are those of the layer before the last `clip_skip`, normed.
    """
    ids = tokenizer(
        text, padding="max_length", max_length=limit, truncation=True, return_tensors="pt"
    ).input_ids
    whole = tokenizer(text, verbose=False).input_ids
    removed = tokenizer.decode(whole[limit - 1 : -1]).strip() if len(whole) > limit else ""
    states = encoder(ids.to(encoder.device), output_hidden_states=True).hidden_states
    # transformers 5 moved what was `text_model` into the class itself
    core = getattr(encoder, "text_model", encoder)
    return core.final_layer_norm(states[-(clip_skip + 1)]), removed
