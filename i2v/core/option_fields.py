"""The options of an engine as a list of fields: for the page's widgets, the commands' help, and OpenAPI.

Owns how the JSON schema of an `options_model` is read. Deliberately knows no engine, widget or language.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel

Kind = Literal["number", "integer", "boolean", "choice", "text", "json"]

_KINDS: dict[str, Kind] = {
    "number": "number", "integer": "integer", "boolean": "boolean", "string": "text",
}  # fmt: skip


@dataclass(frozen=True)
class OptionField:
    """One field of an `options_model`.

    Attributes:
        kind: "choice" is one of `choices`; "json" is what no single widget holds, such as a list.
        low, high: bounds of a number, both included; `None` where there is none.
        default: what holds where the field is left out; `None` where the engine decides then.
        is_required: it cannot be left out.
    """

    name: str
    title: str
    description: str
    kind: Kind
    low: float | None = None
    high: float | None = None
    choices: tuple[str | float, ...] = ()
    default: object = None
    is_required: bool = False

    @property
    def allowed(self) -> str:
        """Return what it takes, in a few words: "-1 to 1", "linear | in | out"."""
        if self.kind == "choice":
            return " | ".join(map(str, self.choices))
        if self.kind == "boolean":
            return "true | false"
        if self.kind in ("text", "json"):
            return self.kind
        return shown_range(self.low, self.high) or f"a{'n' * (self.kind == 'integer')} {self.kind}"


@cache
def option_fields(model: type[BaseModel]) -> tuple[OptionField, ...]:
    """Return the fields of `model` in their order."""
    schema = model.model_json_schema()
    required = schema.get("required", ())
    return tuple(
        _field(name, field, schema.get("$defs", {}), name in required)
        for name, field in schema.get("properties", {}).items()
    )


def _field(name: str, field: Mapping[str, Any], models: Mapping[str, Any], is_required: bool) -> OptionField:
    values = _values(field, models)
    return OptionField(
        name=name,
        title=str(field.get("title") or name.replace("_", " ").capitalize()),
        description=str(field.get("description", "")),
        kind=_kind(values),
        low=_bound(values, "minimum", "exclusiveMinimum"),
        high=_bound(values, "maximum", "exclusiveMaximum"),
        choices=tuple(values.get("enum", ())) or ((values["const"],) if "const" in values else ()),
        default=field.get("default"),
        is_required=is_required,
    )


def _values(field: Mapping[str, Any], models: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the schema of the field's values, without "or null" and without references."""
    alternatives = [each for each in field.get("anyOf", [field]) if each.get("type") != "null"]
    if len(alternatives) != 1:
        return {}
    values: Mapping[str, Any] = alternatives[0]
    if "$ref" in values:
        return _values(models[values["$ref"].rpartition("/")[2]], models)
    return values


def _kind(values: Mapping[str, Any]) -> Kind:
    if "enum" in values or "const" in values:
        return "choice"
    return _KINDS.get(values.get("type", ""), "json")


def _bound(values: Mapping[str, Any], *names: str) -> float | None:
    return next((values[name] for name in names if name in values), None)


def shown_range(low: float | None, high: float | None) -> str:
    """Return bounds as "64 to 4096", "at least 64" or "at most 4096"; "" where there are none."""
    if low is not None and high is not None:
        return f"{shown_number(low)} to {shown_number(high)}"
    if low is not None:
        return f"at least {shown_number(low)}"
    return "" if high is None else f"at most {shown_number(high)}"


def shown_number(value: float) -> str:
    """Return a number without the ".0" of a whole one."""
    return str(int(value)) if float(value).is_integer() else str(value)
