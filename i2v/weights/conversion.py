"""Weights that are published in float32, kept in bfloat16: half the disk, and the same frames on a card.

The new file stands beside the old ones as their `bf16` variant, which is what is read from then on. It gets
its name only once it was compared with them, and they go only then, and only if that was asked for. Its
checksum is recorded, so that `verify` can tell later whether it is whole. How it is written: `bfloat16`.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from i2v.core.errors import Cancelled, InvalidRequest, ModelUnavailable, Notice
from i2v.core.model_spec import Conversion, ModelSpec
from i2v.core.settings import ModelSettings
from i2v.weights.bfloat16 import Layout, compare, lay_out, write
from i2v.weights.converted import record, target_of
from i2v.weights.download import alone
from i2v.weights.fetching import SPARE, free_space, shown_path, unwritable
from i2v.weights.folders import locate, own_folder
from i2v.weights.model_files import unreadable
from i2v.weights.progress import Phase, TransferMeter, TransferProgress
from i2v.weights.records import RECORDS, Digests, Expected, hash_file, merged, read_listing
from i2v.weights.shards import WEIGHTS, size_of, stored_files


@dataclass(frozen=True)
class FilePlan:
    """One file to be written. Sizes are in bytes.

    Attributes:
        size: about; never more than what it is made of.
        sources: what it is made of, an index of shards first; empty: they are gone.
        written: it is there already.
        begun: of it, by an attempt that was interrupted.
    """

    conversion: Conversion
    target: Path
    size: int
    sources: dict[Path, int]
    written: bool
    begun: int


@dataclass(frozen=True)
class ConversionPlan:
    """What storing a model again would be.

    Attributes:
        files: those that are here or can be made.
        needed: bytes that it takes more while it runs.
        saved: bytes that there are less in the end, if the originals are removed.
        free: bytes on the disk.
    """

    files: tuple[FilePlan, ...]
    needed: int
    saved: int
    free: int


@dataclass(frozen=True)
class Converted:
    """`removed`: bytes of originals that were deleted."""

    folder: Path
    removed: int
    notice: Notice


def plan_conversion(spec: ModelSpec, models: ModelSettings) -> ConversionPlan | None:
    """Return what is left to do; `None` where nothing of the model is kept in float32, or not in our folder.

    Reads no file.
    """
    folder = own_folder(spec, models)
    files = tuple(_plan_file(folder, conversion) for conversion in spec.conversions)
    files = tuple(plan for plan in files if plan.sources)
    if not files or locate(spec, models).path != folder or folder.is_symlink():
        return None
    new = [plan.size for plan in files if not plan.written]
    begun = sum(plan.begun for plan in files)
    sources = sum(size for plan in files for size in plan.sources.values())
    return ConversionPlan(files, max(sum(new) - begun, 0), sources - sum(new), free_space(models.directory))


def convert(
    spec: ModelSpec,
    models: ModelSettings,
    on_progress: Callable[[TransferProgress], None] = lambda progress: None,
    cancelled: Callable[[], bool] = lambda: False,
    remove_originals: bool = False,
) -> Converted:
    """Store again in bfloat16 what is published in float32; see `download` for the callables.

    Whatever ends this, the next call goes on from there; the originals are whole until all is done.

    Raises:
        InvalidRequest: `weights.nothing_to_convert`: there is nothing, or not in our own folder.
        ModelUnavailable: an original is damaged (`weights.bad_original`) or unreadable, the disk is full or
            cannot be written.
        Cancelled: `cancelled` returned true.
    """
    meter = TransferMeter(on_progress, cancelled)
    folder = own_folder(spec, models)
    try:
        with alone(spec, models, meter):
            plan = plan_conversion(spec, models)
            if plan is None:
                raise InvalidRequest("weights.nothing_to_convert", title=spec.title)
            if plan.needed + SPARE > plan.free:
                raise _full(folder, plan)
            removed = _Converting(spec, models, meter, plan).run(remove_originals)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            plan = plan_conversion(spec, models)
            raise (unwritable(folder, str(error)) if plan is None else _full(folder, plan)) from error
        raise unwritable(folder, error.strerror or str(error)) from error
    except Cancelled:
        raise Cancelled("weights.conversion_cancelled") from None
    saved = f"{plan.saved / 1e9:.2f}"
    if removed:
        notice = Notice("weights.converted_alone", {"title": spec.title, "saved": saved})
    else:
        notice = Notice("weights.converted", {"title": spec.title, "saved": saved, "name": spec.name})
    return Converted(folder, removed, notice)


class _Converting:
    """One run, under the model's lock."""

    def __init__(
        self, spec: ModelSpec, models: ModelSettings, meter: TransferMeter, plan: ConversionPlan
    ) -> None:
        self.spec = spec
        self.meter = meter
        self.plan = plan
        self.folder = own_folder(spec, models)
        self.records = self.folder / RECORDS
        self.staging = self.records / "converting"
        self.digests = Digests(self.records)
        self.listing = merged(spec, lambda part: read_listing(self.records, part))

    def run(self, remove_originals: bool) -> int:
        """Return how many bytes of originals were removed."""
        files = self.plan.files
        # each original is hashed unless that is known, read twice, and the new file written and read
        self.meter.total = sum(
            sum(plan.sources.values()) + 2 * plan.size for plan in files if not plan.written
        )
        for plan in files:
            if not plan.written:
                self._convert(plan)
        shutil.rmtree(self.staging, ignore_errors=True)
        return sum(self._remove(plan) for plan in files) if remove_originals else 0

    def _convert(self, plan: FilePlan) -> None:
        for path, size in plan.sources.items():
            self._check(path, size)
        weights = [path for path in plan.sources if path.suffix == WEIGHTS]
        try:
            layout = lay_out(weights, plan.conversion.in_float32)
        except ValueError as error:
            raise unreadable(self.spec, weights[0], str(error)) from error
        self.staging.mkdir(parents=True, exist_ok=True)
        part = _part_of(self.staging, plan.target)
        digest = self._written(layout, part, plan)
        self._record(plan, layout, digest)
        part.replace(plan.target)
        self.digests.keep(plan.target, digest, "conversion", "sha256")
        self.digests.save()

    def _check(self, path: Path, size: int) -> None:
        """Raise `ModelUnavailable` where an original is not what its hub says, if that is known."""
        expected = None if self.listing is None else self.listing.files.get(self._name(path))
        expected = expected or Expected(size)
        known = self.digests.known(path)
        if known is None or known != expected.sha256:
            hashes = hash_file(path, lambda done: self._report("checking", path, done, size))
            if not hashes.fits(expected):
                raise ModelUnavailable("weights.bad_original", path=str(path), name=self.spec.name)
            self.digests.keep(path, hashes.sha256, checked=expected.how)
            self.digests.save()
        self.meter.settled += size

    def _written(self, layout: Layout, part: Path, plan: FilePlan) -> str:
        """Write the file, going on with a part; compare it with its sources; return its SHA-256."""
        begun = size_of(part) > 0
        write(layout, part, lambda done: self._report("converting", plan.target, done, layout.size))
        self.meter.settled += layout.size
        digest = compare(layout, part, lambda done: self._report("checking", plan.target, done, layout.size))
        if digest is None:
            part.unlink()
            self.meter.settled -= layout.size
            if begun:  # perhaps what the earlier attempt has left is at fault
                return self._written(layout, part, plan)
            raise ModelUnavailable("weights.bad_copy", path=str(plan.target))
        self.meter.settled += layout.size
        return digest

    def _record(self, plan: FilePlan, layout: Layout, digest: str) -> None:
        """Before the file has its name: from then on, `verify` can hold it to its checksum."""
        made_of = {self._name(source): self.digests.known(source) for source in plan.sources}
        row = {"size": layout.size, "sha256": digest, "dtype": "bfloat16", "made_of": made_of}
        record(self.records, self._name(plan.target), row)

    def _remove(self, plan: FilePlan) -> int:
        for path in plan.sources:
            path.unlink()
        return sum(plan.sources.values())

    def _report(self, phase: Phase, path: Path, done: int, size: int) -> None:
        self.meter.report(phase, None, self._name(path), done, size)

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


def _plan_file(folder: Path, conversion: Conversion) -> FilePlan:
    found = stored_files(folder, conversion.file, "")
    target = target_of(folder, conversion)
    begun = size_of(_part_of(folder / RECORDS / "converting", target))
    sources = dict(found.files) if found.missing is None else {}
    size = min(conversion.size, sum(sources.values()))
    return FilePlan(conversion, target, size, sources, target.is_file(), begun)


def _part_of(staging: Path, target: Path) -> Path:
    return staging / f"{target.parent.name}-{target.name}"


def _full(folder: Path, plan: ConversionPlan) -> ModelUnavailable:
    return ModelUnavailable(
        "weights.disk_full",
        path=shown_path(folder),
        needed=round(plan.needed / 1e9, 2),
        free=round(plan.free / 1e9, 2),
    )
