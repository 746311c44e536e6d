"""Advice on a request, before it is made: what will work, but is likely to disappoint.

Pure: it reads a prompt, numbers and a picture's facts, and knows neither the pixels nor how models are run.
All of it is rough on purpose (no tokenizer, no grammar), so a notice never blocks anything.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.prompt_syntax import notices_on_syntax
from i2v.media.picture_facts import SIDE, PictureFacts

MAX_ACTIONS = 3
MIN_FPS = 6
USUAL_SIDE = 512  # of a picture, in pixels

_LANGUAGES = {"en": "English", "zh-CN": "中文"}
_ABSTRACT = re.compile(
    r"\b(?:beautiful|perfect|amazing|stunning|gorgeous|wonderful|awesome|breathtaking|masterpiece)\b"
    r"|完美|美丽|漂亮|唯美|震撼|绝美"
)
# Verbs of motion by their stems, each counted once however often it stands there.
_ACTIONS = re.compile(
    r"\b(walk|run|jump|turn|rotat|spin|pan|tilt|zoom|wav(?=e[sd]?\b|ing)|smil|fl(?=ies|y|ew)|flow|fall|mov"
    r"|swing|danc|blink|nod|laugh|clos|ris(?=es?\b|ing)|drift|crash|bloom|blow|sway|rippl|push|pull|driv"
    r"|swim|climb|shak|splash|float|slid|stretch|glow|flicker|spread|melt|grow)[a-z]*"
    r"|(走动|行走|走路|奔跑|跑步|跳跃|转身|旋转|平移|拉近|拉远|推近|推远|挥手|微笑|飞翔|流动|飘动|飘落|落下"
    r"|升起|眨眼|摇摆|点头|跳舞|绽放|移动)"
)


def advise(
    prompt: str,
    picture: PictureFacts | tuple[int, int] | None,
    guidance_scale: float,
    fps: float,
    spec: EngineSpec,
) -> tuple[Notice, ...]:
    """Return what to tell the person who is about to ask for this.

    Args:
        picture: its facts, or its (width, height) in pixels where nobody has examined it, `None` where there
            is no picture yet.
        spec: the engine that would run.
    """
    reads_prompt = spec.capabilities.prompt != "none" and prompt.strip()
    return (
        *_on_picture(picture, spec),
        *(_on_prompt(prompt, spec) if reads_prompt else ()),
        *_on_numbers(guidance_scale if spec.capabilities.guidance_scale else None, fps, spec),
    )


def prompts_of(prompt: str, scenes: Iterable[str]) -> list[str]:
    """Return the prompts that a clip is made by: those of its scenes, each once, where it has some."""
    return list(dict.fromkeys(scenes)) or [prompt]


def limits(generation: Generation, spec: EngineSpec) -> tuple[Notice, ...]:
    """Return what a job is told that asks for more than its engine does: by whatever way it came."""
    can = spec.capabilities
    scenes = (scene.prompt for scene in generation.story)
    prompts = prompts_of(generation.prompt, scenes) if can.prompt != "none" else []
    said = [notice for prompt in prompts if prompt.strip() for notice in _on_motion(prompt, spec)]
    return (
        *(notice for number, notice in enumerate(said) if notice not in said[:number]),
        *_on_guidance(generation.guidance_scale if can.guidance_scale else None, spec),
    )


def _on_picture(picture: PictureFacts | tuple[int, int] | None, spec: EngineSpec) -> Iterator[Notice]:
    if picture is None:
        return
    width, height = (picture.width, picture.height) if isinstance(picture, PictureFacts) else picture
    wanted = spec.native_area_side or USUAL_SIDE
    # A clip of the picture's own size is no better than the picture, and no worse.
    if min(width, height) < wanted and not spec.capabilities.own_size:
        yield Notice("advice.small_picture", {"size": f"{width} x {height}", "wanted": wanted})
    if not isinstance(picture, PictureFacts):
        return
    if picture.sharpness < min(wanted, SIDE, max(width, height)):
        yield Notice("advice.blurred_picture", {"side": picture.sharpness})
    if picture.text_share > 0 and spec.is_generative:  # else nothing is drawn anew, and letters stay
        yield Notice("advice.text_in_picture", {})


def _on_prompt(prompt: str, spec: EngineSpec) -> Iterator[Notice]:
    text = prompt.lower()
    yield from _on_motion(prompt, spec)
    tokens = _count_tokens(prompt)
    if tokens > spec.max_prompt_tokens:
        yield Notice("advice.long_prompt", {"tokens": tokens, "limit": spec.max_prompt_tokens})
    abstract = list(dict.fromkeys(_ABSTRACT.findall(text)))
    if abstract:
        yield Notice("advice.abstract", {"words": ", ".join(abstract)})
    yield from notices_on_syntax(prompt, "")
    actions = len(set(_ACTIONS.findall(text)))
    if actions > MAX_ACTIONS:
        yield Notice("advice.many_actions", {"count": actions, "allowed": MAX_ACTIONS})


def _on_motion(prompt: str, spec: EngineSpec) -> Iterator[Notice]:
    text = prompt.lower()
    if _is_foreign(prompt, spec):
        languages = ", ".join(_LANGUAGES[language] for language in spec.languages)
        yield Notice("advice.language", {"title": spec.title, "languages": languages})
    elif spec.motion_words and not re.search(spec.motion_words, text):
        yield Notice("advice.unknown_motion", {"title": spec.title, "phrases": ", ".join(spec.motions)})
    elif sum(bool(re.search(kind, text)) for kind in spec.motion_kinds) > 1:
        yield Notice("advice.one_motion", {"title": spec.title})


def _on_guidance(guidance_scale: float | None, spec: EngineSpec) -> Iterator[Notice]:
    if guidance_scale is None or guidance_scale <= spec.max_guidance:
        return
    numbers = {"guidance_scale": guidance_scale, "limit": spec.max_guidance}
    if spec.max_guidance <= 1:
        yield Notice("advice.no_guidance", {"title": spec.title, **numbers})
    else:
        yield Notice("advice.high_guidance", {**numbers})


def _on_numbers(guidance_scale: float | None, fps: float, spec: EngineSpec) -> Iterator[Notice]:
    yield from _on_guidance(guidance_scale, spec)
    if fps < MIN_FPS:
        yield Notice("advice.low_fps", {"fps": fps})


def _is_foreign(prompt: str, spec: EngineSpec) -> bool:
    """Tell whether over a fifth of the letters are of another script; languages of one script look alike."""
    scripts = ("LATIN", "CJK UNIFIED") if "zh-CN" in spec.languages else ("LATIN",)
    letters = [letter for letter in prompt if letter.isalpha()]
    strange = sum(not unicodedata.name(letter, "").startswith(scripts) for letter in letters)
    return 5 * strange > len(letters)


def _count_tokens(prompt: str) -> int:
    """Return about how many tokens CLIP makes: four for three English words, one for a sign, two more."""
    words = len(re.findall(r"[A-Za-z']+", prompt))
    signs = len(re.findall(r"[^\sA-Za-z']", prompt))
    return 2 + round(words * 4 / 3) + signs
