"""The picture of a job as its clip has it: cropped and fitted, to be laid over the clip.

Pure: the decoded picture goes in, a JPEG file comes out. Where pictures lie is `inputs`' business.
"""

from __future__ import annotations

import io

from PIL import Image

from i2v.core.generation import Generation
from i2v.media.image import cropped, fit_picture

MIME_TYPE = "image/jpeg"


def fitted_picture(image: Image.Image, generation: Generation) -> bytes:
    """Return the part of an RGB picture that the clip is made of, in the clip's size (`MIME_TYPE`)."""
    part = cropped(image, generation.crop)
    fitted = fit_picture(part, generation.width, generation.height, generation.fit)
    file = io.BytesIO()
    fitted.image.save(file, "JPEG", quality=90)
    return file.getvalue()
