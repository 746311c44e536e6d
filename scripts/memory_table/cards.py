"""Print by which plan each preset of a model fits which card, by its estimates.

    python -m scripts.memory_table.cards wan-ti2v-5b --ram 32
    python -m scripts.memory_table.cards wan-ti2v-5b --ram 20 --storage float8_e4m3fn
    python -m scripts.memory_table.cards wan-ti2v-5b --ram 16 --gguf 3.43    # GB of the file

Square pictures, which make the largest clips; presets with LoRAs of their own are left out. A card's size is
in GiB, all of it free but for a display's share. Instant: nothing is run.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from typing import get_args

from i2v.core.memory_plan import DeviceInfo, MemoryPlan
from i2v.core.schema import GenerationRequest, PresetName
from i2v.core.settings_sources import load_settings
from i2v.engines.registry import engines, find_spec
from i2v.pipeline.plan import ClipPlanner

GIB = 2**30
CARDS = (8, 12, 16, 24, 32, 48)
PICTURE = (512, 512)


def lines(engine: str, ram: float, storage: str = "auto", gguf: float = 0) -> Iterator[str]:
    """Yield a line of a table in Markdown for each card."""
    known = dict(engines())
    if gguf:
        parts = [name.partition("/")[0] for name in known[engine].gguf_files]
        stored = dict.fromkeys(parts, round(gguf * 10**9))
        known[engine] = replace(known[engine], gguf_files=(), stored_bytes=stored)
    planner = ClipPlanner(load_settings(flags={"engine.storage_dtype": storage}), known)
    presets = find_spec(engine).presets
    names = [name for name in get_args(PresetName) if name in presets and not presets[name].loras]
    yield f"| GPU memory | {' | '.join(names)} |"
    yield "|" + "---|" * (len(names) + 1)
    for size in CARDS:
        card = DeviceInfo("cuda", f"a GPU with {size} GB", size * GIB, free_ram=round(ram * GIB))
        cells = [_cell(planner, engine, name, card) for name in names]
        yield f"| {size} GB | {' | '.join(cells)} |"


def _cell(planner: ClipPlanner, engine: str, preset: str, card: DeviceInfo) -> str:
    request = GenerationRequest.parse({"prompt": "any", "preset": preset, "engine": engine})
    memory = planner.plan_clip(request, PICTURE, card).memory
    figures = memory.estimate
    if figures is None or not memory.fits:
        return "does not fit"
    sizes = f"{figures.device_bytes / GIB:.1f} + {figures.ram_bytes / GIB:.1f} GiB of RAM"
    return f"{words(memory.plan)}: {sizes}"


def words(plan: MemoryPlan) -> str:
    """Return what the plan does to take less."""
    offload = {"none": "on the card", "encoders": "text encoder offloaded", "model": "offloaded"}
    said = [offload[plan.offload]]
    if plan.vae_tiling:
        said.append("in tiles")
    if plan.storage_dtype != "auto":
        said.append("float8")
    return ", ".join(said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine")
    parser.add_argument("--ram", type=float, default=32, help="GiB that are free")
    parser.add_argument("--storage", default="auto", help="engine.storage_dtype")
    parser.add_argument("--gguf", type=float, default=0, help="GB of each transformer in GGUF")
    asked = parser.parse_args()
    print("\n".join(lines(asked.engine, asked.ram, asked.storage, asked.gguf)))


if __name__ == "__main__":
    main()
