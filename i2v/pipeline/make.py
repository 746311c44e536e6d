"""From a plan and its pictures to a published video, as a short list of named steps.

`make_clip` is the only place where a clip is made: for workers, the command line and benchmarks alike. Frames
are encoded while later ones are still being decoded. Where jobs and pages live is not known here.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image
from pydantic_core import to_jsonable_python

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Cancelled, I2VError, Notice
from i2v.core.generation import Generation
from i2v.core.inputs import Keyframe, MotionMask, StyleImage
from i2v.core.memory_plan import MemoryPlan
from i2v.core.results import MadeWith, Result
from i2v.core.schema import Language
from i2v.core.settings import OutputSettings, Settings
from i2v.core.stages import Stage
from i2v.engines.base import Decoded, Engine, Event, Inputs, Sounded
from i2v.host.embedding_cache import EmbeddingCache, KeptEmbeddings
from i2v.media.checkpoints import Checkpoints
from i2v.media.image import FittedPicture, Picture, cropped, fit_picture
from i2v.media.label import AIGC, aigc_tag
from i2v.media.latents import KeptLatents
from i2v.media.outputs import OutputTarget, prepare_output
from i2v.media.provenance import KEY, Provenance, picture_digest
from i2v.media.sound import Sound
from i2v.media.unpublished import About, FrameRecorder
from i2v.media.video import check_ffmpeg, ffmpeg_version
from i2v.media.video.frames import read_sound
from i2v.pipeline.added import NOTHING_ADDED, Added, find_files
from i2v.pipeline.beginning import Beginning
from i2v.pipeline.delivery import Content, Marks, deliver, held_frames, publish_kept
from i2v.pipeline.engines import EngineCache, LoadedEngine
from i2v.pipeline.enhance import Source
from i2v.pipeline.extend import described, read_before, taken_over
from i2v.pipeline.ladder import MemoryLadder
from i2v.pipeline.loops import looped
from i2v.pipeline.plan import ClipPlan
from i2v.pipeline.segments import SegmentBegun, story_events
from i2v.pipeline.soundtrack import SILENCE, Soundtrack, prepare_soundtrack
from i2v.pipeline.stages import BusyCpus, StageBooks, Stopwatch

# What may go well the next moment: the encoder was killed, the folder was moved while it wrote.
PASSING = ("encode.failed", "encode.broken", "encode.frames_lost", "encode.mismatch")

MOST_TIMES = 4  # the generated size, for a camera that moves over the picture: closer, it is enlarged

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Output:
    """Where a clip goes.

    Attributes:
        recorder: copies frames that take long to make, in case that only the clip's end fails.
        checkpoints: keeps finished segments of a story, in the recorder's place: a retry goes on from there.
        latents: keep how far denoising is, likewise.
        tags: metadata of the video, besides where it comes from.
        track: the file that was kept of the sound that goes beside the frames (`Generation.sound`).
    """

    target: OutputTarget
    recorder: FrameRecorder | None = None
    checkpoints: Checkpoints | None = None
    latents: KeptLatents | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    track: Path | None = None


@dataclass(frozen=True)
class Loaded:
    """The engine is ready, and the clip begins. `provenance`: where it will have come from."""

    provenance: Provenance
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class FrameRead:
    """A frame of the clip that is made longer was read."""

    notices: tuple[Notice, ...] = ()


Made = SegmentBegun | Event
ClipEvent = Loaded | FrameRead | Made


def make_clip(
    plan: ClipPlan,
    pictures: Sequence[Picture],
    output: Output,
    cache: EngineCache,
    settings: Settings,
    on_event: Callable[[ClipEvent], None] = lambda event: None,
    watch: Stopwatch | None = None,
    source: Source | None = None,
) -> Result:
    """Make the clip and publish it under its final name.

    `pictures` are the image and those of `Generation.inputs`, in their order; none are needed where a clip is
    made longer, which is the `source` then.

    Raises whatever stops it; nothing is left behind then, but the frames in the recorder where only the end
    failed: all are decoded first, unless it failed before the engine began. `on_event` may raise to cancel.
    """
    watch = watch or Stopwatch()
    check_output(output.target, plan.has_sound or has_sound(source))
    output = _keeping_what_it_needs(output, plan.generation)
    ladder = MemoryLadder(plan.spec, plan.generation, plan.device, settings.engine)
    notices = [*plan.notices, *(notice for picture in pictures for notice in picture.notices)]
    with watch.phase(Stage.PICTURE):
        soundtrack = prepare_soundtrack(plan.generation, output.track, settings.models)
    notices.extend(soundtrack.notices)

    def handle(event: ClipEvent) -> None:
        notices.extend(event.notices)
        on_event(event)

    with ladder.explained():
        with watch.phase(Stage.LOAD):
            for event in cache.prepare(plan, ladder):
                handle(event)
            added = find_files(plan.generation, plan.spec, settings.models)
        provenance = describe(plan, pictures, cache.current(), settings.output, added, soundtrack)
        if source is not None:
            provenance = described(provenance, source)
        handle(Loaded(provenance))
        before, fitting = None, tuple[Notice, ...]()
        with watch.phase(Stage.PICTURE):
            if source is not None:
                before, inputs = read_before(source, plan.generation, lambda: handle(FrameRead()))
            else:
                inputs, fitting = fit_inputs(plan, pictures)
        embeddings = kept_embeddings(settings, cache.current())
        inputs = replace(
            inputs,
            checkpoint=added.checkpoint,
            loras=added.loras,
            style_model=added.style_model,
            embeddings=embeddings,
        )
        notices.extend(fitting)
        engine = cache.current().engine
        books = StageBooks(plan.spec, plan.generation, engine.plan, watch)
        if output.checkpoints is not None:
            output.checkpoints.open(provenance.of_frames())

        def run(generation: Generation, inputs: Inputs) -> Generator[Event]:
            if output.latents is not None:
                key = _key_of_latents(provenance, engine.plan, generation, inputs)
                inputs = replace(inputs, latents=output.latents.of(key))
            with closing(engine.generate(generation, inputs, ladder)) as events:
                yield from looped(books.follow(events), generation)
            if inputs.latents is not None and output.checkpoints is not None:
                inputs.latents.remove()  # the segment's frames are there

        with closing(story_events(plan.generation, inputs, run, output.checkpoints, before)) as events:
            marks = mark(plan.spec, provenance, settings.output, output.tags)
            if source is not None:
                marks = replace(marks, tags={**taken_over(source), **marks.tags})
            clip = _Clip(
                plan, output, marks, books, watch, notices, engine, provenance.versions, soundtrack, source
            )
            return clip.publish(events, handle)


def has_sound(source: Source | None) -> bool:
    return source is not None and source.video.sound is not None


def _keeping_what_it_needs(output: Output, generation: Generation) -> Output:
    """Return `output` with one place at the most in which frames are kept for a retry."""
    if not generation.story:
        output = replace(output, checkpoints=None)
    has_steps = generation.num_inference_steps > 0  # else made again sooner than kept: large frames
    if not has_steps or output.latents is None or not output.latents.seconds:
        output = replace(output, latents=None)
    return output if has_steps and output.checkpoints is None else replace(output, recorder=None)


def check_output(target: OutputTarget, with_sound: bool = False) -> None:
    """Raise `EncodeError` or `InvalidRequest` if no video could be published as `target`."""
    check_ffmpeg(with_sound)
    prepare_output(target)


def describe(
    plan: ClipPlan,
    pictures: Sequence[Picture],
    loaded: LoadedEngine,
    output: OutputSettings,
    added: Added = NOTHING_ADDED,
    soundtrack: Soundtrack = SILENCE,
) -> Provenance:
    """Return where the clip will have come from, settled before its first frame."""
    provenance = Provenance.of(
        plan.asked,
        plan.generation,
        [picture.image for picture in pictures],
        loaded.weights_sha256,
        loaded.engine.plan,
        loaded.device,
        _visible_label(plan.spec, output, bool(soundtrack.speaker)),
        plan.spec.packages,
    )
    versions = {**provenance.versions, "ffmpeg": ffmpeg_version()}
    loras = [file.sha256 for file in added.loras]
    more = {
        "checkpoint_sha256": added.checkpoint_sha256,
        "loras_sha256": loras,
        "style_model_sha256": added.style_model_sha256,
        "sound_sha256": soundtrack.track_sha256,
        "synthetic_speech": soundtrack.speaker,
    }
    return provenance.model_copy(update={"kernels": loaded.engine.kernels, "versions": versions, **more})


def _key_of_latents(provenance: Provenance, plan: MemoryPlan, generation: Generation, inputs: Inputs) -> str:
    """Return all that the latents of a clip, or of a story's segment, follow from but for rounding."""
    pictures = [picture_digest(picture) for picture in (inputs.image, *inputs.earlier)]
    facts = [plan.device, plan.dtype, plan.storage_dtype, provenance.versions, inputs.start, pictures]
    return json.dumps([provenance.of_frames(), to_jsonable_python(generation), *facts], sort_keys=True)


def _visible_label(spec: EngineSpec, output: OutputSettings, has_speech: bool) -> Language | None:
    is_generated = spec.is_generative or has_speech
    return output.language if is_generated and output.label == "visible" else None


def kept_embeddings(settings: Settings, loaded: LoadedEngine) -> KeptEmbeddings | None:
    """Return what there is of prompts' embeddings for this engine; `None` where none are kept."""
    cache = EmbeddingCache.of(settings)
    if not loaded.text_sha256 or not cache.megabytes:
        cache.trim()  # those of before the setting was changed
        return None
    return KeptEmbeddings(cache, loaded.text_sha256)


def mark(spec: EngineSpec, provenance: Provenance, output: OutputSettings, more: Mapping[str, str]) -> Marks:
    """Return what the settings want the video to carry, and `more` metadata."""
    has_speech = bool(provenance.synthetic_speech)
    tags = {KEY: provenance.to_tag(output.prompts)}
    if (spec.is_generative or has_speech) and output.label != "none":
        tags[AIGC] = aigc_tag(output.producer, provenance.digest())
    return Marks({**tags, **more}, _visible_label(spec, output, has_speech))


def fit_inputs(plan: ClipPlan, pictures: Sequence[Picture]) -> tuple[Inputs, tuple[Notice, ...]]:
    """Return the pictures as the engine takes them, and what was done to them."""
    generation, whole, notices = plan.generation, pictures[0].image, list[Notice]()

    def fit(image: Image.Image) -> Image.Image:
        if plan.spec.capabilities.whole_picture:
            return cropped(image, generation.crop)
        fitted = _fit(cropped(image, generation.crop), generation)
        notices.extend(fitted.notices)
        return fitted.image

    inputs = Inputs(fit(whole))
    if generation.strength < 1:
        inputs = replace(inputs, large=_fit_large(whole, generation))
    for given, picture in zip(generation.inputs, pictures[1:], strict=True):
        if isinstance(given, Keyframe):
            inputs = replace(inputs, keyframes={**inputs.keyframes, given.frame: fit(picture.image)})
        elif isinstance(given, MotionMask):
            mask = picture.image.resize(whole.size, Image.Resampling.BILINEAR)
            inputs = replace(inputs, motion_mask=_fit_large(mask, generation))
        elif isinstance(given, StyleImage):
            inputs = replace(inputs, style_image=picture.image)
        else:
            inputs = replace(inputs, last_image=fit(picture.image))
    return inputs, tuple(notices)


def _fit(image: Image.Image, generation: Generation) -> FittedPicture:
    fitted = fit_picture(image, generation.width, generation.height, generation.fit)
    size = (generation.generated_width, generation.generated_height)
    if fitted.image.size == size:
        return fitted
    return replace(fitted, image=fitted.image.resize(size, Image.Resampling.LANCZOS))


def _fit_large(picture: Image.Image, generation: Generation) -> Image.Image:
    image = cropped(picture, generation.crop)
    width, height = generation.generated_width, generation.generated_height
    times = min(max(1, min(image.width // width, image.height // height)), MOST_TIMES)
    return fit_picture(image, width * times, height * times, generation.fit).image


@dataclass
class _Clip:
    """A clip whose engine is at work; `notices` grow as it goes on."""

    plan: ClipPlan
    output: Output
    marks: Marks
    books: StageBooks
    watch: Stopwatch
    notices: list[Notice]
    engine: Engine
    versions: dict[str, str]
    soundtrack: Soundtrack
    source: Source | None = None
    busy: BusyCpus = field(default_factory=BusyCpus)
    has_begun: bool = False
    is_whole: bool = False  # all that the engine makes has come

    def publish(self, events: Iterator[Made], handle: Callable[[ClipEvent], None]) -> Result:
        """Encode what the engine makes as it comes. Where only that fails, it is kept for a retry."""
        recorder, generation = self.output.recorder, self.plan.generation
        sound_seconds = self.soundtrack.seconds if self.plan.has_sound else 0.0
        with recorder.begin(generation, sound_seconds) if recorder is not None else nullcontext():
            content = self._made(events, handle)
            try:
                beginning = self._beginning(handle)
                video = deliver(content, generation, self.marks, self.output.target, self.watch, beginning)
            except Exception as error:  # a defect in the delivery is no reason to lose frames either
                if recorder is None or not self.has_begun or isinstance(error, Cancelled):
                    raise
                return self._publish_kept(content, recorder, error)
        return Result(
            video.path,
            generation,
            tuple(self.notices),
            self.watch.seconds,
            tuple(self.books.to_list()),
            self._made_with(),
            held_frames(video, generation),
        )

    def _beginning(self, handle: Callable[[ClipEvent], None]) -> Beginning | None:
        source = self.source
        if source is None:
            return None
        is_labelled = source.provenance.visible_label is not None
        return Beginning(source.video, is_labelled, self.plan.generation, lambda: handle(FrameRead()))

    def _made_with(self) -> MadeWith:
        """Return what has computed the clip: a kernel that failed on the way is not in use any more."""
        engine, device = self.engine, self.plan.device
        busy = self.busy.average() if device.type == "cpu" else None
        return MadeWith(device.name, engine.plan.dtype, engine.kernels, self.versions, busy)

    def _made(self, events: Iterator[Made], handle: Callable[[Made], None]) -> Iterator[Content]:
        self.has_begun = True
        own: Sound | None = None
        if self.plan.generation.upscaler != "lanczos" or self.plan.generation.interpolation is not None:
            events = _frame_by_frame(events)
        for event in events:
            handle(event)
            if isinstance(event, Decoded):
                if self.output.recorder is not None:
                    self.output.recorder.append(event.frames)
                yield event.frames
            elif isinstance(event, Sounded):
                own = Sound(event.samples, event.sample_rate)
        sound = self.soundtrack.with_own(own)
        if self.source is not None:
            sound = read_sound(self.source.video)  # which silence follows
        if sound is not None:
            if self.output.recorder is not None:
                self.output.recorder.append_sound(sound)
            yield sound
        self.is_whole = True

    def _publish_kept(self, content: Iterator[Content], recorder: FrameRecorder, error: Exception) -> Result:
        """Have all of it kept; encode it once more where the error may pass, else raise it."""
        for _ in content:  # where the engine itself failed, there is no more
            pass
        if not self.is_whole:
            raise error
        stages = tuple(self.books.to_list())
        about = About(
            self.plan.generation,
            self.marks.tags,
            self.marks.visible,
            tuple(self.notices),
            self.watch.seconds,
            stages,
            made_with=self._made_with(),
        )
        kept = recorder.keep(about)
        if kept is None or not (isinstance(error, I2VError) and error.code in PASSING):
            raise error
        log.warning("the video is encoded once more: %s", error)
        published = replace(publish_kept(kept, self.output.target), notices=tuple(self.notices))
        recorder.notice = None
        return published


def _frame_by_frame(events: Iterator[Made]) -> Iterator[Made]:
    """Pass events on, each frame as one: what takes a while for every frame can be cancelled between two."""
    for event in events:
        if isinstance(event, Decoded):
            for index in range(len(event.frames)):
                yield Decoded(event.frames[index : index + 1], () if index else event.notices)
        else:
            yield event
