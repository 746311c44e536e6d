"""media.decoder: pictures that attack the process that decodes them, and what is left of a picture's file."""

from __future__ import annotations

import io
import os
import resource
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from PIL import Image

from i2v.core.errors import EncodeError, I2VError, InvalidRequest
from i2v.core.settings_sources import ROOT
from i2v.media.decoder import (
    Confines,
    decode_to_file,
    examine_bytes,
    inspect_bytes,
    read_picture,
    read_png,
    thumbnail_of,
)
from i2v.media.image import DEFAULT_LIMITS, ImageLimits, decode_picture
from i2v.media.picture_facts import examine
from tests import disks
from tests.media.test_image import encoded, photo, png

HUGE = ImageLimits(max_bytes=10**8, max_pixels=10**8)


def refusal(data: bytes, output: Path, confines: Confines | None = None) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        decode_to_file(data, HUGE if confines else DEFAULT_LIMITS, output, confines)
    return caught.value


def decoders() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "i2v.media.decoder" in child.cmdline()]


def slow(side: int) -> bytes:
    """A small picture whose pixels take their time, since each is guessed from its neighbours."""
    rows = b"".join(b"\4" + bytes(3 * side) for _ in range(side))
    return png(side, side, 8, 2, rows)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "BMP"])
def test_the_file_gives_back_the_upright_pixels(tmp_path: Path, format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    data = encoded(photo(), format, **({"exif": exif} if format != "BMP" else {}))
    decoded = decode_to_file(data, DEFAULT_LIMITS, tmp_path / "in.picture")
    expected = decode_picture(data)
    assert decoded.size == expected.image.size
    assert read_picture(tmp_path / "in.picture").image.tobytes() == expected.image.tobytes()
    with Image.open(io.BytesIO(read_png(tmp_path / "in.picture"))) as file:
        assert (file.format, file.info) == ("PNG", {})
        assert file.tobytes() == expected.image.tobytes()
    assert inspect_bytes(data, DEFAULT_LIMITS).size == decoded.size


def test_a_kept_picture_that_was_changed_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.picture").write_text("somebody edited this")
    with pytest.raises(InvalidRequest):
        read_picture(tmp_path / "in.picture")
    with pytest.raises(FileNotFoundError):
        read_picture(tmp_path / "gone.picture")


def test_a_phones_48_megapixels_are_kept_as_sent_and_used_scaled_down(tmp_path: Path) -> None:
    data = encoded(Image.linear_gradient("L").resize((8064, 6048)), "JPEG")
    assert inspect_bytes(data, DEFAULT_LIMITS).size == (4032, 3024)
    decoded = decode_to_file(data, DEFAULT_LIMITS, tmp_path / "in.picture")
    assert (decoded.size, [notice.code for notice in decoded.notices]) == (
        (4032, 3024),
        ["image.scaled_down"],
    )
    assert (tmp_path / "in.picture").stat().st_size <= len(data)
    assert read_picture(tmp_path / "in.picture").image.size == (4032, 3024)


@pytest.mark.parametrize(("size", "small"), [
    ((4000, 3000), (256, 192)), ((100, 800), (32, 256)), ((40, 30), (40, 30)), ((256, 257), (255, 256)),
])  # fmt: skip
def test_the_thumbnail_is_the_picture_but_small(
    tmp_path: Path, size: tuple[int, int], small: tuple[int, int]
) -> None:
    picture = Image.linear_gradient("L").resize(size).convert("RGB")
    decode_to_file(encoded(picture), DEFAULT_LIMITS, tmp_path / "in.png")
    with Image.open(thumbnail_of(tmp_path / "in.png")) as file:
        assert (file.format, file.size) == ("JPEG", small)
        expected = np.asarray(picture.resize(small, Image.Resampling.BOX), float)
        assert abs(np.asarray(file.convert("RGB"), float) - expected).mean() < 4


def test_notices_come_back(tmp_path: Path) -> None:
    still, moving = photo(), photo().rotate(90)
    data = encoded(still, "GIF", save_all=True, append_images=[moving])
    decoded = decode_to_file(data, DEFAULT_LIMITS, tmp_path / "in.png")
    assert [notice.code for notice in decoded.notices] == ["image.animated"]
    assert decoded.notices == decode_picture(data).notices


def test_nothing_but_pixels_is_kept(tmp_path: Path) -> None:
    """EXIF, comments, and a second file behind the picture's end (a polyglot) are gone."""
    exif = Image.Exif()
    exif[0x010E] = "SECRET place"
    page = b"<html><script>SECRET</script></html>"
    data = encoded(photo(), "JPEG", exif=exif, comment=b"SECRET comment") + page
    assert data.count(b"SECRET") == 3
    decode_to_file(data, DEFAULT_LIMITS, tmp_path / "in.png")
    assert b"SECRET" not in thumbnail_of(tmp_path / "in.png").read_bytes()
    kept = (tmp_path / "in.png").read_bytes()
    assert b"SECRET" not in kept
    with Image.open(io.BytesIO(kept)) as file:
        file.load()
        assert file.info.keys() <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert file.getexif() == {}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "image.empty"),
        (b"not a picture", "image.unknown_format"),
        (b"\xff\x0a JPEG XL", "image.unknown_format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "image.unknown_format"),
        (encoded(photo())[:100], "image.damaged"),
        (encoded(photo(8, 8)), "image.too_small"),
        (encoded(photo(10, 400)), "image.too_small"),
        (b"\0" * (DEFAULT_LIMITS.max_bytes + 1), "image.too_many_bytes"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_unusable_bytes_are_refused_as_in_this_process(tmp_path: Path, data: bytes, code: str) -> None:
    error = refusal(data, tmp_path / "in.png")
    assert error.code == code
    with pytest.raises(InvalidRequest) as caught:
        decode_picture(data)
    assert error.to_dict() == caught.value.to_dict()
    assert list(tmp_path.iterdir()) == []


def test_a_picture_is_examined_as_in_this_process_and_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # lies on its side
    with Image.open(ROOT / "examples" / "rocket.jpg") as file:
        data = encoded(file, "JPEG", exif=exif)
    facts = examine_bytes(data, DEFAULT_LIMITS)
    assert (facts.width, facts.height, facts.sharpness) == (427, 640, 640)
    assert facts == examine(decode_picture(data).image)


@pytest.mark.slow
def test_examining_has_the_same_confines() -> None:
    large = encoded(Image.new("RGB", (5000, 5000), "teal"), "PNG", compress_level=1)
    for data, limits, confines, code in (
        (encoded(photo())[:100], DEFAULT_LIMITS, None, "image.damaged"),
        (b"\0" * (DEFAULT_LIMITS.max_bytes + 1), DEFAULT_LIMITS, None, "image.too_many_bytes"),
        (slow(7000), HUGE, Confines(2**32, seconds=1), "image.too_slow"),
        (large, HUGE, Confines(memory=200_000_000), "image.no_memory"),
    ):
        with pytest.raises(InvalidRequest) as caught:
            examine_bytes(data, limits, confines)
        assert caught.value.code == code


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """169 megapixels, black and white, in a few kilobytes."""
    data = png(13_000, 13_000, depth=1, colour=0, rows=bytes(13_000 * (1 + 13_000 // 8)))
    assert len(data) < 25_000
    before = psutil.Process().memory_info().rss
    error = refusal(data, tmp_path / "in.png")
    assert (error.code, error.params["size"]) == ("image.too_large", "13000x13000")
    assert psutil.Process().memory_info().rss - before < 50_000_000
    assert list(tmp_path.iterdir()) == []


def test_the_limit_on_memory_holds(tmp_path: Path) -> None:
    data = encoded(Image.new("RGB", (5000, 5000), "teal"), "PNG", compress_level=1)
    confines = Confines(memory=200_000_000)
    assert refusal(data, tmp_path / "in.png", confines).code == "image.no_memory"
    assert decode_to_file(data, HUGE, tmp_path / "in.png").size == (5000, 5000)


def test_the_limit_on_time_holds(tmp_path: Path) -> None:
    data = slow(9500)
    assert len(data) < 5_000_000
    before = os.times().children_user
    error = refusal(data, tmp_path / "in.png", Confines(2**32, seconds=1))
    assert (error.code, error.params) == ("image.too_slow", {"allowed": 1})
    assert os.times().children_user - before < 1.5
    assert decoders() == []


def test_a_jpeg_of_many_scans_costs_nothing(tmp_path: Path) -> None:
    """It asks for a last pass over all its pixels again and again: 56 s of the processor."""
    data = encoded(Image.new("RGB", (5000, 5000), "teal"), "JPEG", progressive=True)
    start, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    bomb = data[:start] + data[start:end] * 2000 + data[end:]
    before = os.times().children_user
    assert refusal(bomb, tmp_path / "in.png").code == "image.too_many_scans"
    with pytest.raises(InvalidRequest) as caught:
        inspect_bytes(bomb, DEFAULT_LIMITS)
    assert caught.value.code == "image.too_many_scans"
    assert os.times().children_user - before < 20


def test_a_decoder_that_waits_for_ever_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes no time of the processor's."""
    pipe = tmp_path / "in.png"
    os.mkfifo(pipe)  # to open it for writing is to wait for a reader
    start = time.perf_counter()
    assert refusal(encoded(photo()), pipe, Confines(2**31, clock=1)).code == "image.too_slow"
    assert time.perf_counter() - start >= 1
    assert decoders() == []


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (signal.SIGKILL, I2VError, "image.decoder_stopped"),  # as the kernel does when memory runs out
        (signal.SIGTERM, I2VError, "image.decoder_stopped"),
        (signal.SIGSEGV, InvalidRequest, "image.decoder_died"),
        (signal.SIGABRT, InvalidRequest, "image.decoder_died"),
    ],
)
def test_a_decoder_that_dies_is_the_pictures_fault_only_if_it_crashed(
    tmp_path: Path, number: int, kind: type[I2VError], code: str
) -> None:
    os.mkfifo(tmp_path / "in.png")
    with ThreadPoolExecutor() as threads:
        dying = threads.submit(decode_to_file, encoded(photo()), DEFAULT_LIMITS, tmp_path / "in.png")
        while not decoders():
            time.sleep(0.01)
        decoders()[0].send_signal(number)
        error = dying.exception(timeout=60)
    assert type(error) is kind
    assert (error.code, error.params["status"]) == (code, -number)  # type: ignore[union-attr]


def test_a_decoder_that_cannot_be_started_is_not_the_pictures_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.dup(0) for _ in range(3)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 1, hard))
    try:
        with pytest.raises(I2VError) as caught:
            decode_to_file(encoded(photo()), DEFAULT_LIMITS, tmp_path / "in.png")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in taken:
            os.close(descriptor)
    assert (type(caught.value), caught.value.code) == (I2VError, "image.decoder_missing")
    monkeypatch.setattr("i2v.media.decoder._ROOT", tmp_path)  # the package is not found: it ends at once
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(I2VError) as caught:
        decode_to_file(encoded(photo()), DEFAULT_LIMITS, tmp_path / "in.png")
    assert (type(caught.value), caught.value.code) == (I2VError, "image.decoder_missing")


def test_the_process_gets_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    run, seen = subprocess.run, []

    def noted(*command: Any, env: dict[str, str], **options: Any) -> Any:
        seen.append(env)
        return run(*command, env=env, **options)

    monkeypatch.setattr(subprocess, "run", noted)
    for name in ("I2V_SECURITY__TOKEN", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "secret")
    inspect_bytes(encoded(photo()), DEFAULT_LIMITS)
    (environment,) = seen
    assert "secret" not in environment.values()
    assert environment["PATH"] == os.environ["PATH"]


def test_a_disk_that_is_full_is_not_the_pictures_fault(tmp_path: Path) -> None:
    with disks.small_disk(tmp_path / "disk", "100k") as disk:
        noise = np.random.default_rng(7).integers(0, 256, (300, 300, 3), dtype=np.uint8)
        with pytest.raises(EncodeError) as caught:
            decode_to_file(encoded(Image.fromarray(noise)), DEFAULT_LIMITS, disk / "in.png")
        assert caught.value.code == "image.no_space"
        assert "No space left" in caught.value.message
        assert str(disk) in caught.value.message


@pytest.mark.slow
def test_all_that_the_limits_allow_fits_into_the_confines(tmp_path: Path) -> None:
    """The greediest kind of picture that was found, at the largest size."""
    values = np.tile(np.linspace(0, 1e9, 5000, dtype=np.float32), (5000, 1))
    data = encoded(Image.fromarray(values), "TIFF", compression="tiff_deflate")
    limits = ImageLimits(max_bytes=len(data), max_pixels=25_000_000)
    assert decode_to_file(data, limits, tmp_path / "in.png").size == (5000, 5000)
    large = Image.new("RGBA", (10_480, 10_480), (200, 30, 30, 100))
    for format, options in (
        ("WEBP", {"lossless": True, "quality": 0, "method": 0}),
        ("PNG", {}),
        ("TIFF", {}),
    ):
        data = encoded(large, format, **options)
        limits = ImageLimits(max_bytes=len(data))
        assert decode_to_file(data, limits, tmp_path / "in.png").size == (3494, 3494)


def test_its_process_starts_without_what_only_some_pictures_need() -> None:
    code = "import sys, i2v.media.decoder; print({'numpy', 'pillow_heif', 'torch'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
