"""Write a folder that looks like the published I2VGen-XL and holds random weights.

    python -m scripts.full_size.write --out /tmp/i2vgen-xl        # 4.98 GB

Where the published weights cannot be had, their names, shapes and type still can (`layout`), and loading,
memory and speed depend on nothing else; the video is noise. What differs from the published folder: the
values, and the tokenizer, which is the embedded model's (its 1,102 tokens lie within the text encoder's
49,408).

The same seed gives the same bytes, under the same numpy. One tensor is in memory at a time.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from statistics import NormalDist
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from scripts.full_size.layout import CONFIGS, FILES, MODEL_INDEX, Shapes, read_table

TOKENIZER = Path(__file__).parents[2] / "i2v" / "embedded" / "tokenizer"
NOTE = (
    "Random weights in the layout of ali-vilab/i2vgen-xl, for tests. Written by scripts/full_size/write.py.\n"
)
SMALL = 1_000_000  # bytes for everything that is not a weight


def write_model(folder: Path, seed: int | None, table: Mapping[str, Shapes]) -> None:
    """Write the model to `folder`, which must be empty or not there yet; `model_index.json` comes last.

    Without a seed the values are left out: zeros that take no place on the disk (sparse files).

    Raises:
        FileExistsError: there is something in `folder`; it may be the real model.
        OSError: the disk has not enough space.
    """
    if folder.exists() and any(folder.iterdir()):
        raise FileExistsError(f"{folder} is not empty: delete it, or name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    needed = SMALL if seed is None else SMALL + sum(file_size(shapes) for shapes in table.values())
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise OSError(f"{folder}: {needed / 1e9:.2f} GB are needed, and {free / 1e9:.2f} GB are free")
    for name, config in CONFIGS.items():
        write_json(folder / name, config)
    shutil.copytree(TOKENIZER, folder / "tokenizer")
    (folder / "README.md").write_text(NOTE, encoding="utf-8")
    for part, shapes in table.items():
        write_weights(folder / part / FILES[part], shapes, seed)
    write_json(folder / "model_index.json", MODEL_INDEX)


def is_written(folder: Path) -> bool:
    """Tell whether `folder` holds all of what `write_model` writes, by the files' sizes."""
    weights = {folder / part / FILES[part]: file_size(shapes) for part, shapes in read_table().items()}
    return (folder / "model_index.json").is_file() and all(
        path.is_file() and path.stat().st_size == size for path, size in weights.items()
    )


def write_json(path: Path, content: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def write_weights(path: Path, shapes: Shapes, seed: int | None) -> None:
    """Write one safetensors file of fp16 tensors: random, or zeros without a seed."""
    grid = normal_grid()
    with path.open("wb") as file:
        file.write(header(shapes))
        if seed is None:
            file.truncate(file_size(shapes))
            return
        for name in sorted(shapes):
            generator = np.random.Generator(
                np.random.SFC64([seed, crc32(f"{path.parent.name}/{name}".encode())])
            )
            file.write(random_tensor(generator, grid, name, shapes[name]).data)


def header(shapes: Shapes, dtype: str = "F16", itemsize: int = 2) -> bytes:
    """Return what comes before the values (https://github.com/huggingface/safetensors, Format).

    Byte for byte what safetensors writes, so that sizes of files can be compared.
    """
    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name in sorted(shapes):
        start, end = end, end + itemsize * math.prod(shapes[name])
        entries[name] = {"dtype": dtype, "shape": shapes[name], "data_offsets": [start, end]}
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def file_size(shapes: Shapes, dtype: str = "F16", itemsize: int = 2) -> int:
    """Return the bytes of a safetensors file with these tensors."""
    return len(header(shapes, dtype, itemsize)) + itemsize * sum(
        math.prod(shape) for shape in shapes.values()
    )


def normal_grid() -> NDArray[np.float64]:
    """Return 65,536 quantiles of a normal distribution; to pick from them is ten times as fast as `randn`."""
    normal = NormalDist()
    return np.array([normal.inv_cdf((k + 0.5) / 65536) for k in range(65536)])


def random_tensor(
    generator: np.random.Generator, grid: NDArray[np.float64], name: str, shape: tuple[int, ...]
) -> NDArray[np.float16]:
    """Return ones for a norm's scale, small values for a bias, weights that keep their input's variance."""
    if len(shape) == 1 and name.endswith(".weight"):
        return np.ones(shape, np.float16)
    scale = 0.02 if len(shape) == 1 else 1 / math.sqrt(math.prod(shape[1:]))
    return (grid * scale).astype(np.float16)[generator.integers(0, len(grid), shape, np.uint16)]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="the folder; it must be empty or not there yet"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    try:
        write_model(options.out, options.seed, read_table())
    except OSError as error:
        parser.error(str(error))
    print(options.out)


if __name__ == "__main__":
    main()
