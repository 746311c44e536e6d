"""What a clip says of itself: where it came from, and the labels of AI-generated content.

Settled before the first frame is made. What the tags look like is `i2v.media`'s business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from i2v.core.engine_spec import EngineSpec
from i2v.core.schema import Language
from i2v.core.settings import OutputSettings
from i2v.media.image import Picture
from i2v.media.label import AIGC, aigc_tag
from i2v.media.provenance import KEY, Provenance
from i2v.media.video import ffmpeg_version
from i2v.pipeline.added import NOTHING_ADDED, Added
from i2v.pipeline.delivery import Marks
from i2v.pipeline.engines import LoadedEngine
from i2v.pipeline.plan import ClipPlan
from i2v.pipeline.soundtrack import SILENCE, Soundtrack


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


def _visible_label(spec: EngineSpec, output: OutputSettings, has_speech: bool) -> Language | None:
    is_generated = spec.is_generative or has_speech
    return output.language if is_generated and output.label == "visible" else None


def mark(spec: EngineSpec, provenance: Provenance, output: OutputSettings, more: Mapping[str, str]) -> Marks:
    """Return what the settings want the video to carry, and `more` metadata."""
    has_speech = bool(provenance.synthetic_speech)
    tags = {KEY: provenance.to_tag(output.prompts)}
    if (spec.is_generative or has_speech) and output.label != "none":
        tags[AIGC] = aigc_tag(output.producer, provenance.digest())
    return Marks({**tags, **more}, _visible_label(spec, output, has_speech))
