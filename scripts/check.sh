#!/usr/bin/env bash
# Lint, format, types and layers; every step runs, and the last line names those that failed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${I2V_PYTHON:-$(bash scripts/setup.sh test)}

failed=""
step() {
    local name=$1
    shift
    echo "--- $name"
    "$python" "$@" || failed="$failed${failed:+, }$name"
}

step "ruff check" -m ruff check --output-format concise .
step "ruff format" -m ruff format --check --output-format concise .
step "mypy" -m mypy
step "lint-imports" -c "from importlinter.cli import lint_imports_command as main; main()" --no-logo

if [ -n "$failed" ]; then
    echo "[ERROR] Failed: $failed" >&2
    exit 1
fi
echo "[SUCCESS] All checks passed"
