"""The table of a model's published tensors, `i2v/weights/NAME.tsv`: part, name and shape, a line each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = Path(__file__).parents[2] / "i2v" / "weights"


def write_table(path: Path, parts: Mapping[str, nn.Module], script: str) -> None:
    """Write the table of `parts`, which `script` has built, and say how many tensors they have."""
    import diffusers
    import transformers

    versions = f"diffusers {diffusers.__version__} and transformers {transformers.__version__}"
    lines = [f"# Made by {script} with {versions}: part, tensor, shape."]
    for part, model in parts.items():
        lines += [
            f"{part}\t{name}\t{','.join(map(str, tensor.shape))}"
            for name, tensor in sorted(model.state_dict().items())
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{path}: {len(lines) - 1} tensors")
