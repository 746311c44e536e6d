"""Whether an error of torch means that memory ran out: `recovery.recovering` asks this of each."""

from __future__ import annotations

import re

import torch

# Torch's words where it has no type for it: its allocators', C++'s, those of CUDA's libraries and of oneDNN,
# where a primitive whose description was accepted fails for nothing else.
_OUT_OF_MEMORY = re.compile(
    r"can't allocate memory|out of memory|bad_alloc|ALLOC_FAILED"
    r"|could not (create|execute) a primitive(?! desc)|could not create a memory"
)


def out_of_memory(error: BaseException) -> str | None:
    """Return the sentence that says what ran out of memory, `None` for any other error."""
    sentences = " ".join(str(error).split()).split(". ")
    telling = [sentence for sentence in sentences if _OUT_OF_MEMORY.search(sentence)]
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        telling += [sentence for sentence in sentences if sentence] or [type(error).__name__]
    elif not isinstance(error, RuntimeError):
        return None
    return telling[0][:200] if telling else None
