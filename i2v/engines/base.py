"""What every engine is: something that loads weights once and turns one `Generation` into a stream of events.

An engine knows nothing of jobs, files to write, pages or settings. The caller owns progress: it iterates, and
stopping to iterate (closing the generator) is how a job is cancelled. What is known before loading is the
`EngineSpec`'s business.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, cast

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.memory_plan import MemoryPlan
from i2v.core.stages import Stage
from i2v.host.embedding_cache import KeptEmbeddings
from i2v.media.latents import KeptLatents
from i2v.weights.loras import LoraFile

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL.Image import Image


@dataclass(frozen=True)
class Inputs:
    """What a clip is made from besides its `Generation`: pictures by their roles, and files.

    Pictures are RGB: those that the engine's `Capabilities.inputs` name. Each is exactly `generated_width` x
    `generated_height`, or as it was given where the engine takes the `whole_picture`. `keyframes` are by the
    number of their frame, which is at least 1. `large`: the image fitted alike, but a whole number of times
    that size, as far as it has the pixels; where `Generation.strength` is below 1, for a camera that moves
    over it. `motion_mask`: of the size of `large`, white where the model acts and black where only the camera
    moves. `style_image`: of any size, and `style_model` the folder of the model that reads it. `checkpoint`
    and `loras` are the files that `Generation` names, for engines whose `Capabilities`
    say that they take some. `embeddings`: those of prompts that are kept on disk, if any are, for engines
    whose spec names `text_parts`. `latents`: where denoising keeps how far it is, and looks before it
    begins.

    A segment of a story begins with its frame `start`, below 0 where it begins before a camera moves.
    `earlier` are the frames that it has in common with the segment before, the first of which is `image`;
    empty for the first one. An engine that `holds_frames` keeps to them, the less the later they are.
    """

    image: Image
    last_image: Image | None = None
    keyframes: Mapping[int, Image] = field(default_factory=dict)
    large: Image | None = None
    motion_mask: Image | None = None
    style_image: Image | None = None
    style_model: Path | None = None
    checkpoint: Path | None = None
    loras: tuple[LoraFile, ...] = ()
    start: int = 0
    earlier: tuple[Image, ...] = ()
    embeddings: KeptEmbeddings | None = None
    latents: KeptLatents | None = None


@dataclass(frozen=True)
class Conditioned:
    """Prompt and picture are encoded; denoising starts."""

    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class Denoised:
    """Step `step` of `total` is done.

    `preview` returns what the clip looks like so far, (f, h, w, 3) uint8, h and w latent sides. Its f frames
    are spread over the clip's whole length: as many as the clip has, or fewer. It is made
    when it is called, which waits for the device: a caller that needs none leaves the device busy.
    """

    step: int
    total: int
    preview: Callable[[], NDArray[np.uint8]]
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class Decoded:
    """The next frames of the clip, in order: (n, H, W, 3) uint8."""

    frames: NDArray[np.uint8]
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class Sounded:
    """The clip's sound, once all frames are decoded: (n, channels) float32 in [-1, 1], one or two channels.

    It begins with the first frame. The video's length counts: the sound is cut, or followed by silence.
    """

    samples: NDArray[np.float32]
    sample_rate: int
    notices: tuple[Notice, ...] = ()


@dataclass(frozen=True)
class SteppedDown:
    """Memory ran out in `stage`, or was about to: what is left of the clip is made by `plan`."""

    stage: Stage
    plan: MemoryPlan
    notices: tuple[Notice, ...]


Event = Conditioned | Denoised | Decoded | Sounded | SteppedDown


class Ladder(Protocol):
    """What an engine asks when memory runs out. `i2v.pipeline.ladder` has the one of a job."""

    def step_down(self, plan: MemoryPlan, stage: Stage) -> MemoryPlan | None:
        """Return a plan that takes less memory in `stage` than `plan`, `None` where there is none."""
        ...

    def is_short(self) -> bool:
        """Tell whether memory will soon run out; asked between steps, so it takes no time."""
        ...


class NoLadder:
    """Out of memory ends the clip."""

    def step_down(self, plan: MemoryPlan, stage: Stage) -> MemoryPlan | None:
        return None

    def is_short(self) -> bool:
        return False


NO_LADDER = NoLadder()


class Engine(Protocol):
    """The contract. `tests/engines/test_contract.py` holds every registered engine to it."""

    spec: EngineSpec

    @property
    def plan(self) -> MemoryPlan:
        """The plan as it runs: with the threads that it really uses."""
        ...

    @property
    def kernels(self) -> str:
        """Whose kernels the network has run through: "torch", other names, "none" without a network."""
        ...

    @classmethod
    def load(cls, spec: EngineSpec, folder: Path | None, plan: MemoryPlan) -> Self:
        """Load weights from a folder in the Hugging Face layout; `None` where the engine has none.

        Raises:
            ModelUnavailable: naming the file or tensor.
            InsufficientMemory: `engine.out_of_memory`.
        """
        ...

    def adopt(self, plan: MemoryPlan) -> None:
        """Work by `plan` from the next clip on. It is of the device and the dtype that were loaded for.

        Nothing is moved yet, so that this cannot run out of memory.
        """
        ...

    def generate(
        self, generation: Generation, inputs: Inputs, ladder: Ladder = NO_LADDER
    ) -> Generator[Event]:
        """Yield `Conditioned`, one `Denoised` a step, then `Decoded` chunks that sum to `num_frames` frames.

        An engine whose `Capabilities` say so may yield one `Sounded` at the end.

        Between them, `SteppedDown` where memory ran out and `ladder` had a plan that takes less: what is
        finished is kept, and `self.plan` is the new one.

        Raises:
            InsufficientMemory: `engine.out_of_memory`, at the ladder's end.
        """
        ...


def engine_class(spec: EngineSpec) -> type[Engine]:
    """Import the class that implements `spec`; heavy libraries are loaded here, not at start."""
    module, _, name = spec.implementation.partition(":")
    return cast("type[Engine]", getattr(importlib.import_module(module), name))
