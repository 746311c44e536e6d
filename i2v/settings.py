"""Settings: the only reader of YAML files and of environment variables.

Later sources win: `configs/default.yaml`, then the user's `config.yaml` (from `--config`, `$I2V_CONFIG`, or beside
`app.py`), then the environment (`I2V_OUTPUT__DIRECTORY`), then command-line flags. Every setting stands, explained, in
`configs/default.yaml`; unknown keys are errors. Relative paths are relative to the file that names them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from i2v.errors import InvalidRequest
from i2v.schema import Preset, invalid_field, nearest_name, shown

ROOT = Path(__file__).resolve().parents[1]
ENVIRONMENT_PREFIX = "I2V_"
# Read by scripts/setup.sh, or by `find_user_file` below; not settings of the application.
_OTHER_VARIABLES = frozenset({"I2V_CONFIG", "I2V_TORCH", "I2V_PYTHON"})


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class OutputSettings(_Section):
    directory: Path
    format: Literal["mp4"]
    prefix: str = Field(pattern=r"^[^/\\\x00]{0,64}$")


class EngineSettings(_Section):
    name: str
    device: Literal["auto", "cpu", "cuda"]
    dtype: Literal["auto", "float32", "float16", "bfloat16"]
    threads: int = Field(ge=0, le=256)
    decode_chunk: int = Field(ge=1, le=128)


class ModelSettings(_Section):
    directory: Path


class ImageSettings(_Section):
    max_megapixels: float = Field(gt=0, le=400)
    max_megabytes: float = Field(gt=0, le=1000)


class Settings(_Section):
    """All settings, checked. See `configs/default.yaml` for what each one does."""

    output: OutputSettings
    engine: EngineSettings
    models: ModelSettings
    image: ImageSettings


@dataclass(frozen=True)
class _Source:
    name: str
    values: dict[str, object]
    base: Path


def load_settings(
    config: Path | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> Settings:
    """Merge all sources into `Settings`.

    Args:
        config: the user's file; must exist if given.
        environ: environment variables (`os.environ` at the edge; none if `None`).
        flags: dotted keys from the command line, e.g. `{"output.directory": "clips"}`; `None` values are ignored.
    Raises:
        InvalidRequest: naming the file or variable, the key, its value, and what is allowed or the nearest known key.
    """
    environ = environ or {}
    sources = [_read_file(ROOT / "configs" / "default.yaml", base=ROOT)]
    user_file = find_user_file(config, environ)
    if user_file is not None:
        sources.append(_read_file(user_file, base=user_file.resolve().parent))
    sources.append(_Source("environment", _from_environment(environ), Path.cwd()))
    sources.append(_Source("command line", _nested(dict(flags or {})), Path.cwd()))
    merged: dict[str, object] = {}
    for source in sources:
        _check_keys(source.values, Settings, source.name)
        _merge(merged, _absolute_paths(source.values, Settings, source.base))
        _validate(merged, source.name)
    return _validate(merged, "settings")


def find_user_file(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the user's configuration file: the given one, `$I2V_CONFIG`, or `config.yaml` beside `app.py` if it is there."""
    if config is not None:
        return config
    if environ.get("I2V_CONFIG"):
        return Path(environ["I2V_CONFIG"])
    beside = ROOT / "config.yaml"
    return beside if beside.exists() else None


def load_presets(path: Path = ROOT / "configs" / "presets.yaml") -> dict[str, Preset]:
    """Return the published presets by name."""
    return {
        name: Preset(**cast("dict[str, int]", row))
        for name, row in _read_file(path, base=ROOT).values.items()
    }


def _read_file(path: Path, base: Path) -> _Source:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InvalidRequest(
            "settings.unreadable", source=str(path), reason=" ".join(str(error).split())
        ) from error
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise InvalidRequest(
            "settings.unreadable", source=str(path), reason="it is not a table of keys and values"
        )
    return _Source(str(path), values, base)


def _from_environment(environ: Mapping[str, str]) -> dict[str, object]:
    flat = {
        name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", "."): value
        for name, value in environ.items()
        if name.startswith(ENVIRONMENT_PREFIX) and name not in _OTHER_VARIABLES
    }
    return _nested(flat)


def _nested(flat: Mapping[str, object]) -> dict[str, object]:
    nested: dict[str, object] = {}
    for key, value in flat.items():
        if value is None:
            continue
        *sections, last = key.split(".")
        level = nested
        for section in sections:
            level = cast("dict[str, object]", level.setdefault(section, {}))
        level[last] = value
    return nested


def _sections(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    found = {name: info.annotation for name, info in model.model_fields.items()}
    return {
        name: kind for name, kind in found.items() if isinstance(kind, type) and issubclass(kind, BaseModel)
    }


def _check_keys(values: Mapping[str, object], model: type[BaseModel], source: str, prefix: str = "") -> None:
    known = tuple(model.model_fields)
    sections = _sections(model)
    for key, value in values.items():
        if key not in known:
            nearest = prefix + nearest_name(str(key), known)
            raise InvalidRequest("settings.unknown_key", source=source, key=f"{prefix}{key}", nearest=nearest)
        if key in sections:
            if not isinstance(value, dict):
                allowed = "a section with the keys " + ", ".join(sections[key].model_fields)
                raise InvalidRequest(
                    "settings.invalid", source=source, key=prefix + key, value=shown(value), allowed=allowed
                )
            _check_keys(value, sections[key], source, f"{prefix}{key}.")


def _absolute_paths(values: Mapping[str, object], model: type[BaseModel], base: Path) -> dict[str, object]:
    sections = _sections(model)
    result: dict[str, object] = {}
    for key, value in values.items():
        if key in sections:
            result[key] = _absolute_paths(cast("dict[str, object]", value), sections[key], base)
        elif model.model_fields[key].annotation is Path and isinstance(value, (str, Path)):
            result[key] = base / Path(value).expanduser()
        else:
            result[key] = value
    return result


def _merge(target: dict[str, object], update: Mapping[str, object]) -> None:
    for key, value in update.items():
        if isinstance(value, dict):
            _merge(cast("dict[str, object]", target.setdefault(key, {})), value)
        else:
            target[key] = value


def _validate(values: Mapping[str, object], source: str) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        fault = invalid_field(error, tuple(Settings.model_fields))
        params = fault.params
        raise InvalidRequest(
            "settings.invalid",
            source=source,
            key=params.get("field"),
            value=params.get("value"),
            allowed=params.get("allowed"),
        ) from None
