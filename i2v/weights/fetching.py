"""One download as it runs: what the files must be, and each of them from the first source that has it.

A file is continued where an earlier attempt ended, whoever began it, and gets its name only when it is right.
Of protocols this module knows nothing (`hubs`, `sources`).
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from i2v.core.errors import ModelUnavailable, Notice
from i2v.core.fields import shown
from i2v.core.model_spec import ModelSpec, Repository
from i2v.core.settings import ModelSettings
from i2v.weights.converted import converted_files
from i2v.weights.folders import ModelFolder, locate, own_folder
from i2v.weights.hubs import part_file
from i2v.weights.parts import HUB, mark_of, name_in_model, needed_files, parts_of
from i2v.weights.progress import TransferMeter
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
from i2v.weights.selection import Item, select_all, select_files
from i2v.weights.shards import WEIGHTS, is_file, is_index, shard_names, size_of
from i2v.weights.sharing import link_copies, linked_files
from i2v.weights.sources import TICK_SECONDS, DiskFailed, Fetches, SourceFailed
from i2v.weights.tensors import read_shapes

PAUSES = (1, 2, 4, 8)  # seconds, while no source sends anything
SPARE = 2**26  # bytes of the disk that are left alone


@dataclass(frozen=True)
class Downloaded:
    """A complete model folder.

    Attributes:
        fetched: bytes; 0 where everything was there.
        hash_source: the source whose hashes the files were held to, `None` where nothing was fetched.
        notice: what was checked.
    """

    folder: ModelFolder
    fetched: int
    hash_source: str | None
    notice: Notice


class Fetching:
    """One download. `order`: the sources, that which did best first; it changes as they fail."""

    def __init__(
        self,
        spec: ModelSpec,
        models: ModelSettings,
        meter: TransferMeter,
        sources: Sequence[Fetches],
        takes_all: bool = False,
    ) -> None:
        """`takes_all`: the sources have nothing but what is wanted, and their word is the only one."""
        self.spec = spec
        self.models = models
        self.meter = meter
        self.folder = own_folder(spec, models)
        self.records = self.folder / RECORDS
        self.staging = self.records / "fetching"
        self.digests = Digests(self.records)
        self.order = list(sources)
        self.takes_all = takes_all
        self.select = select_all if takes_all else select_files
        self.listings: dict[tuple[str, str], Listing] = {}  # by source and folder
        self.hash_source: dict[str, str] = {}  # by the part's folder
        self.fetched = 0

    def run(self) -> Downloaded:
        link_copies(self.spec, self.models, self.meter)
        linked = linked_files(self.spec, self.models)
        here = linked | converted_files(self.spec, self.models)
        items = [item for part in parts_of(self.spec) for item in self._find_out(part, here)]
        items.sort(key=lambda item: item.place == self.spec.files[0])  # which makes a folder a model
        self.meter.settled = sum(here.values())
        self.meter.total = self.meter.settled + sum(item.expected.size for item in items)
        missing = [item for item in items if not self._is_right(item)]
        self._check_space(missing)
        for item in missing:
            self._fetch(item)
        shutil.rmtree(self.staging, ignore_errors=True)
        hash_source = ", ".join(dict.fromkeys(self.hash_source.values())) or None
        notice = checked_notice(self.spec, {item.expected.how for item in items}, hash_source)
        if linked:
            notice = linked_notice(self.spec, len(linked))
        return Downloaded(locate(self.spec, self.models), self.fetched, hash_source, notice)

    # --- what the files must be

    def _find_out(self, part: Repository, here: Collection[str]) -> list[Item]:
        """Return the part's files but for those that are `here`, as links or in another type."""
        if all(name_in_model(part, name) in here for name in needed_files(self.spec, part)):
            return []
        listing = self._expected_files(part)
        self.hash_source[part.folder] = listing.hash_source
        write_listing(self.records, listing, part)
        names = self.select(self.spec, part, listing, here)
        return [Item(part, name, listing.files[name]) for name in names]

    def _expected_files(self, part: Repository) -> Listing:
        """Return what the files must be: as the hub says or once said, else the first mirror that answers."""
        kept = None if self.takes_all else read_listing(self.records, part)
        if kept and (kept.hash_source, kept.revision) == (HUB, part.revision) and self._has_all(part, kept):
            return kept
        reasons: dict[str, SourceFailed] = {}
        for source in sorted(self.order, key=lambda source: source.name != HUB):
            try:
                return self._listing(source, part)
            except SourceFailed as error:
                reasons[source.name] = error
                self._put_last(source)
        raise self._no_source(name_in_model(part, mark_of(self.spec, part)), reasons)

    def _has_all(self, part: Repository, listing: Listing) -> bool:
        try:
            return bool(select_files(self.spec, part, listing))
        except SourceFailed:  # it was kept by a version that read fewer files
            return False

    def _listing(self, source: Fetches, part: Repository) -> Listing:
        key = (source.name, part.folder)
        if key not in self.listings:
            asking = partial(self.meter.report, "asking", source.name)
            listing = source.list_files(part, mark_of(self.spec, part), asking)
            names = self.select(self.spec, part, listing)
            # of one repository of several, files may be links that have another form than the chosen one
            self.listings[key] = listing.only(names) if len(self.spec.published) == 1 else listing
        return self.listings[key]

    def _is_right(self, item: Item) -> bool:
        """Tell whether the file is there as it must be; a wrong one is removed."""
        path, expected = self.folder / item.place, item.expected
        if not is_file(path):
            return False
        known = self.digests.known(path)
        if known is None or known != expected.sha256:
            hashes = hash_file(path, lambda done: self._report_check(None, item, done))
            if not hashes.fits(expected):
                self.digests.discard(path)
                return False
            self.digests.keep(path, hashes.sha256, checked=expected.how)
            self.digests.save()
        self.meter.settled += expected.size
        return True

    def _check_space(self, items: list[Item]) -> None:
        needed = sum(item.expected.size - self._begun(item) for item in items)
        if needed + SPARE > free_space(self.models.directory):
            raise self._full(needed)

    # --- one file

    def _fetch(self, item: Item) -> None:
        """Have the file in the folder, from the first source that does it."""
        reasons: dict[str, SourceFailed] = {}
        lasting: set[str] = set()
        pauses = iter(PAUSES)
        while len(lasting) < len(self.order):
            before = self._begun(item)
            for source in [source for source in self.order if source.name not in lasting]:
                try:
                    return self._fetch_from(source, item)
                except SourceFailed as error:
                    reasons[source.name] = error
                    if error.is_lasting:
                        lasting.add(source.name)
                    self._put_last(source)
                except DiskFailed as error:
                    if error.is_full:
                        raise self._full(item.expected.size - self._begun(item)) from error
                    raise unwritable(self.staging, error.reason) from error
            if self._begun(item) > before:
                pauses = iter(PAUSES)
            pause = next(pauses, None)
            if pause is None:
                break
            self._pause(pause)
        raise self._no_source(item.place, reasons)

    def _fetch_from(self, source: Fetches, item: Item) -> None:
        expected = item.expected
        offered = self._listing(source, item.part).files.get(item.name)
        if offered is None:
            raise SourceFailed("it does not have it", is_lasting=True)
        if not offered.agrees(expected):
            raise SourceFailed("it has another file of that name", is_lasting=True)
        begun, whole = self._begun(item), self.staging / item.place
        if not is_file(whole):  # as it would be if we were stopped while it was checked

            def tick(done: int) -> None:
                self.meter.report("fetching", source.name, item.place, done, expected.size)

            source.fetch(item.part, item.name, expected.size, self._staging(item), tick)
        hashes = hash_file(whole, lambda done: self._report_check(source.name, item, done))
        if not hashes.fits(expected):
            whole.unlink()
            if begun:  # perhaps the fault is in the beginning, which may be another source's
                return self._fetch_from(source, item)
            hash_source = self.hash_source[item.part.folder]
            raise SourceFailed(f"its file does not match the checksum from {hash_source} ({expected.how})")
        self._check_content(whole, expected)
        path = self.folder / item.place
        path.parent.mkdir(parents=True, exist_ok=True)
        whole.replace(path)
        self.digests.keep(path, hashes.sha256, source.name, expected.how)
        self.digests.save()
        self.fetched += expected.size - begun
        self.meter.settled += expected.size

    def _put_last(self, source: Fetches) -> None:
        """Have the others asked first from here on."""
        self.order.remove(source)
        self.order.append(source)

    def _check_content(self, whole: Path, expected: Expected) -> None:
        """Look at least into the file's header, where nobody knows its hash; and into any index."""
        try:
            if is_index(whole.name):
                shard_names(whole)
            elif expected.how == "size" and whole.suffix == WEIGHTS:
                read_shapes(self.spec, whole)
        except (ModelUnavailable, ValueError) as error:
            whole.unlink()
            reason = error.params["reason"] if isinstance(error, ModelUnavailable) else error
            raise SourceFailed(str(reason)) from error

    def _report_check(self, source: str | None, item: Item, done: int) -> None:
        self.meter.report("checking", source, item.place, done, item.expected.size)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.meter.report("pausing")
            time.sleep(TICK_SECONDS)

    def _staging(self, item: Item) -> Path:
        return self.staging / item.part.folder

    def _begun(self, item: Item) -> int:
        folder = self._staging(item)
        return sum(map(size_of, (folder / item.name, part_file(folder, item.name))))

    # --- what went wrong

    def _no_source(self, name: str, reasons: dict[str, SourceFailed]) -> ModelUnavailable:
        pages = [error.portal for error in reasons.values()]
        if pages and None not in pages:
            page = shown(str(pages[0]), limit=100)
            return ModelUnavailable("weights.captive_portal", title=self.spec.title, page=page)
        failures = "; ".join(f"{source}: {error.reason}" for source, error in reasons.items())
        reason = shown(failures or "no source is set", limit=1000)
        return ModelUnavailable("weights.no_source", title=self.spec.title, file=name, reasons=reason)

    def _full(self, needed: int) -> ModelUnavailable:
        return ModelUnavailable(
            "weights.disk_full",
            path=shown_path(self.folder),
            needed=round(needed / 1e9, 2),
            free=round(free_space(self.models.directory) / 1e9, 2),
        )


def checked_notice(spec: ModelSpec, hows: set[How], hash_source: str | None) -> Notice:
    """Return the sentence on what the files were held to."""
    if "size" in hows or hash_source is None:
        return Notice("weights.size_only", {"title": spec.title})
    return Notice("weights.checked", {"title": spec.title, "source": hash_source})


def linked_notice(spec: ModelSpec, count: int) -> Notice:
    """Return the sentence on files that were here before and are used where they are."""
    return Notice("weights.linked", {"title": spec.title, "count": count, "name": spec.name})


def free_space(folder: Path) -> int:
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def unwritable(folder: Path, reason: str) -> ModelUnavailable:
    return ModelUnavailable("weights.unwritable", path=shown_path(folder), reason=reason)


def shown_path(path: Path) -> str:
    return shown(str(path), limit=300)
