"""The optimizers: Muon for the UNet's inner matrices, AdamW for the rest."""

from __future__ import annotations

import torch
from diffusers import I2VGenXLUNet
from torch import nn

ADAM_SHARE = 0.15  # AdamW's learning rate over Muon's


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised by Newton-Schulz (Jordan et al. 2024), for weights that act as matrices."""

    def __init__(self, parameters: list[nn.Parameter], lr: float, momentum: float = 0.95) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                buffer = state.setdefault("momentum", torch.zeros_like(parameter))
                buffer.lerp_(parameter.grad, 1 - group["momentum"])
                update = parameter.grad.lerp(buffer, group["momentum"]).flatten(1)
                tall = update.shape[0] > update.shape[1]
                x = update.T if tall else update
                x = (x / (x.norm() + 1e-12)).bfloat16()
                for _ in range(5):
                    gram = x @ x.T
                    x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
                x = x.T if tall else x
                scale = max(1.0, x.shape[0] / x.shape[1]) ** 0.5
                parameter.add_(x.float().reshape(parameter.shape), alpha=-group["lr"] * scale)


def optimizers(unet: I2VGenXLUNet, lr: float) -> list[torch.optim.Optimizer]:
    matrices, others = [], []
    for name, parameter in unet.named_parameters():
        inner = name.startswith(("down_blocks", "mid_block", "up_blocks", "transformer_in"))
        (matrices if inner and parameter.ndim >= 2 else others).append(parameter)
    adam = torch.optim.AdamW(others, lr=ADAM_SHARE * lr, betas=(0.9, 0.99), weight_decay=0.0, fused=True)
    return [Muon(matrices, lr=lr), adam]
