"""Where OpenAPI looks for definitions: those of bodies that are read without FastAPI are moved there.

Pydantic writes them into the schema that uses them, with references from that schema's root. In OpenAPI a
reference is from the root of the whole description, so there they lead nowhere.
"""

from __future__ import annotations

import json
from typing import Any

_WITHIN, _SHARED = "#/$defs/", "#/components/schemas/"


def share_definitions(openapi: dict[str, Any]) -> None:
    """Move the definitions of all bodies to `components/schemas`, and let their references lead there."""
    shared = openapi.setdefault("components", {}).setdefault("schemas", {})
    for operations in openapi["paths"].values():
        for operation in operations.values():
            for content in operation.get("requestBody", {}).get("content", {}).values():
                if "$defs" in content["schema"]:
                    moved = json.loads(json.dumps(content["schema"]).replace(_WITHIN, _SHARED))
                    for name, definition in moved.pop("$defs").items():
                        if shared.setdefault(name, definition) != definition:
                            raise ValueError(f"two definitions are called {name}")
                    content["schema"] = moved
