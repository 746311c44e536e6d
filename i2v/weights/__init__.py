"""From an engine's spec to a local folder with its weights: found, fetched, checked, kept."""

from i2v.weights.folders import EMBEDDED_FOLDER, find_weights, is_available
from i2v.weights.records import weights_digest

__all__ = ["EMBEDDED_FOLDER", "find_weights", "is_available", "weights_digest"]
