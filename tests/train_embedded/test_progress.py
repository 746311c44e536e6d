"""What is said of a UNet in training: a perfect one has no error, and its clips are the true ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler

from i2v.weights import EMBEDDED_FOLDER as FOLDER
from scripts.train_embedded.export import restore
from scripts.train_embedded.network import SCHEDULER
from scripts.train_embedded.progress import Probe, errors_by_timestep, judged, new_probe, sampled
from scripts.train_embedded.rendering import Conditions, Photos

ALPHAS = DDIMScheduler(**SCHEDULER).alphas_cumprod


@pytest.fixture(scope="module")
def conditions(tmp_path_factory: pytest.TempPathFactory) -> Conditions:
    folder = tmp_path_factory.mktemp("checkpoints")
    restore(FOLDER, folder)
    return Conditions(folder)


@pytest.fixture(scope="module")
def probe(conditions: Conditions) -> Probe:
    coarse = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    picture = torch.nn.functional.interpolate(coarse, (160, 192), mode="bicubic")[0].clamp(0, 1)
    photos = Photos([[(255 * picture).to(torch.uint8)]], torch.device("cpu"))
    return new_probe(photos, conditions, 2, 64)


class Knowing(torch.nn.Module):
    """A UNet that answers `clips`, whatever it is shown."""

    def __init__(self, clips: torch.Tensor) -> None:
        super().__init__()
        self.clips = clips

    def forward(
        self, noisy: torch.Tensor, t: torch.Tensor, *rest: object, return_dict: bool
    ) -> tuple[torch.Tensor]:
        share = ALPHAS[t].view(-1, 1, 1, 1, 1)
        return ((share.sqrt() * noisy - self.clips) / (1 - share).sqrt(),)


def test_errors_are_those_of_the_later_frames(probe: Probe) -> None:
    x0 = probe.batch.x0
    errors = errors_by_timestep(Knowing(x0), probe.batch, ALPHAS, (900, 300))  # type: ignore[arg-type]
    assert errors["900"] == pytest.approx(0, abs=1e-4)
    assert errors["300"] == pytest.approx(0, abs=1e-4)
    still = x0[:, :, :1].expand_as(x0)
    errors = errors_by_timestep(Knowing(still), probe.batch, ALPHAS, (900,))  # type: ignore[arg-type]
    assert errors["900"] == pytest.approx(errors["still"], rel=1e-3)
    assert errors["still"] > 0.05


@pytest.mark.parametrize("evaluations", [2, 11])
def test_clips_that_a_perfect_network_makes_are_the_true_ones(probe: Probe, evaluations: int) -> None:
    latents = sampled(Knowing(probe.batch.x0), probe.batch, evaluations)  # type: ignore[arg-type]
    assert torch.allclose(latents, probe.batch.x0, atol=1e-3)


@pytest.mark.slow
def test_they_are_judged_so(probe: Probe, conditions: Conditions, tmp_path: Path) -> None:
    found = judged(Knowing(probe.batch.x0), conditions, probe, 2)  # type: ignore[arg-type]
    assert found.frames.shape == (2, 8, 64, 64, 3)
    assert found.scores["right_share"] == 1
    assert found.scores["median_sharpness"] == pytest.approx(1, abs=0.25)
    assert found.scores["below_vae"] == pytest.approx(0, abs=0.05)
    found.write_sheet(tmp_path / "sheet.jpg")
    assert (tmp_path / "sheet.jpg").stat().st_size > 1000
    still = probe.batch.x0[:, :, :1].expand_as(probe.batch.x0)
    static = judged(Knowing(still), conditions, probe, 2).scores  # type: ignore[arg-type]
    assert static["right_share"] == 0
    assert static["gain_over_static"] < found.scores["gain_over_static"]
