"""What was published of this model's seconds and memory, by preset, with its sources.

Figures of other people, on their machines: they stand beside what is measured here and decide nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Published:
    """Seconds on `card` and gigabytes of a card with 24 GB, for one preset."""

    seconds: float
    gigabytes: float
    card: str = "NVIDIA GeForce RTX 4090"
    source: str = "the two published guides to the product (April 2025)"

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


# As the product has them: 512p x 8 x 30 steps, 512p x 16 x 50, 768p x 24 x 80, 1024p x 32 x 100.
PRESETS = {
    "quick": Published(23, 12.1),
    "standard": Published(51, 13.8),
    "high": Published(108, 17.6),
    "extreme": Published(167, 21.3),
}
