"""`python -m i2v.workers.cluster.look ADDRESS`: which machines a Ray cluster has, as one line of JSON.

A process of its own, since Ray ends one whose connection is lost for good. Starts nothing there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict

from i2v.core.errors import I2VError
from i2v.core.settings_sources import ROOT
from i2v.workers.cluster.member import reach, reason_of
from i2v.workers.cluster.places import Node, Nodes

SECONDS = 60.0  # that it may take


def look(address: str) -> list[Node]:
    """Return the machines; raise `I2VError` (`cluster.unreachable`), also where versions do not match."""
    reach(address)
    command = [sys.executable, "-m", "i2v.workers.cluster.look", address]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, cwd=ROOT, check=False)
    except subprocess.TimeoutExpired as error:
        raise I2VError("cluster.unreachable", address=address, reason="no answer") from error
    if done.returncode:
        raise I2VError("cluster.unreachable", address=address, reason=reason_of(done.stderr))
    return [Node(**row) for row in json.loads(done.stdout.splitlines()[-1])]


def main(address: str) -> None:
    from i2v.workers.cluster.dispatcher import connect

    connect(address)
    import ray

    print(json.dumps([asdict(node) for node in Nodes().read(ray.nodes())]))
    ray.shutdown()


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except I2VError as error:
        sys.exit(str(error.params.get("reason", error.message)))
