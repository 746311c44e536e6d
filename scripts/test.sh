#!/usr/bin/env bash
# Everything that CI runs: set-up, checks, tests. Arguments go to pytest: bash scripts/test.sh -m slow -x
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

I2V_PYTHON=$(bash scripts/setup.sh test)
export I2V_PYTHON
bash scripts/check.sh
"$I2V_PYTHON" -m pytest -n 2 --dist worksteal "$@"
