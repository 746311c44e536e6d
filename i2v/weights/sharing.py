"""Repositories that several models share: one that is here already is linked to, not fetched again.

Only for a model that is made of several repositories: one that is a single repository is used where it is, as
a whole (`folders.locate`). The links stand in our own folder, so that an engine reads one folder whatever its
files' homes are; what they lead to is never written to.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from i2v.core.model_spec import ModelSpec, Repository
from i2v.core.settings import ModelSettings
from i2v.weights.folders import files_below, own_folder, repository_layouts
from i2v.weights.parts import mark_of, name_in_model, needed_files, optional_files, stored
from i2v.weights.progress import TransferMeter
from i2v.weights.records import RECORDS, Listing, hash_file, read_listing, write_listing
from i2v.weights.shards import size_of, stored_files


def find_copy(spec: ModelSpec, part: Repository, models: ModelSettings) -> Path | None:
    """Return a complete folder of the repository that another model or program has; `None` if there is none.

    Its files are known by their names, as everywhere; `verify` holds them to hashes.
    """
    needed = needed_files(spec, part)
    if len(spec.published) < 2 or not needed:
        return None
    own = own_folder(spec, models)
    for folder in _candidates(spec, part, models):
        if folder.is_relative_to(own):
            continue
        if all(stored_files(folder, name, part.variant).missing is None for name in needed):
            return folder
    return None


def link_copies(spec: ModelSpec, models: ModelSettings, meter: TransferMeter) -> None:
    """Link what is missing in the model's own folder and is in a copy. Raises `OSError`, and `Cancelled`.

    Where it is known what the hub says of a file, as it is after `verify`, a wrong one is not linked. Where
    the file system has no links, nothing is linked, and the files have to be fetched.
    """
    own = own_folder(spec, models)
    for part in spec.published:
        missing = [
            name
            for name in (*needed_files(spec, part), *optional_files(spec, part))
            if stored(spec, own, name_in_model(part, name)).missing is not None
        ]
        copy = find_copy(spec, part, models) if missing else None
        if copy is None:
            continue
        kept = read_listing(own / RECORDS, part)
        for name in missing:
            names = {file.relative_to(copy): file for file in stored_files(copy, name, part.variant).files}
            if kept is None or all(_is_right(kept, name, file, meter) for name, file in names.items()):
                for place, file in names.items():
                    _link(own / part.folder / place, file)
        listing = _noted(copy, models)
        if kept is None and listing is not None:  # what the hub has said of the files goes with them
            write_listing(own / RECORDS, listing, part)


def linked_files(spec: ModelSpec, models: ModelSettings) -> dict[str, int]:
    """Return the bytes of each of the spec's files that is complete in the own folder by links; by name."""
    if len(spec.published) < 2:
        return {}
    own = own_folder(spec, models)
    found = {name: stored(spec, own, name) for name in (*spec.files, *spec.optional_files)}
    return {
        name: sum(here.files.values())
        for name, here in found.items()
        if here.missing is None and any(path.is_symlink() for path in here.files)
    }


def hand_over(folder: Path, models: ModelSettings) -> None:
    """Before `folder`, which is ours, is deleted: move files that other models link to into their folders.

    Raises `OSError`.
    """
    moved: dict[Path, Path] = {}
    whole = folder.resolve()
    for link in _links(models.directory):
        source = link.resolve()
        if link.is_relative_to(folder) or not source.is_relative_to(whole):
            continue
        if source in moved:
            link.unlink()
            link.symlink_to(moved[source])
        elif source.is_file():
            link.unlink()
            shutil.move(source, link)
            moved[source] = link.absolute()


def _candidates(spec: ModelSpec, part: Repository, models: ModelSettings) -> Iterator[Path]:
    mark = mark_of(spec, part)
    for records in _records(models.directory):
        listing = read_listing(records)
        if listing is not None and _is_of(listing, part):
            name, _, *below = records.relative_to(models.directory).parts
            yield models.directory.joinpath(name, *below)
    for place in (*models.search_paths, models.hub_cache):
        yield from repository_layouts(part, place, mark)


def _is_of(listing: Listing, part: Repository) -> bool:
    if listing.revision == part.revision:
        return listing.repo in (part.repo, "")  # an older version has not noted it
    return listing.hash_source == "modelscope" and listing.repo == part.repo  # there are no commits there


def _noted(copy: Path, models: ModelSettings) -> Listing | None:
    """Return the listing of a folder of ours, `None` for anybody else's."""
    if not copy.is_relative_to(models.directory):
        return None
    name, *below = copy.relative_to(models.directory).parts
    return read_listing(models.directory.joinpath(name, RECORDS, *below))


def _records(directory: Path) -> Iterator[Path]:
    """Yield each folder of records of a repository that we have fetched."""
    with suppress(OSError):  # a folder that went away meanwhile
        for listing in sorted(directory.glob(f"*/{RECORDS}/**/listing.json")):
            yield listing.parent


def _is_right(listing: Listing, name: Path, file: Path, meter: TransferMeter) -> bool:
    """Tell whether the copy's file is as the hub says, if that has said anything of it."""
    expected = listing.files.get(name.as_posix())
    if expected is None:
        return True
    if size_of(file) != expected.size:
        return False
    size = expected.size
    hashes = hash_file(file, lambda done: meter.report("checking", None, name.as_posix(), done, size))
    return hashes.fits(expected)


def _link(path: Path, source: Path) -> None:
    with suppress(OSError):  # a file system without links, or a file that is there: that one stays
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():  # one that leads nowhere
            path.unlink()
        path.symlink_to(source.resolve())


def _links(directory: Path) -> list[Path]:
    return [path for path in files_below(directory) if path.is_symlink()]
