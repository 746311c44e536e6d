"""A prompt in English or Chinese, to a move.

Owns how far the words go: a prompt says how fast, so a longer clip goes further, up to a limit that keeps
much of the photograph in view. Deliberately does not know pictures or frames.
"""

from __future__ import annotations

import itertools
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from i2v.core.errors import Notice
from i2v.core.fields import shown
from i2v.engines.camera.move import Easing, Move
from i2v.engines.camera.vocabulary import (
    ADVERB,
    AMOUNTS,
    CAMERA,
    CLAUSE_END,
    EASINGS,
    LOOP,
    NEGATION,
    PATTERNS,
    SENTENCE_END,
    SIDES,
    STILL,
    STILL_CAMERA,
    Axis,
    Direction,
    Pattern,
)

# How far the camera comes in a second at the usual speed, and at most: parts of a frame, the natural
# logarithm of the magnification, degrees.
_SPEED: dict[Axis, float] = {"pan": 0.05, "tilt": 0.05, "zoom": 0.05, "roll": 2.0}
_LIMIT: dict[Axis, float] = {"pan": 0.5, "tilt": 0.5, "zoom": math.log(2), "roll": 20.0}
_DEFAULT_AMOUNT = 0.5  # of the usual speed, when a prompt names no move


@dataclass(frozen=True)
class Reading:
    """What a prompt says. `names_motion`: it asks for a move, or for none ("static shot")."""

    move: Move
    names_motion: bool
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class _Found:
    """Words for a move, from `start` to `end` in the prompt."""

    start: int
    end: int
    directions: tuple[Direction, ...]
    there_and_back: bool


def read_prompt(prompt: str, seconds: float, loop: bool | None = None) -> Reading:
    """Return the move that a prompt asks for.

    Args:
        seconds: the clip's length.
        loop: there and back or not, whatever the prompt says; None: as it says.
    """
    text = unicodedata.normalize("NFKC", prompt).lower().replace("’", "'").replace("\t", " ")
    easing, text = _take_easing(text)
    found = _find_moves(text)
    wanted = [words for words in found if not NEGATION.search(text[: words.start])]
    said_loop = bool(LOOP.search(text)) or any(words.there_and_back for words in wanted)
    loops = said_loop if loop is None else loop
    if not wanted:
        still = bool(found or STILL_CAMERA.search(text) or STILL.search(text))
        return Reading(Move(easing=easing, loop=loops), names_motion=still)
    move, notices = _combine(text, wanted, Move(easing=easing, loop=loops), seconds)
    still_camera = STILL_CAMERA.search(text)
    if still_camera:
        notices += (_contradiction(still_camera.group(), text[wanted[-1].start : wanted[-1].end]),)
    return Reading(move, names_motion=True, notices=notices)


def default_move(move: Move, seconds: float) -> Move:
    """Return `move` with the slow push-in that a prompt without a motion gets."""
    return replace(move, zoom=_distance(("zoom", 1), _DEFAULT_AMOUNT, seconds, move.loop))


def _take_easing(text: str) -> tuple[Easing, str]:
    """Return how the speed changes, and the text without the words for that: "easing in" is no zoom."""
    easing: Easing = "in-out"
    for words, name in EASINGS:
        if words.search(text):
            easing = name
            text = words.sub(lambda match: " " * len(match.group()), text)
            break
    return easing, text


def _find_moves(text: str) -> list[_Found]:
    """Return all words for moves in order, none inside another."""
    candidates = [
        _Found(match.start(), match.end(), *_directions(pattern, match.groupdict()))
        for pattern in PATTERNS
        for match in pattern.words.finditer(text)
        if not pattern.needs_camera or _names_camera(text[: match.start()])
    ]
    candidates.sort(key=lambda words: (words.start, -words.end))
    found: list[_Found] = []
    for words in candidates:
        if not found or words.start >= found[-1].end:
            found.append(words)
    return found


def _names_camera(before: str) -> bool:
    """Tell whether the sentence that a text ends in names the camera."""
    return CAMERA.search(SENTENCE_END.split(before)[-1]) is not None


def _directions(pattern: Pattern, groups: dict[str, str | None]) -> tuple[tuple[Direction, ...], bool]:
    """Return the directions of a match, and whether it asks to go there and back ("left and right")."""
    if pattern.directions:
        return pattern.directions, pattern.there_and_back
    named = groups.get("end") or groups.get("sides") or ""
    positions = sorted((named.find(word), len(word), word) for word in SIDES if word in named)
    directions: dict[Axis, int] = {}
    there_and_back = False
    for _, _, word in positions:
        axis, sign = SIDES[word]
        there_and_back |= directions.setdefault(axis, sign) != sign
    return tuple(directions.items()), there_and_back


def _combine(
    text: str, wanted: Sequence[_Found], move: Move, seconds: float
) -> tuple[Move, tuple[Notice, ...]]:
    """Put all that was found into `move`. Of two opposites the later one counts, unless it loops."""
    amounts = _amounts(text, wanted)
    chosen: dict[Axis, tuple[int, int]] = {}  # the direction and the index in `wanted`
    notices: list[Notice] = []
    for index, words in enumerate(wanted):
        for axis, sign in words.directions:
            if axis in chosen and chosen[axis][0] != sign:
                if move.loop:
                    continue
                earlier = wanted[chosen[axis][1]]
                notices.append(
                    _contradiction(text[earlier.start : earlier.end], text[words.start : words.end])
                )
            chosen[axis] = (sign, index)

    def distance(axis: Axis) -> float:
        sign, index = chosen.get(axis, (0, 0))
        return _distance((axis, sign), amounts[index], seconds, move.loop)

    combined = replace(
        move, pan=distance("pan"), tilt=distance("tilt"), zoom=distance("zoom"), roll=distance("roll")
    )
    return combined, tuple(notices)


def _contradiction(dropped: str, kept: str) -> Notice:
    return Notice("camera.contradiction", {"dropped": shown(dropped.strip()), "kept": shown(kept.strip())})


def _distance(direction: Direction, amount: float, seconds: float, loop: bool) -> float:
    """Return how far the camera comes: the value of the move's field. A loop has half the time."""
    axis, sign = direction
    distance = sign * min(_SPEED[axis] * amount * (seconds / 2 if loop else seconds), _LIMIT[axis])
    return math.exp(distance) if axis == "zoom" else distance


def _amounts(text: str, wanted: Sequence[_Found]) -> list[float]:
    """Return a factor on the usual speed for each of `wanted`.

    A word for the amount belongs to the moves of its clause; a clause without one takes that of the clause
    before, else of the one after. A clause without a move counts where it begins with an adverb ("pan left,
    slowly"): in "a fast car" it is the car that is fast.
    """
    bounds = [0, *(match.end() for match in CLAUSE_END.finditer(text)), len(text)]
    said: list[tuple[int, float]] = []  # the start of a clause and its amount
    for start, end in itertools.pairwise(bounds):
        has_move = any(words.start < end and start < words.end for words in wanted)
        amount = _amount(text[start:end], anywhere=has_move)
        if amount is not None:
            said.append((start, amount))
    amounts = []
    for words in wanted:
        before = [amount for start, amount in said if start < words.end]
        after = [amount for start, amount in said if start >= words.end]
        amounts.append(before[-1] if before else after[0] if after else 1.0)
    return amounts


def _amount(clause: str, anywhere: bool) -> float | None:
    """Return the factor that a clause names: `anywhere` in it, or by an adverb at its start."""
    for words, factor in AMOUNTS:
        match = words.search(clause)
        if match and (anywhere or _is_adverb(match, clause)):
            return factor
    return None


def _is_adverb(match: re.Match[str], clause: str) -> bool:
    """Tell whether words for the amount begin a clause as an adverb, or are all of it."""
    before, after = clause[: match.start()].strip(), clause[match.end() :]
    return not before and bool(ADVERB.search(match.group()) or not CLAUSE_END.sub("", after).strip())
