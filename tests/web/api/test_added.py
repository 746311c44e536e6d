"""/api/v1/loras and /checkpoints: what a request can name, and how it names it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
import torch
from safetensors.torch import save_file

from i2v.engines.animatediff.specs import ANIMATEDIFF
from tests.tiny_loras import write_kohya
from tests.web.house import House, running

KEY = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory, picture: bytes) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("added")
    for kind in ("loras", "checkpoints"):
        (folder / "models" / kind).mkdir(parents=True)
    write_kohya(
        folder / "models/loras/ink.safetensors",
        {KEY: torch.zeros(8, 768)},
        1,
        modelspec__trigger_phrase="inkwash",
    )
    save_file({"a": torch.zeros(1)}, folder / "models/checkpoints/film.safetensors")
    flags = {"models__directory": folder / "models", "models__search_paths": ()}
    with running(folder, picture, {"animatediff": ANIMATEDIFF}, **flags) as started:
        yield started


def test_files_are_listed_with_what_they_say_of_themselves(house: House) -> None:
    (lora,) = house.get("/loras").json()["loras"]
    assert lora.pop("size") > 100
    assert lora == {"name": "ink", "made_for": "Stable Diffusion 1.5", "trigger_words": ["inkwash"]}
    (checkpoint,) = house.get("/checkpoints").json()["checkpoints"]
    assert (checkpoint["name"], checkpoint["made_for"]) == ("film", "another model")


def test_which_model_takes_them_stands_in_its_capabilities(house: House) -> None:
    (engine,) = house.get("/engines").json()["engines"]
    assert (engine["capabilities"]["loras"], engine["capabilities"]["checkpoint"]) == (True, True)


@pytest.mark.parametrize(
    ("asked", "code", "field"),
    [
        ({"loras": [{"name": "ink"}, {"name": "nowhere"}]}, "added.unknown_loras", "loras"),
        ({"loras": "nowhere:0.5"}, "added.unknown_loras", "loras"),
        ({"checkpoint": "nowhere"}, "added.unknown_checkpoints", "checkpoint"),
        ({"checkpoint": "../film"}, "added.unknown_checkpoints", "checkpoint"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(
    house: House, asked: dict[str, object], code: str, field: str
) -> None:
    body = {"engine": "animatediff", "prompt": "zoom in", **asked}
    answer = requests.post(f"{house.api}/plan", json=body, timeout=60)
    assert answer.status_code == 422
    assert (answer.json()["code"], answer.json()["field"]) == (code, field)
