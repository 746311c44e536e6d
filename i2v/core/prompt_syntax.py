"""Pieces of a prompt that other programs take as instructions: weights, LoRAs, choices, flags.

The models here read such a piece as the words that it consists of, and a person should know that it does
nothing more. Pure: it finds pieces and changes no prompt. Where a piece may be ordinary writing (one pair of
brackets, a time, a dash, a path), it is taken for that.
"""

from __future__ import annotations

import re

from i2v.core.errors import Notice
from i2v.core.fields import shown

SHOWN = 3  # pieces that are named

_INSIDE = r"[^()\[\]]"
_NUMBER = r"[-+]?(?:\d{1,2}(?:\.\d+)?|\.\d+)"
_FLAGS = (
    "ar|aspect|no(?! one| longer| more)|v|version|niji|style|stylize|chaos|seed|quality|iw|sref|cref|motion"
    "|camera|neg|negative_prompt|raw|tile|video|loop|steps|cfg|sampler|fps|gs|width|height"
)
_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # (word:1.2): with decimals, or a letter before the colon. Not (10:30), [16:9], (aspect ratio 2.39:1).
        rf"[(\[](?={_INSIDE}*[^\W\d]){_INSIDE}{{1,200}}:[-+]?\d?\.\d+[)\]]",
        rf"[(\[](?={_INSIDE}*[^\W\d]){_INSIDE}{{1,200}}: [01]?\.\d+[)\]]",
        rf"\({_INSIDE}{{0,200}}[^\W\d]:\d\)",
        r"[)\]]:[-+]?\d?\.?\d+[)\]]",
        r"\)(?:\d\.\d+|\++)(?!\w)",
        # ((word)), [[word]], and [word] where it is one of a list of words
        rf"(?<![\w(])\({{2,}}{_INSIDE}{{1,200}}\){{2,}}",
        rf"(?<![\w\[])\[{{2,}}{_INSIDE}{{1,200}}\]{{2,}}",
        r"(?:(?<=,)|\A)\s*\[[^\W\d][^()\[\]|:,]{0,60}\](?=\s*(?:,|\Z))",
        # [from:to:when], [a|b], {a|b}, __wildcard__
        rf"\[[^()\[\]:]{{0,100}}:(?!\d+:)[^()\[\]:]{{0,100}}:{_NUMBER}\]",
        r"\[[^\[\]|]{1,100}(?:\|[^\[\]|]{1,100})+\]",
        r"\{[^{}|;=]{0,100}[^\s{}|;=][^{}|;=]{0,100}(?:\|[^{}|;=]{1,100})+\}",
        r"(?<![\w\"'`.])__[a-z][\w/*.-]{0,60}?__(?![\w\"'`]|\s*[(=])",
        # <lora:name:0.8>, embedding:name
        r"<(?:lora|lyco|lycoris|loha|hypernet|embedding|ti|wlr)\s*:[^<>]{1,200}>",
        rf"<\w{{1,40}}:[^<>:]{{1,100}}:{_NUMBER}>",
        r"(?<!\w)embedding:[\w./-]+",
        # hot::2 dog, --ar 16:9, -motion 2, /imagine
        r"[^\W\d]\w{0,60}::(?:-?\d+(?:\.\d+)?)?(?=\s|\Z)",
        rf"(?<!\S)--(?:{_FLAGS})(?:[ =][\w.:]+)?(?=[\s,]|\Z)",
        r"(?<!\S)--[a-z]{1,16}[ =]\d[\d.:x]*(?=[\s,]|\Z)",
        r"(?<!\S)-(?:ar|gs|motion|neg|camera|fps|seed)\s+[\w.:]+",
        r"\A\s*/(?:imagine|create|animate|describe|blend|dream|video|img2vid)\b(?:\s+prompt:)?",
    )
)
# Capitals among small letters; between capitals it is a word of a title.
_BREAK = re.compile(r"(?<![\w\"'])(?<![A-Z] )BREAK(?![\w\"'])(?! [A-Z]{2})")


def find_syntax(prompt: str) -> list[str]:
    """Return the pieces in their order, each once; none that lies within another."""
    found = [match for pattern in _PATTERNS for match in pattern.finditer(prompt)]
    if not prompt.isupper():
        found.extend(_BREAK.finditer(prompt))
    pieces, end = [], 0
    for match in sorted(found, key=lambda match: (match.start(), -match.end())):
        if match.end() > end:
            pieces.append(match.group().strip())
            end = match.end()
    return list(dict.fromkeys(pieces))


def notices_on_syntax(prompt: str, negative_prompt: str) -> tuple[Notice, ...]:
    """Return a notice for each of the two that has such pieces."""
    found = (("prompt.syntax", find_syntax(prompt)), ("prompt.negative_syntax", find_syntax(negative_prompt)))
    return tuple(Notice(code, {"pieces": _listed(pieces)}) for code, pieces in found if pieces)


def _listed(pieces: list[str]) -> str:
    more = len(pieces) - SHOWN
    return ", ".join([*(shown(piece) for piece in pieces[:SHOWN]), *([f"(+ {more})"] if more > 0 else [])])
