# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""ResNet-50 (He et al., CVPR 2016, Table 1), the slow and accurate encoder."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn, Tensor
from torch.nn import functional

# (width of the 3x3 convolution, blocks, stride of the first block).
STAGES = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
EXPANSION = 4
STEM_CHANNELS = 64


def conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return convolution and batch normalisation."""
    return nn.Sequential(OrderedDict(
        conv=nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        bn=nn.BatchNorm2d(outputs)))


class Bottleneck(nn.Module):
    """
    Reduce (1x1), filter (3x3), expand (1x1), add.

    The first convolution has the stride, as in the paper and in the weights trained with Caffe;
    in torchvision the second has.
    """

    def __init__(self, inputs: int, width: int, stride: int, project: bool):
        super().__init__()
        self.reduce = conv_bn(inputs, width, 1, stride)
        self.filter = conv_bn(width, width, 3)
        self.expand = conv_bn(width, width * EXPANSION, 1)
        self.shortcut = (conv_bn(inputs, width * EXPANSION, 1, stride) if project
                         else nn.Identity())

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.reduce(x), inplace=True)
        y = self.expand(functional.relu(self.filter(y), inplace=True))
        return functional.relu(y + self.shortcut(x), inplace=True)


class ResNet50(nn.Module):
    """
    Feature pyramid of ResNet-50.

    ``forward`` takes (B, 3, H, W), RGB normalised with the ImageNet mean and standard deviation,
    and returns the outputs of the four stages: 256 channels at 1/4 of the input, 512 at 1/8, 1024
    at 1/16, 2048 at 1/32 (sizes round up). Raises ValueError for another ``output_stride``.
    """

    channels = tuple(width * EXPANSION for width, _, _ in STAGES)
    strides = (4, 8, 16, 32)
    levels = strides

    def __init__(self, output_stride: int = 32) -> None:
        super().__init__()
        if output_stride != 32:
            raise ValueError(f'encoder stride {output_stride}: ResNet-50 has only 32')
        self.stem = conv_bn(3, STEM_CHANNELS, 7, stride=2)
        stages, inputs = [], STEM_CHANNELS
        for width, count, stride in STAGES:
            blocks = []
            for index in range(count):
                blocks.append(Bottleneck(inputs, width, 1 if index else stride, not index))
                inputs = width * EXPANSION
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        x = functional.relu(self.stem(x), inplace=True)
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features
