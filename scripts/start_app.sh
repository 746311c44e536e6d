#!/usr/bin/env bash
# Sets up what is missing, then turns the demo photo into a clip in outputs/.
# Options of `i2v generate` may follow: bash scripts/start_app.sh --seed 3
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
DEMO_IMAGE="examples/coffee.jpg"
DEMO_PROMPT="the camera pans left"

line="================================================================================"
printf '%s\n' "$line" "🚀 Image-to-Video" "$line"

python=$(bash scripts/setup.sh)
mkdir -p outputs logs
echo "[SUCCESS] Folders ready: outputs, logs"

if ! "$(dirname "$python")/i2v" generate "$DEMO_IMAGE" --prompt "$DEMO_PROMPT" "$@"; then
    echo "[ERROR] The demo clip was not made: the reason stands above" >&2
    exit 1
fi
echo "[SUCCESS] The demo clip is in $PWD/outputs"
