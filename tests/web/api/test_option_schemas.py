"""Options in OpenAPI: in each body that has them, as each engine has them, and nowhere else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from i2v.core.engine_spec import Options
from i2v.engines.i2vgen_xl.specs import I2VGEN_XL
from i2v.web.api.option_schemas import describe_options
from tests.contrary import CONTRARY

PLAIN = replace(I2VGEN_XL, options_model=Options)


def described() -> dict[str, Any]:
    fields = {"options": {"type": "object", "description": "of the engine"}, "seed": {"type": "integer"}}
    body = {"content": {"application/json": {"schema": {"properties": fields}}}}
    return {"paths": {"/jobs": {"post": {"requestBody": body}, "get": {}}}}


def test_the_field_says_which_options_each_engine_has() -> None:
    openapi = described()
    describe_options(openapi, {spec.name: spec for spec in (PLAIN, CONTRARY)})
    fields = openapi["paths"]["/jobs"]["post"]["requestBody"]["content"]["application/json"]["schema"][
        "properties"
    ]
    said = fields["options"]["description"]
    assert said.startswith(
        "of the engine; with contrary: strength (0 to 2, 1.0 if it is left out), shift (-1 to 1)"
    )
    assert "i2vgen-xl" not in said
    assert fields["seed"] == {"type": "integer"}


def test_where_no_engine_has_options_nothing_is_added() -> None:
    openapi = described()
    describe_options(openapi, {PLAIN.name: PLAIN})
    assert openapi == described()
