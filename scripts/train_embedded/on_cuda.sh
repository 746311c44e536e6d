#!/usr/bin/env bash
# Train the embedded UNet for some minutes on a machine with a CUDA device and no network, from the weights that
# ship, and say what it came to. All of it, start-up and evaluation too, ends within the minutes that are given.
#
#   bash scripts/train_embedded/on_cuda.sh --minutes 9 [--out DIR] [--photos FILE] [--wheels DIR] [--from DIR] [--tiny]
#                                          [-- options of scripts.train_embedded.unet]
#
#   --out     where log, table, contact sheets and weights (in files under 15 MB) go; without it $OUT, or else out/
#   --photos  what `python -m scripts.train_embedded.pack FILE` wrote; without it photos/packed.safetensors
#   --wheels  folder of wheels to install first, beside what the machine's Python has (diffusers, transformers, ...)
#   --from    pieces of an earlier run to go on from, instead of the weights that ship
#   --tiny    seconds on a CPU: that all parts work together, nothing else
# Settings: I2V_PYTHON, the Python to use; without it python3.
set -euo pipefail
begun=$(date +%s)
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

fail() { echo "[ERROR] $1. Fix: $2" >&2; exit 1; }

minutes=9 out=${OUT:-out} photos=photos/packed.safetensors wheels="" from="" tiny=""
while [ $# -gt 0 ]; do
    case $1 in
        --minutes | --out | --photos | --wheels | --from)
            [ $# -gt 1 ] || fail "$1 needs a value" "see the first lines of on_cuda.sh"
            declare "${1#--}=$2"
            shift 2
            ;;
        --tiny) tiny=yes && shift ;;
        --) shift && break ;;
        *) fail "on_cuda.sh knows no option $1" "see its first lines; the trainer's own options come after --" ;;
    esac
done
python=${I2V_PYTHON:-python3}
[ -f "$photos" ] || fail "$photos is missing" "python -m scripts.train_embedded.pack $photos, where photos/ is"
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
deadline=$(awk "BEGIN { printf \"%d\", $begun + 60 * $minutes }")
left() { echo $((deadline - $(date +%s))); }
export PYTHONUNBUFFERED=1 TOKENIZERS_PARALLELISM=false PYTHONPATH="$work/site${PYTHONPATH:+:$PYTHONPATH}"

if [ -n "$wheels" ]; then
    timeout 90 "$python" -m pip install -q --no-index --no-deps --no-compile --target "$work/site" "$wheels"/*.whl ||
        fail "the wheels in $wheels cannot be installed" "look at pip's words above"
fi
timeout 90 "$python" -m scripts.train_embedded.export --restore --checkpoints "$work" >&2 ||
    fail "the weights that ship could not be read" "look at the error above; diffusers and transformers are needed"

# 32 clips at a time take some 30 GB in float32, about half in bfloat16.
batch=32
stage=(
    --design wide --side 160 --frames 8 8 8 16 --aspects 0.1 --lr 0.006 --lr-end 0.02 --ema 0.998
    --t-shares 0.35 0.25 0.4 --sigma-power 0.5 --first-weight 2 --drift 0.15 --dropout 0.05 --workers 4 --every 50
    --judge 16 --evaluations 11 5 --reserve 60
)
if [ -n "$tiny" ]; then
    batch=1
    stage=(--side 64 --workers 1 --every 2 --judge 1 --evaluations 2 --reserve 20 --probe 2)
fi
if [ -n "$from" ]; then stage+=(--from-pieces "$from"); fi

# train BATCH [OPTION...]: until the deadline; what it says goes to the log as it comes.
train() {
    local size=$1
    shift
    # --foreground: the signal is for the trainer, which then saves, and not for the processes beside it
    timeout --foreground --signal=TERM --kill-after=20 $(($(left) + 30)) "$python" -m scripts.train_embedded.unet \
        --checkpoints "$work" --photos "$photos" --pieces "$out" --processes 1 --batch "$size" \
        --deadline "$deadline" "${stage[@]}" "$@" 2>&1 | tee -a "$out/log.jsonl"
}
: >"$out/log.jsonl"
status=0
train "$batch" "$@" || status=$?
if [ "$status" -ne 0 ] && [ "$(left)" -gt 150 ]; then
    echo "[WARN] Training ended with status $status: once more, with half the batch and without graphs" >&2
    status=0
    train $((batch / 2 > 0 ? batch / 2 : 1)) "$@" --no-graphs || status=$?
fi
"$python" -m scripts.train_embedded.table "$out/log.jsonl" | tee "$out/table.md"
exit "$status"
