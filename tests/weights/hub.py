"""A hub on this machine: what the Hugging Face hub and ModelScope answer to their clients, and every fault.

Both protocols are spoken as far as their libraries ask: a repository's listing with sizes and hashes, files
with byte ranges, large ones by way of a redirect. A `Fault` is what happens to requests for one file.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from i2v.engines.i2vgen_xl.specs import I2VGEN_XL

REPO = I2VGEN_XL.published[0].repo
REVISION = I2VGEN_XL.published[0].revision
MODELSCOPE = I2VGEN_XL.published[0].modelscope[0]
LARGE = (".safetensors", ".pth")


def make_files(size: int = 300_000) -> dict[str, bytes]:
    """Return a repository like the published one: what the engine reads, and much that it does not."""
    files = {name: f'{{"name": "{name}"}}'.encode() for name in I2VGEN_XL.files}
    for name in [name for name in files if name.endswith(".safetensors")]:
        half = name.replace(".safetensors", ".fp16.safetensors")
        files[half] = make_weights(half, size)
        files[name] = make_weights(name, 2 * size)
    files["models/i2vgen_xl_00854500.pth"] = make_weights("pickle", 5 * size)
    files["README.md"] = b"not read"
    return files


def make_weights(seed: str, size: int) -> bytes:
    """Return a safetensors file of one tensor, `size` bytes in all but for the header."""
    count = size // 2
    entry = {"w": {"dtype": "F16", "shape": [count], "data_offsets": [0, 2 * count]}}
    header = json.dumps(entry).encode()
    return len(header).to_bytes(8, "little") + header + noise(seed, 2 * count)


def noise(seed: str, size: int) -> bytes:
    return hashlib.shake_128(seed.encode()).digest(size)


def wanted(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return those of `make_files` that the engine reads."""
    return {
        name: data
        for name, data in files.items()
        if name.endswith(".fp16.safetensors") or (name in I2VGEN_XL.files and not name.endswith(LARGE))
    }


@dataclass
class Fault:
    """What happens to requests for a file; `times` requests, then all is well.

    Attributes:
        status: instead of the file.
        cut: the line is dead after so many bytes of an answer.
        stall: nothing more comes after so many bytes of an answer, and the line stays open.
        damage: the byte at this place is another one.
        extra: so many bytes more are sent than the file has.
        redirects: before the file comes.
        ignores_ranges: the whole file is sent, whatever was asked for.
    """

    times: int = 10**9
    status: int | None = None
    cut: int | None = None
    stall: int | None = None
    damage: int | None = None
    extra: int = 0
    redirects: int = 0
    ignores_ranges: bool = False


@dataclass
class Sent:
    """One answer that carried (a part of) a file: from which byte on, and how many."""

    name: str
    start: int
    count: int = 0


@dataclass
class Hub:
    """The server and what tests know of it.

    Attributes:
        speed: bytes a second of each line, 0 for as fast as it can.
        tells_hashes: whether the listing has them.
        others: the files of further repositories, by name; both hubs have them under the same one, at
            `REVISION`. Faults and what was sent name their files as `key` does.
        portal: what the network does that answers instead: "page", "redirect" (to one) or "511".
        requests: every request's path, proxied ones with the whole address.
    """

    files: dict[str, bytes]
    faults: dict[str, Fault] = field(default_factory=dict)
    speed: int = 0
    tells_hashes: bool = True
    is_silent: bool = False
    portal: str = ""
    revision: str = REVISION
    others: dict[str, dict[str, bytes]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    address: str = ""
    closing: threading.Event = field(default_factory=threading.Event)

    def bytes_of(self, name: str) -> int:
        return sum(sent.count for sent in self.sent if sent.name == name)

    def names(self) -> set[str]:
        return {sent.name for sent in self.sent}

    def data(self, key: str) -> bytes | None:
        for repo, files in self.others.items():
            if key.startswith(f"{repo}/"):
                return files.get(key.removeprefix(f"{repo}/"))
        return self.files.get(key)

    def listing(self, files: dict[str, bytes], repo: str = REPO) -> dict[str, object]:
        siblings: list[dict[str, object]] = []
        for name, data in files.items():
            row: dict[str, object] = {"rfilename": name, "size": len(data)}
            if self.tells_hashes:
                row["blobId"] = git_sha1(data)
            if self.tells_hashes and name.endswith(LARGE):
                sha256 = hashlib.sha256(data).hexdigest()
                row["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 134}
            siblings.append(row)
        return {"id": repo, "sha": self.revision, "siblings": siblings, "tags": [], "private": False}

    def modelscope_listing(self, files: dict[str, bytes]) -> dict[str, object]:
        rows = [
            {"Path": name, "Size": len(data), "Type": "blob", "Sha256": hashlib.sha256(data).hexdigest()}
            for name, data in files.items()
        ]
        return {"Code": 200, "Success": True, "Data": {"Files": rows}}


def key(repo: str, name: str) -> str:
    """Return what the file is called in faults and in what was sent."""
    return name if repo in (REPO, MODELSCOPE) else f"{repo}/{name}"


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@contextmanager
def running(hub: Hub) -> Iterator[Hub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    server.block_on_close = False
    hub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        hub.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub = self.hub
        hub.requests.append(self.path)
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        if hub.is_silent:
            hub.closing.wait(30)
            return
        if hub.portal:
            self._log_in(path)
        elif not self._repository(path, query):
            self._json({"error": "not found"}, 404)

    def _repository(self, path: str, query: dict[str, list[str]]) -> bool:
        """Answer what is asked of a repository that is here; else return False."""
        hub, repo = self.hub, r"([\w.-]+/[\w.-]+)"
        known, scoped = {REPO: hub.files, **hub.others}, {MODELSCOPE: hub.files, **hub.others}
        if (found := re.fullmatch(rf"/api/models/{repo}/revision/{REVISION}", path)) and "blobs" in query:
            if found[1] in known:
                self._json(hub.listing(known[found[1]], found[1]))
                return True
        elif found := re.fullmatch(rf"/api/v1/models/{repo}/repo(/files)?", path):
            if found[1] in scoped and found[2]:
                self._json(hub.modelscope_listing(scoped[found[1]]))
                return True
            if found[1] in scoped:
                self._file(key(found[1], query["FilePath"][0]))
                return True
        elif found := re.fullmatch(rf"/{repo}/resolve/{REVISION}/(.+)", path):
            if found[1] in known:
                self._resolve(key(found[1], found[2]))
                return True
        elif found := re.fullmatch(r"/cdn/(\d+)/(.+)", path):
            self._redirected(int(found[1]), found[2])
            return True
        return False

    def _log_in(self, path: str) -> None:
        if self.hub.portal == "redirect" and path != "/login":
            self.send_response(302)
            self.send_header("Location", "/login?to=there")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        body = b"<!doctype html><title>Welcome</title>" + b"<p>Room number, please." * 20_000
        self.send_response(511 if self.hub.portal == "511" else 200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _resolve(self, name: str) -> None:
        if self.hub.data(name) is not None and name.endswith(LARGE):
            self._redirected(self.hub.faults.get(name, Fault()).redirects + 1, name)
        else:
            self._file(name)

    def _redirected(self, count: int, name: str) -> None:
        if count == 0:
            self._file(name)
            return
        self.send_response(302)
        self._describe(name)
        self.send_header("Location", f"{self.hub.address}/cdn/{count - 1}/{name}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _json(self, content: object, status: int = 200) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, name: str) -> None:
        data = self.hub.data(name)
        fault = self._next_fault(name)
        if data is None or fault.status is not None:
            self._json({"error": "no"}, fault.status or 404)
            return
        data += bytes(fault.extra)
        start = 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and not fault.ignores_ranges:
            start = int(asked[1])
        if start >= len(data) and start:
            self._json({"error": "range"}, 416)
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self._describe(name)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        if self.command == "GET":
            self._send(name, data, start, fault)

    def _describe(self, name: str) -> None:
        """Send what `hf_hub_download` wants to know before it asks for a file; we ask for the listing."""
        data = self.hub.data(name) or b""
        self.send_header("X-Repo-Commit", self.hub.revision)
        if name.endswith(LARGE):
            self.send_header("X-Linked-Etag", f'"{hashlib.sha256(data).hexdigest()}"')
            self.send_header("X-Linked-Size", str(len(data)))
        else:
            self.send_header("ETag", f'"{git_sha1(data)}"')

    def _next_fault(self, name: str) -> Fault:
        fault = self.hub.faults.get(name, Fault())
        if fault.times <= 0:
            return Fault()
        fault.times -= 1
        return fault

    def _send(self, name: str, data: bytes, start: int, fault: Fault) -> None:
        if fault.damage is not None:
            data = data[: fault.damage] + bytes([data[fault.damage] ^ 1]) + data[fault.damage + 1 :]
        sent = Sent(name, start)
        self.hub.sent.append(sent)
        limits = [start + value for value in (fault.cut, fault.stall) if value is not None]
        stop = min([*limits, len(data)])
        step = max(self.hub.speed // 20, 1) if self.hub.speed else 2**16
        try:
            for at in range(start, max(stop, start), step):
                block = data[at : min(at + step, stop)]
                self.wfile.write(block)
                sent.count += len(block)
                if self.hub.speed:
                    time.sleep(len(block) / self.hub.speed)
        except OSError:  # the client is gone
            return
        if fault.stall is not None and stop < len(data):
            self.hub.closing.wait(30)
        if stop < len(data):
            self.close_connection = True
            self.connection.close()
