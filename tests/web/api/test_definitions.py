"""i2v.web.api.definitions: every reference in OpenAPI leads somewhere."""

from __future__ import annotations

import json
import re

from tests.web.house import House


def test_every_reference_leads_to_a_definition(shared_house: House) -> None:
    described = shared_house.session.get(f"{shared_house.url}/openapi.json", timeout=30).json()
    text = json.dumps(described)
    found = re.findall(r'"\$ref": "([^"]+)"', text)
    targets = {reference.removeprefix("#/components/schemas/") for reference in found}
    assert {"JsonValue", "LastImage"} <= targets <= described["components"]["schemas"].keys()
    assert "$defs" not in text
