"""What a clip is held to while it is denoised: frames that are known of it, in part or in whole.

Each step's prediction of the clip is drawn towards them before the solver goes on from it (`solvers.Hold`).
Deliberately does not know where the frames come from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass
class Held:
    """Latents of one clip, (1, C, F, h, w), or with F and C changed about: `axis` is that of the frames.

    Attributes:
        wrapped: so many frames at the end are those at the beginning; 0: the clip is no loop.
        earlier: latents of the first frames, (C, h, w) each: those that a story has made already.
        last: latents of the last frame, (C, h, w), where a clip that is no loop ends with a picture.
        path: the latents of frames along the camera's path, of the shape of the clip.
        mask: how much of each latent is that of `path`, from 0 to 1; `None`: nothing.
    """

    axis: int
    wrapped: int = 0
    earlier: Sequence[torch.Tensor] = ()
    last: torch.Tensor | None = None
    path: torch.Tensor | None = None
    mask: torch.Tensor | None = None

    def __call__(self, denoised: torch.Tensor) -> torch.Tensor:
        """Return a predicted clip with what is known in its place.

        Of the `earlier` frames, all of the first one; each later one has less of what is known, and more of
        what is predicted.
        """
        if self.mask is not None and self.path is not None:
            denoised = torch.lerp(denoised, self.path.to(denoised.dtype), self.mask.to(denoised.dtype))
        if self.wrapped:
            return self._wrapped(denoised)
        if self.last is not None:
            last = self.last[None].unsqueeze(self.axis).to(denoised)
            rest = denoised.narrow(self.axis, 0, denoised.shape[self.axis] - 1)
            denoised = torch.cat([rest, last], self.axis)
        if not self.earlier:
            return denoised
        known = torch.stack(list(self.earlier))[None].to(denoised).movedim(1, self.axis)
        count = len(self.earlier)
        first = denoised.narrow(self.axis, 0, count)
        rest = denoised.narrow(self.axis, count, denoised.shape[self.axis] - count)
        return torch.cat([torch.lerp(known, first, self._shares(count, denoised)), rest], self.axis)

    @torch.inference_mode()
    def wrap(self, latents: torch.Tensor) -> None:
        """Have the noise of the last frames be that of the first ones, in a loop."""
        if self.wrapped:
            first = latents.narrow(self.axis, 0, self.wrapped)
            latents.narrow(self.axis, latents.shape[self.axis] - self.wrapped, self.wrapped).copy_(first)

    def _wrapped(self, denoised: torch.Tensor) -> torch.Tensor:
        """Return a predicted clip with the same frames at both ends: a mean of the two.

        The picture is the first one's; of the later frames, nearly as much is from the one end as the other.
        """
        count, length = self.wrapped, denoised.shape[self.axis]
        first = denoised.narrow(self.axis, 0, count)
        middle = denoised.narrow(self.axis, count, length - 2 * count)
        last = denoised.narrow(self.axis, length - count, count)
        both = torch.lerp(first, last, self._shares(count, denoised) / 2)
        return torch.cat([both, middle, both], self.axis)

    def _shares(self, count: int, like: torch.Tensor) -> torch.Tensor:
        """Return 0, 1 / `count`, ... along the frames' axis."""
        shape = [1] * like.ndim
        shape[self.axis] = count
        return torch.arange(count, device=like.device, dtype=like.dtype).view(shape) / count
