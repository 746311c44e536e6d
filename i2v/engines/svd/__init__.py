"""Stable Video Diffusion (Blattmann et al. 2023, arXiv 2311.15127): one picture, no prompt."""
