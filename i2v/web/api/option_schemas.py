"""What OpenAPI says of the options of engines: which there are with each, and what they may be.

Deliberately knows no engine. The exact JSON schemas stand with `GET /api/v1/engines`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from i2v.core.engine_spec import EngineSpec
from i2v.core.option_fields import OptionField, option_fields


def describe_options(openapi: Mapping[str, Any], engines: Mapping[str, EngineSpec]) -> None:
    """Add the options of `engines` to the descriptions of all fields of bodies that are called options."""
    known = "; ".join(
        f"with {name}: {', '.join(map(_in_words, fields))}"
        for name, spec in engines.items()
        if (fields := option_fields(spec.options_model))
    )
    if not known:
        return
    for methods in openapi["paths"].values():
        for operation in methods.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                field = content["schema"].get("properties", {}).get("options")
                if field is not None:
                    field["description"] = f"{field['description']}; {known}"


def _in_words(field: OptionField) -> str:
    default = "" if field.default is None else f", {field.default} if it is left out"
    return f"{field.name} ({field.allowed}{default})"
