#!/usr/bin/env bash
# Everything that CI runs: set-up, checks, tests. Arguments go to pytest: bash scripts/test.sh -m slow -x
# With --browser first, or CI=true, Debian's chromium is installed if there is none; without one, the tests of the
# page are skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

install_chromium() {
    local root=""
    if [ "$(id -u)" != 0 ]; then root="sudo -n"; fi
    echo "[INFO] Installing chromium for the tests of the page"
    { $root apt-get update -q && $root apt-get install -yq --no-install-recommends chromium; } >logs/chromium.log 2>&1 ||
        echo "[WARN] chromium could not be installed (logs/chromium.log): the tests of the page are skipped" >&2
}

browser=${CI:-}
if [ "${1:-}" = --browser ]; then browser=true && shift; fi

I2V_PYTHON=$(bash scripts/setup.sh test)
export I2V_PYTHON
if [ "$browser" = true ] && ! command -v chromium >/dev/null; then install_chromium; fi
bash scripts/check.sh
"$I2V_PYTHON" -m pytest -n 3 --dist worksteal "$@"
