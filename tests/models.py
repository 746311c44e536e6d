"""Settings of models for tests: all in one folder, and nothing else of this machine is looked at."""

from __future__ import annotations

from pathlib import Path

from i2v.core.settings import ModelSettings
from i2v.core.settings_sources import load_settings


def models_in(folder: Path, **flags: object) -> ModelSettings:
    """Return settings whose models folder is `folder`; no source, unless `flags` name one."""
    usual: dict[str, object] = {
        "directory": folder,
        "search_paths": (),
        "hub_cache": folder / "nowhere",
        "sources": (),
    }
    return load_settings(flags={f"models.{name}": value for name, value in (usual | flags).items()}).models
