from __future__ import annotations

FEW_FRAMES = 2


def frames_at_once(chunk: int, few: bool, num_frames: int) -> int:
    size = min(chunk or num_frames, num_frames)
    return min(size, FEW_FRAMES) if few else size
