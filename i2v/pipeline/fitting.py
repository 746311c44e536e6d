"""The pictures of a clip as its engine takes them: cropped, of its size, and what was done to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PIL import Image

from i2v.core.errors import Notice
from i2v.core.generation import Generation
from i2v.core.inputs import Keyframe, MotionMask, StyleImage
from i2v.engines.base import Inputs
from i2v.media.image import FittedPicture, Picture, cropped, fit_picture
from i2v.pipeline.plan import ClipPlan

MOST_TIMES = 4  # the generated size, for a camera that moves over the picture: closer, it is enlarged


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
