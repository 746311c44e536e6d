"""What a story will be: its scenes with their prompts, and the segments in which it is made.

Pure. How a segment is made, and joined to the one before, is `segments`' business.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import InvalidRequest, Notice
from i2v.core.generation import Generation
from i2v.core.schema import GenerationRequest
from i2v.core.story import scene_frames
from i2v.core.styles import STYLES, joined

# Of a segment, the part that lies over the one before: more where the engine holds to it. Where it does not,
# two motions are seen in each other there.
_HELD_SHARE, _FADED_SHARE = 4, 8


def with_story(generation: Generation, request: GenerationRequest, spec: EngineSpec) -> Generation:
    """Return the generation of a request with what its `story` asks for.

    Raises `InvalidRequest` for a scene that is shorter than what neighbouring segments have in common.
    """
    if not request.story:
        return generation
    overlap = overlap_of(generation.num_frames, spec)
    look = STYLES[request.style].prompt if request.style else ""
    prompts = (scene.prompt if scene.prompt.strip() else request.prompt for scene in request.story)
    story = tuple(
        replace(scene, prompt=joined(prompt, look))
        for scene, prompt in zip(request.story, prompts, strict=True)
    )
    counts = scene_frames([scene.seconds for scene in story], generation.fps)
    for scene, count in zip(story, counts, strict=True):
        if count < max(overlap, 2):
            least = max(overlap, 2) / generation.fps
            raise InvalidRequest(
                "request.invalid",
                field="story.seconds",
                value=f"{scene.seconds:g}",
                allowed=f"at least {least:.3g} at {generation.fps} frames per second with {spec.title}",
            )
    return replace(
        generation,
        prompt=generation.prompt if generation.prompt.strip() else story[0].prompt,
        story=story,
        made_frames=sum(counts),
        overlap=overlap,
        correct_drift=request.correct_drift,
    )


def overlap_of(num_frames: int, spec: EngineSpec) -> int:
    """Return how many frames neighbouring segments of `num_frames` have in common."""
    share = _HELD_SHARE if spec.capabilities.holds_frames else _FADED_SHARE
    return max(1, num_frames // share)


def notices_on_story(generation: Generation, spec: EngineSpec) -> Iterator[Notice]:
    """Yield in how many segments a story is made, and how they are joined."""
    if not generation.story:
        return
    count = len(generation.segments)
    if count == 1:
        return
    code = "story.held" if spec.capabilities.holds_frames else "story.faded"
    yield Notice(code, {"segments": count, "overlap": generation.overlap})
