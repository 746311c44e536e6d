"""Does a folder that is here fit its engine, and are its files what their hub says they are?"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from i2v.core.errors import ModelUnavailable, Notice
from i2v.core.fields import shown
from i2v.core.model_spec import ModelSpec, Repository
from i2v.core.settings import ModelSettings
from i2v.weights.converted import with_converted
from i2v.weights.fetching import checked_notice
from i2v.weights.folders import INDEX, ModelFolder, locate, way_to_get
from i2v.weights.model_files import unreadable
from i2v.weights.parts import check_reader, gguf_in, name_in_model, part_of, stored
from i2v.weights.progress import TransferMeter, TransferProgress
from i2v.weights.records import (
    Digests,
    Expected,
    How,
    Listing,
    hash_file,
    merged,
    read_listing,
    records_folder,
    write_listing,
)
from i2v.weights.selection import list_files
from i2v.weights.shards import WEIGHTS, is_file, missing_file
from i2v.weights.tensors import check_tensors, published_shapes, read_shapes

VGEN = "I2VGenXLPipeline"  # of diffusers, whose model was published as pickles first
PICKLES = (".bin", ".ckpt", ".pt", ".pth")


@dataclass(frozen=True)
class FileCheck:
    """`how` the file was held to what, `None` where it is missing. `is_right`: it was found as it must be."""

    name: str
    how: How | None
    is_right: bool


@dataclass(frozen=True)
class Verified:
    """`hash_source`: whose word the files were held to, `None` where nobody's could be had."""

    folder: ModelFolder
    hash_source: str | None
    files: tuple[FileCheck, ...]
    notice: Notice

    @property
    def is_right(self) -> bool:
        return all(file.is_right for file in self.files)


def check_folder(spec: ModelSpec, folder: Path) -> None:
    """Raise `ModelUnavailable` naming file and tensor, unless `folder` holds what the engine reads.

    Reads headers of weights, not their values.
    """
    _refuse_pickles(spec, folder)
    found = {name: stored(spec, folder, name) for name in spec.files}
    for name, here in found.items():
        if here.missing is not None:
            raise missing_file(spec, here.missing)
        if name.endswith(".json") and not isinstance(_read_json(spec, folder / name), dict):
            raise unreadable(spec, folder / name, "it holds no table")
    if spec.pipelines:
        _check_class(spec, folder / INDEX)
    check_reader(spec, folder)
    shapes = published_shapes(spec)
    for name, here in found.items():
        if gguf_in(spec, folder, name) is not None:
            continue  # the engine looks into it
        if name.endswith(WEIGHTS):  # in shards, the index is the first
            check_tensors(spec, next(iter(here.files)), shapes.get(name.rpartition("/")[0]))


def fits_class(spec: ModelSpec, folder: Path) -> bool:
    """Tell whether the folder says of itself that it is of a pipeline of the spec's."""
    try:
        return str(_read_json(spec, folder / INDEX).get("_class_name")) in spec.pipelines
    except (ModelUnavailable, AttributeError):
        return False


def _check_class(spec: ModelSpec, index: Path) -> None:
    found, expected = str(_read_json(spec, index).get("_class_name")), " or ".join(spec.pipelines)
    if found not in spec.pipelines:
        raise ModelUnavailable("weights.wrong_class", path=str(index), found=shown(found), expected=expected)


def verify(
    spec: ModelSpec,
    models: ModelSettings,
    on_progress: Callable[[TransferProgress], None] = lambda progress: None,
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
        path = shown(str(folder.path), limit=300)
        raise ModelUnavailable("weights.missing_folder", title=spec.title, path=path, fix=way_to_get(spec))
    meter = TransferMeter(on_progress, cancelled)
    listing = _listing_of(spec, models, folder, meter)
    meter.total = folder.size
    digests = Digests(records_folder(folder.path, models))
    checks = [FileCheck(name, None, False) for name in _missing(spec, folder)]
    for file, size in folder.files.items():
        checks.append(_check(spec, file, size, folder, listing, digests, meter))
    digests.save()
    hash_source = listing.hash_source if listing else None
    bad = [check.name for check in checks if not check.is_right]
    notice = checked_notice(spec, {check.how for check in checks if check.how}, hash_source)
    if bad:
        files = ", ".join(bad)
        notice = Notice("weights.bad_files", {"title": spec.title, "files": files, "name": spec.name})
    return Verified(folder, hash_source, tuple(checks), notice)


def _check(
    spec: ModelSpec,
    path: Path,
    size: int,
    folder: ModelFolder,
    listing: Listing | None,
    digests: Digests,
    meter: TransferMeter,
) -> FileCheck:
    name = path.relative_to(folder.path).as_posix()
    expected = listing.files.get(name) if listing else None
    expected = expected or Expected(size)
    try:
        hashes = hash_file(path, lambda done: meter.report("checking", None, name, done, size))
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


def _is_whole(spec: ModelSpec, path: Path) -> bool:
    try:
        read_shapes(spec, path)
    except ModelUnavailable:
        return False
    return True


def _missing(spec: ModelSpec, folder: ModelFolder) -> list[str]:
    found = (stored(spec, folder.path, name).missing for name in spec.files)
    return [path.relative_to(folder.path).as_posix() for path in found if path is not None]


def _listing_of(
    spec: ModelSpec, models: ModelSettings, folder: ModelFolder, meter: TransferMeter
) -> Listing | None:
    """Return what hubs say of the folder's files, kept or asked for; `None` where that cannot be had."""
    listing = merged(spec, lambda part: _part_listing(spec, part, models, folder, meter))
    return with_converted(listing, records_folder(folder.path, models))


def _part_listing(
    spec: ModelSpec, part: Repository, models: ModelSettings, folder: ModelFolder, meter: TransferMeter
) -> Listing | None:
    records = records_folder(folder.path, models)
    listing = read_listing(records, part) or _kept_by_hub(spec, part, folder)
    if listing is None and part in spec.published and not models.offline:
        listing = list_files(spec, part, models, meter)
        if listing is not None and folder.origin != "embedded":
            write_listing(records, listing, part)
    return listing


def _kept_by_hub(spec: ModelSpec, part: Repository, folder: ModelFolder) -> Listing | None:
    """Return what huggingface_hub noted when it fetched the files: in its cache, or beside the files.

    https://huggingface.co/docs/huggingface_hub/guides/manage-cache: a file in the cache is a link to a blob
    that is named by its hash; a folder made with `local_dir` has a line with the hash for each file.
    """
    files: dict[str, Expected] = {}
    for place, path in folder.names().items():
        if part_of(spec, place) != part:
            continue
        name = place.removeprefix(name_in_model(part, "")) if part.folder else place
        etag = path.readlink().name if path.is_symlink() else _noted_etag(folder.path / part.folder, name)
        is_hex = set(etag) <= set("0123456789abcdef")
        if is_hex and len(etag) == 64:
            files[name] = Expected(folder.files[path], sha256=etag)
        elif is_hex and len(etag) == 40:
            files[name] = Expected(folder.files[path], git_sha1=etag)
    return Listing("huggingface_hub", "", files) if files else None


def _noted_etag(folder: Path, name: str) -> str:
    try:
        note = folder / ".cache" / "huggingface" / "download" / f"{name}.metadata"
        return note.read_text(encoding="utf-8").splitlines()[1]
    except (OSError, ValueError, IndexError):
        return ""


def _refuse_pickles(spec: ModelSpec, folder: Path) -> None:
    """Say what is wrong with a folder that holds the model in a form that is not read: VGen's, pickles."""
    if not folder.is_dir():
        raise ModelUnavailable("weights.no_folder", path=shown(str(folder), limit=300))
    if not is_file(folder / spec.files[0]):
        places = (folder, folder / "models")  # not below: the folder may be a whole disk
        original = next((path for place in places for path in sorted(place.glob("i2vgen_xl_*.pth"))), None)
        if original is not None and VGEN in spec.pipelines:
            raise ModelUnavailable("weights.vgen_original", path=str(original), name=spec.name)
        place = shown(str(folder), limit=300)
        raise ModelUnavailable("weights.no_index", path=place, title=spec.title, file=spec.files[0])
    for name in spec.files:
        path = folder / name
        if path.suffix == WEIGHTS and not stored(spec, folder, name).files:
            for pickle in PICKLES:
                if is_file(path.with_suffix(pickle)):
                    pickled = str(path.with_suffix(pickle))
                    raise ModelUnavailable("weights.pickle", path=pickled, name=spec.name)


def _read_json(spec: ModelSpec, path: Path) -> Mapping[str, object]:
    try:
        content: Mapping[str, object] = json.loads(path.read_text(encoding="utf-8"))
        return content
    except (OSError, ValueError) as error:
        raise unreadable(spec, path, str(error)) from error
