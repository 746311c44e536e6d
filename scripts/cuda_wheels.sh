#!/usr/bin/env bash
# Fills a folder with what a machine with an NVIDIA card, Python and torch lacks for the check on a card, for taking
# there by hand: scripts/cuda_check.sh installs from it without network.
#
#     bash scripts/cuda_wheels.sh [--python 3.12] [--have FILE] [--megabytes 62] [--out wheels]
#
#     --python     the other machine's Python; Linux on x86-64 in any case
#     --have       names of the packages that it has, one a line, as `pip list --format freeze` prints them there;
#                  without it, torch and what torch brings
#     --megabytes  what this folder's tracked files and the packages may take together; where that is not enough,
#                  pillow-heif and Gradio are left out, and then HEIC pictures and the page are not tried
# torch and CUDA's libraries are never among them. Wheels are unpacked and packed again with xz, in half the room.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${I2V_PYTHON:-$(bash scripts/setup.sh test)}
exec "$python" -m scripts.cuda_check.wheels "$@"
