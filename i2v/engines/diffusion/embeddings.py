"""The states of prompts, from the disk where they are there: the text encoder may then stay unloaded.

Knows how a tensor becomes bytes and what it must look like; files and their limits are `host`'s business.
Each text is encoded alone, so that its states depend on nothing else: they are the same bits, kept or not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from i2v.host.embedding_cache import KeptEmbeddings

_NAME = "states"


def states_of(
    texts: Sequence[str],
    kept: KeptEmbeddings | None,
    facts: Mapping[str, object],
    width: int,
    dtype: torch.dtype,
    encode: Callable[[Sequence[str]], Sequence[torch.Tensor]],
) -> list[torch.Tensor]:
    """Return the states of each text, (n, `width`) in `dtype` on the CPU, n as the text is long.

    Args:
        kept: `None`: all are encoded, and nothing is kept.
        facts: all that an embedding depends on besides the files.
        encode: gives what is not kept, in the same form; not called where all is.
    """
    if kept is None:
        return list(encode(texts))
    known = {
        "text": kept.text_sha256,
        "dtype": str(dtype),
        "torch": torch.__version__.partition("+")[0],
        **facts,
    }
    found = {text: _read(kept.cache.read(text, known), width, dtype) for text in texts}
    missing = [text for text, states in found.items() if states is None]
    made = dict(zip(missing, encode(missing) if missing else (), strict=True))
    for text, states in made.items():
        kept.cache.write(text, known, save({_NAME: states.contiguous()}))
    whole = {text: states for text, states in found.items() if states is not None} | made
    return [whole[text] for text in texts]


def _read(payload: bytes | None, width: int, dtype: torch.dtype) -> torch.Tensor | None:
    """Return the tensor; `None` where it is not such a one, which another version may have written."""
    if payload is None:
        return None
    try:
        states = load(payload).get(_NAME)
    except SafetensorError:
        return None
    if states is None or states.dtype != dtype or states.dim() != 2 or states.shape[1] != width:
        return None
    return states
