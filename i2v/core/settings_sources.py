"""Where settings come from: the only reader of YAML files and of environment variables.

Later sources win: `configs/default.yaml`, then the user's `config.yaml` (from `--config`, `$I2V_CONFIG`, or
beside `app.py`), then the environment (`I2V_OUTPUT__DIRECTORY`), then command-line flags. Every setting
stands, explained, in `configs/default.yaml`; unknown keys are errors. Relative paths are relative to the file
that names them, and to the current folder where a variable or a flag does.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import yaml
from pydantic import BaseModel, SecretStr, ValidationError

from i2v.core import setting_values as kinds
from i2v.core.engine_spec import Preset
from i2v.core.errors import InvalidRequest
from i2v.core.fields import nearest_name, shown
from i2v.core.schema import invalid_field
from i2v.core.settings import Settings
from i2v.core.users import User, read_users
from i2v.core.webhook import HIDDEN as SECRET
from i2v.core.webhook import Endpoint

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT_PREFIX = "I2V_"
# Read by scripts/setup.sh, `find_user_file` below or `workers.cluster.node`; not settings of the application.
_OTHER_VARIABLES = frozenset(
    {"I2V_CONFIG", "I2V_NODE_FOLDER", "I2V_PYTHON", "I2V_TORCH", "I2V_TORCH_INDEX", "I2V_WHEELS"}
)

_SHORT = {"I2V_DATA_DIR": "service.data_dir"}
# huggingface_hub's own variables, for those who have set them already; ours win.
_HUB_VARIABLES = {
    "HF_ENDPOINT": "models.endpoint",
    "HF_HUB_OFFLINE": "models.offline",
    "HF_HOME": "models.hub_cache",
    "HF_HUB_CACHE": "models.hub_cache",
}
# Types of settings whose values no complaint shows.
_SECRETS = (SecretStr, tuple[Endpoint, ...], tuple[User, ...])


# How what depends on its file's place or on variables is read, by the type of the setting.
_PLACED: Mapping[object, Callable[[object, Path, Mapping[str, str]], object]] = {
    Path: kinds.absolute,
    tuple[Path, ...]: kinds.absolutes,
    tuple[User, ...]: read_users,
}
# What Kubernetes and Docker set for a neighbour that is called "i2v".
_SERVICE_LINK = re.compile(
    r"I2V_SERVICE_HOST=|I2V_SERVICE_PORT(_\w+)?=|I2V_PORT(_\d+_(TCP|UDP|SCTP))?=\w+://"
    r"|I2V_PORT_\d+_(TCP|UDP|SCTP)_(PROTO|PORT|ADDR)="
)


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
        flags: dotted keys from the command line, e.g. `{"output.directory": "clips"}`; `None` is ignored.
    Raises:
        InvalidRequest: naming the file or variable, the key, its value, and what is allowed or the nearest
            known key.
    """
    environ = environ or {}
    sources = [_read_file(ROOT / "configs" / "default.yaml", base=ROOT)]
    user_file = find_user_file(config, environ)
    if user_file is not None:
        sources.append(_read_file(user_file, base=user_file.absolute().parent))
    sources.extend(_from_hub_variables(environ))
    sources.extend(_from_environment(environ))
    sources.extend(_from_flags(flags or {}))
    merged: dict[str, dict[str, object]] = {}
    for source in sources:
        _merge(merged, source, environ)
        _validate(merged, source.name)  # here, so that the complaint names this source
    return _validate(merged, "settings")


def find_user_file(config: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the user's file: the given one, `$I2V_CONFIG`, or `config.yaml` beside `app.py`, if any."""
    if config is not None:
        return config
    if environ.get("I2V_CONFIG"):
        return _named_file(environ["I2V_CONFIG"], environ)
    beside = ROOT / "config.yaml"
    return beside if beside.exists() else None


def _named_file(path: str, environ: Mapping[str, str]) -> Path:
    """Return the path with ~ and variables expanded, which no shell has done in a service's own file."""
    try:
        return Path(kinds.expand(path, environ)).expanduser()
    except (ValueError, RuntimeError) as error:
        raise InvalidRequest(
            "settings.unreadable", source="I2V_CONFIG", reason=f"{shown(path)}: {error}"
        ) from error


def load_presets(path: Path = ROOT / "configs" / "presets.yaml") -> dict[str, Preset]:
    """Return the published presets by name."""
    rows = cast("dict[str, dict[str, int]]", _read_file(path, base=ROOT).values)
    return {
        name: Preset(
            area_side=row["area_side"],
            num_frames=row["num_frames"],
            num_inference_steps=row["num_inference_steps"],
            fps=row["fps"],
            guidance_scale=row["guidance_scale"],
        )
        for name, row in rows.items()
    }


class _Loader(yaml.SafeLoader):
    """YAML as usual, but for what would be misread silently.

    A key that stands twice in a table is an error: the first would be lost. And 010 is ten and 1:30 a text:
    to YAML 1.1, they are eight and ninety.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    problem=f"the key {shown(key.value)} stands here twice", problem_mark=key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep=deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int | str:  # type: ignore[override]
        is_odd = re.fullmatch(r"[-+]?0[0-7_]+|.*:.*", node.value)
        return node.value if is_odd else super().construct_yaml_int(node)

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float | str:  # type: ignore[override]
        return node.value if ":" in node.value else super().construct_yaml_float(node)


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_yaml_float)


def _read_file(path: Path, base: Path) -> _Source:
    name = shown(str(path), limit=300)
    try:
        text = path.read_text(encoding="utf-8")
        values = yaml.load(io.StringIO(text), _Loader)  # a stream: of a text, complaints quote the line
    except OSError as error:
        raise InvalidRequest(
            "settings.unreadable", source=name, reason=error.strerror or str(error)
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            "settings.unreadable", source=name, reason="it is not UTF-8 text: save it as UTF-8"
        ) from error
    # PyYAML's readers of numbers, dates and tags raise nearly anything (`!!bool x`, 2025-99-99, a deep list).
    except Exception as error:
        words = str(error) if isinstance(error, yaml.YAMLError) else f"{type(error).__name__}: {error}"
        reason = " ".join(words.replace('"<file>", ', "").split())
        if "'\\t' that cannot start" in reason:
            reason += "; indent with spaces, not with tabs"
        raise InvalidRequest("settings.unreadable", source=name, reason=shown(reason, limit=300)) from error
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise InvalidRequest(
            "settings.unreadable", source=name, reason="it is not a table of keys and values"
        )
    return _Source(name, values, base)


def _from_environment(environ: Mapping[str, str]) -> list[_Source]:
    """Return a source for each variable, so that a complaint names it; two for the same key are an error."""
    sources: list[_Source] = []
    seen: dict[str, str] = {}
    for name, value in sorted(environ.items()):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in _OTHER_VARIABLES:
            continue
        if _SERVICE_LINK.match(f"{name}={value}"):
            continue
        value = _unquoted(value)
        key = _SHORT.get(name) or name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
        if key in seen:
            raise InvalidRequest(
                "settings.invalid",
                source=name, key=key, value=_shown_value(key, value), allowed=f"{seen[key]} sets the same",
            )  # fmt: skip
        seen[key] = name
        sources.append(_Source(shown(name), _nested(key, value), Path.cwd()))
    return sources


def _unquoted(value: str) -> str:
    """Return the value without the quotes around it, which `docker run --env-file` keeps."""
    found = re.fullmatch(r"""\s*(?:"([^"]*)"|'([^']*)')\s*""", value)
    return value if found is None else found[1] or found[2] or ""


def _from_hub_variables(environ: Mapping[str, str]) -> list[_Source]:
    given = {name: environ[name] for name in _HUB_VARIABLES if environ.get(name)}
    if "HF_HOME" in given:
        given["HF_HOME"] += "/hub"
    return [_Source(name, _nested(_HUB_VARIABLES[name], value), Path.cwd()) for name, value in given.items()]


def _from_flags(flags: Mapping[str, object]) -> list[_Source]:
    return [
        _Source("command line", _nested(key, value), Path.cwd())
        for key, value in flags.items()
        if value is not None
    ]


def _nested(key: str, value: object) -> dict[str, object]:
    section, dot, rest = key.partition(".")
    return {section: {rest: value} if dot else value}


def _sections() -> dict[str, type[BaseModel]]:
    return {name: cast("type[BaseModel]", info.annotation) for name, info in Settings.model_fields.items()}


def _checked(source: _Source) -> dict[str, dict[str, object]]:
    """Return the source's values by section and key, all of them known."""
    sections = _sections()
    keys = [f"{name}.{key}" for name, section in sections.items() for key in section.model_fields]
    checked: dict[str, dict[str, object]] = {}
    for name, values in source.values.items():
        if name not in sections:
            raise _unknown(source, str(name), [*sections, *keys])
        if values is None:  # all that stands below it is commented out
            continue
        if not isinstance(values, dict):
            allowed = "a section with the keys " + ", ".join(sections[name].model_fields)
            raise InvalidRequest(
                "settings.invalid",
                source=source.name,
                key=name,
                value=_shown_value(name, values),
                allowed=allowed,
            )
        for key in values:
            if key not in sections[name].model_fields:
                elsewhere = [known for known in keys if known.endswith(f".{key}")]
                raise _unknown(source, f"{name}.{key}", elsewhere or keys)
        checked[name] = values
    return checked


def _is_secret(key: str) -> bool:
    """Tell whether the value at `key` is one that no complaint may show, or a section with such a value."""
    name, _, rest = key.partition(".")
    fields = _sections()[name].model_fields if name in _sections() else {}
    wanted = rest.partition(".")[0]
    return any(info.annotation in _SECRETS for field, info in fields.items() if wanted in ("", field))


def _shown_value(key: str, value: object) -> str:
    return SECRET if _is_secret(key) else shown(value)


def _unknown(source: _Source, key: str, known: list[str]) -> InvalidRequest:
    nearest = nearest_name(key, known)
    return InvalidRequest("settings.unknown_key", source=source.name, key=shown(key), nearest=nearest)


def _merge(target: dict[str, dict[str, object]], source: _Source, environ: Mapping[str, str]) -> None:
    """Add the values of `source` to `target`, its relative paths made absolute."""
    sections = _sections()
    for name, values in _checked(source).items():
        section = target.setdefault(name, {})
        for key, value in values.items():
            kind = sections[name].model_fields[key].annotation
            read = _PLACED.get(kind)
            try:
                section[key] = read(value, source.base, environ) if read else value
            except ValueError as error:
                raise InvalidRequest(
                    "settings.invalid",
                    source=source.name, key=f"{name}.{key}", value=_shown_value(f"{name}.{key}", value),
                    allowed=str(error),
                ) from error  # fmt: skip


def _validate(values: Mapping[str, object], source: str) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        wrong = invalid_field(error).params
        raise InvalidRequest(
            "settings.invalid",
            source=source,
            key=wrong["field"],
            value=SECRET if _is_secret(str(wrong["field"])) else wrong.get("value"),
            allowed=wrong.get("allowed", "it is missing"),
        ) from None
