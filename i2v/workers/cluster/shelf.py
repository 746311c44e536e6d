"""The server's own weights, as it lends them to machines that lack them.

Owns what may be read: files of engines, as they are listed, and nothing else. The other end is
`server_source`.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import ModelUnavailable
from i2v.core.settings import ModelSettings
from i2v.weights.folders import locate
from i2v.weights.licences import is_accepted
from i2v.weights.parts import stored
from i2v.weights.records import Digests, Expected, hash_file, records_folder
from i2v.workers.cluster.wire import PIECE_BYTES, Answer, Errand, Files, Refused, Wanted


class Shelf:
    """Threads share it."""

    def __init__(self, models: ModelSettings, engines: Mapping[str, EngineSpec]) -> None:
        self._models = models
        self._engines = engines
        self._hashing = threading.Lock()

    def title(self, engine: str) -> str:
        return self._engines[engine].title

    def errand(self, engine: str) -> Errand | None:
        """Return how a machine is to get the weights; `None` where there is no way."""
        spec = self._engines.get(engine)
        if spec is None or spec.embedded:
            return None
        is_here = locate(spec, self._models).missing is None
        if not (is_here or spec.published):
            return None
        accepted = all(is_accepted(part, self._models) for part in spec.published)
        return Errand(engine, secrets.token_hex(4), is_here, accepted)

    def answer(self, wanted: Wanted, tick: Callable[[], None]) -> Answer:
        """Return what a machine asks for. `tick` is called while files are hashed, and may raise."""
        try:
            files = self._files(self._engines[wanted.engine])
            if not wanted.name:
                return Files(self._hashed(self._engines[wanted.engine], files, tick))
            with files[wanted.name].open("rb") as file:
                file.seek(wanted.offset)
                return file.read(min(wanted.size, PIECE_BYTES))
        except KeyError:
            return Refused("it does not have it any more")
        except OSError as error:
            return Refused(error.strerror or str(error))
        except ModelUnavailable as error:
            return Refused(error.message)

    def _files(self, spec: EngineSpec) -> Mapping[str, Path]:
        """Return the files that the engine reads, by their names in the model's folder."""
        found = locate(spec, self._models)
        paths = dict(found.files)
        for name in spec.optional_files:
            paths |= stored(spec, found.path, name).files
        return {path.relative_to(found.path).as_posix(): path for path in paths}

    def _hashed(
        self, spec: EngineSpec, files: Mapping[str, Path], tick: Callable[[], None]
    ) -> Mapping[str, Expected]:
        found = {}
        while not self._hashing.acquire(timeout=1.0):  # another machine has asked: its answer is ours
            tick()
        try:
            digests = Digests(records_folder(locate(spec, self._models).path, self._models))
            for name, path in files.items():
                digest = digests.known(path)
                if digest is None:
                    digest = hash_file(path, lambda done: tick()).sha256
                    digests.keep(path, digest)
                found[name] = Expected(path.stat().st_size, sha256=digest)
            digests.save()
        finally:
            self._hashing.release()
        return found
