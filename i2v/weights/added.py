"""Adding a folder that is elsewhere, and removing what is ours; never anything of others."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from i2v.core.errors import Cancelled, InvalidRequest, ModelUnavailable
from i2v.core.fields import shown
from i2v.core.model_spec import ModelSpec
from i2v.core.settings import ModelSettings
from i2v.weights.check import check_folder, fits_class
from i2v.weights.download import alone
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
from i2v.weights.parts import expert_in
from i2v.weights.progress import TransferMeter
from i2v.weights.shards import GGUF, is_file
from i2v.weights.sharing import hand_over

_GGUF_BEGINS = b"GGUF"


def can_be_added(spec: ModelSpec) -> bool:
    """Tell whether the model has files, and not inside i2v."""
    return bool(spec.files) and not spec.embedded


def refuse_own(spec: ModelSpec) -> None:
    """Raise `InvalidRequest` for a model whose files nobody can add or remove."""
    if not spec.files:
        raise InvalidRequest("weights.none_needed", title=spec.title)
    if not can_be_added(spec):
        raise InvalidRequest("weights.not_published", title=spec.title)


def add_folder(spec: ModelSpec, models: ModelSettings, folder: Path) -> Path:
    """Have the model read from `folder`, where it stays; return where in it the model is.

    `folder` may also be a Hugging Face cache, ComfyUI's, one of several models, or a file (`add_gguf`).
    Raises `InvalidRequest` and, as `check_folder` does, `ModelUnavailable`.
    """
    refuse_own(spec)
    if is_gguf(folder):
        return add_gguf(spec, models, folder)
    model = next(layouts(spec, folder), folder)
    check_folder(spec, model)
    try:
        register(spec, models, model)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelUnavailable("weights.unwritable", path=str(models.directory), reason=reason) from error
    return model.absolute()


def is_gguf(path: Path) -> bool:
    return path.suffix == GGUF and is_file(path)


def add_gguf(spec: ModelSpec, models: ModelSettings, file: Path) -> Path:
    """Have a file in GGUF read in the place of the weights that the model has it for; return the link to it.

    The link is in our own folder, where the rest of the model is or will be downloaded to. An earlier one is
    replaced. Of two experts, the file's name says which one it is. Raises `InvalidRequest`: the model has no
    such weights (`weights.gguf_unfit`), the name says nothing of an expert where there are two
    (`weights.gguf_whose`), or something where there are none (`weights.gguf_of_an_expert`), it is another
    kind of file (`weights.not_gguf`), or the model is in somebody else's folder (`weights.gguf_elsewhere`);
    `ModelUnavailable`: the package that reads it is missing (`weights.no_gguf`), or the link cannot be made.
    """
    name = shown(str(file), limit=300)
    if not spec.gguf_files:
        raise InvalidRequest("weights.gguf_unfit", path=name, title=spec.title)
    expert = expert_in(file.name)
    has_experts = len(spec.gguf_files) > 1
    if has_experts and expert is None:
        raise InvalidRequest("weights.gguf_whose", path=name, title=spec.title)
    if expert is not None and not has_experts:
        raise InvalidRequest("weights.gguf_of_an_expert", path=name, title=spec.title)
    if find_spec("gguf") is None:
        raise ModelUnavailable("weights.no_gguf", path=name)
    try:
        with file.open("rb") as opened:
            begins = opened.read(len(_GGUF_BEGINS))
    except OSError as error:
        raise ModelUnavailable(
            "weights.unreadable", title=spec.title, path=name, reason=error.strerror or str(error)
        ) from error
    if begins != _GGUF_BEGINS:
        raise InvalidRequest("weights.not_gguf", path=name)
    found, own = locate(spec, models), own_folder(spec, models)
    part = Path(spec.gguf_files[expert or 0]).parent
    if found.path != own and found.missing is None:
        there = shown(str(found.path), limit=300)
        raise InvalidRequest("weights.gguf_elsewhere", title=spec.title, path=there, part=str(part))
    folder = own / part
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for link in folder.glob(f"*{GGUF}"):
            if link.is_symlink():
                link.unlink()
        target = folder / file.name
        target.symlink_to(file.absolute())
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelUnavailable("weights.unwritable", path=str(folder), reason=reason) from error
    return target


def which_fits(specs: Iterable[ModelSpec], folder: Path) -> ModelSpec:
    """Return the model that `folder` is of, where nobody has named it.

    With one model that can be added it is that one, whatever the folder holds: `add_folder` says what is
    wrong. Else it is the only one whose pipeline the folder names and whose files are all there, or nearly.
    Raises `InvalidRequest` where that is none or several.
    """
    known = [spec for spec in specs if can_be_added(spec)]
    if folder.suffix == GGUF:
        of_two = expert_in(folder.name) is not None
        known = [spec for spec in known if spec.gguf_files and (len(spec.gguf_files) > 1) == of_two]
    if len(known) == 1:
        return known[0]
    found = [(spec, model) for spec in known if (model := next(layouts(spec, folder), None)) is not None]
    likely = [(spec, model) for spec, model in found if not spec.pipelines or fits_class(spec, model)]
    complete = [spec for spec, model in likely if inspect_folder(spec, model, "added").missing is None]
    fitting = complete or [spec for spec, _ in likely]
    if len(fitting) != 1:
        names = ", ".join(spec.name for spec in fitting or known)
        raise InvalidRequest("weights.which_model", path=shown(str(folder), limit=300), allowed=names)
    return fitting[0]


def removable(spec: ModelSpec, models: ModelSettings) -> ModelFolder:
    """Return what `remove_folder` would delete or forget; raises `InvalidRequest` where there is nothing."""
    refuse_own(spec)
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


def remove_folder(spec: ModelSpec, models: ModelSettings) -> ModelFolder:
    """Forget the added folder, which stays as it is, or delete our own; return what it was.

    Files of our own that other models link to are not deleted: they become these models' own.

    Raises `InvalidRequest` (`models.busy`: another process is fetching it), or `ModelUnavailable` where files
    cannot be deleted.
    """
    folder = removable(spec, models)
    at_once = TransferMeter(lambda progress: None, lambda: True)  # raises where it would have to wait
    try:
        with alone(spec, models, at_once):
            if folder.origin == "added":
                forget(spec, models)
            elif folder.path.is_symlink():
                folder.path.unlink()  # what it leads to is somebody else's
            else:
                hand_over(folder.path, models)
                shutil.rmtree(folder.path)
    except Cancelled as error:
        raise InvalidRequest("models.busy", title=spec.title) from error
    except OSError as error:
        reason = error.strerror or str(error)
        raise ModelUnavailable("weights.unwritable", path=str(folder.path), reason=reason) from error
    return folder
