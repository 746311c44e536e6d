"""What a file is, by its first bytes: one of the formats that are read, or the name of what it is instead.

It does not know whether the file is whole. Names of files and what a browser says of them are not looked at.
"""

from __future__ import annotations

import struct
from typing import Literal

from i2v.core.errors import InvalidRequest

Kind = Literal["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF"]
FORMATS = ("PNG", "JPEG", "WebP", "HEIC", "AVIF", "GIF", "TIFF", "BMP")  # as people know them

_BLANK = b" \t\r\n\xef\xbb\xbf"  # what scripts on servers print before a picture by mistake
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
AVIF_BRANDS = {b"avif", b"avis"}
_TIFF = {b"II*\0": "<", b"MM\0*": ">", b"II+\0": "<", b"MM\0+": ">"}
_DIB_SIZES = {12, 16, 40, 52, 56, 64, 108, 124}  # of a BMP's second header

# What is not read, by where its first bytes are: (offset, bytes, name).
_OTHERS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"\xff\x0a", "JPEG XL"), (0, b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"), (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
    (0, b"\xff\xd8\xff\xf7", "JPEG-LS"), (0, b"II\xbc", "JPEG XR"),
    (0, b"8BPS", "Photoshop (PSD)"), (0, b"gimp xcf", "GIMP (XCF)"), (0, b"%PDF", "PDF"),
    (0, b"%!PS", "PostScript (EPS)"), (0, b"\xc5\xd0\xd3\xc6", "PostScript (EPS)"),
    (0, b"\0\0\1\0", "ICO"), (0, b"icns", "ICNS"),
    (0, b"FUJIFILMCCD-RAW", "RAW (RAF)"), (0, b"IIU\0", "RAW (RW2)"), (0, b"IIRO", "RAW (ORF)"),
    (0, b"IIRS", "RAW (ORF)"), (0, b"MMOR", "RAW (ORF)"), (0, b"FOVb", "RAW (X3F)"),
    (0, b"\0MRM", "RAW (MRW)"),
    (0, b"\x76\x2f\x31\x01", "OpenEXR"), (0, b"#?RADIANCE", "Radiance HDR"), (0, b"#?RGBE", "Radiance HDR"),
    (0, b"DDS ", "DDS"), (0, b"qoif", "QOI"), (0, b"FLIF", "FLIF"), (0, b"BPG\xfb", "BPG"),
    (0, b"AT&TFORM", "DjVu"), (0, b"\xd7\xcd\xc6\x9a", "WMF"), (40, b" EMF", "EMF"), (128, b"DICM", "DICOM"),
    (0, b"\xab\x4b\x54\x58", "KTX"), (0, b"\x8aMNG", "MNG"), (0, b"\x8bJNG", "JNG"),
    (0, b"SIMPLE  =", "FITS"),
    (0, b"FORM", "IFF"), (0, b"VG\2", "BMP font"), (0, b"\x01\xda", "SGI"), (0, b"\x0a\x05\x01", "PCX"),
    (0, b"P1", "PBM"), (0, b"P4", "PBM"), (0, b"P2", "PGM"), (0, b"P5", "PGM"), (0, b"P3", "PPM"),
    (0, b"P6", "PPM"), (0, b"P7", "PAM"), (0, b"PF\n", "PFM"), (0, b"Pf\n", "PFM"), (0, b"/* XPM", "XPM"),
    (0, b"PK\x03\x04", "ZIP"), (0, b"PK\x05\x06", "ZIP"), (0, b"Rar!", "RAR"), (0, b"7z\xbc\xaf", "7-Zip"),
    (0, b"\x1f\x8b", "gzip"), (0, b"BZh", "bzip2"), (0, b"\xfd7zXZ", "xz"),
    (0, b"\x28\xb5\x2f\xfd", "Zstandard"),
    (257, b"ustar", "tar"),
    (4, b"moov", "MOV"), (4, b"mdat", "MOV"),
    (0, b"\x1a\x45\xdf\xa3", "WebM / Matroska"), (0, b"FLV\1", "FLV"), (0, b"\0\0\1\xba", "MPEG"),
    (0, b"\0\0\1\xb3", "MPEG"), (0, b"OggS", "Ogg"), (0, b"\x30\x26\xb2\x75", "WMV"), (0, b"ID3", "MP3"),
    (0, b"fLaC", "FLAC"), (0, b"\xd0\xcf\x11\xe0", "Microsoft Office"), (0, b"{\\rtf", "RTF"),
    (0, b"\x7fELF", "ELF"), (0, b"MZ", "Windows EXE"), (0, b"SQLite format 3\0", "SQLite"),
    (0, b"version https://git-lfs", "Git LFS pointer"), (0, b"bplist", "Apple plist"),
)  # fmt: skip
_RIFF = {b"AVI ": "AVI", b"WAVE": "WAV", b"CDXA": "MPEG"}
_BOXED = {  # ISO base media files, by brand
    b"crx ": "RAW (CR3)", b"qt  ": "MOV", b"M4A ": "M4A", b"M4V ": "M4V", b"3gp4": "3GP", b"3gp5": "3GP",
    b"jxl ": "JPEG XL", b"jp2 ": "JPEG 2000", b"jpx ": "JPEG 2000",
}  # fmt: skip
_VIDEOS = {"MP4", "MOV", "M4V", "3GP", "AVI", "WebM / Matroska", "FLV", "MPEG", "WMV"}  # of the names above
_SHOWN = 8  # bytes of a file that nobody knows


def without_blanks(data: bytes) -> bytes:
    """Return `data` from where its picture begins."""
    if not data or data[0] not in _BLANK:
        return data
    rest = data[:64].lstrip(_BLANK) + data[64:]
    return data if _read_kind(rest) is None else rest


def kind_of(data: bytes) -> Kind:
    """Return the format of `data`; raise `InvalidRequest` (`image.unknown_format`) that names another one."""
    kind = _read_kind(data)
    if kind is None:
        raise unreadable(_other(data))
    if kind == "TIFF" and (raw := _raw(data)):
        raise unreadable(raw)
    return kind


def is_video(data: bytes) -> bool:
    """Tell whether `data` begins as a video does; an animation is a picture."""
    return _read_kind(data) is None and _other(data) in _VIDEOS


def unreadable(found: str) -> InvalidRequest:
    """Return the error for a file that is `found`, a format's name."""
    return InvalidRequest("image.unknown_format", found=found, allowed=", ".join(FORMATS))


def _read_kind(data: bytes) -> Kind | None:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff") and not data.startswith(b"\xff\xd8\xff\xf7"):
        return "JPEG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if data[:4] in _TIFF:
        return "TIFF"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _DIB_SIZES:
        return "BMP"
    return _boxed_kind(data)


def _boxed_kind(data: bytes) -> Kind | None:
    """Return the kind by the brands of an ISO base media file: the first counts most."""
    for brand in _brands(data):
        if brand in HEIC_BRANDS:
            return "HEIF"
        if brand in AVIF_BRANDS:
            return "AVIF"
    return None


def _brands(data: bytes) -> list[bytes]:
    if data[4:8] != b"ftyp":
        return []
    end = min(int.from_bytes(data[:4], "big"), 512)
    return [data[8:12], *(data[at : at + 4] for at in range(16, min(end, len(data)) - 3, 4))]


def _other(data: bytes) -> str:
    """Return the name of what `data` is, or how it begins."""
    if brands := _brands(data):
        return next((_BOXED[brand] for brand in brands if brand in _BOXED), _video_or_heif(brands))
    if data[:4] == b"RIFF" and data[8:12] in _RIFF:
        return _RIFF[data[8:12]]
    if data[-18:] == b"TRUEVISION-XFILE.\0":
        return "TGA"
    if data[:4] == b"\0\0\2\0":
        return "CUR" if any(data[4:6]) else "TGA"
    for offset, magic, name in _OTHERS:
        if data[offset : offset + len(magic)] == magic:
            return name
    return _text(data) or f"0x{data[:_SHOWN].hex()}..."


def _video_or_heif(brands: list[bytes]) -> str:
    return "HEIF, but neither HEIC nor AVIF" if brands[0] in (b"mif1", b"msf1") else "MP4"


def _text(data: bytes) -> str | None:
    """Return the kind of text that `data` is, if it is one."""
    head = data[:4096].lstrip(_BLANK).lower()
    if head.startswith((b"<!doctype html", b"<html", b"<head", b"<body")):
        return "HTML"
    if b"<svg" in head:
        return "SVG"
    if head.startswith(b"<?xml"):
        return "XML"
    if head.startswith(b"data:image/"):
        return "a data: URL"
    if b"\0" in head:
        return None
    try:
        data[:512].decode("utf-8", "strict" if len(data) <= 512 else "ignore").encode("utf-8")
    except UnicodeDecodeError:
        return None
    printable = sum(byte >= 32 or byte in b"\t\r\n" for byte in data[:512])
    return "plain text" if printable == len(data[:512]) else None


def _raw(data: bytes) -> str | None:
    """Return the name of a camera's raw file, which is a TIFF whose first picture is a thumbnail."""
    if data[8:10] == b"CR":
        return "RAW (CR2)"
    order = _TIFF[data[:4]]
    if data[2:3] in b"+" or data[3:4] in b"+":  # BigTIFF: no camera writes it
        return None
    (at,) = struct.unpack_from(order + "I", data, 4) if len(data) >= 8 else (0,)
    tags: dict[int, int] = {}
    if 8 <= at <= len(data) - 2:
        (count,) = struct.unpack_from(order + "H", data, at)
        for entry in range(min(count, (len(data) - at - 2) // 12)):
            tag, _, _, value = struct.unpack_from(order + "HHII", data, at + 2 + 12 * entry)
            tags[tag] = value
    if 0xC612 in tags:  # DNGVersion
        return "RAW (DNG)"
    if 330 in tags and tags.get(254) == 1:  # SubIFDs, and this one is a smaller version
        return "RAW (NEF, ARW or alike)"
    return None
