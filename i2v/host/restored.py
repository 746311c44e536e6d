"""A restored data folder takes the place of the old one in steps that any start finishes.

What is restored is first made whole in `restore.part`. The rename to `restore.ready` decides: before it, the
old folder is as it was; after it, `finish` moves each thing to its place, as often as it is cut off. What was
there goes to the trash, which is kept for some days. The caller holds the folder (`service_lock`).
"""

from __future__ import annotations

import logging
import os
import shutil
from datetime import datetime
from pathlib import Path

from i2v.host.data_folder import DATABASES, STAMP, TRASH, unusable

PART, READY = "restore.part", "restore.ready"
PARTS = ("inputs", "batches", "unpublished")  # folders that are restored

log = logging.getLogger(__name__)


def begin(folder: Path) -> Path:
    """Return a new folder, to be filled with what is restored, once `finish` has been called."""
    part = folder / PART
    part.mkdir(mode=0o700)
    for name in PARTS:
        (part / name).mkdir(mode=0o700)
    return part


def commit(folder: Path) -> None:
    """Let the folder that `begin` returned be the data from now on."""
    _sync_all(folder / PART)
    (folder / PART).rename(folder / READY)
    _sync(folder)
    finish(folder)


def give_up(folder: Path) -> None:
    """Take away what `begin` has begun."""
    shutil.rmtree(folder / PART, ignore_errors=True)


def finish(folder: Path) -> None:
    """Go on with what a cut off `commit` left, if anything; raise `I2VError` (`data.unusable`)."""
    ready = folder / READY
    try:
        if (folder / PART).is_dir():  # of a try that was cut off before it counted
            shutil.rmtree(folder / PART)
        if not ready.is_dir():
            return
        aside = folder / TRASH / f"{datetime.now():{STAMP}}"
        for database in folder.glob(f"{DATABASES}-*"):  # journals of the old one: the new one has none yet
            _move(database, aside)
        for each in sorted(ready.iterdir()):
            place = folder / each.name
            if os.path.lexists(place):
                _move(place, aside)
            each.rename(place)
        _sync(folder)
        ready.rmdir()
    except OSError as error:
        raise unusable(Path(error.filename or folder), error) from error
    log.warning("%s was restored. What was there is kept in %s", folder, aside)


def _move(path: Path, aside: Path) -> None:
    for folder in (aside.parent, aside):
        folder.mkdir(mode=0o700, exist_ok=True)
    path.rename(aside / path.name)


def _sync_all(folder: Path) -> None:
    for parent, _, files in os.walk(folder):
        for name in files:
            _sync(Path(parent) / name)
        _sync(Path(parent))


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
