"""How well the embedded model obeys, measured on held-out photographs through the engine that ships.

Groups of cases: `seen` and `unseen` phrasings of the eight motions; speed words, fps, two motions at once,
easing, static, 16 frames, other aspects; guidance, and a negative prompt that asks for the opposite. Each
clip is judged by `scores`.
Rows go to `--out` as they are made, and a run that was cut off goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.schedules import evaluations
from i2v.engines.base import Decoded, Inputs
from i2v.engines.i2vgen_xl.engine import I2VGenXLEngine
from i2v.engines.i2vgen_xl.specs import EMBEDDED
from i2v.media.image import fit_size
from i2v.weights import weights_digest
from scripts.train_embedded import photos
from scripts.train_embedded.motions import (
    FPS,
    MOTIONS,
    NUM_FRAMES,
    Clip,
    Motion,
    Take,
    clip_of,
    pyramid,
    render,
    signs,
)
from scripts.train_embedded.photos import ROOT, Photo
from scripts.train_embedded.registration import measure as measure
from scripts.train_embedded.rendering import to_frames as to_frames
from scripts.train_embedded.scores import Row, as_json, judge, summary

CAPTION = 16  # pixels above each row of a contact sheet
AREA_SIDE = EMBEDDED.presets["standard"].area_side  # pixels: of the views
WIDE = fit_size(16, 9, AREA_SIDE, EMBEDDED.multiple, "keep")[::-1]  # (height, width)
TALL = WIDE[::-1]
GUIDANCE = 2.5  # of the groups that measure guidance
_PAIRS = (
    ("pan_left", "zoom_in"),
    ("tilt_up", "zoom_out"),
    ("pan_right", "tilt_down"),
    ("zoom_in", "rotate_cw"),
)


def asked_of(motion: Motion) -> np.ndarray:
    """One of the eight motions in units of one full motion each: (pan x, pan y, zoom, turn)."""
    return np.array(signs(motion.name), dtype=float)


@dataclass(frozen=True)
class Case:
    group: str
    number: int
    photo: Photo
    clip: Clip
    view: tuple[int, int] = (AREA_SIDE, AREA_SIDE)
    guidance_scale: float = 1.0
    negative_prompt: str = ""

    @property
    def key(self) -> str:
        return f"{self.group}/{self.number}"


def cases(photo_count: int, extra: int, guidance_scale: float, seed: int) -> Iterator[Case]:
    """Yield three seen and two unseen phrasings for each photograph, and `extra` cases of each other group.

    A group's n-th case is the same whatever other groups there are.
    """
    chosen = photos.manifest("heldout")
    random.Random(seed).shuffle(chosen)
    chosen = chosen[:photo_count]
    names = list(MOTIONS)

    def case(
        group: str, n: int, take: Take, frames: int = NUM_FRAMES, fps: int = FPS, **more: object
    ) -> Case:
        rng = random.Random(f"{seed}/{'seen' if group in ('guided', 'negative') else group}/{n}")
        clip = clip_of(take, frames, fps, rng, unseen=group == "unseen")
        settings = {"guidance_scale": guidance_scale, **more}
        return Case(group, n, chosen[n % len(chosen)], clip, **settings)  # type: ignore[arg-type]

    def one(n: int, speed: str = "normal", easing: str = "linear") -> Take:
        # photographs and motions go round at different paces, so that each photograph meets several motions
        return Take((names[(n + n // len(chosen)) % len(names)],), speed, easing)

    for group, rounds in (("seen", 3), ("unseen", 2)):
        yield from (case(group, n, one(n)) for n in range(rounds * len(chosen)))
    for n in range(extra):
        both = 3 * (n // 2)  # each motion with either setting; a pan, a tilt and a turn in the first six
        yield case("speed", n, one(both, speed=("slow", "fast")[n % 2]))
        yield case("fps", n, one(both), fps=(4, 16)[n % 2])
        yield case("combined", n, Take(_PAIRS[n % len(_PAIRS)]))
        yield case("eased", n, one(both, easing=("ease_in", "ease_out")[n % 2]))
        yield case("static", n, Take(()))
        yield case("frames16", n, one(n), frames=16, fps=(8, 16)[n // 2 % 2])
        yield case("aspect", n, one(both), view=(WIDE, TALL)[n % 2])
        guided = case("guided", n, one(n), guidance_scale=GUIDANCE)
        yield guided
        yield case(
            "negative", n, one(n), guidance_scale=GUIDANCE, negative_prompt=guided.clip.opposite_prompt
        )


def generate(
    engine: I2VGenXLEngine, picture: np.ndarray, prompt: str, options: argparse.Namespace, *,
    num_frames: int = NUM_FRAMES, fps: int = FPS, guidance_scale: float | None = None,
    negative_prompt: str = "", seed: int = 0,
) -> np.ndarray:  # fmt: skip
    """Return (F, H, W, 3) uint8 frames from a picture (H, W, 3) through the engine that ships."""
    height, width, _ = picture.shape
    generation = Generation(
        prompt=prompt, negative_prompt=negative_prompt, width=width, height=height,
        generated_width=width, generated_height=height,
        fit="keep", num_frames=num_frames, fps=fps, target_fps=fps, num_inference_steps=options.steps,
        guidance_scale=options.guidance_scale if guidance_scale is None else guidance_scale,
        seed=seed, engine="embedded", speed=options.speed,
    )  # fmt: skip
    events = engine.generate(generation, Inputs(Image.fromarray(picture)))
    return np.concatenate([event.frames for event in events if isinstance(event, Decoded)])


@torch.inference_mode()
def reconstruct(engine: I2VGenXLEngine, picture: np.ndarray) -> np.ndarray:
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1
    vae = engine.components.vae
    return to_frames(vae.decode(vae.encode(pixels).latent_dist.mode()).sample)[0]


def truth_of(case: Case) -> np.ndarray:
    """Return what the prompt asks for: (F, H, W, 3) uint8."""
    photo = photos.open_photo(case.photo)
    # a quarter more than the view: what comes in must be there, and the program shows whole photographs
    level = pyramid(photo, smallest=AREA_SIDE * 5 // 4, largest=AREA_SIDE * 5 // 4)[0]
    motion = case.clip.motion(*case.view)
    return to_frames(render(level, motion, *case.view, case.clip.positions, random.Random(0)))


def run(engine: I2VGenXLEngine, case: Case, options: argparse.Namespace) -> tuple[Row, np.ndarray]:
    truth = truth_of(case)
    frames = generate(
        engine, truth[0], case.clip.prompt, options, num_frames=case.clip.num_frames, fps=case.clip.fps,
        guidance_scale=case.guidance_scale, negative_prompt=case.negative_prompt,
        seed=options.seed + case.number,
    )  # fmt: skip
    photo = case.photo.path.rsplit("/", 1)[-1]
    vae = reconstruct(engine, truth[0])
    return judge(frames, truth, case.clip, case.key, case.group, photo, vae), frames


class Rows:
    """What a run has made so far, in a folder: `rows.jsonl`, a clip's frames as `GROUP-N.png`.

    `ValueError` where the folder is another run's: other weights, other settings.
    """

    def __init__(self, folder: Path, identity: dict[str, object]) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "rows.jsonl"
        if not self.file.exists():
            self.file.write_text(json.dumps(identity) + "\n", encoding="utf-8")
        first, *lines = self.file.read_text(encoding="utf-8").splitlines()
        if json.loads(first) != identity:
            raise ValueError(f"{folder} holds another run ({first}): name another --out or remove it")
        whole = [line for line in lines if line.endswith("}")]  # the last may have been cut off
        if len(whole) < len(lines):
            self.file.write_text("".join(line + "\n" for line in [first, *whole]), encoding="utf-8")
        found = [json.loads(line) for line in whole]
        self.rows = [Row(**{k: v for k, v in row.items() if k != "right"}) for row in found]

    def add(self, row: Row, frames: np.ndarray) -> None:
        Image.fromarray(np.concatenate(list(frames), axis=1)).save(self.strip_of(row))
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(as_json(row), ensure_ascii=False) + "\n")
        self.rows.append(row)

    def strip_of(self, row: Row) -> Path:
        return self.folder / f"{row.key.replace('/', '-')}.png"

    def write_sheets(self, count: int = 4) -> None:
        """Write median.png and worst.png of the clips asked for one motion, by their gain on a static one."""
        plain = [row for row in self.rows if row.group in ("seen", "unseen")]
        ordered = sorted(plain, key=lambda row: row.gain)
        middle = max(0, (len(ordered) - count) // 2)
        self._sheet(ordered[middle : middle + count], "median.png")
        self._sheet(ordered[:count], "worst.png")

    def _sheet(self, rows: list[Row], name: str) -> None:
        strips = [Image.open(self.strip_of(row)) for row in rows]
        size = max((s.width for s in strips), default=1), sum(s.height + CAPTION for s in strips) or 1
        sheet, top = Image.new("RGB", size, "white"), 0
        for row, strip in zip(rows, strips, strict=True):
            text = (
                f"{row.key} {row.photo}: {row.motion}, {row.amount:.2f} of it, {row.gain:+.1f} dB on static"
            )
            ImageDraw.Draw(sheet).text((4, top + 2), text, fill="black")
            sheet.paste(strip, (0, top + CAPTION))
            top += strip.height + CAPTION
        sheet.save(self.folder / name)


def identity_of(options: argparse.Namespace) -> dict[str, object]:
    return {
        "weights": weights_digest(EMBEDDED, options.folder), "area_side": AREA_SIDE, "steps": options.steps,
        "evaluations": evaluations(options.speed, options.steps), "speed": options.speed,
        "guidance_scale": options.guidance_scale, "seed": options.seed, "photos": options.photos,
    }  # fmt: skip


def main() -> None:
    preset = EMBEDDED.presets["standard"]
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "i2v" / "embedded")
    parser.add_argument("--out", type=Path, default=ROOT / "checkpoints" / "evaluation")
    parser.add_argument("--photos", type=int, default=46, help="held-out photographs: five clips of each")
    parser.add_argument("--extra", type=int, default=16, help="clips of each group beside seen and unseen")
    parser.add_argument("--groups", help="comma-separated; all where not given")
    parser.add_argument("--quick", action="store_true", help="4 photographs, 2 of each other group")
    parser.add_argument("--steps", type=int, default=preset.num_inference_steps)
    parser.add_argument("--speed", choices=("exact", "fast"), default="fast", help="see the README, Speed")
    parser.add_argument("--guidance-scale", type=float, default=preset.guidance_scale)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if options.quick:
        options.photos, options.extra = 4, 2
    torch.set_num_threads(options.threads)
    made = Rows(options.out, identity_of(options))
    done = {row.key for row in made.rows}
    engine = I2VGenXLEngine.load(EMBEDDED, options.folder, MemoryPlan("cpu", "float32", decode_chunk=8))
    groups = options.groups.split(",") if options.groups else None
    for case in cases(options.photos, options.extra, options.guidance_scale, options.seed):
        if case.key not in done and (groups is None or case.group in groups):
            row, frames = run(engine, case, options)
            made.add(row, frames)
            print(json.dumps(as_json(row), ensure_ascii=False), flush=True)
    found = summary(made.rows)
    (options.out / "summary.json").write_text(
        json.dumps({**identity_of(options), **found}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    print(json.dumps(found, indent=1, ensure_ascii=False))
    made.write_sheets()


if __name__ == "__main__":
    main()
