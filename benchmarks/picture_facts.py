"""How often the advice on pictures is right: on photographs as they are, blurred, and with text on them.

`python -m benchmarks.picture_facts [FOLDER ...] [--json FILE]` takes all pictures in the folders, or, without
any, the photographs of `scripts/train_embedded/photos.tsv` (`python -m scripts.train_embedded.photos fetch`);
the advice's thresholds were set on these. Each is told about as for a model of 512 pixels. Whatever is told
about a photograph as it is counts as a false alarm, even where it is soft or has letters in it.

Blur is given in pixels at 640 pixels on the longer side: a Gaussian's standard deviation, a motion's length.
Text is one or two lines of 3 to 10 % of the height, in all fonts of `FONTS` (Debian's fonts-dejavu,
fonts-liberation, fonts-noto-cjk). Everything is seeded, and all but the photographs as they are pass through
JPEG. Time is the processor's, of one thread: set OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.media.picture_facts import SIDE, examine
from i2v.service.advice import advise
from scripts.train_embedded.photos import manifest, open_photo

KINDS = (".jpg", ".jpeg", ".png", ".webp")
FONTS = ("truetype/dejavu", "truetype/liberation", "opentype/noto")  # in /usr/share/fonts
STYLES = ("banner", "outlined", "caption", "watermark")
PAGES = 40
LATIN = (
    "Summer holidays in Norway", "SPECIAL OFFER: only today!", "I never said that I would come.",
    "www.example.com", "© 2024 Jane Doe Photography", "What are you waiting for?", "HAPPY BIRTHDAY",
    "Page 12 of 48 - draft",
)  # fmt: skip
CHINESE = (
    "今天天气真好，我们去公园吧", "限时特惠 全场五折", "版权所有 翻印必究", "你到底在等什么？",
    "生日快乐万事如意", "北京欢迎你的到来", "图片仅供参考请勿转载",
)  # fmt: skip

Draw = np.random.Generator


def photographs(folders: list[Path]) -> Iterator[Image.Image]:
    if not folders:
        yield from (open_photo(photo) for photo in manifest())
    for folder in folders:
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in KINDS)
        for path in files:
            with Image.open(path) as picture:
                yield picture.convert("RGB")


def fonts(chinese: bool) -> list[str]:
    """Return the files of fonts for text; the Noto collections have Latin letters too."""
    folders = [Path("/usr/share/fonts", name) for name in FONTS]
    files = sorted(str(path) for folder in folders for path in folder.glob("*.tt*"))
    suited = [name for name in files if ("CJK" in name if chinese else "Math" not in name)]
    if not suited:
        raise SystemExit("No fonts: apt-get install fonts-dejavu fonts-liberation fonts-noto-cjk")
    return suited


def blurred(picture: Image.Image, sigma: float) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(sigma * max(picture.size) / SIDE))


def moved(picture: Image.Image, length: float, draw: Draw) -> Image.Image:
    """Return the mean of the picture along a line of that length, in any direction."""
    length *= max(picture.size) / SIDE
    angle = draw.uniform(0, math.pi)
    places = np.linspace(-length / 2, length / 2, 2 * math.ceil(length))
    total = np.zeros((picture.height, picture.width, 3), np.float32)
    for place in places:
        shift = (1, 0, place * math.cos(angle), 0, 1, place * math.sin(angle))
        moved_by = picture.transform(picture.size, Image.Transform.AFFINE, shift, Image.Resampling.BILINEAR)
        total += np.asarray(moved_by)
    return Image.fromarray((total / len(places)).astype(np.uint8))


def lettered(picture: Image.Image, style: str, chinese: bool, draw: Draw) -> Image.Image:
    """Return the picture with one or two lines on it: see `STYLES`."""
    width, height = picture.size
    size = max(9, round(height * draw.uniform(0.03, 0.10)))
    font = ImageFont.truetype(str(draw.choice(fonts(chinese))), size)
    lines = draw.choice(CHINESE if chinese else LATIN, int(draw.integers(1, 3)), replace=False).tolist()
    layer = Image.new("RGBA", picture.size)
    pen = ImageDraw.Draw(layer)
    top = (0.03 if draw.random() < 0.3 else 0.97) * (height - len(lines) * 1.4 * size)
    light = draw.random() < 0.7
    ink, paper = ((255, 255, 255), (20, 20, 20)) if light else ((20, 20, 20), (255, 255, 255))
    if draw.random() < 0.3:
        colour = tuple(int(part) for part in draw.integers(0, 80, 3))
        ink, paper = (ink, colour) if light else (colour, paper)
    if style == "banner":
        box = (0, top - 0.3 * size, width, top + (1.4 * len(lines) + 0.2) * size)
        pen.rectangle(box, fill=(*paper, int(draw.integers(150, 256))))
    alpha = int(draw.integers(90, 170)) if style == "watermark" else 255
    border = max(1, size // 12) if style == "outlined" else 0
    for number, line in enumerate(lines):
        while pen.textlength(line, font) > 0.95 * width:
            line = line[:-1]
        place = (0.5 * width, top + 1.4 * size * number)
        pen.text(place, line, (*ink, alpha), font, "ma", stroke_width=border, stroke_fill=(*paper, alpha))
    return Image.alpha_composite(picture.convert("RGBA"), layer).convert("RGB")


def page(chinese: bool, draw: Draw) -> Image.Image:
    """Return a page of a document, or a window with a bar and a column, full of text."""
    width, height = (1240, 1754) if draw.random() < 0.5 else (1280, 800)
    size = int(draw.integers(18, 34))
    font = ImageFont.truetype(str(draw.choice(fonts(chinese))), size)
    dark = draw.random() < 0.3
    made = Image.new("RGB", (width, height), (30, 30, 34) if dark else (255, 255, 255))
    pen = ImageDraw.Draw(made)
    left = 60
    if width > height:
        left = 320
        pen.rectangle((0, 0, width, 50), fill=(60, 90, 160))
        pen.rectangle((0, 50, 280, height), fill=(50, 50, 56) if dark else (235, 235, 238))
    texts = CHINESE if chinese else LATIN
    for top in range(80, height - 2 * size, round(1.5 * size)):
        if draw.random() < 0.15:
            continue
        line = "  ".join(str(part) for part in draw.choice(texts, 6))
        while pen.textlength(line, font) > width - left - 60:
            line = line[:-1]
        pen.text((left, top), line, (220, 220, 220) if dark else (25, 25, 25), font)
    return made


def versions(picture: Image.Image, number: int, draw: Draw) -> Iterator[tuple[str, Image.Image]]:
    """Yield (case, picture) of one photograph; motions, and each style of text, on every other one."""
    picture = picture.copy()
    picture.thumbnail((1280, 1280))
    yield "as it is", picture
    for sigma in (1, 1.5, 2, 4, 8):
        yield f"Gaussian {sigma}", jpeg(blurred(picture, sigma), draw)
    for length in (5, 9, 15, 30) if number % 2 else ():
        yield f"motion {length}", jpeg(moved(picture, length, draw), draw)
    for place, style in enumerate(STYLES):
        chinese = (number + place) % 2 == 1
        if (number // 2 + place) % 2 == 0:
            case = f"{style}, {'Chinese' if chinese else 'Latin'}"
            yield case, jpeg(lettered(picture, style, chinese, draw), draw)


def jpeg(picture: Image.Image, draw: Draw) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=int(draw.integers(75, 96)))
    return Image.open(file).convert("RGB")


def cases(folders: list[Path]) -> Iterator[tuple[str, Image.Image]]:
    draw = np.random.default_rng(2024)
    for number, picture in enumerate(photographs(folders)):
        yield from versions(picture, number, draw)
    for number in range(PAGES):
        chinese = number % 2 == 1
        yield f"page, {'Chinese' if chinese else 'Latin'}", jpeg(page(chinese, draw), draw)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--json", type=Path, help="write what was told, and the time each took, to this file")
    args = parser.parse_args()
    reported: dict[str, list[list[str]]] = {}
    seconds: list[float] = []
    for case, picture in cases(args.folders):
        start = time.process_time()
        facts = examine(picture)
        seconds.append(time.process_time() - start)
        codes = [notice.code for notice in advise("", facts, 9, 8, I2VGEN_XL)]
        reported.setdefault(case, []).append(codes)
    print(f"{'':24}{'pictures':>9}{'blurred':>9}{'text':>9}")
    for case, each in reported.items():
        shares = [
            sum(code in codes for codes in each) / len(each)
            for code in ("advice.blurred_picture", "advice.text_in_picture")
        ]
        print(f"{case:24}{len(each):9}{shares[0]:9.1%}{shares[1]:9.1%}")
    middle, most = 1e3 * np.median(seconds), 1e3 * max(seconds)
    print(f"processor time of one picture: median {middle:.0f} ms, most {most:.0f} ms")
    if args.json:
        args.json.write_text(json.dumps({"reported": reported, "seconds": seconds}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
