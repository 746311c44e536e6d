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

from i2v.core.engine_spec import EngineSpec, Published
from i2v.core.settings import ModelSettings
from i2v.weights.folders import own_folder, repository_layouts
from i2v.weights.parts import mark_of, name_in_model, needed_files, optional_files, stored
from i2v.weights.records import RECORDS, read_listing
from i2v.weights.shards import stored_files


def find_copy(spec: EngineSpec, part: Published, models: ModelSettings) -> Path | None:
    """Return a complete folder of the repository that another model or program has; `None` if there is none.

    Its files are told by their names, as everywhere; `verify` holds them to hashes.
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


def link_copies(spec: EngineSpec, models: ModelSettings) -> None:
    """Link what is missing in the model's own folder and is in a copy.

    Where the file system has no links, nothing is linked, and the files have to be fetched.
    """
    own = own_folder(spec, models)
    for part in spec.published:
        missing = [
            name
            for name in (*needed_files(spec, part), *optional_files(spec, part))
            if stored(spec, own, name_in_model(part, name)).missing is not None
        ]
        copy = find_copy(spec, part, models) if missing else None
        for name in missing if copy is not None else ():
            assert copy is not None
            for source in stored_files(copy, name, part.variant).files:
                _link(own / part.folder / source.relative_to(copy), source)


def linked_files(spec: EngineSpec, models: ModelSettings) -> dict[str, int]:
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


def _candidates(spec: EngineSpec, part: Published, models: ModelSettings) -> Iterator[Path]:
    mark = mark_of(spec, part)
    for records in _records(models.directory):
        listing = read_listing(records)
        if listing is None:
            continue
        # ModelScope has no commits; a listing of an older version has no repository
        is_there = listing.told_by == "modelscope" and listing.repo == part.repo
        if is_there or listing.revision == part.revision:
            name, _, *below = records.relative_to(models.directory).parts
            yield models.directory.joinpath(name, *below)
    for place in (*models.search_paths, models.hub_cache):
        yield from repository_layouts(part, place, mark)


def _records(directory: Path) -> Iterator[Path]:
    """Yield each folder of records of a repository that we have fetched."""
    with suppress(OSError):  # a folder that went away meanwhile
        for listing in sorted(directory.glob(f"*/{RECORDS}/**/listing.json")):
            yield listing.parent


def _link(path: Path, source: Path) -> None:
    with suppress(OSError):  # a file system without links, or a file that is there: that one stays
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():  # one that leads nowhere
            path.unlink()
        path.symlink_to(source.resolve())


def _links(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_symlink()]
