"""One download as it runs: what the files must be, and each of them from the first source that has it.

A file is continued where an earlier attempt ended, whoever began it, and gets its name only when it is right.
Of protocols this module knows nothing (`hubs`, `sources`).
"""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from i2v.core.engine_spec import EngineSpec, Published
from i2v.core.errors import InvalidRequest, ModelUnavailable, Notice
from i2v.core.schema import shown
from i2v.core.settings import ModelSettings
from i2v.weights.folders import INDEX, ModelFolder, is_file, locate, own_folder, size_of
from i2v.weights.hubs import part_file
from i2v.weights.progress import Meter
from i2v.weights.records import (
    RECORDS,
    Digests,
    Expected,
    How,
    Listing,
    hash_file,
    read_listing,
    write_listing,
)
from i2v.weights.sources import TICK_SECONDS, DiskFailed, Source, SourceFailed
from i2v.weights.tensors import read_shapes

HUB = "https://huggingface.co"  # whose word on hashes goes before that of its mirrors
PAUSES = (1, 2, 4, 8)  # seconds, while no source sends anything
SPARE = 2**26  # bytes of the disk that are left alone


@dataclass(frozen=True)
class Downloaded:
    """A complete model folder.

    Attributes:
        fetched: bytes; 0 where everything was there.
        told_by: the source whose hashes the files were held to, `None` where nothing was fetched.
        notice: what was checked.
    """

    folder: ModelFolder
    fetched: int
    told_by: str | None
    notice: Notice


class Fetching:
    """One download. `order`: the sources, that which did best first; it changes as they fail."""

    def __init__(
        self,
        spec: EngineSpec,
        published: Published,
        models: ModelSettings,
        meter: Meter,
        lock: int,
        stack: ExitStack,
    ) -> None:
        self.spec = spec
        self.published = published
        self.models = models
        self.meter = meter
        self.folder = own_folder(spec, models)
        self.staging = self.folder / RECORDS / "fetching"
        self.digests = Digests(self.folder / RECORDS)
        self.order = [Source(name, published, models, lock) for name in fetch_order(models)]
        for source in self.order:
            stack.callback(source.close)
        self.listings: dict[str, Listing] = {}
        self.told_by = ""
        self.fetched = 0

    def run(self) -> Downloaded:
        listing = self._find_out()
        self.told_by = listing.told_by
        write_listing(self.folder / RECORDS, listing)
        names = select_files(self.spec, listing)
        self.meter.total = sum(listing.files[name].size for name in names)
        missing = [name for name in names if not self._is_right(name, listing.files[name])]
        self._check_space(missing, listing)
        for name in missing:
            self._fetch(name, listing.files[name])
        shutil.rmtree(self.staging, ignore_errors=True)
        hows = {listing.files[name].how for name in names}
        notice = told_notice(self.spec, hows, listing.told_by)
        return Downloaded(locate(self.spec, self.models), self.fetched, listing.told_by, notice)

    # --- what the files must be

    def _find_out(self) -> Listing:
        """Return what the files must be: as the hub says or once said, else the first mirror that answers."""
        kept = read_listing(self.folder / RECORDS)
        if kept and (kept.told_by, kept.revision) == (HUB, self.published.revision):
            return kept
        reasons: dict[str, SourceFailed] = {}
        for source in sorted(self.order, key=lambda source: source.name != HUB):
            try:
                return self._listing(source)
            except SourceFailed as error:
                reasons[source.name] = error
                self._put_last(source)
        raise self._no_source(INDEX, reasons)

    def _listing(self, source: Source) -> Listing:
        if source.name not in self.listings:
            listing = source.list_files(partial(self.meter.tell, "asking", source.name))
            self.listings[source.name] = listing.only(select_files(self.spec, listing))
        return self.listings[source.name]

    def _is_right(self, name: str, expected: Expected) -> bool:
        """Tell whether the file is there as it must be; a wrong one is removed."""
        path = self.folder / name
        if not is_file(path):
            return False
        known = self.digests.known(path)
        if known is None or known != expected.sha256:
            hashes = hash_file(path, lambda done: self._tell_check(None, name, done, expected.size))
            if not hashes.fits(expected):
                self.digests.discard(path)
                return False
            self.digests.keep(path, hashes.sha256, checked=expected.how)
            self.digests.save()
        self.meter.settled += expected.size
        return True

    def _check_space(self, names: list[str], listing: Listing) -> None:
        needed = sum(listing.files[name].size - self._begun(name) for name in names)
        if needed + SPARE > free_space(self.models.directory):
            raise self._full(needed)

    # --- one file

    def _fetch(self, name: str, expected: Expected) -> None:
        """Have the file in the folder, from the first source that does it."""
        reasons: dict[str, SourceFailed] = {}
        lasting: set[str] = set()
        pauses = iter(PAUSES)
        while len(lasting) < len(self.order):
            before = self._begun(name)
            for source in [source for source in self.order if source.name not in lasting]:
                try:
                    return self._fetch_from(source, name, expected)
                except SourceFailed as error:
                    reasons[source.name] = error
                    if error.is_lasting:
                        lasting.add(source.name)
                    self._put_last(source)
                except DiskFailed as error:
                    if error.is_full:
                        raise self._full(expected.size - self._begun(name)) from error
                    raise unwritable(self.staging, error.reason) from error
            if self._begun(name) > before:
                pauses = iter(PAUSES)
            pause = next(pauses, None)
            if pause is None:
                break
            self._pause(pause)
        raise self._no_source(name, reasons)

    def _fetch_from(self, source: Source, name: str, expected: Expected) -> None:
        offered = self._listing(source).files.get(name)
        if offered is None:
            raise SourceFailed("it does not have it", is_lasting=True)
        if not offered.agrees(expected):
            raise SourceFailed("it has another file of that name", is_lasting=True)
        begun, whole = self._begun(name), self.staging / name
        if not is_file(whole):  # as it would be if we were stopped while it was checked

            def tick(done: int) -> None:
                self.meter.tell("fetching", source.name, name, done, expected.size)

            source.fetch(name, expected.size, self.staging, tick)
        hashes = hash_file(whole, lambda done: self._tell_check(source.name, name, done, expected.size))
        if not hashes.fits(expected):
            whole.unlink()
            if begun:  # perhaps the fault is in the beginning, which may be another source's
                return self._fetch_from(source, name, expected)
            raise SourceFailed(f"its file is not what {self.told_by} says, by {expected.how}")
        if expected.how == "size" and whole.suffix == ".safetensors":
            self._check_header(whole)
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        whole.replace(path)
        self.digests.keep(path, hashes.sha256, source.name, expected.how)
        self.digests.save()
        self.fetched += expected.size - begun
        self.meter.settled += expected.size

    def _put_last(self, source: Source) -> None:
        """Have the others asked first from here on."""
        self.order.remove(source)
        self.order.append(source)

    def _check_header(self, whole: Path) -> None:
        """Look at least into the file's header, where nobody tells its hash."""
        try:
            read_shapes(self.spec, whole)
        except ModelUnavailable as error:
            whole.unlink()
            raise SourceFailed(str(error.params["reason"])) from error

    def _tell_check(self, source: str | None, name: str, done: int, size: int) -> None:
        self.meter.tell("checking", source, name, done, size)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.meter.tell("pausing")
            time.sleep(TICK_SECONDS)

    def _begun(self, name: str) -> int:
        paths = (self.staging / name, part_file(self.staging, name))
        return sum(map(size_of, paths))

    # --- what went wrong

    def _no_source(self, name: str, reasons: dict[str, SourceFailed]) -> ModelUnavailable:
        pages = [error.portal for error in reasons.values()]
        if pages and None not in pages:
            page = shown(str(pages[0]), limit=100)
            return ModelUnavailable("weights.captive_portal", title=self.spec.title, page=page)
        told = "; ".join(f"{source}: {error.reason}" for source, error in reasons.items())
        reason = shown(told or "no source is set", limit=1000)
        return ModelUnavailable("weights.no_source", title=self.spec.title, file=name, reasons=reason)

    def _full(self, needed: int) -> ModelUnavailable:
        return ModelUnavailable(
            "weights.disk_full",
            path=shown_path(self.folder),
            needed=round(needed / 1e9, 2),
            free=round(free_space(self.models.directory) / 1e9, 2),
        )


def select_files(spec: EngineSpec, listing: Listing) -> list[str]:
    """Return which of the listed files the engine reads, `model_index.json` last: it makes a folder a model.

    Raises `SourceFailed` where one is not listed.
    """
    names: list[str] = []
    for name in (*spec.files, *spec.optional_files):
        half = name.removesuffix(".safetensors") + ".fp16.safetensors"
        if name.endswith(".safetensors") and half in listing.files:
            names.append(half)
        elif name in listing.files:
            names.append(name)
        elif name in spec.files:
            raise SourceFailed(f"it has no {name}", is_lasting=True)
    return sorted(names, key=lambda name: name == INDEX)


def list_files(spec: EngineSpec, models: ModelSettings, meter: Meter) -> Listing | None:
    """Return the published files as the first source lists them that answers, `None` if none does."""
    for name in sorted(fetch_order(models), key=lambda name: name != HUB):
        source = Source(name, published_of(spec), models, lock=None)
        try:
            return source.list_files(partial(meter.tell, "asking", name))
        except SourceFailed:
            continue  # the next one may know
        finally:
            source.close()
    return None


def published_of(spec: EngineSpec) -> Published:
    """Return where `spec` is published; raises `InvalidRequest` where it is not."""
    if spec.published is None:
        raise InvalidRequest("weights.not_published", title=spec.title)
    return spec.published


def told_notice(spec: EngineSpec, hows: set[How], told_by: str | None) -> Notice:
    """Return the sentence on what the files were held to."""
    if "size" in hows or told_by is None:
        return Notice("weights.size_only", {"title": spec.title})
    return Notice("weights.checked", {"title": spec.title, "source": told_by})


def fetch_order(models: ModelSettings) -> list[str]:
    """Return the sources; `endpoint` first, since a person has chosen it."""
    return list(dict.fromkeys(name for name in (models.endpoint, *models.sources) if name))


def free_space(folder: Path) -> int:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def unwritable(folder: Path, reason: str) -> ModelUnavailable:
    return ModelUnavailable("weights.unwritable", path=shown_path(folder), reason=reason)


def shown_path(path: Path) -> str:
    return shown(str(path), limit=300)
