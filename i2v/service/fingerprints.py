"""What tells two submissions with one idempotency key apart."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from i2v.core.schema import GenerationRequest
from i2v.core.webhook import Receiver


def fingerprint(
    request: GenerationRequest, picture: bytes, others: Sequence[bytes], webhook: Receiver | None = None
) -> str:
    """Return a digest of all that was asked for, the pictures included."""
    later = {
        name
        for name in (
            "inputs",
            "crop",
            "device",
            "checkpoint",
            "loras",
            "story",
            "loop",
            "output_fps",
            "upscaler",
            "style",
            "sound",
            "narration",
        )
        if not getattr(request, name)
    }
    if not request.story:
        later.add("correct_drift")
    if request.interpolation == "auto":
        later.add("interpolation")
    fields = request.model_dump(exclude=later)  # as before there were any
    for lora in fields.get("loras", ()):
        if lora["strength_2"] is None:
            del lora["strength_2"]
    digest = hashlib.sha256(json.dumps(fields, sort_keys=True).encode())
    digest.update(picture)
    for each in others:  # by their digests, so that it is clear where one ends
        digest.update(hashlib.sha256(each).digest())
    if webhook is not None:
        digest.update(webhook.model_dump_json().encode())
    return digest.hexdigest()
