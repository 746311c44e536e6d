"""I2VGen-XL (Zhang et al. 2023, arXiv 2311.04145): our own loop over diffusers' components."""
