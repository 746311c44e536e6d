"""Does a folder that is here fit its engine, and are its files what their hub says they are?"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from i2v.core.engine_spec import EngineSpec
from i2v.core.errors import ModelUnavailable, Notice
from i2v.core.schema import shown
from i2v.core.settings import ModelSettings
from i2v.weights.fetching import list_files, told_notice
from i2v.weights.folders import INDEX, ModelFolder, is_file, locate, weights_file
from i2v.weights.model_files import unreadable
from i2v.weights.progress import Meter, Progress
from i2v.weights.records import (
    Digests,
    Expected,
    How,
    Listing,
    hash_file,
    read_listing,
    records_folder,
    write_listing,
)
from i2v.weights.tensors import check_tensors, published_shapes, read_shapes

PIPELINE = "I2VGenXLPipeline"  # of diffusers; all our engines are of that kind
PICKLES = (".bin", ".ckpt", ".pt", ".pth")


@dataclass(frozen=True)
class FileCheck:
    """`how` the file was held to what, `None` where it is missing. `is_right`: it was found as it must be."""

    name: str
    how: How | None
    is_right: bool


@dataclass(frozen=True)
class Verified:
    """`told_by`: whose word the files were held to, `None` where nobody's could be had."""

    folder: ModelFolder
    told_by: str | None
    files: tuple[FileCheck, ...]
    notice: Notice

    @property
    def is_right(self) -> bool:
        return all(file.is_right for file in self.files)


def check_folder(spec: EngineSpec, folder: Path) -> None:
    """Raise `ModelUnavailable` naming file and tensor, unless `folder` holds what the engine reads.

    Reads headers of weights, not their values.
    """
    _refuse_pickles(spec, folder)
    for name in spec.files:
        path = weights_file(folder / name)
        if not is_file(path):
            raise ModelUnavailable("weights.missing_file", title=spec.title, path=str(path))
        if path.suffix == ".json" and not isinstance(_read_json(spec, path), dict):
            raise unreadable(spec, path, "it holds no table")
    found = str(_read_json(spec, folder / INDEX).get("_class_name"))
    if found != PIPELINE:
        raise ModelUnavailable(
            "weights.wrong_class", path=str(folder / INDEX), found=shown(found), expected=PIPELINE
        )
    shapes = published_shapes(spec)
    for name in spec.files:
        if name.endswith(".safetensors"):
            check_tensors(spec, weights_file(folder / name), shapes[name.partition("/")[0]])


def verify(
    spec: EngineSpec,
    models: ModelSettings,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Verified:
    """Read every file of the model and hold it to what the hub says of it; see `download` for the callables.

    The hub's word is the one kept beside the files, or in a Hugging Face cache, else it is asked for; where
    nobody's can be had, sizes and headers are all that is checked. A bad file in our own folder is removed,
    so that it is not loaded and the next download fetches it.

    Raises `ModelUnavailable` where there is no model folder or a file cannot be read, and `Cancelled`.
    """
    folder = locate(spec, models)
    if not folder.files:
        fix = f"Get it: i2v models download {spec.name}"
        path = shown(str(folder.path), limit=300)
        raise ModelUnavailable("weights.missing_folder", title=spec.title, path=path, fix=fix)
    meter = Meter(on_progress, cancelled)
    listing = _listing_of(spec, models, folder, meter)
    meter.total = folder.size
    digests = Digests(records_folder(folder.path, models))
    checks = [FileCheck(name, None, False) for name in _missing(spec, folder)]
    for file, size in folder.files.items():
        checks.append(_check(spec, file, size, folder, listing, digests, meter))
    digests.save()
    told_by = listing.told_by if listing else None
    bad = [check.name for check in checks if not check.is_right]
    notice = told_notice(spec, {check.how for check in checks if check.how}, told_by)
    if bad:
        files = ", ".join(bad)
        notice = Notice("weights.bad_files", {"title": spec.title, "files": files, "name": spec.name})
    return Verified(folder, told_by, tuple(checks), notice)


def _check(
    spec: EngineSpec,
    path: Path,
    size: int,
    folder: ModelFolder,
    listing: Listing | None,
    digests: Digests,
    meter: Meter,
) -> FileCheck:
    name = path.relative_to(folder.path).as_posix()
    expected = listing.files.get(name) if listing else None
    expected = expected or Expected(size)
    try:
        hashes = hash_file(path, lambda done: meter.tell("checking", None, name, done, size))
    except OSError as error:
        raise unreadable(spec, path, error.strerror or str(error)) from error
    is_right = hashes.fits(expected)
    if is_right and expected.how == "size" and path.suffix == ".safetensors":
        is_right = _is_whole(spec, path)
    if is_right:
        digests.keep(path, hashes.sha256, checked=expected.how)
    elif folder.origin == "downloaded":
        digests.discard(path)
    meter.settled += size
    return FileCheck(name, expected.how, is_right)


def _is_whole(spec: EngineSpec, path: Path) -> bool:
    try:
        read_shapes(spec, path)
    except ModelUnavailable:
        return False
    return True


def _missing(spec: EngineSpec, folder: ModelFolder) -> list[str]:
    return [name for name in spec.files if weights_file(folder.path / name) not in folder.files]


def _listing_of(spec: EngineSpec, models: ModelSettings, folder: ModelFolder, meter: Meter) -> Listing | None:
    """Return what a hub says of the folder's files, kept or asked for; `None` where that cannot be had."""
    records = records_folder(folder.path, models)
    listing = read_listing(records) or _kept_by_hub(folder)
    if listing is None and spec.published is not None and not models.offline:
        listing = list_files(spec, models, meter)
        if listing is not None and folder.origin != "embedded":
            write_listing(records, listing)
    return listing


def _kept_by_hub(folder: ModelFolder) -> Listing | None:
    """Return what huggingface_hub noted when it fetched the folder: in its cache, or beside the files.

    https://huggingface.co/docs/huggingface_hub/guides/manage-cache: a file in the cache is a link to a blob
    that is named by its hash; a folder made with `local_dir` has a line with the hash for each file.
    """
    files: dict[str, Expected] = {}
    for path, size in folder.files.items():
        name = path.relative_to(folder.path).as_posix()
        etag = path.readlink().name if path.is_symlink() else _noted_etag(folder.path, name)
        is_hex = set(etag) <= set("0123456789abcdef")
        if is_hex and len(etag) == 64:
            files[name] = Expected(size, sha256=etag)
        elif is_hex and len(etag) == 40:
            files[name] = Expected(size, git_sha1=etag)
    return Listing("huggingface_hub", "", files) if files else None


def _noted_etag(folder: Path, name: str) -> str:
    try:
        note = folder / ".cache" / "huggingface" / "download" / f"{name}.metadata"
        return note.read_text(encoding="utf-8").splitlines()[1]
    except (OSError, ValueError, IndexError):
        return ""


def _refuse_pickles(spec: EngineSpec, folder: Path) -> None:
    """Say what is wrong with a folder that holds the model in a form that is not read: VGen's, pickles."""
    if not folder.is_dir():
        raise ModelUnavailable("weights.no_folder", path=shown(str(folder), limit=300))
    if not is_file(folder / INDEX):
        places = (folder, folder / "models")  # not below: the folder may be a whole disk
        original = next((path for place in places for path in sorted(place.glob("i2vgen_xl_*.pth"))), None)
        if original is not None:
            raise ModelUnavailable("weights.vgen_original", path=str(original), name=spec.name)
        raise ModelUnavailable("weights.no_index", path=shown(str(folder), limit=300), title=spec.title)
    for name in spec.files:
        path = folder / name
        if path.suffix == ".safetensors" and not is_file(weights_file(path)):
            for pickle in PICKLES:
                if is_file(path.with_suffix(pickle)):
                    pickled = str(path.with_suffix(pickle))
                    raise ModelUnavailable("weights.pickle", path=pickled, name=spec.name)


def _read_json(spec: EngineSpec, path: Path) -> Mapping[str, object]:
    try:
        content: Mapping[str, object] = json.loads(path.read_text(encoding="utf-8"))
        return content
    except (OSError, ValueError) as error:
        raise unreadable(spec, path, str(error)) from error
