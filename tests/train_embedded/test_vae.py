"""The encoder that was set by hand computes just the projection that it is said to compute."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from scripts.train_embedded.vae import new_vae, set_encoder


def test_the_hand_set_encoder_is_the_linear_projection_of_patches() -> None:
    torch.manual_seed(0)
    weight, bias = torch.randn(4, 3, 4, 4) / 7, torch.randn(4) / 3
    vae = new_vae()
    set_encoder(vae, weight, bias)
    picture = torch.rand(2, 3, 48, 80) * 2 - 1
    posterior = vae.encode(picture).latent_dist
    assert torch.allclose(posterior.mode(), F.conv2d(picture, weight, bias, stride=4), atol=1e-3)
    assert posterior.std.max() < 1e-4, "sampling the posterior gives its mode"
