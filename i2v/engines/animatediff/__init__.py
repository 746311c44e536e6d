"""AnimateDiff (Guo et al. 2023, arXiv 2307.04725) on SD 1.5, driven by pictures (SparseCtrl)."""
