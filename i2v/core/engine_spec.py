"""What is known of a model before it is loaded: facts as data, and what a request may ask of it.

One `EngineSpec` per model; `i2v.engines.registry` has the table. Page, flags, OpenAPI and checks of requests
read `Capabilities` and `options_model`, so that no control is shown which does nothing. Deliberately knows no
model's code: an engine's heavy and light parts are named as "module:attribute" and imported where they are
used.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Self, get_args

from pydantic import BaseModel, ConfigDict

from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.inputs import InputRole
from i2v.core.loras import Lora
from i2v.core.memory_plan import StorageDtype
from i2v.core.model_spec import ModelSpec
from i2v.core.schema import Fit, Language, PresetName

# x and y of four corners, in pixels of a picture: of a frame's top left, and on clockwise.
Corners = tuple[float, ...]
# Fields of a request that do something only where a capability of the same name says so.
OPTIONAL_FIELDS = ("negative_prompt", "guidance_scale", "num_inference_steps", "target_fps", "seed")
# The same of those that most engines have no use for.
ADDED_FIELDS = ("checkpoint", "loras", "story")


@dataclass(frozen=True)
class FrameCounts:
    """Which numbers (of frames, of steps) it takes: `least` and each `step` more up to `most`, or `only`."""

    least: int = 4
    most: int = 128
    step: int = 1
    only: tuple[int, ...] = ()

    def allows(self, num_frames: int) -> bool:
        if self.only:
            return num_frames in self.only
        return self.least <= num_frames <= self.most and (num_frames - self.least) % self.step == 0

    def nearest(self, num_frames: int) -> int:
        """Return the allowed number that is nearest; of two, the smaller one."""
        if self.only:
            return min(self.only, key=lambda count: (abs(count - num_frames), count))
        steps = max(0, -(-(2 * (num_frames - self.least) - self.step) // (2 * self.step)))
        return min(self.least + steps * self.step, self.most - (self.most - self.least) % self.step)

    def __str__(self) -> str:
        if self.only:
            return f"one of {', '.join(map(str, self.only))}"
        if self.step == 1:
            return f"a whole number from {self.least} to {self.most}"
        following = f"{self.least}, {self.least + self.step}, {self.least + 2 * self.step}"
        return f"{following} and so on up to {self.most}"


ANY_STEPS = FrameCounts(1, 200)


@dataclass(frozen=True)
class Capabilities:
    """What a request may ask of an engine; all else is refused with the reason.

    Attributes:
        prompt: "optional" where a clip can be made without; "none" where nothing reads it.
        negative_prompt, guidance_scale, num_inference_steps, target_fps, seed: whether it does anything.
        speed: there is a fast way (`i2v.core.schedules`), which weights may be proven for.
        inputs: the pictures it takes, by role; "image" is the first frame.
        fits: how a picture of another shape can be brought to the clip's.
        num_frames, fps: what can be made; what a model was trained on may be less (`EngineSpec`).
        largest_side: of the video, in pixels.
        own_size: a clip is never larger than the picture unless that is asked for.
        sound: its clips may have sound.
        whole_picture: the engine is given the picture at its own size, not fitted to the clip's.
        step_counts: which numbers of steps it can be asked for.
        checkpoint: its base can be another checkpoint of the same architecture.
        loras: LoRAs can be applied to it (`EngineSpec.lora_parts`).
        story: its clips can be put one after another, each beginning with the picture that the one before
            has come to. An engine whose clips have sound cannot: nobody joins that.
        loop: how a clip comes to begin where it ends. "own": an option of the engine's own; "wrapped": noise
            and latents are, so that the clip has its first frames at its end too (`Generation.overlap`);
            "back": its frames are played there and back; "none": not at all.
        holds_frames: it denoises towards the first few frames where they are known (`Inputs.earlier`);
            else such frames are only faded into those that it makes.
        blends_ends: it was not trained on a `last_image`: each step is predicted from either picture, from
            the last one with time running backwards, and the two are blended (`diffusion.both_ends`).
    """

    prompt: Literal["required", "optional", "none"] = "required"
    negative_prompt: bool = True
    guidance_scale: bool = True
    num_inference_steps: bool = True
    target_fps: bool = True
    seed: bool = True
    speed: bool = False
    inputs: tuple[InputRole, ...] = ("image",)
    fits: tuple[Fit, ...] = ("keep", "crop", "pad")
    num_frames: FrameCounts = FrameCounts()
    fps: tuple[int, int] = (1, 60)
    largest_side: int = 2048
    own_size: bool = False
    sound: bool = False
    whole_picture: bool = False
    step_counts: FrameCounts = ANY_STEPS
    checkpoint: bool = False
    loras: bool = False
    story: bool = False
    loop: Literal["none", "own", "wrapped", "back"] = "none"
    holds_frames: bool = False
    blends_ends: bool = False

    @property
    def unused(self) -> frozenset[str]:
        """The fields of a request that do nothing here."""
        names = [name for name in (*OPTIONAL_FIELDS, *ADDED_FIELDS) if not getattr(self, name)]
        return frozenset(names if self.inputs != ("image",) else [*names, "inputs"])


class Options(BaseModel):
    """Base of what only one family of engines can be asked for; a field that it lacks is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def completed(self, generation: Generation) -> tuple[Self, tuple[Notice, ...]]:
        """Return the options with every gap filled, by the rest of the clip, and what to say of that."""
        return self, ()

    def looping(self) -> Self:
        """Return the options of a clip that is to be a loop."""
        return self

    @property
    def loops(self) -> bool:
        """Whether options that are `completed` make a clip that ends where it begins."""
        return False

    def anew(self) -> Self:
        """Return the options of a clip that goes on by another prompt, without what the first one filled."""
        return self

    @property
    def denoising_strength(self) -> float:
        """See `Generation.strength`."""
        return 1.0

    def views(self, num_frames: int, picture: tuple[int, int], size: tuple[int, int]) -> list[Corners]:
        """Return what each frame sees of the picture, where a camera moves over it; else nothing.

        Of options that are `completed`.

        Args:
            picture, size: (width, height) of the picture and of a frame, in their own pixels.
        """
        return []


@dataclass(frozen=True)
class Preset:
    """The numbers behind one of the four names.

    `area_side`: the side of the square with the clip's area, in pixels. `loras` are files that it cannot do
    without, `options` those of the engine that it is made for: both give way to what a request names.
    """

    area_side: int
    num_frames: int
    num_inference_steps: int
    fps: int
    guidance_scale: float
    loras: tuple[Lora, ...] = ()
    options: dict[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EngineSpec(ModelSpec):
    """What must be known about a model before it is loaded, besides its files.

    Attributes:
        summary: what it makes, in a few words, for whoever chooses an engine.
        implementation: the `Engine` (`i2v.engines.base`), "module:Class"; importing it may load torch.
        memory: what it takes and how it can take less, a `MemoryModel` (`i2v.memory.model`),
            "module:attribute"; imports no torch. Empty: it was not measured.
        options_model: what only this family can be asked for.
        facts: what only its own package reads; `stock_facts` are those with which it does as the stock
            pipeline does, for comparisons.
        rank: "auto" takes the engine with the highest one that can run here; `None`: only by name.
        needs_cuda: whether "auto" takes it on a CUDA device alone.
        multiple: sides in pixels are multiples of this.
        storage_dtypes: types, narrower than it computes in, that its weights can be kept in.
        native_area_side: larger requests are generated at this area and scaled up; `None` where any size is
            generated.
        trained_frames, trained_fps: smallest and largest that the weights were trained on.
        cuda_dtype: what it computes in on a CUDA device, unless the settings say otherwise; float32 on a CPU.
        preview_factors: the linear map from latent channels, one row each, and a constant, the last row, to
            RGB in [0, 1]; empty where there are no latents.
        stored_bytes: by the part of the model, what such a file has, where one is there: filled in by
            `i2v.pipeline.choice.as_stored`.
        is_generative: its clips are AI-generated content, and labelled as that.
        lora_parts: by the part that a LoRA's tensors name, the folders of the model with that part's weights.
            "transformer_2" is a second expert, which no tensor names: a LoRA is for the one, or both.
        lora_source: where the LoRAs of its presets are published.
        text_parts: the folders of the model whose files decide over a prompt's embedding, where embeddings
            are worth keeping on disk (`Inputs.embeddings`).
        packages: what computes its frames: their versions are written into the clip.
        max_prompt_tokens: tokens the text encoder reads, start and end included.
        languages: that prompts may be written in.
        motions: phrases for all that it can do, where that is little; empty where it knows the world.
        motion_words: a regular expression that finds such a phrase in a prompt in small letters.
        motion_kinds: regular expressions for kinds of motion of which a clip has one at a time; empty where
            there is no such limit.
        max_guidance: above it, clips get worse: distorted, or unlike anything that the model was made for.
        input_models: models of their own files that pictures of some roles need to be there too.
        offered: the presets that people choose from: those that differ in what comes out. All can be asked
            for.
    """

    implementation: str
    multiple: int
    trained_frames: tuple[int, int]
    trained_fps: tuple[int, int]
    summary: str = ""
    preview_factors: tuple[tuple[float, float, float], ...] = ()
    stored_bytes: dict[str, int] = field(default_factory=dict)
    lora_parts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    lora_source: str = ""
    text_parts: tuple[str, ...] = ()
    default_negative_prompt: str = ""
    capabilities: Capabilities = Capabilities()
    options_model: type[Options] = Options
    memory: str = ""
    facts: object = None
    stock_facts: object = None
    rank: int | None = None
    needs_cuda: bool = False
    cuda_dtype: Literal["float32", "float16", "bfloat16"] = "float16"
    storage_dtypes: tuple[StorageDtype, ...] = ()
    native_area_side: int | None = None
    max_prompt_tokens: int = 77
    languages: tuple[Language, ...] = ("en",)
    motions: tuple[str, ...] = ()
    motion_words: str = ""
    motion_kinds: tuple[str, ...] = ()
    max_guidance: float = 16
    is_generative: bool = True
    packages: tuple[str, ...] = ("torch", "diffusers", "transformers")
    presets: dict[str, Preset] = field(default_factory=dict)
    input_models: dict[InputRole, ModelSpec] = field(default_factory=dict)
    offered: tuple[PresetName, ...] = get_args(PresetName)

    @property
    def has_two_experts(self) -> bool:
        """Whether a LoRA has a strength in each of two."""
        return "transformer_2" in self.lora_parts

    @property
    def takes_style(self) -> bool:
        """Tell whether words about a look mean something to it."""
        return self.is_generative and self.capabilities.prompt != "none" and not self.motions
