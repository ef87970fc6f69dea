# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
MobileNet-v2 (Sandler et al., CVPR 2018) as the encoder of the light-weight networks.

The layout follows Nekrasov et al. (ICRA 2019). It has no 1280-channel convolution at the end. Its
first inverted residual has a 1x1 expansion although the expansion factor is 1; torchvision's has
none, so ``conversion.convert_torchvision`` fills the expansion with an exact identity.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn, Tensor

BATCH_NORM_EPS = 1e-5

# (expansion t, output channels c, blocks n, stride of the first block s): Table 2 of the paper.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2),
          (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
STEM_CHANNELS = 32


def conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1,
            activation: bool = True) -> nn.Sequential:
    """Return convolution, batch normalisation and, with ``activation``, ReLU6."""
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
    strides = (4, 8, 16, 16, 32, 32)

    def __init__(self) -> None:
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
