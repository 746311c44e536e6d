"""The words for camera moves in English and Chinese, as regular expressions over a prompt in small letters.

All phrasings that the embedded demo model was trained and tested on are among them, and more. What the words
amount to is `phrases`' business.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from i2v.engines.camera.move import Easing

Axis = Literal["pan", "tilt", "zoom", "roll"]
Direction = tuple[Axis, int]

SIDES: dict[str, Direction] = {
    **dict.fromkeys(("left", "左"), ("pan", -1)),
    **dict.fromkeys(("right", "右"), ("pan", 1)),
    **dict.fromkeys(("up", "upper", "top", "上"), ("tilt", 1)),
    **dict.fromkeys(("down", "lower", "bottom", "下"), ("tilt", -1)),
}

_SIDE = r"(?:left|right|upper|lower|up|down|top|bottom)"
_WARDS = rf"{_SIDE}(?:wards?)?"
_TO = r"(?:to(?:wards?)?[ ]+)?(?:the[ ]+)?"
# One side or several, e.g. "left and up", "up and to the right", "upper left".
_SIDES = rf"(?P<sides>{_TO}{_WARDS}(?:(?:[ ]*-[ ]*|[ ]+)(?:and[ ]+|then[ ]+)*{_TO}{_WARDS}\b)*)\b"
_FROM_TO = rf"from[ ]+(?:the[ ]+)?{_SIDE}[ ]+to[ ]+(?:the[ ]+)?(?P<end>{_SIDE})\b"
# What may stand between a verb and its direction.
_HOW = (
    r"(?:[ ]+(?:the[ ]+(?:camera|view|shot)|camera|\w+ly|very|just|a|an|tiny|bit|little|touch|lot|far|fast"
    r"|slow|back))*?"
)
_LOOSE = r"(?:[ ]+(?!(?:while|as|and|then|from|on|at|zoom\w*|pan\w*|tilt\w*)\b)[\w'-]+){0,5}?"


def _verb(stem: str, endings: str) -> str:
    return rf"\b{stem}(?:{endings})\b"


_PAN = r"\b(?:pan|tilt)(?:s|ned|ed|ning|ing)?\b"
_MOVE = r"\b(?:mov(?:e|es|ed|ing)|(?:track|truck|crane|pedestal)(?:s|ed|ing)?)\b"
_DRIFT = (
    r"\b(?:(?:drift|travel|shift|scroll|float|swing|turn|go|goe)(?:s|ed|ing)?|(?:slid|glid)(?:e|es|ing)"
    r"|sweep(?:s|ing)?|fl(?:y|ies|ying))\b"
)
_CLOSER = r"(?:in|into|closer|nearer|forwards?|towards?)\b"
_AWAY = r"(?:out|away|backwards?|back|farther|further|wider)\b"


@dataclass(frozen=True)
class Pattern:
    """Words for a move. `directions` is empty where the match itself says them (its groups `sides`, `end`).

    needs_camera: they only count where the camera, or what it sees, was named before in the same sentence.
    there_and_back: they also ask for a loop.
    """

    words: re.Pattern[str]
    directions: tuple[Direction, ...] = ()
    needs_camera: bool = False
    there_and_back: bool = False


def _says(words: str, *directions: Direction, camera: bool = False, loop: bool = False) -> Pattern:
    return Pattern(re.compile(words), directions, needs_camera=camera, there_and_back=loop)


_IN: Direction = ("zoom", 1)
_OUT: Direction = ("zoom", -1)
_ZOOM = r"\bzoom(?:s|ed|ing)?\b"
_HOW_ZH = r"(?:缓缓|慢慢|缓慢地?|快速地?|轻轻|稍微)?"

# Where two match at the same place, the longer match counts, then the earlier pattern.
PATTERNS: tuple[Pattern, ...] = (
    # sides
    _says(rf"{_PAN}{_LOOSE}[ ]+{_SIDES}"),
    _says(rf"{_PAN}{_LOOSE}[ ]+{_FROM_TO}"),
    _says(rf"{_MOVE}{_HOW}[ ]+{_SIDES}"),
    _says(rf"{_MOVE}{_HOW}[ ]+{_FROM_TO}"),
    _says(rf"{_DRIFT}{_HOW}[ ]+{_SIDES}", camera=True),
    _says(rf"{_DRIFT}{_HOW}[ ]+{_FROM_TO}", camera=True),
    _says(rf"\b(?P<sides>{_WARDS})[ ]+(?:pan|tilt|movement|move|motion|drift|slide|tracking)\b"),
    _says(rf"{_PAN}{_HOW}[ ]+back[- ]and[- ]forth\b", ("pan", -1), loop=True),
    _says(r"\bsway(?:s|ing)?\b", ("pan", -1), camera=True, loop=True),
    _says(r"\bpanning\b|\bpans?[ ]+(?:across|over|along)\b", ("pan", 1)),
    _says(rf"{_verb('ris', 'e|es|ing')}|\bascend(?:s|ing)?\b", ("tilt", 1), camera=True),
    _says(rf"{_verb('lower', 's|ing')}|\bdescend(?:s|ing)?\b", ("tilt", -1), camera=True),
    # zoom
    _says(rf"{_ZOOM}{_HOW}[ ]+in[ ]+and(?:[ ]+then)?{_HOW}[ ]+out\b", _IN, loop=True),
    _says(rf"{_ZOOM}{_HOW}[ ]+out[ ]+and(?:[ ]+then)?{_HOW}[ ]+(?:back[ ]+)?in\b", _OUT, loop=True),
    _says(rf"{_ZOOM}(?:{_HOW}[ ]+{_CLOSER})?(?![ ]+lens)", _IN),
    _says(rf"{_ZOOM}{_HOW}[ ]+{_AWAY}", _OUT),
    _says(rf"\b(?:push(?:es|ed|ing)?|doll(?:y|ies|ying))\b(?:{_HOW}[ ]+|-){_CLOSER}", _IN),
    _says(rf"\b(?:doll(?:y|ies|ying)|pull(?:s|ed|ing)?)\b(?:{_HOW}[ ]+|-){_AWAY}", _OUT),
    _says(r"\bpullback\b", _OUT),
    _says(rf"{_MOVE}{_HOW}[ ]+{_CLOSER}", _IN),
    _says(rf"{_MOVE}{_HOW}[ ]+{_AWAY}", _OUT),
    _says(rf"{_DRIFT}{_HOW}[ ]+{_CLOSER}", _IN, camera=True),
    _says(rf"{_DRIFT}{_HOW}[ ]+{_AWAY}", _OUT, camera=True),
    _says(
        rf"\b(?:com(?:e|es|ing)|get(?:s|ting)?|clos(?:e|es|ing))\b{_HOW}[ ]+(?:closer|nearer|in)\b",
        _IN, camera=True),
    _says(r"\bapproach(?:es|ing)?\b", _IN, camera=True),
    _says(rf"\bback(?:s|ed|ing)?\b{_HOW}[ ]+(?:away|off|out|up)\b", _OUT, camera=True),
    # roll
    _says(r"\bclockwise\b", ("roll", 1)),
    _says(r"\b(?:counter|anti)[- ]?clockwise\b", ("roll", -1)),
    # Chinese: sides
    _says(rf"[向往朝](?P<sides>[左右上下]{{1,2}})[边方侧面部]?{_HOW_ZH}"
          r"(?:平移|移动|移|摇动|摇移|摇|横移|横摇|滑动|推移|抬起|抬升|抬|压低|压|倾斜|升起|升|降低|降|飘移|漂移)"),
    _says(r"(?P<sides>[左右上下])(?:方)?(?:平移|横移|移动|移|摇)"),
    _says(r"[从由自][左右上下][边方侧面]?(?:到|至|往|向)(?P<end>[左右上下])"),
    _says(r"左右(?:来回|往返|反复)?(?:平移|横移|移动|移|摇摆|摇动|摇|摆动)", ("pan", -1), loop=True),
    _says(r"上下(?:来回|往返|反复)?(?:平移|移动|移|摇摆|摇动|摇|摆动)", ("tilt", 1), loop=True),
    _says(r"上升|升起|抬升|抬高", ("tilt", 1)),
    _says(r"下降|压低|降低", ("tilt", -1)),
    # Chinese: zoom and roll
    _says(rf"向前{_HOW_ZH}(?:推进|推近|推|移动|移|拉近)", _IN),
    _says(r"推[进近入]|推镜头?|拉近|放大|靠近|逼近|前进|前推", _IN),
    _says(rf"向后{_HOW_ZH}(?:拉远|拉开|拉|移动|移|退)", _OUT),
    _says(r"[推拉]远|拉[开出]|拉镜头|缩小|远离|后退|后拉", _OUT),
    _says(r"顺时针", ("roll", 1)),
    _says(r"逆时针", ("roll", -1)),
)  # fmt: skip

# What asks for no move. The first are about the camera; the second may be about what is seen, as in "a still
# lake".
STILL_CAMERA = re.compile(
    r"\b(?:static|locked(?:[- ](?:off|down))?|fixed|still|motionless|stationary)[ ]+"
    r"(?:camera|shot|view|frame)\b"
    r"|\b(?:camera|shot|view)\b(?:[ ]+(?:is|stays|remains|keeps|stands|perfectly|completely))*"
    r"[ ]+(?:still|static|motionless|fixed|stationary|locked)\b"
    r"|\b(?:no|without(?:[ ]+any)?)[ ]+(?:camera[ ]+)?(?:movement|motion|move)s?\b|\blocked-off\b"
    r"|\bcamera[ ]+(?:does[ ]+not|doesn't|never)[ ]+moves?\b"
    r"|(?:镜头|相机|摄像机|摄影机|机位)(?:保持)?(?:静止|固定|不动)|固定(?:镜头|机位)|(?:不要|无|没有)(?:镜头)?(?:移动|运镜|运动)"
)
STILL = re.compile(
    r"\b(?:still|static|motionless|stationary)\b|\b(?:(?:does|do)[ ]+not|doesn't|don't|nothing)[ ]+moves?\b"
    r"|静止|静态|固定|不动|定格|没有运动"
)

LOOP = re.compile(
    r"\bback[- ]and[- ]forth\b|\bthere[ ]+and[ ]+back(?:[ ]+again)?\b|\bto[ ]+and[ ]+fro\b|\bping-?[ ]?pong\b"
    r"|\b(?:seamless(?:ly)?[ ]+)?loop(?:s|ed|ing|able)?\b|\bsway(?:s|ing)?\b|\bboomerang\b"
    r"|来来?回回?|循环|往返|往复|反复|摇摆|摆动|来回"
)

_SLOW = (
    r"slow(?:ly)?|gentl[ey]|slight(?:ly)?|subtl[ey]|unhurried(?:ly)?|leisurely|gradual(?:ly)?"
    r"|(?:a|just[ ]+a)[ ]+(?:tiny[ ]+)?(?:bit|little|touch)"
)
_FAST = (
    r"fast|quick(?:ly)?|rapid(?:ly)?|swift(?:ly)?|a[ ]+lot|far|strong(?:ly)?|dramatic(?:ally)?"
    r"|by[ ]+a[ ]+large[ ]+amount"
)
_SLOW_ZH = r"缓缓|缓慢|慢慢|慢速|轻轻|轻微|稍微|稍稍|略微|微微|徐徐|一点点?|慢(?=[推拉移摇])"
_FAST_ZH = r"快速|迅速|飞快|急速|大幅度?|猛烈?地|快(?=[推拉移摇])|急(?=[推拉移摇])"
_VERY = r"(?:very|extremely|really|super|ultra)[ ]+"
_VERY_ZH = r"(?:非常|极其|极为|十分|特别|很)"

# Words for the amount and the factor on the usual speed, the longer ones first.
AMOUNTS: tuple[tuple[re.Pattern[str], float], ...] = (
    (re.compile(rf"\b{_VERY}(?:{_SLOW})\b|{_VERY_ZH}(?:{_SLOW_ZH})"), 0.25),
    (re.compile(rf"\b{_VERY}(?:{_FAST})\b|{_VERY_ZH}(?:{_FAST_ZH})"), 3.0),
    (re.compile(rf"\b(?:{_SLOW})\b|{_SLOW_ZH}"), 0.5),
    (re.compile(rf"\b(?:{_FAST})\b|{_FAST_ZH}"), 2.0),
)

ADVERB = re.compile(r"ly$|^(?:a|just|by) |[^\x00-\x7f]")  # among the words for the amount

EASINGS: tuple[tuple[re.Pattern[str], Easing], ...] = (
    (re.compile(
        r"\beas(?:e|es|ing)[- ]in(?:[- ]|[ ]+and[ ]+)(?:ease[- ]|easing[ ]+)?out\b"
        r"|缓入缓出|先慢后快再慢"), "in-out"),
    (re.compile(
        r"\b(?:at[ ]+(?:a[ ]+)?)?(?:constant|steady|uniform|even)[ ]+(?:speed|pace|rate)\b|\blinear(?:ly)?\b"
        r"|匀速"), "linear"),
    (re.compile(
        r"\b(?:speed(?:s|ing)?[ ]+up|gather(?:s|ing)?[ ]+speed|accelerat(?:es?|ing)|eas(?:e|es|ing)[- ]in"
        r"|pick(?:s|ing)?[ ]+up[ ]+(?:pace|speed))\b|逐渐加速|不断加快|越来越快|由慢到快|缓入|加速"), "in"),
    (re.compile(
        r"\b(?:slow(?:s|ing)?[ ]+(?:down|to[ ]+a[ ]+stop)|decelerat(?:es?|ing)|eas(?:e|es|ing)[- ]out"
        r"|com(?:es?|ing)[ ]+to[ ]+(?:rest|a[ ]+stop)(?:[ ]+at[ ]+the[ ]+end)?)\b"
        r"|逐渐减速|越来越慢|由快到慢|最后停下|缓出|减速"), "out"),
)  # fmt: skip

CAMERA = re.compile(r"\b(?:camera|view|viewpoint|shot|frame|lens|perspective|image|picture|scene)\b")
SENTENCE_END = re.compile(r"[.!?;\n。！？；]")
NEGATION = re.compile(
    r"(?:\b(?:no|not|without|never|avoid|don't|doesn't|isn't)"
    r"(?:[ ]+(?:any|the|camera|do|a|to|slow|fast|or))*[ ]*"
    r"|(?:不要|不会|不再|不|别|没有|无|勿|避免)(?:让|任何|再|做|进行|镜头|相机|画面|缓慢|快速)*)$"
)
CLAUSE_END = re.compile(
    r"[,.;:!?，。；：、！？\n]|\b(?:while|whilst|and|as|then|but|with)\b|并且?|同时|一边|然后|随后|接着|而后"
)
