"""i2v.engines.wan.vae: diffusers' numbers, in less memory."""

from __future__ import annotations

import torch

from i2v.engines.wan.decode import decode_latents
from i2v.engines.wan.vae import use_lean_layers
from tests.peak_memory import PeakMemory
from tests.tiny_wan import tiny_vae


@torch.inference_mode()
def test_it_computes_what_diffusers_does_in_less_memory() -> None:
    torch.manual_seed(0)
    vae = tiny_vae().eval()
    for parameter in vae.parameters():
        torch.nn.init.normal_(parameter, std=0.2)  # norms start alike everywhere
    latents, picture = torch.randn(1, 48, 3, 4, 6), torch.randn(1, 3, 1, 64, 96)
    names = list(vae.state_dict())
    decoded, encoded = vae.decode(latents).sample, vae.encode(picture).latent_dist.mode()
    with PeakMemory() as before:
        for _ in decode_latents(vae, latents):
            pass
    use_lean_layers(vae)
    assert list(vae.state_dict()) == names
    with PeakMemory() as after:
        ours = list(decode_latents(vae, latents))
    assert (torch.cat(ours).transpose(0, 1)[None] - decoded).abs().max() <= 1e-5
    assert (vae.encode(picture).latent_dist.mode() - encoded).abs().max() <= 1e-5
    assert (vae.decode(latents).sample - decoded).abs().max() <= 1e-5, "by diffusers' own loop"
    assert after.most < 0.9 * before.most
