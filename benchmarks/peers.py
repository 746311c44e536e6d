"""What i2v is held to, loaded and run the way its own users would. Tests and benchmarks share this.

Stock is diffusers 0.42.1's `I2VGenXLPipeline` plus one line for transformers 5. It stands in the package, as
`i2v bench` needs it too.
"""

from __future__ import annotations

from i2v.engines.i2vgen_xl.stock import load_stock, run_stock

__all__ = ["load_stock", "run_stock"]
