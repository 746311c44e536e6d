"""Wan 2.2 (Wan Team 2025, arXiv 2503.20314): a transformer over flow matching, with its own video VAE."""
