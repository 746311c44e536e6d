"""The check on a card: what only a machine with an NVIDIA card can tell, in one run of some minutes.

`bash scripts/cuda_check.sh` sets up and starts it; docs/cuda.md says what it does and how to read it.
"""
