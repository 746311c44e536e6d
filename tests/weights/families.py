"""Models of several repositories and of sharded weights, and what their hubs have."""

from __future__ import annotations

import json

from i2v.core.engine_spec import EngineSpec
from i2v.core.model_spec import Repository
from tests.weights.hub import REVISION, make_weights

BASE, ADAPTER = "someone/base", "other/adapter"


def make_spec(name: str, files: tuple[str, ...], *published: Repository, **fields: object) -> EngineSpec:
    usual: dict[str, object] = {
        "title": name.title(), "implementation": "nowhere:Engine", "multiple": 8,
        "trained_frames": (16, 16), "trained_fps": (8, 8),
    }  # fmt: skip
    return EngineSpec(name=name, files=files, published=published, **(usual | fields))  # type: ignore[arg-type]


def repository(repo: str, folder: str = "", **fields: object) -> Repository:
    usual: dict[str, object] = {"modelscope": (repo,), "size": 600_000, "licence": "MIT"}
    return Repository(repo=repo, revision=REVISION, folder=folder, **(usual | fields))  # type: ignore[arg-type]


BASE_FILES = ("model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.safetensors")
ADAPTER_FILES = ("adapter/config.json", "adapter/diffusion_pytorch_model.safetensors")
DRIVEN_FILES = (*BASE_FILES, *ADAPTER_FILES)
DRIVEN = make_spec("driven", DRIVEN_FILES, repository(BASE), repository(ADAPTER, "adapter"))
# another model on the same base, which it keeps in a folder of its own
STYLED = make_spec(
    "styled",
    ("model_index.json", *(f"base/{name}" for name in BASE_FILES)),
    repository("third/styled"),
    repository(BASE, "base"),
)


# the adapter's licence must be accepted
ASKING = make_spec(
    "asking",
    DRIVEN_FILES,
    repository(BASE),
    repository(
        ADAPTER, "adapter", licence="Community", must_accept=True, licence_url="https://example.org/licence"
    ),
)


def base_repository(size: int = 300_000) -> dict[str, bytes]:
    unet = "unet/diffusion_pytorch_model"
    return {
        "model_index.json": b'{"_class_name": "BasePipeline"}',
        "unet/config.json": b'{"of": "the base"}',
        f"{unet}.fp16.safetensors": make_weights("base half", size),
        f"{unet}.safetensors": make_weights("base", 2 * size),
        "README.md": b"not read",
    }


def adapter_repository(size: int = 300_000) -> dict[str, bytes]:
    """It has no half-precision variant."""
    return {
        "config.json": b'{"of": "the adapter"}',
        "diffusion_pytorch_model.safetensors": make_weights("adapter", size),
    }


def repositories(size: int = 300_000) -> dict[str, dict[str, bytes]]:
    return {
        BASE: base_repository(size),
        ADAPTER: adapter_repository(size),
        "third/styled": {"model_index.json": b"{}"},
    }


def driven_folder(size: int = 300_000) -> dict[str, bytes]:
    """Return what a folder of `DRIVEN` has in the end."""
    base, adapter = base_repository(size), adapter_repository(size)
    kept = {n: data for n, data in base.items() if n.endswith(".json") or ".fp16." in n}
    return kept | {f"adapter/{name}": data for name, data in adapter.items()}


def make_shards(stem: str, count: int = 3, size: int = 100_000, variant: str = "") -> dict[str, bytes]:
    """Return an index and its shards, each with one tensor, named as diffusers writes them."""
    kind = f".{variant}" if variant else ""
    files: dict[str, bytes] = {}
    shard_of: dict[str, str] = {}
    for number in range(1, count + 1):
        name = f"{stem}{kind}-{number:05}-of-{count:05}.safetensors"
        weights = make_weights(name, size)
        length = int.from_bytes(weights[:8], "little")
        header = weights[8 : 8 + length].replace(b'"w"', b'"w%d"' % number)
        files[name] = len(header).to_bytes(8, "little") + header + weights[8 + length :]
        shard_of[f"w{number}"] = name.rpartition("/")[2]
    index = {"metadata": {"total_size": count * size}, "weight_map": shard_of}
    return {f"{stem}.safetensors.index{kind}.json": json.dumps(index).encode(), **files}


SHARDED_FILES = ("model_index.json", "transformer/config.json", "transformer/model.safetensors")
SHARDED = make_spec("sharded", SHARDED_FILES, repository("someone/sharded"))


def sharded_repository(size: int = 100_000) -> dict[str, bytes]:
    """Return half-precision shards beside full-precision ones of another count."""
    return {
        "model_index.json": b"{}",
        "transformer/config.json": b"{}",
        **make_shards("transformer/model", 2, size, "fp16"),
        **make_shards("transformer/model", 3, 2 * size),
    }
