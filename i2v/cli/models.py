"""`i2v models`: which models are here, where, which one `auto` means; getting, checking and removing one."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from i2v.cli import weights
from i2v.cli.parsers import Commands, Parser

if TYPE_CHECKING:
    from i2v.core.errors import I2VError, Notice
    from i2v.core.model_spec import ModelSpec
    from i2v.core.settings import ModelSettings, Settings
    from i2v.weights.folders import ModelFolder


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser("models", help="list, download, verify, add or remove models")
    parser.set_defaults(act=_list)
    _add_flags(parser, default=False)
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="read settings from FILE instead of config.yaml"
    )
    actions = parser.add_subparsers(metavar="ACTION", parser_class=Parser)
    listing = actions.add_parser("list", help="list models and the one that auto selects (default)")
    listing.set_defaults(act=_list)
    _add_flags(listing, default=argparse.SUPPRESS)
    for kind, of in (("loras", "LoRAs"), ("checkpoints", "checkpoints")):
        added = actions.add_parser(kind, help=f"list the {of} that a clip can be made with")
        added.set_defaults(act=_list_added, kind=kind)
        added.add_argument(
            "--json",
            action="store_true",
            default=argparse.SUPPRESS,
            help="print the result as one line of JSON",
        )
    weights.add_parsers(actions)
    for action in actions.choices.values():
        action.add_argument(
            "--config",
            type=Path,
            metavar="FILE",
            default=argparse.SUPPRESS,
            help="read settings from FILE instead of config.yaml",
        )
    return parser


def _add_flags(parser: argparse.ArgumentParser, default: object) -> None:
    parser.add_argument(
        "--digest", action="store_true", default=default, help="read all weights and print their SHA-256"
    )
    parser.add_argument(
        "--json", action="store_true", default=default, help="print the result as one line of JSON"
    )


def run(arguments: argparse.Namespace) -> int:
    from i2v.core.settings_sources import load_settings

    code: int = arguments.act(arguments, load_settings(arguments.config, os.environ))
    return code


def _list(arguments: argparse.Namespace, settings: Settings) -> int:
    from i2v.engines.registry import engines, models_of
    from i2v.weights.folders import locate

    rows: list[dict[str, object]] = []
    lines: list[str] = []
    for spec in {**engines(), **models_of(engines())}.values():
        if not spec.files:
            rows.append(_without_files(spec))
            lines.append(f"{spec.name} ({spec.title}): installed, nothing needs to be downloaded")
            continue
        folder = locate(spec, settings.models)
        digest = _digest(spec, folder, settings.models) if arguments.digest else None
        rows.append(_fields(spec, folder, digest))
        lines += _lines(spec, folder, digest)
    engine, reason = _auto(settings)
    machines = _machines(settings)
    if arguments.json:
        there = {} if machines is None else {"devices": machines}
        print(json.dumps({"engines": rows, "auto": {"engine": engine, **reason.to_dict()}, **there}))
    else:
        print("\n".join([*lines, *map(_machine_line, machines or []), reason.message]))
    return 0


def _machines(settings: Settings) -> list[dict[str, Any]] | None:
    """Return what the server that runs here says of its cluster's devices; `None` where there is none."""
    if settings.worker.executor != "ray":
        return None
    from i2v.cli.remote import Server
    from i2v.core.errors import I2VError

    try:
        found = Server.find(settings, None).ask("GET", "/devices")
    except I2VError as error:
        print(error.message, file=sys.stderr)
        return None
    return cast("list[dict[str, Any]]", found["devices"])


def _machine_line(device: dict[str, Any]) -> str:
    line = f"{device['id']}: weights of {', '.join(device['models'] or ()) or 'no engine'}"
    if fetch := device["fetch"]:
        done, total = fetch["done_bytes"] / 1e9, fetch["total_bytes"] / 1e9
        line += f"; gets {fetch['engine']}, {done:.2f} of {total:.2f} GB"
    return line


def _list_added(arguments: argparse.Namespace, settings: Settings) -> int:
    from i2v.weights.added_files import describe_added

    found = describe_added(arguments.kind, settings.models)
    if arguments.json:
        rows = [{**asdict(file), "path": str(file.path)} for file in found]
        print(json.dumps({arguments.kind: rows}))
        return 0
    for file in found:
        print(f"{file.name}: {file.made_for or 'cannot be read'}, {file.size / 1e6:.1f} MB in {file.path}")
        if file.trigger_words:
            print(f"  trigger words: {', '.join(file.trigger_words)}")
    if not found:
        print(f"There are none. Put .safetensors files into {settings.models.directory / arguments.kind}.")
    return 0


def _digest(spec: ModelSpec, folder: ModelFolder, models: ModelSettings) -> str | None:
    from i2v.weights.records import records_folder, weights_digest

    if folder.missing is not None:
        return None
    return weights_digest(spec, folder.path, records_folder(folder.path, models))


def _auto(settings: Settings) -> tuple[str | None, Notice | I2VError]:
    """Return the name of the engine that `auto` means, `None` where nothing can run, and why."""
    from i2v.core.errors import InsufficientMemory
    from i2v.engines.registry import engines
    from i2v.memory.plan import probe_device
    from i2v.pipeline.choice import choose_engine, explain_choice

    try:
        device = probe_device(settings.engine.device)
    except InsufficientMemory as error:
        return None, error
    chosen = choose_engine("auto", device, settings.models, engines())
    return chosen.name, explain_choice(device, settings.models, engines())


def _without_files(spec: ModelSpec) -> dict[str, object]:
    """Return the fields of an engine that has no model: always available, and nowhere in particular."""
    nowhere = dict.fromkeys(("path", "origin", "missing"))
    return {"name": spec.name, "title": spec.title, "available": True, **nowhere, "bytes": 0, "sha256": None}


def _fields(spec: ModelSpec, folder: ModelFolder, digest: str | None) -> dict[str, object]:
    return {
        "name": spec.name,
        "title": spec.title,
        "available": folder.missing is None,
        "path": str(folder.path),
        "origin": folder.origin,
        "missing": None if folder.missing is None else str(folder.missing.relative_to(folder.path)),
        "bytes": folder.size,
        "sha256": digest,
    }


def _lines(spec: ModelSpec, folder: ModelFolder, digest: str | None) -> list[str]:
    size = f"{folder.size / 1e6:.1f} MB in {folder.path}"
    if folder.missing is None:
        state = f"installed, {size}"
    elif folder.files:
        state = f"incomplete, {size}: {folder.missing.relative_to(folder.path)} is missing"
    else:
        state = f"not installed (no model in {folder.path})"
    lines = [f"{spec.name} ({spec.title}): {state}"]
    if folder.missing is not None and spec.published:
        lines.append(f"  to install it: i2v models download {spec.name}")
    return lines if digest is None else [*lines, f"  SHA-256 {digest}"]
