"""What videos are called: a pattern such as "{picture}_{seed}", made a name that every file system takes.

Owns the placeholders and what is taken out of texts that may come from anywhere: what Windows, macOS or a
FAT disk refuses, and what a shell would read as something else. Whether a name is taken is not known here.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from i2v.core.generation import Generation

DEFAULT = "{date}_{time}"
PLACEHOLDERS = ("picture", "prompt", "seed", "engine", "date", "time")
MAX_PATTERN = 100  # characters
MAX_NAME = 200  # characters of a picture's name that are kept
_MAX_VALUE = 60  # characters of a picture's name or a prompt that stand in a video's name
_MAX_STEM_BYTES = 200  # of 255: `_2` and the ending follow
_FORBIDDEN = set('<>:"/\\|?*')
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"\{(\w*)\}")
ALLOWED = (
    f"at most {MAX_PATTERN} printable characters without "
    + " ".join(sorted(_FORBIDDEN))
    + "; of what stands in braces: "
    + ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
)


@dataclass(frozen=True)
class NameFacts:
    """What a name may tell of a clip. `picture`: the name of its picture's file, as somebody sent it."""

    picture: str = ""
    prompt: str = ""
    seed: int = 0
    engine: str = ""


def facts_of(generation: Generation, picture: str) -> NameFacts:
    """Return what a name may tell of a clip; `picture`: see `NameFacts`."""
    return NameFacts(picture, generation.prompt, generation.seed, generation.engine)


NO_FACTS = NameFacts()


def check_pattern(pattern: str) -> str:
    """Return the pattern; raise `ValueError` with what is allowed."""
    rest = _PLACEHOLDER.sub("", pattern)
    is_text = 0 < len(pattern) <= MAX_PATTERN and pattern.isprintable() and not _FORBIDDEN & set(pattern)
    known = set(_PLACEHOLDER.findall(pattern)) <= set(PLACEHOLDERS)
    if not is_text or not known or "{" in rest or "}" in rest:
        raise ValueError(ALLOWED)
    return pattern


def stem_of(prefix: str, pattern: str, facts: NameFacts, when: datetime) -> str:
    """Return the name without its ending; what is empty is called by its placeholder.

    when: the local time at which the request was submitted.
    """
    values = {
        "picture": cleaned(PurePosixPath(facts.picture).stem) or "picture",
        "prompt": cleaned(facts.prompt) or "prompt",
        "seed": str(facts.seed),
        "engine": cleaned(facts.engine) or "engine",
        "date": f"{when:%Y%m%d}",
        "time": f"{when:%H%M%S}",
    }
    return _safe(prefix + _PLACEHOLDER.sub(lambda found: values[found[1]], pattern))


def cleaned(text: str) -> str:
    """Return the letters, marks and digits of a text, in any script, with one _ for what is between them."""
    normal = unicodedata.normalize("NFC", text)
    kept = "".join(each if each == "-" or unicodedata.category(each)[0] in "LMN" else "_" for each in normal)
    return re.sub(r"_+", "_", kept).strip("_-")[:_MAX_VALUE].rstrip("_-")


def picture_name(sent: str) -> str:
    """Return the name of a picture's file without its folders, of what a client says that it is called."""
    name = re.split(r"[/\\]", sent)[-1]
    printable = "".join(each for each in name if each.isprintable())
    return printable.strip()[-MAX_NAME:]


def _safe(stem: str) -> str:
    """Return the stem as every system takes it: not too long, not hidden, not the name of a device."""
    short = stem.encode()[:_MAX_STEM_BYTES].decode(errors="ignore").rstrip(" .")
    if not short or short.startswith(".") or _RESERVED.fullmatch(short):
        return f"_{short}"
    return short
