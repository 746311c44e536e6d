"""Adding a folder that is elsewhere, and removing what is ours; never anything of others."""

from __future__ import annotations

import shutil
from pathlib import Path

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import Cancelled, InvalidRequest, ModelUnavailable
from i2v.core.settings import ModelSettings
from i2v.weights.check import check_folder
from i2v.weights.download import alone
from i2v.weights.fetching import published_of
from i2v.weights.folders import (
    ModelFolder,
    added_folder,
    forget,
    inspect_folder,
    layouts,
    locate,
    own_folder,
    register,
)
from i2v.weights.progress import Meter


def add_folder(spec: EngineSpec, models: ModelSettings, folder: Path) -> Path:
    """Have the model read from `folder`, where it stays; return where in it the model is.

    `folder` may also be a Hugging Face cache, ComfyUI's, or one of several models. Raises `InvalidRequest`
    and, as `check_folder` does, `ModelUnavailable`.
    """
    published_of(spec)
    model = next(layouts(spec, folder), folder)
    check_folder(spec, model)
    try:
        register(spec, models, model)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelUnavailable("weights.unwritable", path=str(models.directory), reason=reason) from error
    return model.absolute()


def removable(spec: EngineSpec, models: ModelSettings) -> ModelFolder:
    """Return what `remove_folder` would delete or forget; raises `InvalidRequest` where there is nothing."""
    published_of(spec)
    added = added_folder(spec, models)
    if added is not None:
        return inspect_folder(spec, added, "added")
    own = own_folder(spec, models)
    if own.is_symlink() or own.is_dir():
        return inspect_folder(spec, own, "downloaded")
    found = locate(spec, models)
    if found.missing is None:
        raise InvalidRequest("weights.not_ours", title=spec.title, path=str(found.path))
    raise InvalidRequest("weights.nothing_to_remove", title=spec.title, path=str(own))


def remove_folder(spec: EngineSpec, models: ModelSettings) -> ModelFolder:
    """Forget the added folder, which stays as it is, or delete our own; return what it was.

    Raises `InvalidRequest` (`models.busy`: another process is fetching it), or `ModelUnavailable` where files
    cannot be deleted.
    """
    folder = removable(spec, models)
    at_once = Meter(lambda progress: None, lambda: True)  # raises where it would have to wait
    try:
        with alone(spec, models, at_once):
            if folder.origin == "added":
                forget(spec, models)
            elif folder.path.is_symlink():
                folder.path.unlink()  # what it leads to is somebody else's
            else:
                shutil.rmtree(folder.path)
    except Cancelled as error:
        raise InvalidRequest("models.busy", title=spec.title) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelUnavailable("weights.unwritable", path=str(folder.path), reason=reason) from error
    return folder
