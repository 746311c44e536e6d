"""i2v.media.pictures.kinds: what is not read is named for what it is."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest

from i2v.core.errors import InvalidRequest
from i2v.media.pictures.kinds import is_video, kind_of, without_blanks
from tests.media.pictures.samples import encoded, quadrants


def ftyp(major: bytes, *compatible: bytes) -> bytes:
    body = b"ftyp" + major + bytes(4) + b"".join(compatible)
    return struct.pack(">I", len(body) + 4) + body + b"\0\0\0\x08mdat"


def tiff(tags: dict[int, int], order: str = "<") -> bytes:
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    return head + b"".join(
        struct.pack(order + "HHII", tag, 4, 1, value) for tag, value in sorted(tags.items())
    )


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("x.txt", "x")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\xff\x0a\x7f\x00", "JPEG XL"), (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (encoded(quadrants(), "JPEG2000"), "JPEG 2000"), (encoded(quadrants(), "PDF"), "PDF"),
        (encoded(quadrants(), "ICO"), "ICO"), (encoded(quadrants(), "TGA"), "TGA"),
        (encoded(quadrants(), "PPM"), "PPM"), (encoded(quadrants(), "EPS"), "PostScript (EPS)"),
        (encoded(quadrants(), "DDS"), "DDS"), (encoded(quadrants(), "PCX"), "PCX"),
        (encoded(quadrants(), "SGI"), "SGI"), (encoded(quadrants(), "ICNS"), "ICNS"),
        (b"8BPS\0\1", "Photoshop (PSD)"), (b"gimp xcf v011", "GIMP (XCF)"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"\n<!DOCTYPE html><html><body>404", "HTML"), (b"<HTML>", "HTML"),
        (b"<?xml version='1.0'?><rss/>", "XML"),
        (zipped(), "ZIP"), (b"Rar!\x1a\7", "RAR"), (b"\x1f\x8b\x08\0", "gzip"),
        (ftyp(b"isom", b"mp42"), "MP4"), (ftyp(b"mp42"), "MP4"), (ftyp(b"qt  "), "MOV"),
        (b"\x1a\x45\xdf\xa3\0\0", "WebM / Matroska"), (b"RIFF\0\0\0\0AVI LIST", "AVI"),
        (b"RIFF\0\0\0\0WAVEfmt ", "WAV"),
        (ftyp(b"crx ", b"isom"), "RAW (CR3)"), (b"II*\0\x10\0\0\0CR\2\0", "RAW (CR2)"),
        (tiff({0xC612: 1, 256: 100}), "RAW (DNG)"), (tiff({254: 1, 330: 500}), "RAW (NEF, ARW or alike)"),
        (tiff({254: 1, 330: 500}, ">"), "RAW (NEF, ARW or alike)"), (b"FUJIFILMCCD-RAW 0201", "RAW (RAF)"),
        (b"hello, I am a picture", "plain text"), ("好".encode() * 400, "plain text"),
        (b"data:image/png;base64,iVBORw0KGgo=", "a data: URL"),
        (b"BM, said the text, is no bitmap", "plain text"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (ftyp(b"mif1", b"miaf"), "HEIF, but neither HEIC nor AVIF"),
        (b"\x91\x92\x93\x94\0\0\0\0\0\0", "0x9192939400000000..."),
    ],
)  # fmt: skip
def test_what_is_not_read_is_named(data: bytes, name: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        kind_of(without_blanks(data))
    assert (caught.value.code, caught.value.params["found"]) == ("image.unknown_format", name)


def test_videos_are_told_from_pictures_and_other_files() -> None:
    videos = [ftyp(b"isom"), ftyp(b"qt  "), b"\0\0\x10\0moov", b"\x1a\x45\xdf\xa3\0", b"RIFF\0\0\0\0AVI LIST"]
    others = [
        ftyp(b"avif"),
        ftyp(b"heic"),
        ftyp(b"mif1"),
        ftyp(b"crx "),
        encoded(quadrants(), "GIF"),
        b"text",
        b"",
    ]
    assert [is_video(data) for data in (*videos, *others)] == [True] * len(videos) + [False] * len(others)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_what_is_read_is_known_whatever_its_name(format: str) -> None:
    assert kind_of(encoded(quadrants(), format)) == format


def test_containers_go_by_all_their_brands() -> None:
    assert kind_of(ftyp(b"mif1", b"miaf", b"heic")) == "HEIF"
    assert kind_of(ftyp(b"mif1", b"avif", b"miaf")) == "AVIF"
    assert kind_of(ftyp(b"tmap", b"mif1", b"heix")) == "HEIF"


def test_blank_lines_before_a_picture_are_passed_over() -> None:
    png = encoded(quadrants())
    assert without_blanks(b"\xef\xbb\xbf\r\n \n" + png) == png
    assert without_blanks(png) is png
