"""How long a job waits for its next attempt when what makes it is killed: a Ray cluster of three nodes.

    python -m benchmarks.recovery --kills 20 --json recovery.json

At seeded moments actors, nodes, the server's connection and the server itself are killed in turn, as in
`tests/test_ray_survival.py`, all on 127.0.0.1. A recovery is the time from the kill until the job that it hit
is back in the queue; kills that hit no running job are not counted. It fails where a job is lost.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.ray_cluster import open_ray_cluster
from tests.test_ray_survival import KINDS, NODES, PROMPT, Trial
from tests.test_survival import assert_nothing_was_lost


def percentile(seconds: Sequence[float], share: float) -> float:
    """Return the smallest of them that so many are not above; of few, the 99th is the largest."""
    found = sorted(seconds)
    return found[min(len(found) - 1, int(share * len(found)))]


def measure(folder: Path, kills: int, seed: int) -> dict[str, object]:
    """Kill so often, and return the seconds by what was killed."""
    chance = random.Random(seed)
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    load = os.getloadavg()[0]
    with open_ray_cluster(folder, NODES) as house:
        accepted = [house.submit(PROMPT).id for _ in range(3 * kills)]
        trial = Trial(house, chance)
        try:
            for number in range(kills):
                kind, before = KINDS[number % len(KINDS)], len(trial.recoveries)
                if not trial.kill(kind):
                    break
                found[kind] += trial.recoveries[before:]
                print(kind, [round(each, 2) for each in trial.recoveries[before:]], flush=True)
            trial.finish()
        finally:
            trial.stop()
        assert_nothing_was_lost(house.store, house.settings, accepted)
    every = [each for seconds in found.values() for each in seconds]
    return {
        "seed": seed,
        "kills": kills,
        "load_before": load,
        "seconds": found,
        "p50": {
            kind: percentile(seconds, 0.5) for kind, seconds in {**found, "all": every}.items() if seconds
        },
        "p99": {
            kind: percentile(seconds, 0.99) for kind, seconds in {**found, "all": every}.items() if seconds
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), asked.kills, asked.seed)
    print(json.dumps(figures, indent=2))
    if asked.json:
        asked.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
