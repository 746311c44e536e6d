"""What makes a finished clip longer: so many seconds more, of a prompt. What is asked, checked once."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from i2v.core.bounds import Within
from i2v.core.fields import Text
from i2v.core.schema import DeviceId, RequestModel, Seed
from i2v.core.story import MAX_SECONDS


class ExtendRequest(RequestModel):
    """What a person wants of a clip that is there; all else is as it was made."""

    seconds: Annotated[float, Within(0.1, MAX_SECONDS)] = Field(description="how much longer it is to be")
    prompt: Text | None = Field(
        default=None, description="what should happen in them; none: what the clip's last scene says"
    )
    seed: Seed = Field(default=None, description="of the new frames; none: a random one, which is reported")
    correct_drift: bool = Field(
        default=True, description="hold colours and sharpness to those of the clip's first frame"
    )
    device: DeviceId = Field(default=None, description="the server's device to run on, as in GET /devices")
