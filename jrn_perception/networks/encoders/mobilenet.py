# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
MobileNet-v2 (Sandler et al., CVPR 2018) as the encoder of the light-weight networks.

The layout is the one of Nekrasov et al. (ICRA 2019): the 1280-channel convolution is left out, and
the first inverted residual keeps a 1x1 expansion although its expansion factor is 1, which
torchvision's does not; ``convert_torchvision`` fills it with an exact identity.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
import math

import torch
from torch import nn, Tensor

BATCH_NORM_EPS = 1e-5

# (expansion t, output channels c, blocks n, stride of the first block s): Table 2 of the paper.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
          (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
STEM_CHANNELS = 32


def conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1,
            activation: bool = True) -> nn.Sequential:
    """Return convolution, batch normalisation and, unless told otherwise, ReLU6."""
    layers = OrderedDict(
        conv=nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        bn=nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPS))
    if activation:
        layers['relu'] = nn.ReLU6(inplace=True)
    return nn.Sequential(layers)


class InvertedResidual(nn.Module):
    """Expand (1x1), filter (depthwise 3x3), project (1x1, linear); residual where shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int):
        super().__init__()
        hidden = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.expand = conv_bn(inputs, hidden, 1)
        self.depthwise = conv_bn(hidden, hidden, 3, stride, groups=hidden)
        self.project = conv_bn(hidden, outputs, 1, activation=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class MobileNetV2(nn.Module):
    """
    Feature pyramid of MobileNet-v2.

    ``forward`` takes (B, 3, H, W), RGB normalised with the ImageNet mean and standard deviation,
    and returns the outputs of the last six stages: 24 channels at 1/4 of the input, 32 at 1/8, 64
    and 96 at 1/16, 160 and 320 at 1/32 (sizes round up).
    """

    channels = tuple(stage[1] for stage in STAGES[1:])
    # Indices into the features that meet at each level of a pyramid, 1/32 first.
    levels = ((5, 4), (3, 2), (1,), (0,))

    def __init__(self):
        super().__init__()
        self.stem = conv_bn(3, STEM_CHANNELS, 3, stride=2)
        stages, inputs = [], STEM_CHANNELS
        for expansion, outputs, count, stride in STAGES:
            blocks = []
            for index in range(count):
                blocks.append(InvertedResidual(
                    inputs, outputs, stride if index == 0 else 1, expansion))
                inputs = outputs
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stages[0](self.stem(x))
        features = []
        for stage in self.stages[1:]:
            x = stage(x)
            features.append(x)
        return features


def convert_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """
    Return the ``MobileNetV2`` state of torchvision's ``mobilenet_v2`` checkpoint; exact.

    The missing expansion of the first block becomes an identity kernel under a batch normalisation
    with gamma = sqrt(1 + eps), so that it passes its input, which a ReLU6 already bounds, through
    unchanged. Raises KeyError naming the first key that the checkpoint lacks.
    """
    def layer(target: str, conv: str, bn: str) -> None:
        converted[f'{target}.conv.weight'] = state[f'{conv}.weight']
        for name in ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'):
            converted[f'{target}.bn.{name}'] = state[f'{bn}.{name}']

    converted: dict[str, Tensor] = {}
    layer('stem', 'features.0.0', 'features.0.1')
    source = 0
    for stage, (_, _, count, _) in enumerate(STAGES):
        for block in range(count):
            source += 1
            target, conv = f'stages.{stage}.{block}', f'features.{source}.conv'
            if source == 1:
                converted |= _identity_expansion(f'{target}.expand')
                layer(f'{target}.depthwise', f'{conv}.0.0', f'{conv}.0.1')
                layer(f'{target}.project', f'{conv}.1', f'{conv}.2')
            else:
                layer(f'{target}.expand', f'{conv}.0.0', f'{conv}.0.1')
                layer(f'{target}.depthwise', f'{conv}.1.0', f'{conv}.1.1')
                layer(f'{target}.project', f'{conv}.2', f'{conv}.3')
    return converted


def _identity_expansion(target: str) -> dict[str, Tensor]:
    return {
        f'{target}.conv.weight': torch.eye(STEM_CHANNELS)[:, :, None, None],
        f'{target}.bn.weight': torch.full((STEM_CHANNELS,), math.sqrt(1 + BATCH_NORM_EPS)),
        f'{target}.bn.bias': torch.zeros(STEM_CHANNELS),
        f'{target}.bn.running_mean': torch.zeros(STEM_CHANNELS),
        f'{target}.bn.running_var': torch.ones(STEM_CHANNELS),
        f'{target}.bn.num_batches_tracked': torch.tensor(0),
    }
