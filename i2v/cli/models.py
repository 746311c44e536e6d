"""`i2v models`: which engines there are, where their weights lie, and which one `auto` means here."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from i2v.cli.parsers import Commands

if TYPE_CHECKING:
    from i2v.errors import I2VError, Notice
    from i2v.inventory import ModelFolder
    from i2v.schema import EngineSpec
    from i2v.settings import Settings


def add_parser(commands: Commands) -> argparse.ArgumentParser:
    parser = commands.add_parser("models", help="which models are there, and which one auto runs")
    parser.add_argument("--digest", action="store_true", help="read all weights and print their SHA-256")
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings to use instead of config.yaml")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    return parser


def run(arguments: argparse.Namespace) -> int:
    from i2v.engines.specs import ENGINES
    from i2v.inventory import inspect_folder
    from i2v.settings import load_settings

    settings = load_settings(arguments.config, os.environ)
    told: list[dict[str, object]] = []
    lines: list[str] = []
    for spec in ENGINES.values():
        folder = inspect_folder(spec, settings.models.directory)
        digest = _digest(spec, folder) if arguments.digest else None
        told.append(_fields(spec, folder, digest))
        lines += _lines(spec, folder, digest)
    engine, reason = _auto(settings)
    if arguments.json:
        print(json.dumps({"engines": told, "auto": {"engine": engine, **reason.to_dict()}}))
    else:
        print("\n".join([*lines, reason.message]))
    return 0


def _digest(spec: EngineSpec, folder: ModelFolder) -> str | None:
    from i2v.weights import weights_digest

    return weights_digest(spec, folder.path) if folder.missing is None else None


def _auto(settings: Settings) -> tuple[str | None, Notice | I2VError]:
    """Return the name of the engine that `auto` means, `None` where nothing can run, and why."""
    from i2v.errors import InsufficientMemory
    from i2v.loading import choose_engine, explain_choice
    from i2v.memory import probe_device

    models = settings.models.directory
    try:
        device = probe_device(settings.engine.device)
    except InsufficientMemory as error:
        return None, error
    return choose_engine("auto", device, models).name, explain_choice(device, models)


def _fields(spec: EngineSpec, folder: ModelFolder, digest: str | None) -> dict[str, object]:
    return {
        "name": spec.name,
        "title": spec.title,
        "available": folder.missing is None,
        "path": str(folder.path),
        "missing": None if folder.missing is None else str(folder.missing.relative_to(folder.path)),
        "bytes": folder.size,
        "sha256": digest,
    }


def _lines(spec: EngineSpec, folder: ModelFolder, digest: str | None) -> list[str]:
    size = f"{folder.size / 1e6:.1f} MB in {folder.path}"
    if folder.missing is None:
        state = f"available, {size}"
    elif folder.files:
        state = f"incomplete, {size}: {folder.missing.relative_to(folder.path)} is missing"
    else:
        state = f"not there, looked for in {folder.path}"
    lines = [f"{spec.name} ({spec.title}): {state}"]
    return lines if digest is None else [*lines, f"  SHA-256 {digest}"]
