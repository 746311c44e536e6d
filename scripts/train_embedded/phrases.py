"""The words for camera motions, in English and Chinese, and prompts made of them.

A prompt says which motions (none: static), how fast, and with what easing; what that amounts to in pixels is
`motions`' business. Every table has a part that is trained on and a part that is held out: evaluation reports
the two apart.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

# The names of the eight motions stand for full, linear motions at the usual speed: no word in this table says
# how fast.
PHRASES: dict[str, tuple[str, ...]] = {
    "pan_left": (
        "pan left", "pans left", "the camera pans left", "camera panning left",
        "panning to the left",
        "the camera pans to the left", "camera moves left", "the camera moves to the left", "leftward pan",
        "the view slides left",
    ),
    "pan_right": (
        "pan right", "pans right", "the camera pans right", "camera panning right",
        "panning to the right",
        "the camera pans to the right", "camera moves right", "the camera moves to the right",
        "rightward pan",
        "the view slides right",
    ),
    "tilt_up": (
        "tilt up", "tilts up", "the camera tilts up", "camera tilting up", "tilting upwards",
        "pan up", "pans up",
        "the camera pans up", "camera moves up", "the camera moves upward", "upward tilt",
        "the view slides up",
    ),
    "tilt_down": (
        "tilt down", "tilts down", "the camera tilts down", "camera tilting down",
        "tilting downwards",
        "pan down", "pans down", "the camera pans down", "camera moves down", "the camera moves downward",
        "downward tilt",
        "the view slides down",
    ),
    "zoom_in": (
        "zoom in", "zooms in", "the camera zooms in", "camera zooming in",
        "zooming in closer",
        "push in", "the camera pushes in", "the camera moves closer", "dolly in", "move closer",
        "camera moves forward",
    ),
    "zoom_out": (
        "zoom out", "zooms out", "the camera zooms out", "camera zooming out",
        "zooming out wider", "pull back", "the camera pulls back", "the camera moves away", "dolly out",
        "move away",
        "camera moves backward",
    ),
    "rotate_cw": (
        "rotate clockwise", "rotates clockwise", "the picture rotates clockwise", "rotating clockwise",
        "turn clockwise", "turns clockwise", "clockwise rotation", "the view spins clockwise",
        "a clockwise turn",
    ),
    "rotate_ccw": (
        "rotate counterclockwise", "rotates counterclockwise", "the picture rotates counterclockwise",
        "rotating counter-clockwise", "turn counterclockwise",
        "turns anticlockwise",
        "counterclockwise rotation", "the view spins counterclockwise", "an anticlockwise turn",
    ),
}  # fmt: skip

CHINESE_PHRASES: dict[str, tuple[str, ...]] = {
    "pan_left": ("向左平移", "向左移动", "左移", "向左摇", "往左移", "左摇", "向左横移"),
    "pan_right": ("向右平移", "向右移动", "右移", "向右摇", "往右移", "右摇", "向右横移"),
    "tilt_up": ("向上移动", "上移", "向上平移", "上摇", "向上摇", "往上移", "向上抬起", "上升"),
    "tilt_down": ("向下移动", "下移", "向下平移", "下摇", "向下摇", "往下移", "向下压低", "下降"),
    "zoom_in": ("拉近", "推近", "放大", "推进", "向前推进", "靠近", "前进"),
    "zoom_out": ("拉远", "推远", "缩小", "向后拉", "远离", "后退", "拉开"),
    "rotate_cw": ("顺时针旋转", "顺时针转动", "顺时针转", "按顺时针方向旋转"),
    "rotate_ccw": ("逆时针旋转", "逆时针转动", "逆时针转", "按逆时针方向旋转"),
}

STATIC_PHRASES = (
    "the camera stays still", "a still picture", "static shot", "the camera does not move", "fixed camera",
    "no camera movement", "locked-off camera", "a still image",
    "镜头静止", "固定镜头", "镜头不动", "画面静止", "静止画面", "镜头保持不动",
)  # fmt: skip

# Whole phrasings that training never sees, at the usual speed. A Chinese one is its subject and its motion,
# so that a word for the speed finds its place between them.
HELD_OUT_PHRASES: dict[str, tuple[str, ...]] = {
    "pan_left": (
        "a camera pan towards the left", "the shot drifts leftwards", "the camera sweeps to the left",
        "摄影机渐渐向左平移", "视角往左边移动",
    ),
    "pan_right": (
        "a camera pan towards the right", "the shot drifts rightwards", "the camera sweeps to the right",
        "摄影机渐渐向右平移", "视角往右边移动",
    ),
    "tilt_up": (
        "the camera tilts upward", "the shot drifts upwards", "the camera sweeps up", "摄影机渐渐向上移动",
        "视角往上方移动",
    ),
    "tilt_down": (
        "the camera tilts downward", "the shot drifts downwards", "the camera sweeps down",
        "摄影机渐渐向下移动", "视角往下方移动",
    ),
    "zoom_in": (
        "a smooth zoom in on the subject", "the shot zooms in", "the camera comes closer", "摄影机渐渐推近",
        "视角向前拉近",
    ),
    "zoom_out": (
        "a smooth zoom out from the subject", "the shot zooms out", "the camera backs away",
        "摄影机渐渐拉远", "视角向后拉远",
    ),
    "rotate_cw": (
        "the scene turns clockwise", "the shot rotates clockwise", "a clockwise spin of the image",
        "场景渐渐顺时针转动", "视角顺时针旋转",
    ),
    "rotate_ccw": (
        "the scene turns counterclockwise", "the shot rotates counterclockwise",
        "a counterclockwise spin of the image", "场景渐渐逆时针转动", "视角逆时针旋转",
    ),
}  # fmt: skip
HELD_OUT_STATIC_PHRASES = (
    "the camera remains motionless", "a shot without any camera motion", "nothing moves", "摄影机保持静止",
    "画面没有运动",
)  # fmt: skip

# What verbs say a motion, and how they are inflected: composed prompts are made of them.
_VERBS = {
    "pan_left": ("pan left", "pan to the left", "move left"),
    "pan_right": ("pan right", "pan to the right", "move right"),
    "tilt_up": ("tilt up", "pan up", "move up"),
    "tilt_down": ("tilt down", "pan down", "move down"),
    "zoom_in": ("zoom in", "push in", "move closer"),
    "zoom_out": ("zoom out", "pull back", "move away"),
    "rotate_cw": ("rotate clockwise", "turn clockwise"),
    "rotate_ccw": ("rotate counterclockwise", "turn counterclockwise"),
}
_INFLECTED = {
    "pan": ("pans", "panning"), "tilt": ("tilts", "tilting"), "move": ("moves", "moving"),
    "zoom": ("zooms", "zooming"), "push": ("pushes", "pushing"), "pull": ("pulls", "pulling"),
    "rotate": ("rotates", "rotating"), "turn": ("turns", "turning"),
}  # fmt: skip
_NOUNS = {
    "pan_left": "pan to the left", "pan_right": "pan to the right", "tilt_up": "tilt up",
    "tilt_down": "tilt down", "zoom_in": "zoom in", "zoom_out": "zoom out",
    "rotate_cw": "clockwise rotation", "rotate_ccw": "counterclockwise rotation",
}  # fmt: skip

# Words for the speed, by (seen, held out): adverbs, adjectives before a noun, and Chinese adverbs.
ADVERBS = {
    "slow": (("slowly", "gently", "a little", "slightly", "a bit"), ("unhurriedly", "just a touch")),
    "fast": (("quickly", "rapidly", "a lot", "fast", "far"), ("swiftly", "by a large amount")),
}
ADJECTIVES = {
    "slow": (("slow", "gentle", "slight"), ("unhurried",)),
    "fast": (("quick", "rapid", "fast"), ("swift",)),
}
CHINESE_ADVERBS = {
    "slow": (("缓缓", "慢慢", "缓慢", "缓慢地", "轻轻", "稍微", "略微"), ("徐徐", "慢速")),
    "fast": (("快速", "快速地", "迅速", "迅速地", "大幅"), ("飞快地", "急速")),
}
EASING_CLAUSES = {
    "ease_in": (("speeding up", "gathering speed", "accelerating", "easing in"), ("picking up pace",)),
    "ease_out": (
        ("slowing down", "slowing to a stop", "decelerating", "easing out"),
        ("coming to rest at the end",),
    ),
}
CHINESE_EASING_CLAUSES = {
    "ease_in": (("逐渐加速", "越来越快", "由慢到快"), ("不断加快",)),
    "ease_out": (("逐渐减速", "越来越慢", "由快到慢"), ("最后停下",)),
}

# Chinese: who moves. A picture turns, a camera does not, when two motions are told in one breath.
_CHINESE_WHO = ("镜头", "镜头", "相机", "摄像机", "画面", "")
_CHINESE_HELD_OUT_WHO = ("摄影机", "视角", "场景")

_SUBJECTS = (
    "a mountain lake", "ocean waves", "a city street", "a flower", "a cat", "a dog", "an old castle",
    "a quiet forest", "the sky",
    "clouds", "a portrait", "a person", "a bird on a branch", "a beach at sunset", "a product on a table",
    "fruit", "a bridge",
    "the temple", "a coffee cup", "a rocket", "snowy trees", "a river", "a field of grass", "autumn leaves",
    "the moon",
    "山和湖", "海浪", "城市街道", "一朵花", "一只猫", "古老的城堡", "安静的森林", "天空和云", "人像",
    "海滩日落", "产品", "水果", "桥",
)  # fmt: skip
_STYLES = (
    "soft light", "cinematic", "high detail", "golden hour", "studio background", "smoothly", "4k",
    "wide angle", "wide shot", "close-up shot", "aerial view", "natural colours", "morning mist",
    "柔和的光线", "电影感", "高清", "平稳", "自然色彩", "特写", "航拍",
)  # fmt: skip


def plain_prompt(rng: random.Random) -> str:
    """Return a prompt that names no motion: empty, or a subject with or without a style."""
    if rng.random() < 0.4:
        return ""
    return ", ".join([rng.choice(_SUBJECTS), *rng.sample(_STYLES, rng.randint(0, 2))])


def sentence(motions: Sequence[str], speed: str, easing: str, rng: random.Random, unseen: bool) -> str:
    """Return a prompt for the motions (none, one or two names), often inside a subject and a style."""
    chinese = rng.random() < 0.35
    if not motions:
        phrases = [
            p for p in (HELD_OUT_STATIC_PHRASES if unseen else STATIC_PHRASES) if _is_chinese(p) == chinese
        ]
        clause = rng.choice(phrases)
    elif chinese:
        clause = _chinese_clause(motions, speed, rng, unseen)
    else:
        clause = _english_clause(motions, speed, rng, unseen)
    if easing != "linear":
        table = CHINESE_EASING_CLAUSES if chinese else EASING_CLAUSES
        clause += ("，" if chinese else ", ") + rng.choice(table[easing][unseen])
    parts = [clause]
    if rng.random() < 0.5:
        parts.insert(rng.randrange(2), rng.choice(_SUBJECTS))
    if rng.random() < 0.35:
        parts.append(rng.choice(_STYLES))
    prompt = rng.choice(("，", ",", " ") if chinese else (", ", ", ", " ", ". ")).join(parts)
    return prompt + rng.choice(("", "", "", "。" if chinese else "."))


def _is_chinese(text: str) -> bool:
    return any(ord(letter) > 0x2E80 for letter in text)


def _english_clause(motions: Sequence[str], speed: str, rng: random.Random, unseen: bool) -> str:
    adverb = rng.choice(ADVERBS[speed][unseen]) if speed != "normal" else ""
    if len(motions) == 2:
        return _english_pair(motions, adverb, rng, unseen)
    (name,) = motions
    if unseen:
        phrase = rng.choice([p for p in HELD_OUT_PHRASES[name] if not _is_chinese(p)])
        return f"{phrase}, {adverb}" if adverb else phrase
    if not adverb:
        return rng.choice(PHRASES[name])
    form = rng.randrange(4)
    if form == 0:
        return f"{rng.choice(ADJECTIVES[speed][0])} {_NOUNS[name]}"
    base, third, gerund = _verb(name, rng)
    who = "the picture" if name.startswith("rotate") else "the camera"
    return (base, f"{who} {third}", gerund)[form - 1] + f" {adverb}"


def _english_pair(motions: Sequence[str], adverb: str, rng: random.Random, unseen: bool) -> str:
    turns = any(name.startswith("rotate") for name in motions)
    first, second = rng.sample(motions, 2)
    base, third, gerund = zip(_verb(first, rng), _verb(second, rng), strict=True)
    who = "the view" if turns else rng.choice(("the camera", "the view"))
    after = f" {adverb}" if adverb else ""
    if unseen:
        return f"{who} {third[0]} as it {third[1]}{after}"
    return rng.choice(
        (
            f"{who} {third[0]} while {gerund[1]}{after}",
            f"{who} {third[0]} and {third[1]}{after}",
            f"{base[0]} and {base[1]}{after}",
            f"{gerund[0]} while {gerund[1]}{after}",
        )
    )


def _verb(name: str, rng: random.Random) -> tuple[str, str, str]:
    """Return a verb for the motion: "pan left", "pans left", "panning left"."""
    base = rng.choice(_VERBS[name])
    word, rest = base.split(" ", 1)
    third, gerund = _INFLECTED[word]
    return base, f"{third} {rest}", f"{gerund} {rest}"


def _chinese_clause(motions: Sequence[str], speed: str, rng: random.Random, unseen: bool) -> str:
    """Return who moves, how, and what: 镜头 + 缓缓 + 向左平移."""
    how = rng.choice(CHINESE_ADVERBS[speed][unseen]) if speed != "normal" else ""
    if unseen and len(motions) == 1:
        phrase = rng.choice([p for p in HELD_OUT_PHRASES[motions[0]] if _is_chinese(p)])
        who = next(word for word in _CHINESE_HELD_OUT_WHO if phrase.startswith(word))
        return who + how + phrase.removeprefix(who).removeprefix("渐渐" if how else "")
    who = rng.choice(_CHINESE_WHO)
    if len(motions) == 1:
        return who + (how or rng.choice(("", "", "平稳地"))) + rng.choice(CHINESE_PHRASES[motions[0]])
    first, second = (rng.choice(CHINESE_PHRASES[name]) for name in rng.sample(motions, 2))
    if unseen:
        return f"{who}一边{how}{first}一边{second}"
    return who + how + first + rng.choice(("并", "，同时", "同时")) + second
