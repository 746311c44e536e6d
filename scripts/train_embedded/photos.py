"""Photographs for training: fetched from Debian packages, read from a manifest that names each one and its
licence.

`python -m scripts.train_embedded.photos fetch` downloads the packages (with `apt-get download`, no root
needed) into `photos/`, unpacks them, and checks every picture that `photos.tsv` lists. Training and held-out
photographs come from
different packages: no held-out picture, nor another by the same package, is ever trained on.
"""

from __future__ import annotations

import argparse
import csv
import io
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = Path(__file__).with_name("photos.tsv")
FOLDER = ROOT / "photos"


@dataclass(frozen=True)
class Photo:
    """One line of the manifest. `path` is inside the package.

    `archive#name` is a file of a Qt resource archive.
    """

    split: str
    package: str
    path: str
    licence: str
    author: str


def manifest(split: str | None = None) -> list[Photo]:
    with MANIFEST.open(encoding="utf-8", newline="") as file:
        photos = [Photo(**row) for row in csv.DictReader(file, delimiter="\t")]
    return [photo for photo in photos if split in (None, photo.split)]


def read_qt_resources(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes) of the uncompressed files of a Qt `.rcc` archive (format.

    Qtbase, qresource.cpp).
    """
    _, version, tree, payload, names = struct.unpack(">4sIIII", data[:20])
    node_size = 22 if version >= 2 else 14

    def name_at(offset: int) -> str:
        (length,) = struct.unpack_from(">H", data, names + offset)
        return data[names + offset + 6 : names + offset + 6 + 2 * length].decode("utf-16-be")

    stack = [(0, "")]
    while stack:
        index, prefix = stack.pop()
        name_offset, flags = struct.unpack_from(">IH", data, tree + index * node_size)
        name = name_at(name_offset) if index else ""
        path = f"{prefix}/{name}" if prefix else name
        first, second = struct.unpack_from(">II", data, tree + index * node_size + 6)
        if flags & 2:  # a folder: `first` children starting at node `second`
            stack.extend((child, path) for child in range(second, second + first))
        elif flags == 0:  # a plain file: after two 16-bit locale fields, its offset
            (size,) = struct.unpack_from(">I", data, payload + second)
            yield path, data[payload + second + 4 : payload + second + 4 + size]


def open_photo(photo: Photo) -> Image.Image:
    """Return the picture in RGB; `FileNotFoundError` tells to run `fetch` first."""
    if photo.package.startswith("python:"):
        import importlib

        base = Path(str(importlib.import_module(photo.package.removeprefix("python:")).__file__)).parent
        return Image.open(base / photo.path).convert("RGB")
    archive, _, inner = photo.path.partition("#")
    path = FOLDER / photo.package / archive
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run python -m scripts.train_embedded.photos fetch")
    if not inner:
        return Image.open(path).convert("RGB")
    for name, data in read_qt_resources(path.read_bytes()):
        if name == inner:
            return Image.open(io.BytesIO(data)).convert("RGB")
    raise FileNotFoundError(f"{inner} is not in {path}")


def fetch() -> None:
    """Download and unpack every package of the manifest that is not there yet."""
    FOLDER.mkdir(exist_ok=True)
    for package in sorted({photo.package for photo in manifest() if ":" not in photo.package}):
        target = FOLDER / package
        if target.exists():
            continue
        subprocess.run(["apt-get", "download", package], cwd=FOLDER, check=True)
        (deb,) = FOLDER.glob(f"{package}_*.deb")
        partial = FOLDER / f".{package}"
        subprocess.run(["dpkg-deb", "-x", str(deb), str(partial)], check=True)
        partial.rename(target)
        deb.unlink()
    for photo in manifest():
        print(*open_photo(photo).size, photo.package, photo.path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["fetch"])
    parser.parse_args()
    fetch()


if __name__ == "__main__":
    sys.exit(main())
