#!/usr/bin/env bash
# The check on a card: docs/cuda.md. Needs Python 3.11 to 3.13 with torch, and no network.
#
#     bash scripts/cuda_check.sh [--minutes 8] [--out FOLDER] [--only PARTS] [--weights FOLDER] [--tiny]
#
# What else is needed comes from the folder wheels (scripts/cuda_wheels.sh fills it), into a temporary place: nothing
# is installed for good. Where there is no such folder, the Python has to have everything, as after scripts/setup.sh.
#     I2V_PYTHON   the Python, by default .venv's, or python3
#     I2V_WHEELS   the folder, by default wheels
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
wheels=${I2V_WHEELS:-wheels}
python=${I2V_PYTHON:-}
if [ -z "$python" ]; then
    python=python3
    if [ -x .venv/bin/python ]; then python=.venv/bin/python; fi
fi
"$python" -c 'import torch' || { echo "[ERROR] $python has no torch. Set I2V_PYTHON to one that has" >&2; exit 2; }

place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
if [ -d "$wheels" ]; then
    for archive in "$wheels"/*.tar.xz; do
        "$python" -W ignore -m tarfile -e "$archive" "$place/site"
    done
    export PYTHONPATH=$place/site:$PWD${PYTHONPATH:+:$PYTHONPATH}
fi
"$python" -m scripts.cuda_check "$@"
