"""From a plan and its pictures to a published video, as a short list of named steps.

`make_clip` is the only place where a clip is made: for workers, the command line and benchmarks alike. Frames
are encoded while later ones are still being decoded. Where jobs and pages live is not known here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

from pydantic_core import to_jsonable_python

from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.results import Result
from i2v.core.settings import Settings
from i2v.core.stages import Stage
from i2v.engines.base import Engine, Event, Inputs
from i2v.host.embedding_cache import EmbeddingCache, KeptEmbeddings
from i2v.media.image import Picture
from i2v.media.outputs import OutputTarget, prepare_output
from i2v.media.provenance import Provenance, picture_digest
from i2v.media.video import check_ffmpeg
from i2v.pipeline.added import Added, find_files
from i2v.pipeline.clip import Clip, ClipEvent, FrameRead, Loaded, Output
from i2v.pipeline.engines import EngineCache, LoadedEngine
from i2v.pipeline.enhance import Source
from i2v.pipeline.extend import described, read_before, taken_over
from i2v.pipeline.fitting import fit_inputs
from i2v.pipeline.ladder import MemoryLadder
from i2v.pipeline.loops import looped
from i2v.pipeline.marks import describe, mark
from i2v.pipeline.plan import ClipPlan
from i2v.pipeline.segments import story_events
from i2v.pipeline.soundtrack import prepare_soundtrack
from i2v.pipeline.stages import StageBooks, Stopwatch


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

    Raises whatever stops it; nothing is left behind then, but what a retry goes on from (checkpoints and
    latents), or the frames in the recorder where only the end failed: all are decoded first, unless it failed
    before the engine began. `on_event` may raise to cancel.
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
        loaded = cache.current()
        provenance = describe(plan, pictures, loaded, settings.output, added, soundtrack)
        if source is not None:
            provenance = described(provenance, source)
        handle(Loaded(provenance))
        with watch.phase(Stage.PICTURE):
            if source is None:
                before, (inputs, fitting) = None, fit_inputs(plan, pictures)
                notices.extend(fitting)
            else:
                before, inputs = read_before(source, plan.generation, lambda: handle(FrameRead()))
        inputs = _with_files(inputs, added, kept_embeddings(settings, loaded))
        books = StageBooks(plan.spec, plan.generation, loaded.engine.plan, watch)
        if output.checkpoints is not None:
            output.checkpoints.open(provenance.of_frames())
        make = partial(_generated, loaded.engine, ladder, books, output, provenance)
        with closing(story_events(plan.generation, inputs, make, output.checkpoints, before)) as events:
            marks = mark(plan.spec, provenance, settings.output, output.tags)
            if source is not None:
                marks = replace(marks, tags={**taken_over(source), **marks.tags})
            made_by = loaded.engine, provenance.versions
            clip = Clip(plan, output, marks, books, watch, notices, *made_by, soundtrack, source)
            return clip.publish(events, handle)


def _generated(
    engine: Engine,
    ladder: MemoryLadder,
    books: StageBooks,
    output: Output,
    provenance: Provenance,
    generation: Generation,
    inputs: Inputs,
) -> Generator[Event]:
    """Yield the events of one clip, or of a story's segment, that goes on from where it was kept."""
    if output.latents is not None:
        key = _key_of_latents(provenance, engine.plan, generation, inputs)
        inputs = replace(inputs, latents=output.latents.of(key))
    with closing(engine.generate(generation, inputs, ladder)) as events:
        yield from looped(books.follow(events), generation)
    if inputs.latents is not None and output.checkpoints is not None:
        inputs.latents.remove()  # the segment's frames are there


def _with_files(inputs: Inputs, added: Added, embeddings: KeptEmbeddings | None) -> Inputs:
    """Return what the engine is given, with the files that come to its own."""
    return replace(
        inputs,
        checkpoint=added.checkpoint,
        loras=added.loras,
        style_model=added.style_model,
        embeddings=embeddings,
    )


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


def _key_of_latents(provenance: Provenance, plan: MemoryPlan, generation: Generation, inputs: Inputs) -> str:
    """Return all that the latents of a clip, or of a story's segment, follow from but for rounding."""
    pictures = [picture_digest(picture) for picture in (inputs.image, *inputs.earlier)]
    facts = [plan.device, plan.dtype, plan.storage_dtype, provenance.versions, inputs.start, pictures]
    return json.dumps([provenance.of_frames(), to_jsonable_python(generation), *facts], sort_keys=True)


def kept_embeddings(settings: Settings, loaded: LoadedEngine) -> KeptEmbeddings | None:
    """Return what there is of prompts' embeddings for this engine; `None` where none are kept."""
    cache = EmbeddingCache.of(settings)
    if not loaded.text_sha256 or not cache.megabytes:
        cache.trim()  # those of before the setting was changed
        return None
    return KeptEmbeddings(cache, loaded.text_sha256)
