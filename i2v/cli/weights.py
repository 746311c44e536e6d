"""`i2v models download | convert | verify | add | remove`: flags to calls, and what is shown of them."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Self

from i2v.cli.parsers import Commands

if TYPE_CHECKING:
    from i2v.core.model_spec import ModelSpec
    from i2v.core.settings import Settings
    from i2v.weights.conversion import Converted
    from i2v.weights.download import DownloadPlan, PartPlan
    from i2v.weights.progress import TransferProgress


def add_parsers(actions: Commands) -> None:
    fetching = actions.add_parser("download", help="download a model, or resume a download")
    fetching.set_defaults(act=_download)
    fetching.add_argument("--dry-run", action="store_true", help="show what would be downloaded, then stop")
    fetching.add_argument(
        "--accept-licence", action="store_true", help="accept the licence, if the model requires it"
    )
    fetching.add_argument(
        "--convert", action="store_true", help="then run i2v models convert NAME --remove-originals"
    )
    converting = actions.add_parser(
        "convert", help="store a model's float32 weights in bfloat16, half as large"
    )
    converting.set_defaults(act=_convert)
    converting.add_argument(
        "--remove-originals", action="store_true", help="delete them once the new file was compared with them"
    )
    converting.add_argument("--dry-run", action="store_true", help="show what it would take, then stop")
    verifying = actions.add_parser("verify", help="compare a model's files with the published checksums")
    verifying.set_defaults(act=_verify)
    adding = actions.add_parser("add", help="use a model folder where it is, without copying it")
    adding.set_defaults(act=_add)
    adding.add_argument("name", metavar="NAME", nargs="?", help="the model, if FOLDER does not say which")
    adding.add_argument(
        "folders", metavar="FOLDER", type=Path, nargs="+",
        help="the model's folder, or one above it, or a GGUF file; of a model with two experts, both files",
    )  # fmt: skip
    removing = actions.add_parser("remove", help="delete a downloaded model, or stop using an added folder")
    removing.set_defaults(act=_remove)
    removing.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    for parser in (fetching, converting, verifying, removing):
        parser.add_argument("name", metavar="NAME", help="a model listed by i2v models, such as i2vgen-xl")
    for parser in (fetching, converting, verifying):
        parser.add_argument(
            "--json",
            action="store_true",
            default=argparse.SUPPRESS,
            help="print the result as one line of JSON",
        )


def _download(arguments: argparse.Namespace, settings: Settings) -> int:
    from i2v.core.errors import Cancelled
    from i2v.weights.conversion import plan_conversion
    from i2v.weights.download import download, plan_download

    spec = _spec(arguments.name)
    plan = plan_download(spec, settings.models)
    if plan.folder.missing is not None or arguments.dry_run:
        print("\n".join(_plan_lines(spec, plan)), file=sys.stderr)
    if arguments.dry_run:
        return 0
    accepted = arguments.accept_licence or (bool(plan.to_accept) and _confirm(_licence_question(plan)))
    try:
        with _Line() as line:
            done = download(spec, settings.models, line.show, accept_licences=accepted)
    except KeyboardInterrupt:
        raise Cancelled("weights.cancelled") from None
    fields = {"path": str(done.folder.path), "fetched": done.fetched, "told_by": done.hash_source}
    if not arguments.json:
        print(f"i2v: {done.notice.message}", file=sys.stderr)
    notice = done.notice
    if arguments.convert and plan_conversion(spec, settings.models) is not None:
        converted = _converted(spec, settings, remove_originals=True)
        notice, fields["removed"] = converted.notice, converted.removed
        if not arguments.json:
            print(f"i2v: {notice.message}", file=sys.stderr)
    print(
        json.dumps({**fields, **notice.to_dict()}, ensure_ascii=False) if arguments.json else fields["path"]
    )
    return 0


def _convert(arguments: argparse.Namespace, settings: Settings) -> int:
    from i2v.core.errors import InvalidRequest
    from i2v.weights.conversion import plan_conversion

    spec = _spec(arguments.name)
    plan = plan_conversion(spec, settings.models)
    if plan is None:
        raise InvalidRequest("weights.nothing_to_convert", title=spec.title)
    print(
        f"{spec.title}: {plan.needed / 1e9:.2f} GB more while it runs ({plan.free / 1e9:.1f} GB free),"
        f" {plan.saved / 1e9:.2f} GB less once the originals are removed",
        file=sys.stderr,
    )
    if arguments.dry_run:
        return 0
    done = _converted(spec, settings, arguments.remove_originals)
    if arguments.json:
        fields = {"path": str(done.folder), "removed": done.removed}
        print(json.dumps({**fields, **done.notice.to_dict()}, ensure_ascii=False))
        return 0
    print(f"i2v: {done.notice.message}", file=sys.stderr)
    print(done.folder)
    return 0


def _converted(spec: ModelSpec, settings: Settings, remove_originals: bool) -> Converted:
    from i2v.core.errors import Cancelled
    from i2v.weights.conversion import convert

    try:
        with _Line() as line:
            return convert(spec, settings.models, line.show, remove_originals=remove_originals)
    except KeyboardInterrupt:
        raise Cancelled("weights.conversion_cancelled") from None


def _licence_question(plan: DownloadPlan) -> str:
    from i2v.weights.licences import licence_url

    names = "; ".join(f"{part.licence}, {licence_url(part)}" for part in plan.to_accept)
    return f"Do you accept the licence ({names})?"


def _plan_lines(spec: ModelSpec, plan: DownloadPlan) -> list[str]:
    from i2v.weights.licences import licence_url

    begun = f", {plan.begun / 1e9:.2f} GB already downloaded" if plan.begun else ""
    origins = [f"  from {part.origin}" for part in plan.parts]
    if len(plan.parts) > 1:
        origins = [f"{line}: {_part_words(part)}" for line, part in zip(origins, plan.parts, strict=True)]
    return [
        f"{spec.title}: {plan.size / 1e9:.2f} GB{begun}; licence: {plan.licence}",
        *origins,
        *(f"  licence to accept: {part.licence}, {licence_url(part)}" for part in plan.to_accept),
        f"  through {', '.join(plan.sources) or 'no source: models.offline is set'}",
        f"  to {plan.target} ({plan.free / 1e9:.1f} GB free)",
        *(f"  {line}" for line in _conversion_lines(spec)),
    ]


def _conversion_lines(spec: ModelSpec) -> list[str]:
    """Return what can be made smaller afterwards, and the space that it takes."""
    size = sum(conversion.size for conversion in spec.conversions) / 1e9
    if not size:
        return []
    return [
        f"--convert stores the float32 weights in bfloat16 then: {size:.2f} GB less in the end,"
        f" {size:.2f} GB more while it does"
    ]


def _part_words(part: PartPlan) -> str:
    words = f"{part.published.size / 1e9:.2f} GB, licence: {part.published.licence}"
    if part.is_here:
        return f"{words}; it is there"
    return f"{words}; it is in {part.copy} and is linked to" if part.copy else words


def _verify(arguments: argparse.Namespace, settings: Settings) -> int:
    """Return 1 if a file is not as it must be."""
    from i2v.weights.check import verify

    with _Line() as line:
        done = verify(_spec(arguments.name), settings.models, line.show)
    if arguments.json:
        files = [asdict(file) for file in done.files]
        fields = {"path": str(done.folder.path), "told_by": done.hash_source, "files": files}
        print(json.dumps({**fields, **done.notice.to_dict()}, ensure_ascii=False))
    else:
        for file in done.files:
            state = "ok" if file.is_right else "missing" if file.how is None else "bad"
            print(f"{state:<8} {file.how or '':<9} {file.name}")
        print(f"i2v: {done.notice.message}", file=sys.stderr)
    return 0 if done.is_right else 1


def _add(arguments: argparse.Namespace, settings: Settings) -> int:
    from i2v.engines.registry import engines, models_of
    from i2v.weights.added import add_folder, is_gguf, which_fits

    name: str = arguments.name or ""
    folders: list[Path] = arguments.folders
    if is_gguf(Path(name)):  # several files, and no model
        name, folders = "", [Path(name), *folders]
    for folder in folders:
        spec = _spec(name) if name else which_fits(models_of(engines()).values(), folder)
        print(add_folder(spec, settings.models, folder))
    return 0


def _remove(arguments: argparse.Namespace, settings: Settings) -> int:
    from i2v.core.errors import InvalidRequest
    from i2v.weights.added import removable, remove_folder

    spec = _spec(arguments.name)
    folder = removable(spec, settings.models)
    if folder.origin == "added":
        question = f"Stop using {folder.path}? The folder itself is kept."
    else:
        question = f"Delete {folder.path} ({folder.own_size / 1e9:.2f} GB)?"
    if not arguments.yes and not _confirm(question):
        raise InvalidRequest("weights.unconfirmed")
    print(remove_folder(spec, settings.models).path)
    return 0


def _confirm(question: str) -> bool:
    if not sys.stdin.isatty():
        return False
    print(f"{question} [yes/no] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _spec(name: str) -> ModelSpec:
    from i2v.engines.registry import find_model

    return find_model(name)


class _Line:
    """One line that changes on a terminal; where standard error is a file or a pipe, one line a file."""

    def __init__(self) -> None:
        self.visible = sys.stderr.isatty()
        self.last_shown: tuple[str | None, str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.visible and self.last_shown:
            print(file=sys.stderr)

    def show(self, progress: TransferProgress) -> None:
        now = (progress.file, progress.phase)
        if self.visible:
            print(f"\r{_words(progress):<100}", end="", file=sys.stderr, flush=True)
        elif now != self.last_shown and progress.phase not in ("checking", "converting"):
            print(_words(progress), file=sys.stderr, flush=True)
        self.last_shown = now


def _words(progress: TransferProgress) -> str:
    if progress.phase == "waiting":
        return "waiting for another process that is downloading this model"
    if progress.phase == "asking":
        return f"connecting to {progress.source}"
    if progress.phase == "pausing":
        return "no source responds; retrying soon"
    done = f"{progress.done / 1e6:.0f} of {progress.total / 1e6:.0f} MB"
    if progress.phase == "converting":
        return f"{done}, writing {progress.file}"
    if progress.phase == "checking":
        return f"{done}, verifying {progress.file}"
    left = "" if progress.eta is None else f", {_time(progress.eta)} left"
    return f"{done}, {progress.speed / 1e6:.2f} MB/s{left}: {progress.file} from {progress.source}"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
