"""What a download is made of: which files of a repository, and which sources they are asked from.

Says nothing about how a file comes (`fetching`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial

from i2v.core.model_spec import ModelSpec, Repository
from i2v.core.settings import ModelSettings
from i2v.weights.parts import HUB, mark_of, name_in_model, needed_files, optional_files
from i2v.weights.progress import TransferMeter
from i2v.weights.records import Expected, Listing
from i2v.weights.shards import select_listed
from i2v.weights.sources import Source, SourceFailed


@dataclass(frozen=True)
class Item:
    """A file to have in the folder. `name`: in its repository."""

    part: Repository
    name: str
    expected: Expected

    @property
    def place(self) -> str:
        """Where it lies below the model's folder."""
        return name_in_model(self.part, self.name)


def select_files(
    spec: ModelSpec, part: Repository, listing: Listing, linked: Collection[str] = ()
) -> list[str]:
    """Return which of the listed files the engine reads, but for the `linked` ones, by their place.

    Raises `SourceFailed` where one is not listed.
    """
    names: list[str] = []
    needed = needed_files(spec, part)
    for name in (*needed, *optional_files(spec, part)):
        if name_in_model(part, name) in linked:
            continue
        try:
            names += select_listed(listing.files.keys(), name, part.variant)
        except LookupError as error:
            if name in needed:
                raise SourceFailed(f"it has no {error.args[0]}", is_lasting=True) from error
    return names


def select_all(
    spec: ModelSpec, part: Repository, listing: Listing, linked: Collection[str] = ()
) -> list[str]:
    """Return all listed files but for the `linked` ones: of somebody who lists what an engine reads there."""
    return [name for name in listing.files if name_in_model(part, name) not in linked]


def list_files(
    spec: ModelSpec, part: Repository, models: ModelSettings, meter: TransferMeter
) -> Listing | None:
    """Return the repository's files as the first source lists them that answers, `None` if none does."""
    for name in sorted(fetch_order(models), key=lambda name: name != HUB):
        source = Source(name, models, lock=None)
        try:
            return source.list_files(part, mark_of(spec, part), partial(meter.report, "asking", name))
        except SourceFailed:
            continue  # the next one may know
        finally:
            source.close()
    return None


def fetch_order(models: ModelSettings) -> list[str]:
    """Return the sources; `endpoint` first, since a person has chosen it."""
    return list(dict.fromkeys(name for name in (models.endpoint, *models.sources) if name))
