# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Building blocks that more than one network uses."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn, Tensor
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (B, C, H, W) resized to ``size`` bilinearly, pixel areas aligned, not corners."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return functional.interpolate(x, size=size, mode='bilinear', align_corners=False)


def max_pool_5x5(x: Tensor) -> Tensor:
    """
    Return the 5x5, stride 1 maximum.

    On a CPU, two 1-D maxima give the same values in a quarter of the time. Their backward pass is
    slower than the square window's, so training uses the square window.
    """
    if x.requires_grad:
        return functional.max_pool2d(x, 5, stride=1, padding=2)
    x = functional.max_pool2d(x, (1, 5), stride=1, padding=(0, 2))
    return functional.max_pool2d(x, (5, 1), stride=1, padding=(2, 0))


def convolve_exactly(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    """
    Return the convolution in float32 even under autocast: a bfloat16 has steps of 3 cm at 5 m.

    ``x`` must come from another convolution: its precision shows whether autocast is on.
    """
    if x.dtype == convolution.weight.dtype:
        return convolution(x)
    with torch.autocast(x.device.type, enabled=False):
        return convolution(x.float())


class ChannelScale(nn.Conv2d):
    """
    A factor for each channel: a depthwise 1x1 convolution, computed as a product.

    The values are the same. On one thread of a CPU with AVX2 the convolution would take twenty
    times as long, a third of HydraNet's time (benchmarks/inference.py).
    """

    def __init__(self, channels: int):
        super().__init__(channels, channels, 1, groups=channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        # In the precision of the input, as autocast does for a convolution.
        return x * self.weight.view(1, -1, 1, 1).to(x.dtype)


class ChainedResidualPooling(nn.Module):
    """
    Chained residual pooling of light-weight RefineNet (Nekrasov et al., BMVC 2018, Fig. 2).

    Each stage pools (5x5, stride 1), projects (1x1, no bias) and adds. With ``depthwise`` the
    projection treats each channel alone, as the ICRA 2019 network does at its finest level.
    """

    def __init__(self, channels: int, stages: int = 4, depthwise: bool = False):
        super().__init__()
        self.projections = nn.ModuleList(
            ChannelScale(channels) if depthwise else nn.Conv2d(channels, channels, 1, bias=False)
            for _ in range(stages))

    def forward(self, x: Tensor) -> Tensor:
        top = x
        for projection in self.projections:
            top = projection(max_pool_5x5(top))
            x = x + top
        return x


def fold_batch_norms(module: nn.Module) -> nn.Module:
    """
    Fold each ``conv``, ``bn`` pair of the module's Sequentials into the convolution, in place.

    The module must be in eval mode and is for inference only afterwards. Returns the module.
    """
    for child in module.children():
        fold_batch_norms(child)
    if isinstance(module, nn.Sequential) and isinstance(getattr(module, 'bn', None),
                                                        nn.BatchNorm2d):
        module.conv = fuse_conv_bn_eval(module.conv, module.bn)
        del module.bn
    return module


def lack_statistics(state: Mapping[str, Tensor]) -> bool:
    """Tell whether no batch norm of a state has statistics: their means are 0, variances 1."""
    return (all((state[name] == 0).all() for name in state if name.endswith('.running_mean'))
            and all((state[name] == 1).all() for name in state if name.endswith('.running_var')))


@torch.no_grad()
def restore_batch_norms(module: nn.Module, image: Tensor, batch_size: int = 8) -> None:
    """
    Give batch norms the statistics of their inputs for images (B, 3, H, W), in place.

    gamma and beta undo the effect of the statistics, so the module computes the same in eval mode;
    in training it starts from statistics that are true of its data. ``batch_size`` images at a
    time are computed.
    """
    norms = [m for m in module.modules() if isinstance(m, nn.BatchNorm2d)]
    # Sums over the images of each channel's mean and mean square.
    sums = {bn: torch.zeros(2, bn.num_features, dtype=torch.float64,
                            device=bn.weight.device) for bn in norms}

    def add(bn: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        x, = inputs
        variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
        mean, variance = mean.double(), variance.double()
        sums[bn] += len(x) * torch.stack((mean, variance + mean.square()))

    hooks = [bn.register_forward_pre_hook(add) for bn in norms]
    training = module.training
    module.eval()
    for part in image.split(batch_size):
        module(part)
    module.train(training)
    for hook in hooks:
        hook.remove()
    for bn in norms:
        mean, square = sums[bn] / len(image)
        variance = (square - mean.square()).clamp(min=0)
        gain = bn.weight.double() / (bn.running_var.double() + bn.eps).sqrt()
        bn.bias.copy_(bn.bias + (mean - bn.running_mean) * gain)
        bn.weight.copy_(gain * (variance + bn.eps).sqrt())
        bn.running_mean.copy_(mean)
        bn.running_var.copy_(variance)
