"""All photographs in one file of some 26 MB, for a machine that has no network.

`python -m scripts.train_embedded.pack photos.safetensors` writes it (after `photos fetch`); `load` reads it.
The file is a safetensors file of JPEGs, which needs no library to be read beyond what training needs.
"""

from __future__ import annotations

import argparse
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from scripts.train_embedded import photos
from scripts.train_embedded.motions import pyramid

SIDE = 576  # pixels of the short side; smaller photographs stay as they are
LONGEST = 1.8  # long side over short side: wider ones are cut on both sides
QUALITY = 88


def shrunk(image: Image.Image, side: int = SIDE) -> Image.Image:
    """Return the picture with at most that short side, and at most `LONGEST` times as long."""
    short = min(image.size)
    width, height = (min(length, int(LONGEST * short)) for length in image.size)
    left, top = (image.width - width) // 2, (image.height - height) // 2
    cut = image.crop((left, top, left + width, top + height))
    if short <= side:
        return cut
    size = (round(width * side / short), round(height * side / short))
    return cut.resize(size, Image.Resampling.LANCZOS)


def pack(file: Path, side: int = SIDE, every: int = 1) -> None:
    """Write every n-th photograph of both splits."""
    packed = {}
    for split in ("train", "heldout"):
        for number, photo in enumerate(photos.manifest(split)[::every]):
            written = io.BytesIO()
            shrunk(photos.open_photo(photo), side).save(written, "JPEG", quality=QUALITY)
            packed[f"{split}/{number:03d}"] = torch.frombuffer(
                bytearray(written.getvalue()), dtype=torch.uint8
            )
    save_file(packed, file)


def load(file: Path, split: str, smallest: int = 176) -> list[list[torch.Tensor]]:
    """Return the split's photographs, each at several sizes: what `motions.pyramid` makes of it."""
    packed = load_file(file)
    names = sorted(name for name in packed if name.startswith(f"{split}/"))

    def opened(name: str) -> list[torch.Tensor]:
        picture = Image.open(io.BytesIO(packed[name].numpy().tobytes())).convert("RGB")
        return pyramid(picture, smallest, SIDE)

    with ThreadPoolExecutor() as threads:  # Pillow decodes and resizes without Python's lock
        return list(threads.map(opened, names))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--side", type=int, default=SIDE)
    parser.add_argument("--every", type=int, default=1, help="take only every n-th photograph")
    options = parser.parse_args()
    pack(options.file, options.side, options.every)
    print(f"{options.file}: {options.file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
