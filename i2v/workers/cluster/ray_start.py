"""`python -m i2v.workers.cluster.ray_start PARENT ...`: it becomes `ray start ...`, which ends with PARENT.

Ray in a session of its own would outlive a parent that is killed, and go on taking jobs.
"""

from __future__ import annotations

import os
import signal
import sys

from i2v.core.signals import die_with

if __name__ == "__main__":
    die_with(int(sys.argv[1]), signal.SIGTERM)
    os.execv(sys.executable, [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *sys.argv[2:]])
