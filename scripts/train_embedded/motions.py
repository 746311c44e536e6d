"""The eight camera motions: their phrases, their geometry, and clips rendered from photographs.

A motion is the camera's: "pans left" moves the content right, "tilts up" moves it down; "rotates clockwise"
is what the content does on the screen. Frame 0 is the photograph unwarped; frame k is frame 0 seen after the
fraction k/(F-1) of the motion. Content that enters comes from the photograph around the crop, so there are no
borders.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from PIL import Image

PAN = 14.0  # pixels over the whole clip; the views that ship have about the area of 128 x 128
ZOOM = 0.16  # natural logarithm of the scale, over the whole clip
ROTATION = math.radians(9)  # over the whole clip
NUM_FRAMES = 8
FPS = 8


@dataclass(frozen=True)
class Motion:
    """What the content does: `pan` in pixels (right, down), `zoom` > 0 enlarges, `turn` > 0 is clockwise."""

    name: str
    opposite: str
    pan: tuple[float, float] = (0.0, 0.0)
    zoom: float = 0.0
    turn: float = 0.0


MOTIONS = {
    motion.name: motion
    for motion in (
        Motion("pan_left", "pan_right", pan=(PAN, 0.0)),
        Motion("pan_right", "pan_left", pan=(-PAN, 0.0)),
        Motion("tilt_up", "tilt_down", pan=(0.0, PAN)),
        Motion("tilt_down", "tilt_up", pan=(0.0, -PAN)),
        Motion("zoom_in", "zoom_out", zoom=ZOOM),
        Motion("zoom_out", "zoom_in", zoom=-ZOOM),
        Motion("rotate_cw", "rotate_ccw", turn=ROTATION),
        Motion("rotate_ccw", "rotate_cw", turn=-ROTATION),
    )
}

# Held-out phrasings are never trained on; evaluation reports them apart.
PHRASES: dict[str, tuple[str, ...]] = {
    "pan_left": (
        "pan left", "pans left", "the camera pans left", "camera panning left", "slow pan to the left",
        "panning to the left",
        "the camera pans to the left", "camera moves left", "the camera moves to the left", "leftward pan",
        "the view slides left",
    ),
    "pan_right": (
        "pan right", "pans right", "the camera pans right", "camera panning right", "slow pan to the right",
        "panning to the right",
        "the camera pans to the right", "camera moves right", "the camera moves to the right",
        "rightward pan",
        "the view slides right",
    ),
    "tilt_up": (
        "tilt up", "tilts up", "the camera tilts up", "camera tilting up", "slow tilt up", "tilting upwards",
        "pan up", "pans up",
        "the camera pans up", "camera moves up", "the camera moves upward", "upward tilt",
        "the view slides up",
    ),
    "tilt_down": (
        "tilt down", "tilts down", "the camera tilts down", "camera tilting down", "slow tilt down",
        "tilting downwards",
        "pan down", "pans down", "the camera pans down", "camera moves down", "the camera moves downward",
        "downward tilt",
        "the view slides down",
    ),
    "zoom_in": (
        "zoom in", "zooms in", "the camera zooms in", "camera zooming in", "slow zoom in",
        "slowly zooming in", "zooming in closer",
        "push in", "the camera pushes in", "the camera moves closer", "dolly in", "move closer",
        "camera moves forward",
    ),
    "zoom_out": (
        "zoom out", "zooms out", "the camera zooms out", "camera zooming out", "slow zoom out",
        "slowly zooming out",
        "zooming out wider", "pull back", "the camera pulls back", "the camera moves away", "dolly out",
        "move away",
        "camera moves backward",
    ),
    "rotate_cw": (
        "rotate clockwise", "rotates clockwise", "the picture rotates clockwise", "rotating clockwise",
        "slow clockwise rotation",
        "turn clockwise", "turns clockwise", "clockwise rotation", "the view spins clockwise",
        "a clockwise turn",
    ),
    "rotate_ccw": (
        "rotate counterclockwise", "rotates counterclockwise", "the picture rotates counterclockwise",
        "rotating counter-clockwise", "slow counterclockwise rotation", "turn counterclockwise",
        "turns anticlockwise",
        "counterclockwise rotation", "the view spins counterclockwise", "an anticlockwise turn",
    ),
}  # fmt: skip

# A Chinese phrase is who moves, how, and what: 镜头 + 缓缓 + 向左平移.
_CHINESE_WHO = ("镜头", "镜头", "相机", "摄像机", "画面", "")
_CHINESE_HOW = ("", "", "缓缓", "慢慢", "缓慢", "缓慢地", "平稳地", "轻轻")
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

HELD_OUT_PHRASES: dict[str, tuple[str, ...]] = {
    "pan_left": ("a gentle camera pan towards the left", "摄影机渐渐向左平移"),
    "pan_right": ("a gentle camera pan towards the right", "摄影机渐渐向右平移"),
    "tilt_up": ("the camera slowly tilts upward", "摄影机渐渐向上移动"),
    "tilt_down": ("the camera slowly tilts downward", "摄影机渐渐向下移动"),
    "zoom_in": ("a smooth zoom in on the subject", "摄影机渐渐推近"),
    "zoom_out": ("a smooth zoom out from the subject", "摄影机渐渐拉远"),
    "rotate_cw": ("the scene slowly turns clockwise", "场景渐渐顺时针转动"),
    "rotate_ccw": ("the scene slowly turns counterclockwise", "场景渐渐逆时针转动"),
}

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
    "soft light", "cinematic", "high detail", "golden hour", "studio background", "slowly", "smoothly",
    "steady shot", "4k",
    "gentle motion", "wide angle", "natural colours", "morning mist", "柔和的光线", "电影感", "高清", "缓慢",
    "平稳", "自然色彩",
)  # fmt: skip


def sample_prompt(name: str, rng: random.Random) -> str:
    """Return a prompt that asks for the motion: a trained phrase, often inside a subject and a style."""
    chinese = rng.random() < 0.35
    if chinese:
        phrase = rng.choice(_CHINESE_WHO) + rng.choice(_CHINESE_HOW) + rng.choice(CHINESE_PHRASES[name])
    else:
        phrase = rng.choice(PHRASES[name])
    parts = [phrase]
    if rng.random() < 0.5:
        parts.insert(rng.randrange(2), rng.choice(_SUBJECTS))
    if rng.random() < 0.35:
        parts.append(rng.choice(_STYLES))
    prompt = rng.choice((",", " ") if chinese else (", ", ", ", " ", ". ")).join(parts)
    return prompt + rng.choice(("", "", "", "。" if chinese else "."))


def pyramid(image: Image.Image, smallest: int = 176, largest: int = 640) -> list[torch.Tensor]:
    """Return the picture at short sides `largest`, /sqrt(2), ... >= `smallest`: each (3, H, W) uint8."""
    levels = []
    side = min(largest, min(image.size))
    while side >= smallest:
        scale = side / min(image.size)
        size = (round(image.width * scale), round(image.height * scale))
        pixels = torch.frombuffer(
            bytearray(image.resize(size, Image.Resampling.LANCZOS).tobytes()), dtype=torch.uint8
        )
        levels.append(pixels.view(size[1], size[0], 3).permute(2, 0, 1).contiguous())
        side = round(side / math.sqrt(2))
    return levels


def render(
    photo: torch.Tensor, motion: Motion, height: int, width: int, positions: torch.Tensor, rng: random.Random
) -> torch.Tensor:
    """Render a clip.

    Args:
        photo: (3, H, W) uint8, larger than the view by enough for the motion where possible.
        positions: (F,) fractions of the motion, 0 for frame 0.
    Returns:
        (F, 3, height, width) float32 in [-1, 1].
    """
    _, photo_height, photo_width = photo.shape
    # room that the whole motion needs around the view, in pixels
    room_x = (
        abs(motion.pan[0])
        + (width / 2) * (math.exp(max(0.0, -motion.zoom)) - 1)
        + abs(motion.turn) * height / 2
    )
    room_y = (
        abs(motion.pan[1])
        + (height / 2) * (math.exp(max(0.0, -motion.zoom)) - 1)
        + abs(motion.turn) * width / 2
    )
    shrink = min(1.0, photo_width / (width + 2 * room_x), photo_height / (height + 2 * room_y))
    scale = shrink * rng.uniform(0.8, 1.0)  # photo pixels a view pixel; below 1 magnifies a little
    free_x = max(0.0, photo_width / 2 - scale * (width / 2 + room_x))
    free_y = max(0.0, photo_height / 2 - scale * (height / 2 + room_y))
    centre_x, centre_y = rng.uniform(-free_x, free_x), rng.uniform(-free_y, free_y)

    p = positions.view(-1, 1, 1)
    y, x = torch.meshgrid(
        torch.arange(height) - (height - 1) / 2,
        torch.arange(width) - (width - 1) / 2,
        indexing="ij",
    )  # fmt: skip
    # where in frame 0 the content at (x, y) of frame k was: the inverse of the content's own motion
    x0, y0 = x - motion.pan[0] * p, y - motion.pan[1] * p
    shrink_k = torch.exp(-motion.zoom * p)
    cos, sin = torch.cos(motion.turn * p), torch.sin(motion.turn * p)
    x1, y1 = shrink_k * (cos * x0 + sin * y0), shrink_k * (-sin * x0 + cos * y0)
    grid = torch.stack(
        ((centre_x + scale * x1) * 2 / photo_width, (centre_y + scale * y1) * 2 / photo_height), dim=-1
    )  # fmt: skip
    source = (photo.float() / 127.5 - 1)[None].expand(len(positions), -1, -1, -1)
    clip = F.grid_sample(source, grid, mode="bicubic", padding_mode="reflection", align_corners=False).clamp(
        -1, 1
    )
    return clip
