"""The network, and its folder: an index of shards, as large models are published."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from i2v.core.engine_spec import EngineSpec
from i2v.weights.parts import stored
from i2v.weights.shards import WEIGHTS, missing_file
from tests.fake_family.specs import CHANNELS, INDEX, SHARDS

SCALE, FRAMES = 8, 4  # pixels in each direction, and frames, that a latent stands for
HIDDEN = 32


class FakeNetwork(nn.Module):
    """An encoder of the picture, a transformer of one token a latent, and a decoder of `FRAMES` frames."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Conv2d(3, CHANNELS, SCALE, SCALE)
        self.first = nn.Linear(2 * CHANNELS + 1, HIDDEN)
        self.second = nn.Linear(HIDDEN, CHANNELS)
        self.decoder = nn.ConvTranspose2d(CHANNELS, 3 * FRAMES, SCALE, SCALE)

    def denoise(self, tokens: torch.Tensor) -> torch.Tensor:
        """(n, 2 * CHANNELS + 1) -> (n, CHANNELS)."""
        moved: torch.Tensor = self.second(nn.functional.gelu(self.first(tokens)))
        return moved


def write_folder(folder: Path) -> None:
    """Write the network with random weights, half of its tensors into each shard."""
    torch.manual_seed(5)
    state = FakeNetwork().state_dict()
    names = sorted(state)
    shards = {name: SHARDS[place * len(SHARDS) // len(names)] for place, name in enumerate(names)}
    (folder / "transformer").mkdir(parents=True)
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "FakePipeline"}))
    (folder / "transformer" / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": shards}))
    for shard in SHARDS:
        part = {name: state[name] for name in names if shards[name] == shard}
        save_file(part, folder / "transformer" / shard, metadata={"format": "pt"})


def read_folder(spec: EngineSpec, folder: Path, dtype: torch.dtype) -> FakeNetwork:
    """Read every shard that the index names; raises `ModelUnavailable`."""
    found = stored(spec, folder, "transformer/model.safetensors")
    if found.missing is not None:
        raise missing_file(spec, found.missing)
    tensors: dict[str, torch.Tensor] = {}
    for path in found.files:
        if path.suffix == WEIGHTS:
            tensors |= load_file(path)
    network = FakeNetwork()
    network.load_state_dict(tensors)
    return network.to(dtype).eval().requires_grad_(False)
