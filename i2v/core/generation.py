"""What is really run: a request with every gap filled. Who fills them is `i2v.pipeline.resolve`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from i2v.core.crop import Crop
from i2v.core.inputs import InputPicture
from i2v.core.loras import Lora
from i2v.core.scenes import Scene
from i2v.core.schema import Fit, InterpolationName, UpscalerName
from i2v.core.sound import Narration, Track
from i2v.core.story import Segment, scene_frames, segments_of
from i2v.core.styles import StyleName


@dataclass(frozen=True)
class Generation:
    """What is really run: every gap of the request filled, sizes settled. All sides in pixels.

    `width` and `height` are the video's, `generated_width` and `generated_height` the model's; they differ
    where an engine generates small and the frames are scaled up, by `upscaler`. With `speed` "fast",
    `num_inference_steps` is the quality: that of so many steps, made with fewer (`i2v.core.schedules`); 0
    where the engine has no steps. A `guidance_scale` of 1 is none. `inputs` are the pictures besides the
    image, in the order in which they are given; `options` are what only the family of the engine has, all
    gaps filled. `crop` is the part of each picture that is used, `None` for all of it; `fit` is about that.
    `strength` is the part of the steps that are made, the last ones: below 1 they begin with noised frames
    instead of noise (diffusers' name for it). `checkpoint` and `loras` are names in the folders of such files
    (`i2v.weights.added_files`); empty: the model's own weights. `story`: the scenes of a clip that is longer
    than the engine makes at once, each with its prompt. It is made in `segments` of `num_frames`, neighbours
    of which have `overlap` frames in common. A `loop` has so many frames twice, at both ends, and shows
    them once; without an `overlap` it goes there and back, unless it is the engine's own, without
    `made_frames`. Of both, `made_frames` are shown. With `interpolation`, the video has `output_fps`: frames
    between those that are generated are computed
    (`i2v.media.interpolation`). With `source`, the SHA-256 of a clip's file, its frames are taken instead of
    generated ones: all else says how those were generated. Unless it `extends` that clip: then the first
    scenes of the `story` are its own, so many frames at `fps`, and only those that follow are made. `sound`
    is how the sound file is used that came with the request, `None` where none did; `narration` what is
    spoken. The words of the `style` are in both prompts.
    """

    prompt: str
    negative_prompt: str
    width: int
    height: int
    generated_width: int
    generated_height: int
    fit: Fit
    num_frames: int
    fps: int
    target_fps: int
    num_inference_steps: int
    guidance_scale: float
    seed: int
    engine: str
    speed: Literal["exact", "fast"] = "exact"
    upscaler: UpscalerName = "lanczos"
    inputs: tuple[InputPicture, ...] = ()
    options: dict[str, object] = field(default_factory=dict)
    crop: Crop | None = None
    strength: float = 1.0
    checkpoint: str = ""
    loras: tuple[Lora, ...] = ()
    sound: Track | None = None
    narration: Narration | None = None
    story: tuple[Scene, ...] = ()
    loop: bool = False
    made_frames: int = 0
    overlap: int = 0
    correct_drift: bool = False
    output_fps: int | None = None
    interpolation: InterpolationName | None = None
    source: str = ""
    extends: int = 0
    style: StyleName | None = None

    @property
    def total_frames(self) -> int:
        """How many frames are shown, in all segments together, with those that are there already."""
        return self.made_frames or self.num_frames

    @property
    def fresh_frames(self) -> int:
        """How many of them are not there yet."""
        return self.total_frames - self.extends

    @property
    def seconds(self) -> float:
        """How long they last."""
        return self.total_frames / self.fps

    @property
    def is_enhanced(self) -> bool:
        """Whether the frames are those of a finished clip alone, and no engine is at work."""
        return bool(self.source) and not self.extends

    @property
    def new_scenes(self) -> tuple[tuple[Scene, int], ...]:
        """The scenes of a story that are made, with the frames of each: all, unless it extends a clip."""
        counts = scene_frames([scene.seconds for scene in self.story], self.fps)
        begin, found = 0, list[tuple[Scene, int]]()
        for scene, count in zip(self.story, counts, strict=True):
            if begin >= self.extends:
                found.append((scene, count))
            begin += count
        return tuple(found)

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The segments of a story that are made; of any other clip, the one that it is."""
        if not self.story:
            return (Segment(0, 0, 0, self.num_frames),)
        counts = [count for _, count in self.new_scenes]
        return segments_of(counts, self.num_frames, self.overlap, self.extends)

    @property
    def video_fps(self) -> int:
        """Frames a second of the video."""
        return self.output_fps or self.fps

    @property
    def video_frames(self) -> int:
        """How many frames the video has: it is as long as what is generated."""
        return -(-self.total_frames * self.video_fps // self.fps)
