"""A service's data folder: what lies where, who may read it, and what becomes of files that nobody owns.

Owns the checks and the rights of the folder, and its trash. Deliberately does not know what is in the files,
nor who uses the folder (`service_lock`). Links are never followed, but for the folder itself: whatever they
lead to is not the service's.
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from i2v.core.errors import I2VError
from i2v.core.fields import shown

INPUTS, TRASH, EMBEDDINGS = "inputs", "trash", "embeddings"
FOLDERS = (INPUTS, TRASH, "batches", "page", "unpublished", EMBEDDINGS, "restore.part", "restore.ready")
SECRETS = ("token", "cookie-secret", "webhook-secret")
FILES = ("jobs.db", "jobs.db-wal", "jobs.db-shm", "jobs.db-journal", "service.lock", *SECRETS)
DATABASES = "jobs.db"  # copies of it too, such as a damaged one that was moved away: prompts are in them
MIN_FREE_BYTES = 16 * 2**20  # for a picture and what the database writes of its job
TRASH_DAYS = 7
STAMP = "%Y%m%d_%H%M%S"  # names of the trash's folders

log = logging.getLogger(__name__)


def prepare(folder: Path) -> None:
    """Make the data folder if needed, for its owner alone; see that it can be used.

    Raises `I2VError` (`data.*`) where something else is in the place of a folder or a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (FileExistsError, NotADirectoryError) as error:
        raise _error("data.not_a_folder", _in_the_way(folder)) from error
    except OSError as error:
        raise unusable(folder, error) from error
    for name in (*FOLDERS, *FILES):
        path = folder / name
        try:
            mode = path.lstat().st_mode
        except FileNotFoundError:
            continue
        except OSError as error:
            raise unusable(path, error) from error
        if stat.S_ISLNK(mode):
            raise _error("data.is_link", path)
        if name in FOLDERS and not stat.S_ISDIR(mode):
            raise _error("data.not_a_folder", path)
        if name in FILES and not stat.S_ISREG(mode):
            raise _error("data.not_a_file", path)
    try:
        (folder / INPUTS).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise unusable(folder, error) from error
    check(folder / INPUTS)


def check(folder: Path) -> None:
    """Raise `I2VError` (`data.*`) if no file can be written to the folder, or its disk is full."""
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise _error("data.not_a_folder", folder)
        with tempfile.TemporaryFile(dir=folder):  # trying also tells of read-only disks
            free = shutil.disk_usage(folder).free
    except OSError as error:
        raise unusable(folder, error) from error
    if free < MIN_FREE_BYTES:
        mib = {"free_mib": free >> 20, "needed_mib": MIN_FREE_BYTES >> 20}
        raise I2VError("data.no_space", path=shown(str(folder), limit=300), **mib)


def restrict(folder: Path) -> None:
    """Take the rights of others away, in the folder itself and in all of the service's that lies there.

    What another user owns stays as it is, and so does a folder that also holds something else. Secrets are
    left to `token_file`: one that others could read is no secret any more.

    Raises `I2VError` (`data.unusable`).
    """
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError as error:
        raise unusable(folder, error) from error
    own = {name for name in names if name in (*FOLDERS, *FILES) or name.startswith(DATABASES)}
    paths = [path for name in sorted(own - {*SECRETS}) for path in _tree(folder / name)]
    if strangers := sorted(names - own):
        if folder.stat().st_mode & 0o077:
            log.warning(
                "Other users of this machine may enter %s. It stays so, because it also holds %s. Give i2v a"
                " folder of its own (service.data_dir), or run: chmod 700 %s",
                folder, shown(strangers[0]), folder,
            )  # fmt: skip
    else:
        paths.insert(0, folder.resolve())
    if readable := [path for path in paths if not _restricted(path)]:
        log.warning(
            "Other users of this machine may read %s (and %d more), and i2v may not change that. Run, as its"
            " owner: chmod -R go= %s", readable[0], len(readable) - 1, folder,
        )  # fmt: skip


def _tree(path: Path) -> Iterator[Path]:
    yield path
    for parent, folders, files in os.walk(path):  # of a file: nothing
        yield from (Path(parent) / each for each in (*folders, *files))


def _restricted(path: Path) -> bool:
    """Return whether nobody but its owner may use the file or folder, after trying to bring that about."""
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode) or not found.st_mode & 0o077:
        return True
    if found.st_uid != os.geteuid():
        return False
    try:
        path.chmod(stat.S_IMODE(found.st_mode) & 0o700)
    except OSError:  # file systems without rights, as of some sticks and shares, refuse it
        return False
    return True


def sweep(folder: Path, owned: set[str], is_new: bool) -> None:
    """Move pictures that no job owns to the trash, and bring back from there those that one owns again.

    owned: names of pictures; the thumbnail beside one has its stem.
    is_new: the database has never had a job. Nothing is moved then: it may stand where a damaged one was, and
    the pictures are those of the old one's jobs.

    Raises `I2VError` (`data.unusable`).
    """
    try:
        _sweep(folder, owned, is_new)
    except OSError as error:
        raise unusable(Path(error.filename or folder), error) from error


def _sweep(folder: Path, owned: set[str], is_new: bool) -> None:
    inputs, trash = folder / INPUTS, folder / TRASH
    stems = {Path(name).stem for name in owned}
    for path in trash.glob("*/*"):
        if path.stem in stems and not os.path.lexists(inputs / path.name):
            path.rename(inputs / path.name)
    orphans: list[Path] = []
    for path in inputs.iterdir():
        if not stat.S_ISREG(path.lstat().st_mode):
            log.warning(
                "%s is no file, and is left alone. Only pictures of jobs belong there: move it.", path
            )
        elif path.suffix == ".part":  # of an upload that was cut off
            path.unlink()
        elif path.stem not in stems:
            orphans.append(path)
    if orphans and is_new:
        log.warning(
            "The database is new, but %s holds %d files. They are kept, in case another database is put"
            " back. If not, delete them by hand.", inputs, len(orphans),
        )  # fmt: skip
    elif orphans:
        target = trash / f"{datetime.now():{STAMP}}"
        for each in (trash, target):
            each.mkdir(mode=0o700, exist_ok=True)
        for path in orphans:
            path.rename(target / path.name)
        log.info("%d files that no job owns were moved to %s for %d days", len(orphans), target, TRASH_DAYS)


def empty_trash(folder: Path) -> None:
    """Remove what has lain in the trash for its days."""
    oldest = datetime.now() - timedelta(days=TRASH_DAYS)
    for path in (folder / TRASH).glob("*"):
        try:
            is_old = datetime.strptime(path.name, STAMP) < oldest
        except ValueError:  # somebody else's
            continue
        if is_old and not path.is_symlink():
            shutil.rmtree(path, onerror=_say_undeleted)


def _say_undeleted(function: object, path: str, error: object) -> None:
    log.warning("%s could not be removed from the trash", path)


def unusable(path: Path, error: OSError) -> I2VError:
    """Return the error that says what the system has against the data folder, or something in it."""
    return I2VError("data.unusable", path=shown(str(path), limit=300), reason=error.strerror or str(error))


def _error(code: str, path: Path) -> I2VError:
    return I2VError(code, path=shown(str(path), limit=300))


def _in_the_way(folder: Path) -> Path:
    """Return which part of the path is no folder."""
    parts = [*reversed(folder.parents), folder]
    return next((path for path in parts if os.path.lexists(path) and not path.is_dir()), folder)
