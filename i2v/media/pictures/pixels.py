"""Every kind of pixel to 8-bit sRGB, with its transparency apart.

It does not know files: what a file says of its colours is handed in.
"""

from __future__ import annotations

import io

from PIL import Image, ImageCms

from i2v.core.errors import Notice
from i2v.media.pictures.cleaned import PROFILE_IGNORED

# ITU-T H.273: which colours red, green and blue are, as XYZ under D50 (ICC's), for those that are wider
# than sRGB.
_P3 = ((0.51512, 0.24120, -0.00105), (0.29198, 0.69225, 0.04189), (0.15710, 0.06657, 0.78407))
_BT2020 = ((0.67348, 0.27904, -0.00194), (0.16566, 0.67534, 0.02998), (0.12505, 0.04561, 0.79686))
_WIDE = {9: _BT2020, 11: _P3, 12: _P3}
_HDR = (16, 18)  # transfer by PQ, HLG


def reduce(source: Image.Image, factor: int) -> Image.Image:
    """Return `source` with its sides divided by `factor`; hidden colours do not show at edges."""
    if factor == 1:
        return source
    if source.mode.startswith("I;16"):
        source, _ = _deep_grey(source)
    elif source.mode in ("P", "PA") or "transparency" in source.info:
        source = source.convert("RGBA" if source.has_transparency_data else "RGB")
    elif source.mode == "1":
        source = source.convert("L")
    return source.reduce(factor)


def split_alpha(source: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """Return 8-bit colours (mode L, RGB or CMYK) and, where there is transparency, its alpha (mode L)."""
    if source.mode.startswith(("I", "F")):
        return _deep_grey(source)
    mode = "L" if source.mode in ("1", "L", "LA") else "RGB"
    if source.has_transparency_data:
        rgba = source.convert("RGBA")
        return rgba.convert(mode), rgba.getchannel("A")
    if source.mode in (mode, "CMYK"):
        return source, None
    return source.convert(mode), None


def _deep_grey(source: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    # It needs numpy, whose import takes half of the process's time; hardly any picture is of this kind.
    from i2v.media.pictures.deep_grey import split_deep_grey

    return split_deep_grey(source)


def to_srgb(
    base: Image.Image, profile: bytes | None, coding: tuple[int, int] | None, notices: list[Notice]
) -> Image.Image:
    """Return `base` (L, RGB or CMYK) as RGB, through its colour profile where that can be applied.

    Without a profile, `coding` counts (`Cleaned.coding`).
    """
    if coding and coding[1] in _HDR:
        notices.append(Notice("image.hdr", {}))
    try:
        if profile:
            given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            # sRGB to sRGB would only add rounding.
            if not ImageCms.getProfileDescription(given).startswith("sRGB"):
                return _through(base, given)
        elif coding and coding[0] in _WIDE and base.mode == "RGB":
            return _through(base, ImageCms.ImageCmsProfile(io.BytesIO(_wide_profile(_WIDE[coding[0]]))))
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        notices.append(PROFILE_IGNORED)
    return base if base.mode == "RGB" else base.convert("RGB")


def _through(base: Image.Image, given: ImageCms.ImageCmsProfile) -> Image.Image:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    converted = ImageCms.profileToProfile(base, given, srgb, outputMode="RGB")
    if converted is None:
        raise ValueError("the profile converts in place only")
    return converted


def _wide_profile(primaries: tuple[tuple[float, float, float], ...]) -> bytes:
    """Return a profile with sRGB's curve and these primaries: sRGB's own, with the three tags overwritten."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for tag in range(int.from_bytes(data[128:132], "big")):
        entry = 132 + 12 * tag
        name, at = bytes(data[entry : entry + 4]), int.from_bytes(data[entry + 4 : entry + 8], "big")
        if name in (b"rXYZ", b"gXYZ", b"bXYZ"):
            colour = primaries[b"rgb".index(name[:1])]
            fixed = [round(value * 65536).to_bytes(4, "big", signed=True) for value in colour]
            data[at + 8 : at + 20] = b"".join(fixed)
    return bytes(data)
