"""Which devices the machines of a cluster have, and what they are called: "studio-2/cuda:0".

Reads what Ray says of its nodes. Deliberately does not know actors, nor which job goes where.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from i2v.core.settings import Settings
from i2v.workers.devices import CPU, cuda_id

NAME_LABEL = "i2v-node"  # of a Ray node: what `i2v worker --name` calls it
MAX_NAME = 60


@dataclass(frozen=True)
class Node:
    """A living node of Ray: `id` is Ray's, `name` the machine's."""

    id: str
    name: str
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Place:
    """Where one worker works; `number` tells those of a node apart, `share` of them are on each device."""

    node: Node
    kind: Literal["cpu", "cuda"]
    number: int = 0
    share: int = 1

    @property
    def key(self) -> tuple[str, str, int]:
        return self.node.id, self.kind, self.number

    @property
    def cpus(self) -> int:
        """How many CPUs are its own: a worker has as many threads."""
        devices = 1 if self.kind == "cpu" else max(1, int(self.node.gpus))
        return max(1, int(self.node.cpus) // (devices * self.share))

    @property
    def device(self) -> str:
        """The device's id, as long as no worker there has said which GPU it was given."""
        own = CPU if self.kind == "cpu" else cuda_id(self.number // self.share)
        return f"{self.node.name}/{own}"


class Nodes:
    """Reads Ray's list of nodes; each keeps its name as long as it lives, and no two have the same."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def read(self, rows: Iterable[Mapping[str, object]]) -> list[Node]:
        """Return the living nodes of `ray.nodes()`."""
        alive = {str(row["NodeID"]): row for row in rows if row["Alive"]}
        self._names = {node: name for node, name in self._names.items() if node in alive}
        return [self._node(node, row) for node, row in alive.items()]

    def _node(self, node: str, row: Mapping[str, object]) -> Node:
        resources = cast("Mapping[str, float]", row.get("Resources") or {})
        if node not in self._names:
            labels = cast("Mapping[str, str]", row.get("Labels") or {})
            wanted = _clean(labels.get(NAME_LABEL) or str(row.get("NodeManagerHostname") or "")) or "node"
            is_taken = wanted in self._names.values()
            self._names[node] = f"{wanted}-{node[:6]}" if is_taken else wanted
        return Node(node, self._names[node], resources.get("CPU", 0.0), resources.get("GPU", 0.0))


def _clean(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("._-")[:MAX_NAME]


def find_places(nodes: Sequence[Node], settings: Settings) -> list[Place]:
    """Return where workers may work: all GPUs; the CPUs where there is none, or settings want them."""
    share = settings.worker.per_device
    only_cpu = settings.worker.devices == CPU or settings.engine.device == CPU
    cards = [] if only_cpu else [node for node in nodes if node.gpus >= 1]
    if cards or settings.engine.device == "cuda":
        return [
            Place(node, "cuda", number, share) for node in cards for number in range(int(node.gpus) * share)
        ]
    return [
        Place(node, "cpu", number, share) for node in nodes for number in range(min(share, int(node.cpus)))
    ]
