# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""ResNet-50 (He et al., CVPR 2016, Table 1), an encoder for networks that may take their time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from jrn_perception.networks.interface import MEAN, STD
import torch
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

    The stride is the first convolution's, as in the paper and in the weights trained with Caffe,
    not the second's as in torchvision's.
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
    at 1/16, 2048 at 1/32 (sizes round up).
    """

    channels = tuple(width * EXPANSION for width, _, _ in STAGES)
    # Indices into the features that meet at each level of a pyramid, 1/32 first.
    levels = ((3,), (2,), (1,), (0,))

    def __init__(self):
        super().__init__()
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


# What Keras and Caffe subtract from RGB in 0..255.
CAFFE_MEAN = (123.68, 116.779, 103.939)
# By which the first convolution is divided: its outputs are in grey levels, up to thousands.
STEM_SCALE = 64


def convert_keras(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """
    Return the ``ResNet50`` state of Keras's ImageNet weights (originally Caffe's).

    ``weights`` maps names such as ``res2a_branch2a/kernel`` to arrays in Keras's layout (h, w, in,
    out). Their input is BGR in 0..255 less its mean; here it is RGB under ``MEAN`` and ``STD``,
    and what differs goes into the first convolution, exactly but for the picture's border, where
    padding stands for a colour that is not quite the same grey. Batch normalisation keeps torch's
    eps of 1e-5, Caffe's, under which the weights were trained; Keras's file says 1e-3. Raises
    KeyError for what is missing.
    """
    def layer(target: str, source: str) -> None:
        kernel = weights[f'{_convolution(source)}/kernel'].permute(3, 2, 0, 1)
        offset = weights[f'{_convolution(source)}/bias']
        if target == 'stem':
            kernel = kernel.flip(1)
            shift = 255 * torch.tensor(MEAN) - torch.tensor(CAFFE_MEAN)
            offset = offset + (kernel.sum(dim=(2, 3)) * shift).sum(1)
            kernel = kernel * (255 * torch.tensor(STD))[:, None, None]
        bn = {name: weights[f'{source}/{key}'] for name, key in (
            ('weight', 'gamma'), ('bias', 'beta'), ('running_mean', 'moving_mean'),
            ('running_var', 'moving_variance'))}
        # A constant before batch normalisation is one that its mean takes off again.
        bn['running_mean'] = bn['running_mean'] - offset
        if target == 'stem':
            # And a factor. float16, in which weights are kept, ends at 65504.
            kernel = kernel / STEM_SCALE
            bn['running_mean'] = bn['running_mean'] / STEM_SCALE
            eps = nn.BatchNorm2d(1).eps
            bn['running_var'] = (bn['running_var'] + eps) / STEM_SCALE ** 2 - eps
        converted[f'{target}.conv.weight'] = kernel.contiguous()
        converted.update({f'{target}.bn.{name}': value for name, value in bn.items()})
        converted[f'{target}.bn.num_batches_tracked'] = torch.tensor(0)

    converted: dict[str, Tensor] = {}
    layer('stem', 'bn_conv1')
    for stage, (_, count, _) in enumerate(STAGES):
        for block in range(count):
            target = f'stages.{stage}.{block}'
            source = f'bn{stage + 2}{"abcdef"[block]}_branch'
            for part, branch in (('reduce', '2a'), ('filter', '2b'), ('expand', '2c')):
                layer(f'{target}.{part}', source + branch)
            if not block:
                layer(f'{target}.shortcut', source + '1')
    return converted


def _convolution(bn: str) -> str:
    return bn.removeprefix('bn_') if bn.startswith('bn_') else 'res' + bn.removeprefix('bn')
