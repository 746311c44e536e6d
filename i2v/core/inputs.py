"""Pictures that come with a request besides its image, by what they are for.

Their bytes travel beside the request. Which of them an engine takes is `engine_spec`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from i2v.core.bounds import Within
from i2v.core.errors import InvalidRequest
from i2v.core.fields import MAX_FRAMES, refuse_unknown, shown

InputRole = Literal["image", "last_image", "keyframe", "motion_mask", "style_image"]
MAX_INPUTS = 16  # pictures besides the image


def known_parts(inputs: object) -> object:
    """Refuse what an `InputPicture` does not have; stored ones may be of a later version, and have more."""
    for each in inputs if isinstance(inputs, list | tuple) else ():
        if not isinstance(each, dict):
            continue
        role = each.get("role")
        if not isinstance(role, str) or role not in INPUT_PARTS:
            allowed = f"one of {', '.join(INPUT_PARTS)}"
            raise InvalidRequest("request.invalid", field="inputs.role", value=shown(role), allowed=allowed)
        refuse_unknown(each, INPUT_PARTS[role], "inputs", "role")
    return inputs


@dataclass(frozen=True)
class LastImage:
    """The picture to end with."""

    role: Literal["last_image"]


@dataclass(frozen=True)
class Keyframe:
    """A picture for the frame of this number; frame 0 is `image`."""

    role: Literal["keyframe"]
    frame: Annotated[int, Within(1, MAX_FRAMES - 1)]


@dataclass(frozen=True)
class MotionMask:
    """A picture that is white where the model acts, and black where only the camera moves; of any size."""

    role: Literal["motion_mask"]


@dataclass(frozen=True)
class StyleImage:
    """A picture whose look the clip is to have; of any size, and of no frame."""

    role: Literal["style_image"]


# A picture that comes with a request besides `image`, the first frame; its bytes travel beside this.
InputPicture = Annotated[LastImage | Keyframe | MotionMask | StyleImage, Field(discriminator="role")]
INPUT_PARTS = {
    "last_image": ("role",),
    "keyframe": ("role", "frame"),
    "motion_mask": ("role",),
    "style_image": ("role",),
}
