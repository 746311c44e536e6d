"""What `benchmarks.attack` sends: pictures, forms and requests made to hurt, each of them small."""

from __future__ import annotations

import io
import json
import random
import struct
import zlib
from urllib.parse import quote

import numpy as np
from PIL import Image

MB = 10**6

_PATHS = (
    "/", "/config", "/docs", "/openapi.json", "/healthz", "/readyz", "/api/v1/jobs", "/api/v1/jobs/{}",
    "/api/v1/jobs/{}/retry", "/api/v1/jobs/{}/events", "/api/v1/jobs/{}/video", "/api/v1/plan",
    "/api/v1/engines", "/api/v1/presets", "/api/v1/models", "/api/predict", "/generate",
    "/gradio_api/queue/join", "/gradio_api/queue/data", "/gradio_api/upload", "/gradio_api/cancel",
    "/gradio_api/reset", "/gradio_api/heartbeat/{}", "/gradio_api/file={}", "/gradio_api/upload_progress",
    "/gradio_api/info", "/static/{}", "/assets/{}",
)  # fmt: skip
_VALUES = (
    "", "0", "-1", "x" * 300, "../../etc/passwd", "\x00", "\ud83d\ude00", "null", "NaN", "1e999", "{}", "[]",
    "你好", "%ff",
)  # fmt: skip
_CHARSETS = ("", *(f"; charset={name}" for name in ("utf-8", "undefined", "punycode", "idna", "hex", "x")))
_TYPES = (
    "application/json", "multipart/form-data", "multipart/form-data; boundary=b", "text/plain", "",
    "application/x-www-form-urlencoded",
)  # fmt: skip
_BODIES = (
    b"", b"\xff\xfe", b"{", b"null", b"[]", b'"x"', b'{"a":' * 500, b"--b\r\n\r\n",
    b"--b\r\nContent-Disposition: form-data\r\n\r\n\r\n--b--",
)  # fmt: skip
_FIELDS = (
    "prompt", "image", "seed", "width", "fps", "session_hash", "fn_index", "data", "event_id", "engine",
    "picture_size",
)  # fmt: skip


def odd_request(dice: random.Random) -> tuple[str, str, bytes, dict[str, str]]:
    method = dice.choice(("GET", "POST", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"))
    path = dice.choice(_PATHS).format(_quoted(dice.choice(_VALUES)))
    if dice.random() < 0.3:
        path += f"?{dice.choice(_FIELDS)}={_quoted(dice.choice(_VALUES))}"
    body = dice.choice(_BODIES)
    if dice.random() < 0.6:
        wrong: list[object] = [None, True, -1, 1e308, [], {}, [[[]]], *_VALUES]
        fields = {dice.choice(_FIELDS): dice.choice(wrong) for _ in range(dice.randint(0, 5))}
        body = json.dumps(fields).encode()
    return method, path, body, {"Content-Type": dice.choice(_TYPES) + dice.choice(_CHARSETS)}


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="surrogatepass")


def many_scans(megapixels: float = 8.0, copies: int = 400) -> bytes:
    """Return a small progressive JPEG whose last scan stands in it so many times."""
    side = int((megapixels * 1e6) ** 0.5)
    file = io.BytesIO()
    Image.new("RGB", (side, side), (200, 90, 40)).save(file, "JPEG", progressive=True, quality=30)
    data = file.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * copies + b"\xff\xd9"


def comments_gif(megabytes: int) -> bytes:
    """Return a GIF that is nearly all comments."""
    file = io.BytesIO()
    Image.new("P", (64, 64)).save(file, "GIF")
    data = file.getvalue()
    start = 13 + 3 * 2 ** ((data[10] & 7) + 1)  # behind the header and its colour table
    comment = b"\x21\xfe" + (b"\xff" + b"x" * 255) * 4 + b"\x00"
    return data[:start] + comment * (megabytes * MB // len(comment)) + data[start:]


def png_bomb(side: int) -> bytes:
    """Return a PNG of side x side black pixels, some thousandth of its size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(side + 1)) for _ in range(side)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def photograph() -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(7).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


def form(fields: dict[str, bytes], data: bytes, name: str = "image") -> tuple[bytes, str]:
    part = b'--b\r\nContent-Disposition: form-data; name="%s"'
    texts = [part % each.encode() + b"\r\n\r\n" + value + b"\r\n" for each, value in fields.items()]
    head = part % name.encode() + b'; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    body = b"".join(texts) + head + data + b"\r\n--b--\r\n"
    return body, "multipart/form-data; boundary=b"
