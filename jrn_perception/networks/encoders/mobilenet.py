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
            activation: bool = True, dilation: int = 1) -> nn.Sequential:
    """Return convolution, batch normalisation and, with ``activation``, ReLU6."""
    layers = OrderedDict(
        conv=nn.Conv2d(inputs, outputs, kernel, stride, dilation * (kernel // 2), dilation,
                       groups=groups, bias=False),
        bn=nn.BatchNorm2d(outputs, eps=BATCH_NORM_EPS))
    if activation:
        layers['relu'] = nn.ReLU6(inplace=True)
    return nn.Sequential(layers)


class InvertedResidual(nn.Module):
    """Expand (1x1), filter (depthwise 3x3), project (1x1, linear); residual where shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int,
                 dilation: int = 1):
        super().__init__()
        hidden = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        self.expand = conv_bn(inputs, hidden, 1)
        self.depthwise = conv_bn(hidden, hidden, 3, stride, groups=hidden, dilation=dilation)
        self.project = conv_bn(hidden, outputs, 1, activation=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class MobileNetV2(nn.Module):
    """
    Feature pyramid of MobileNet-v2.

    ``forward`` takes (B, 3, H, W), RGB normalised with the ImageNet mean and standard deviation,
    and returns the outputs of the last six stages: 24 channels at 1/4 of the input, 32 at 1/8, 64
    and 96 at 1/16, 160 and 320 at 1/32 (sizes round up). With ``output_stride`` 16 the last two
    stay at 1/16: their stride becomes dilation, with the same weights, as in DeepLab (Chen et al.,
    2017, arXiv:1706.05587, Section 3.1). Raises ValueError for another ``output_stride``.
    """

    channels = tuple(stage[1] for stage in STAGES[1:])
    strides: tuple[int, ...] = (4, 8, 16, 16, 32, 32)
    levels = strides

    def __init__(self, output_stride: int = 32) -> None:
        super().__init__()
        if output_stride not in (16, 32):
            raise ValueError(f'encoder stride {output_stride}: choose 16 or 32')
        self.strides = tuple(min(stride, output_stride) for stride in self.levels)
        self.stem = conv_bn(3, STEM_CHANNELS, 3, stride=2)
        stages, inputs, reached, dilation = [], STEM_CHANNELS, 2, 1
        for expansion, outputs, count, stride in STAGES:
            dilated = reached * stride > output_stride
            first = 1 if dilated else stride
            blocks = [InvertedResidual(inputs, outputs, first, expansion, dilation)]
            if dilated:
                # As in DeepLab, the convolution that loses its stride is not dilated itself.
                dilation *= stride
            blocks += [InvertedResidual(outputs, outputs, 1, expansion, dilation)
                       for _ in range(1, count)]
            inputs, reached = outputs, reached * first
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stages[0](self.stem(x))
        features = []
        for stage in self.stages[1:]:
            x = stage(x)
            features.append(x)
        return features
