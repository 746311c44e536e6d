"""i2v.media.image against real bytes, hostile ones included, and its size arithmetic against its promises."""

from __future__ import annotations

import io
import math
import random
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from i2v.core.errors import InvalidRequest
from i2v.media.image import Fit, ImageLimits, decode_picture, fit_picture, fit_size, kept_part


def photo(width: int = 48, height: int = 32) -> Image.Image:
    """A smooth picture whose pixels tell where they are: red grows to the right, green downwards."""
    red = np.linspace(0, 250, width)[None, :].repeat(height, 0)
    green = np.linspace(0, 250, height)[:, None].repeat(width, 1)
    return Image.fromarray(np.stack([red, green, np.full_like(red, 60)], -1).astype(np.uint8))


def encoded(image: Image.Image, format: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, depth: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG by hand: `colour` 0 is grey, 2 is RGB; each row starts with its filter byte."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    body = png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + extra + body


def codes(data: bytes) -> list[str]:
    return [notice.code for notice in decode_picture(data).notices]


def refusal(data: bytes, limits: ImageLimits | None = None) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        decode_picture(data, limits or ImageLimits())
    caught.value.message.encode()
    return caught.value


# --- formats


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF"])
def test_usual_formats_become_rgb(format: str) -> None:
    picture = decode_picture(encoded(photo(), format))
    assert (picture.image.mode, picture.image.size, picture.source_size) == ("RGB", (48, 32), (48, 32))
    assert picture.notices == ()
    assert np.abs(np.asarray(picture.image).astype(int) - np.asarray(photo())).mean() < 20


def test_only_pixels_leave() -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret"
    data = encoded(photo(), "JPEG", exif=exif, comment=b"secret", icc_profile=b"secret")
    image = decode_picture(data + b"<html>secret</html>").image  # and what stands behind a JPEG is not read
    assert image.info == {}
    assert not image.getexif()
    assert b"secret" not in encoded(image)


def test_a_phones_double_picture_is_one_photo() -> None:
    data = encoded(photo(), "MPO", save_all=True, append_images=[photo()])
    assert codes(data) == []


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_the_first_frame_is_taken(format: str) -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue", "lime")]
    picture = decode_picture(encoded(frames[0], format, save_all=True, append_images=frames[1:]))
    assert [notice.code for notice in picture.notices] == ["image.animated"]
    red, green, blue = picture.image.resize((1, 1)).getpixel((0, 0))
    assert red > 240
    assert max(green, blue) < 15


# --- orientation


TO_ORIENTATION = {  # how a camera stores an upright picture under each EXIF value
    1: lambda image: image,
    2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
    4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
    5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
    6: lambda image: image.transpose(Image.Transpose.ROTATE_90),
    7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
    8: lambda image: image.transpose(Image.Transpose.ROTATE_270),
}


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_becomes_upright(format: str, orientation: int) -> None:
    upright = Image.new("RGB", (48, 32), "black")
    upright.paste("red", (0, 0, 16, 16))  # top left
    upright.paste("lime", (32, 0, 48, 16))  # top right
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode_picture(encoded(TO_ORIENTATION[orientation](upright), format, exif=exif))
    assert picture.source_size == picture.image.size == (48, 32)
    assert picture.image.getpixel((6, 6))[0] > 200
    assert picture.image.getpixel((41, 6))[1] > 200
    assert max(picture.image.getpixel((6, 25)) + picture.image.getpixel((41, 25))) < 60


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_unknown_orientations_are_upright(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert decode_picture(encoded(photo(), "JPEG", exif=exif)).source_size == (48, 32)


def test_broken_exif_does_not_cost_the_picture() -> None:
    data = encoded(photo(), "PNG", exif=b"Exif\x00\x00MM\x00*\xff\xff\xff\xff broken")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's own words on it
        assert decode_picture(data).source_size == (48, 32)


# --- pixels


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_16_bit_grey_is_scaled_not_clipped(format: str) -> None:
    values = np.linspace(0, 65535, 256).astype(np.uint16)[None, :].repeat(32, 0)
    picture = decode_picture(encoded(Image.fromarray(values), format))
    row = np.asarray(picture.image)[0]
    assert row[:, 0].tolist() == list(range(256))
    assert (row[:, 0] == row[:, 1]).all()
    assert (row[:, 1] == row[:, 2]).all()


def test_big_endian_16_bit_grey() -> None:
    rows = b"".join(b"\0" + struct.pack(">H", 257 * 100) * 20 for _ in range(20))
    assert decode_picture(png(20, 20, 16, 0, rows)).image.getpixel((3, 3)) == (100, 100, 100)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([0.0, 0.5, 1.0], np.float32), [0, 128, 255]),
        (np.array([0.0, 100.0, 255.0], np.float32), [0, 100, 255]),
        (np.array([0.0, 257.0, 65535.0], np.float32), [0, 1, 255]),
        (np.array([-1.0, 0.0, 1.0], np.float32), [0, 128, 255]),
        (np.array([-3e38, 0.0, 3e38], np.float32), [0, 128, 255]),
        (np.array([np.nan, np.inf, 1.0], np.float32), [0, 0, 255]),
        (np.array([0, 100, 255], np.int32), [0, 100, 255]),
        (np.array([0, 257, 65535], np.int32), [0, 1, 255]),
        (np.array([0, 1_000_000, 2_000_000], np.int32), [0, 128, 255]),
        (np.array([-5, -5, -5], np.int32), [0, 0, 0]),
    ],
)
def test_32_bit_grey_is_scaled_by_its_range(values: np.ndarray, expected: list[int]) -> None:
    image = Image.fromarray(values.repeat(8)[None, :].repeat(16, 0))
    row = np.asarray(decode_picture(encoded(image, "TIFF")).image)[0, ::8, 0]
    assert row.tolist() == expected


def hidden_colours(mode: str) -> bytes:
    """Left half opaque, right half invisible, with a garish colour under it."""
    rgba = Image.new("RGBA", (32, 32), (40, 40, 40, 255))
    rgba.paste((255, 0, 255, 0), (16, 0, 32, 32))
    if mode == "P":
        palette = Image.new("P", (32, 32), 0)
        palette.putpalette([40, 40, 40, 255, 0, 255])
        palette.paste(1, (16, 0, 32, 32))
        return encoded(palette, transparency=1)
    if mode == "grey key":
        rows = (b"\0" + b"\x28" * 16 + b"\xc8" * 16) * 32
        return png(32, 32, 8, 0, rows, png_chunk(b"tRNS", struct.pack(">H", 0xC8)))
    if mode == "16-bit grey key":
        rows = (b"\0" + struct.pack(">H", 40 * 257) * 16 + struct.pack(">H", 51234) * 16) * 32
        return png(32, 32, 16, 0, rows, png_chunk(b"tRNS", struct.pack(">H", 51234)))
    if mode in ("WEBP", "TIFF", "GIF"):
        return encoded(rgba, mode, **({"lossless": True, "exact": True} if mode == "WEBP" else {}))
    return encoded(rgba.convert(mode))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "grey key", "16-bit grey key", "WEBP", "TIFF", "GIF"])
def test_hidden_colours_stay_hidden(mode: str) -> None:
    data = hidden_colours(mode)
    picture = decode_picture(data)
    assert [notice.code for notice in picture.notices] == ["image.transparent"]
    assert picture.image.getpixel((4, 4)) == (40, 40, 40)
    assert picture.image.getpixel((28, 4)) == (255, 255, 255)
    green = decode_picture(data, ImageLimits(background=(0, 128, 0)))
    assert green.image.getpixel((28, 4)) == (0, 128, 0)
    assert "#008000" in green.notices[0].message


def test_half_transparent_pixels_are_mixed() -> None:
    picture = decode_picture(encoded(Image.new("RGBA", (32, 32), (0, 0, 0, 128))))
    assert picture.image.getpixel((0, 0)) == pytest.approx((127, 127, 127), abs=1)


def test_an_opaque_alpha_channel_is_no_news() -> None:
    assert codes(encoded(photo().convert("RGBA"))) == []


@pytest.mark.parametrize("mode", ["1", "L", "P"])
def test_other_modes_become_rgb(mode: str) -> None:
    image = photo().convert(mode)
    assert decode_picture(encoded(image)).image.tobytes() == image.convert("RGB").tobytes()


def test_cmyk_becomes_rgb() -> None:
    data = encoded(Image.new("CMYK", (32, 32), (255, 0, 0, 0)), "JPEG", quality=95)  # ink: cyan
    red, green, blue = decode_picture(data).image.getpixel((9, 9))
    assert red < 60
    assert min(green, blue) > 140


# --- colour profiles


def swapped_profile() -> bytes:
    """A valid profile that differs from sRGB so much that a test sees it: XYZ -> sRGB and a new name."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    tags = {data[132 + 12 * i : 136 + 12 * i].decode(): 132 + 12 * i for i in range(data[131])}
    red, green = tags["rXYZ"], tags["gXYZ"]
    data[red + 4 : red + 12], data[green + 4 : green + 12] = (
        data[green + 4 : green + 12],
        data[red + 4 : red + 12],
    )
    return bytes(data).replace("sRGB".encode("utf-16-be"), "Test".encode("utf-16-be"))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_colour_profile_is_applied(mode: str) -> None:
    image = Image.new("RGB", (32, 32), (255, 0, 0)).convert(mode)
    picture = decode_picture(encoded(image, icc_profile=swapped_profile()))
    assert picture.notices == ()
    assert picture.image.getpixel((0, 0)) == pytest.approx((0, 255, 0), abs=3)


def test_an_srgb_profile_changes_no_pixel() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert decode_picture(encoded(photo(), icc_profile=srgb)).image.tobytes() == photo().tobytes()


@pytest.mark.parametrize("profile", [b"not a profile", b"\0" * 500, swapped_profile()[:300]])
def test_a_broken_profile_is_ignored_and_said(profile: bytes) -> None:
    picture = decode_picture(encoded(photo(), icc_profile=profile))
    assert [notice.code for notice in picture.notices] == ["image.profile_ignored"]
    assert picture.image.tobytes() == photo().tobytes()


def test_a_profile_for_other_pixels_is_ignored_and_said() -> None:
    assert codes(encoded(photo().convert("L"), icc_profile=swapped_profile())) == ["image.profile_ignored"]


# --- hostile bytes

PNG, JPEG = encoded(photo()), encoded(photo(), "JPEG")


def bad_crc() -> bytes:
    at = PNG.index(b"IDAT") + 8
    return PNG[:at] + bytes([PNG[at] ^ 1]) + PNG[at + 1 :]


def bomb(width: int, height: int) -> bytes:
    return png(width, height, 8, 2, b"")


def webp_bomb() -> bytes:
    data = bytearray(encoded(photo(), "WEBP", save_all=True, append_images=[photo(48, 32).rotate(90)]))
    at = data.index(b"VP8X") + 12
    data[at : at + 6] = (15_999).to_bytes(3, "little") * 2
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "image.empty"),
        (b"hello, I am a picture", "image.unknown_format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image.unknown_format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "image.unknown_format"),
        (encoded(photo(), "EPS"), "image.unknown_format"),
        (encoded(photo(), "PPM"), "image.unknown_format"),
        (encoded(photo(), "ICO"), "image.unknown_format"),
        (b"<html>" + JPEG, "image.unknown_format"),
        (b"\x89PNG\r\n\x1a\n", "image.damaged"),
        (PNG[: len(PNG) * 2 // 3], "image.damaged"),
        (JPEG[: len(JPEG) * 2 // 3], "image.damaged"),
        (bad_crc(), "image.damaged"),
        (png(48, 32, 8, 2, b"short"), "image.damaged"),
        (bomb(11_001, 10_000), "image.too_large"),  # over our limit
        (bomb(13_000, 13_000), "image.too_large"),  # Pillow warns
        (bomb(50_000, 50_000), "image.too_large"),  # Pillow refuses
        (webp_bomb(), "image.too_large"),
        (encoded(photo(1, 1)), "image.too_small"),
        (encoded(photo(15, 40)), "image.too_small"),
        (encoded(photo(30_000, 1)), "image.too_small"),
        (encoded(photo(129, 16)), "image.too_narrow"),
        (encoded(photo(16, 129)), "image.too_narrow"),
    ],
)
def test_unusable_bytes_are_refused(data: bytes, code: str) -> None:
    assert refusal(data).code == code


@pytest.mark.parametrize("size", [(16, 16), (128, 16), (16, 128)])
def test_the_limits_themselves_are_accepted(size: tuple[int, int]) -> None:
    assert decode_picture(encoded(photo(*size))).source_size == size


def test_limits_are_named_with_their_values() -> None:
    assert refusal(PNG, ImageLimits(max_bytes=100)).params == {"bytes": len(PNG), "allowed": 100}
    assert "48x32" in refusal(PNG, ImageLimits(max_pixels=1000)).message
    assert "2500000000 pixels" in refusal(bomb(50_000, 50_000)).message


def test_too_little_memory_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", exhausted)
    assert refusal(PNG).code == "image.no_memory"


def test_nothing_global_is_changed() -> None:
    before = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
    for data in (PNG, bomb(50_000, 50_000), b"text"):
        try:
            decode_picture(data)
        except InvalidRequest:
            continue
    assert (Image.MAX_IMAGE_PIXELS, list(warnings.filters)) == before


SEEDS: list[bytes] = [
    PNG,
    JPEG,
    encoded(photo(), "WEBP"),
    encoded(photo(), "GIF", save_all=True, append_images=[photo().rotate(180)]),
    encoded(photo(), "TIFF", compression="tiff_lzw"),
    encoded(photo(), "TIFF"),
    encoded(photo(), "BMP"),
    encoded(
        photo().convert("RGBA"), "PNG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0", icc_profile=swapped_profile()
    ),
]


def accepted_or_refused(data: bytes) -> None:
    try:
        picture = decode_picture(data)
    except InvalidRequest as error:
        error.message.encode()
    else:
        assert picture.image.mode == "RGB"


@pytest.mark.parametrize("seed", range(len(SEEDS)))
@pytest.mark.parametrize(
    "warn", ["error", "ignore"]
)  # as exceptions, Pillow's warnings must not escape either
def test_mutations_are_accepted_or_refused(seed: int, warn: str) -> None:
    chance = random.Random(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error" if warn == "error" else "ignore")
        for _ in range(120):
            data = bytearray(SEEDS[seed])
            for _ in range(chance.choice([1, 2, 8])):
                at = chance.randrange(min(len(data), chance.choice([64, 1024, len(data)])))
                data[at] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])
            if chance.random() < 0.2:
                del data[chance.randrange(len(data)) :]
            accepted_or_refused(bytes(data))


@given(st.sampled_from([b"", *(seed[:12] for seed in SEEDS)]), st.binary(max_size=200))
@settings(max_examples=60, deadline=None)
def test_noise_behind_a_real_beginning_is_refused(head: bytes, tail: bytes) -> None:
    refusal(head + tail)


# --- fit_size

SIDES = st.integers(16, 8000)


@given(SIDES, SIDES, st.sampled_from([256, 512, 704, 1024]), st.sampled_from([8, 16, 64]))
@settings(deadline=None)
def test_keep_stays_near_the_area_and_the_shape(
    width: int, height: int, area_side: int, multiple: int
) -> None:
    if max(width, height) > 8 * min(width, height):
        width = height
    got_width, got_height = fit_size(width, height, area_side, multiple, "keep")
    assert got_width % multiple == got_height % multiple == 0
    scale = area_side / (width * height) ** 0.5
    rounded = [max(1, math.floor(side * scale / multiple + 0.5)) * multiple for side in (width, height)]
    area = got_width * got_height / area_side**2
    assert 0.7 <= area <= (17 / 16) ** 2 or [got_width, got_height] == rounded
    # Never more is cut than plain rounding would, but for what a nearer area is worth.
    assert lost(width, height, got_width, got_height) <= lost(width, height, *rounded) + 0.2 * 0.13


def lost(width: int, height: int, to_width: int, to_height: int) -> float:
    """Return the part of a picture that is cut for a size."""
    shape = (width / height) / (to_width / to_height)
    return 1 - min(shape, 1 / shape)


@pytest.mark.parametrize(
    ("shape", "area_side", "multiple", "expected", "most"),
    [
        ((1920, 1080), 160, 16, (224, 128), 0.016),  # plain rounding has 208 x 128 and loses 8.6 %
        ((1080, 1920), 160, 16, (128, 224), 0.016),
        ((3000, 2000), 512, 64, (576, 384), 0.0),  # and here 4.8 %
        ((4000, 3000), 256, 64, (256, 192), 0.0),
        ((1920, 1080), 768, 64, (1024, 576), 0.0),
    ],
)
def test_keep_loses_little_of_usual_pictures(
    shape: tuple[int, int], area_side: int, multiple: int, expected: tuple[int, int], most: float
) -> None:
    assert fit_size(*shape, area_side, multiple, "keep") == expected
    assert lost(*shape, *expected) <= most


@given(SIDES, SIDES, st.integers(1, 2000), st.integers(1, 128), st.sampled_from(["crop", "pad"]))
@settings(deadline=None)
def test_crop_and_pad_are_square(width: int, height: int, area_side: int, multiple: int, fit: Fit) -> None:
    got_width, got_height = fit_size(width, height, area_side, multiple, fit)
    assert got_width == got_height >= multiple
    assert got_width % multiple == 0
    assert abs(got_width - area_side) <= max(multiple / 2, multiple - area_side)


@pytest.mark.parametrize(
    ("size", "area_side", "multiple", "expected"),
    [
        ((512, 512), 512, 64, (512, 512)),
        ((1920, 1080), 512, 8, (680, 384)),
        ((1080, 1920), 512, 8, (384, 680)),
        ((4000, 3000), 512, 64, (576, 448)),
        ((1280, 704), 704, 64, (960, 512)),
        ((8000, 1000), 64, 64, (192, 64)),
    ],
)
def test_keep_by_example(
    size: tuple[int, int], area_side: int, multiple: int, expected: tuple[int, int]
) -> None:
    assert fit_size(*size, area_side, multiple, "keep") == expected


@pytest.mark.parametrize("arguments", [(0, 5, 512, 8), (5, -1, 512, 8), (5, 5, 0, 8), (5, 5, 512, 0)])
def test_impossible_sizes_are_a_programming_error(arguments: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="positive"):
        fit_size(*arguments, "keep")
    with pytest.raises(ValueError, match="positive"):
        fit_picture(photo(), 0, 10, "crop")


# --- fit_picture


def notice_codes(image: Image.Image, width: int, height: int, fit: Fit) -> list[str]:
    return [notice.code for notice in fit_picture(image, width, height, fit).notices]


@given(st.integers(16, 90), st.integers(16, 90), SIDES, SIDES, st.sampled_from(["keep", "crop", "pad"]))
@settings(max_examples=60, deadline=None)
def test_every_fit_is_exact_and_says_what_it_did(
    width: int, height: int, to_width: int, to_height: int, fit: Fit
) -> None:
    to_width, to_height = to_width % 100 + 1, to_height % 100 + 1
    fitted = fit_picture(photo(width, height), to_width, to_height, fit)
    assert (fitted.image.size, fitted.image.mode) == ((to_width, to_height), "RGB")
    left, top, right, bottom = fitted.crop or (0, 0, width, height)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    before = fitted.padding or (0, 0, 0, 0)
    inner = (to_width - before[0] - before[2], to_height - before[1] - before[3])
    assert inner == pytest.approx(((right - left) * fitted.scale[0], (bottom - top) * fitted.scale[1]))
    codes = {notice.code for notice in fitted.notices}
    edges = (left, top, width - right, height - bottom)
    assert ("image.cropped" in codes) == any(edge >= 1 - 1e-6 for edge in edges)
    assert (left, top, right, bottom) == kept_part((width, height), to_width, to_height, fit)
    assert ("image.padded" in codes) == (fitted.padding is not None)
    assert all(notice.message for notice in fitted.notices)
    if fit != "pad":  # never stretched
        assert fitted.scale[0] == fitted.scale[1]


def test_the_right_pixels_are_kept() -> None:
    source = photo(100, 80)
    fitted = fit_picture(source, 50, 50, "crop")
    assert fitted.crop == (10, 0, 90, 80)  # wide: centred
    expected = source.crop((10, 0, 90, 80)).resize((50, 50), Image.Resampling.LANCZOS)
    difference = np.asarray(fitted.image).astype(int) - np.asarray(expected)
    assert np.abs(difference)[1:-1, 1:-1].max() <= 1  # at the border one of them sees beyond the box


def test_a_portrait_keeps_its_head() -> None:
    fitted = fit_picture(photo(60, 120), 60, 60, "crop")
    assert fitted.crop == (0, 20, 60, 80)  # a third of the excess from the top
    assert fitted.scale == (1, 1)
    assert notice_codes(photo(60, 120), 60, 60, "crop") == ["image.cropped"]
    assert "20 at the top" in fitted.notices[0].message
    assert "40 at the bottom" in fitted.notices[0].message


def test_keep_cuts_the_rounding_excess_at_both_sides() -> None:
    fitted = fit_picture(photo(60, 100), 60, 90, "keep")
    assert fitted.crop == (0, 5, 60, 95)


def test_nothing_to_do_says_nothing() -> None:
    for fit in ("keep", "crop", "pad"):
        fitted = fit_picture(photo(60, 40), 30, 20, fit)
        assert (fitted.crop, fitted.padding, fitted.scale, fitted.notices) == (None, None, (0.5, 0.5), ())


def test_padding_can_be_removed_again() -> None:
    fitted = fit_picture(photo(60, 30), 40, 40, "pad")
    assert fitted.padding == (0, 10, 0, 10)
    assert fitted.image.getpixel((20, 9)) == fitted.image.getpixel((20, 30)) == (0, 0, 0)
    inner = fitted.image.crop((0, 10, 40, 30))
    assert inner.tobytes() == photo(60, 30).resize((40, 20), Image.Resampling.LANCZOS).tobytes()
    assert notice_codes(photo(60, 30), 40, 40, "pad") == ["image.padded"]


def test_enlarging_is_said() -> None:
    assert notice_codes(photo(30, 100), 60, 60, "crop") == ["image.upscaled", "image.cropped"]
    assert notice_codes(photo(30, 30), 60, 60, "keep") == ["image.upscaled"]
    assert notice_codes(photo(30, 100), 60, 60, "pad") == ["image.padded"]  # it became smaller


def test_only_rgb_is_fitted() -> None:
    with pytest.raises(ValueError, match="RGB"):
        fit_picture(photo().convert("L"), 16, 16, "crop")
