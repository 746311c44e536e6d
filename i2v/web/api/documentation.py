"""The page at /docs, made from the OpenAPI description: one HTML document that loads nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from i2v.core.option_fields import shown_range

Json = Mapping[str, Any]  # a part of an OpenAPI description, of any depth

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h2 { margin-top: 2.5rem; border-top: 1px solid #8888; padding-top: 1rem }
td { padding: .1rem 1rem .1rem 0; vertical-align: top }
"""


def render_page(openapi: Json) -> str:
    title = escape(f"{openapi['info']['title']} {openapi['info']['version']}: API")
    lines = [
        '<!doctype html><html lang="en"><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>",
        '<p>For programs: <a href="openapi.json">openapi.json</a>. Every error is'
        " <code>application/problem+json</code> with status, code, detail, field, value and hint.</p>",
    ]
    models = openapi.get("components", {}).get("schemas", {})
    for path, methods in openapi["paths"].items():
        for method, operation in methods.items():
            lines.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2>")
            lines.append(f"<p>{escape(operation.get('description', ''))}</p>")
            lines += _parameters(operation.get("parameters", []))
            for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
                lines += _fields(f"Body, {media_type}", content["schema"])
            lines += _responses(operation["responses"], models)
    return "\n".join(lines)


def _parameters(parameters: list[Json]) -> Iterator[str]:
    rows = [
        (row["name"], row["in"], _type(row["schema"]), row["schema"].get("description", ""))
        for row in parameters
    ]
    yield from _table("Parameters", rows)


def _fields(heading: str, schema: Json) -> Iterator[str]:
    required = schema.get("required", ())
    rows = [
        (name, "required" if name in required else "", _type(field), field.get("description", ""))
        for name, field in schema.get("properties", {}).items()
    ]
    yield from _table(heading, rows)


def _responses(responses: Json, models: Json) -> Iterator[str]:
    rows = [
        (status, row.get("description", ""), ", ".join(row.get("content", {})), "")
        for status, row in responses.items()
    ]
    yield from _table("Answers", rows)
    for row in responses.values():
        reference = row.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
        if reference:
            yield from _fields("Fields of the answer", models[reference.rpartition("/")[2]])


def _table(heading: str, rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    if rows:
        yield f"<h3>{escape(heading)}</h3><table>"
        for first, *others in rows:
            cells = "".join(f"<td>{escape(cell)}</td>" for cell in others)
            yield f"<tr><td><code>{escape(first)}</code></td>{cells}</tr>"
        yield "</table>"


def _type(schema: Json) -> str:
    """Return a schema in a few words: "integer, 4 to 128, or null"."""
    if "anyOf" in schema:
        return ", or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    words = [schema["$ref"].rpartition("/")[2] if "$ref" in schema else str(schema.get("type", "any"))]
    if "format" in schema:
        words.append(schema["format"])
    if {"minimum", "maximum"} <= schema.keys():
        words.append(shown_range(schema["minimum"], schema["maximum"]))
    if "maxLength" in schema:
        words.append(f"up to {schema['maxLength']} characters")
    return ", ".join(words)
