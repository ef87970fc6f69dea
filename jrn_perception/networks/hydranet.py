# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
HydraNet: one encoder, one light-weight decoder, a head per task.

Nekrasov et al., "Real-Time Joint Semantic Segmentation and Depth Estimation Using Asymmetric
Annotations", ICRA 2019 (arXiv:1809.04766), Fig. 1: MobileNet-v2, light-weight RefineNet, and task
heads that differ only in their last convolution. Layer sizes follow the authors' published
checkpoints, which ``convert_published`` reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import re

from jrn_perception.networks.encoders.mobilenet import MobileNetV2
from jrn_perception.networks.encoders.resnet import ResNet50
from jrn_perception.networks.interface import Maps
from jrn_perception.networks.layers import (
    ChainedResidualPooling,
    ChannelScale,
    convolve_exactly,
    resize,
)
import torch
from torch import nn, Tensor
from torch.nn import functional

WIDTH = 256
ENCODERS = {'mobilenetv2': MobileNetV2, 'resnet50': ResNet50}
# The authors' head is linear and their evaluation takes the absolute value; softplus has the same
# range without the sign flip (and the dead gradient of the ReLU in the authors' loss).
DEPTH_ACTIVATIONS = {'abs': torch.abs, 'softplus': functional.softplus}


class Decoder(nn.Module):
    """
    Light-weight RefineNet over an encoder's features; returns (B, 256, H/4, W/4).

    Levels, coarse to fine: 1/32, 1/16, 1/8, 1/4. Each level sums the projections of its features
    and the level below, refines (ReLU6, chained residual pooling) and hands itself up. In training
    the features of the two coarsest levels lose the share ``dropout`` of their values, as in the
    published training of light-weight RefineNet with ResNets.
    """

    def __init__(self, channels: Sequence[int], levels: Sequence[Sequence[int]],
                 dropout: float = 0.):
        super().__init__()
        self.levels = levels
        self.dropout = nn.Dropout(dropout)
        self.projections = nn.ModuleList(
            nn.Conv2d(count, WIDTH, 1, bias=False) for count in channels)
        self.pooling = nn.ModuleList(
            ChainedResidualPooling(WIDTH, depthwise=level == 3) for level in range(4))
        self.adaptions = nn.ModuleList(nn.Conv2d(WIDTH, WIDTH, 1, bias=False) for _ in range(3))

    def forward(self, features: list[Tensor]) -> Tensor:
        x = None
        for level in range(len(self.levels)):
            x = self._climb(level, features, x)
        return x

    def _climb(self, level: int, features: list[Tensor], below: Tensor | None) -> Tensor:
        given = [(index, features[index]) for index in self.levels[level]]
        if level < 2:
            given = [(index, self.dropout(feature)) for index, feature in given]
        total = sum(self.projections[index](feature) for index, feature in given)
        if below is not None:
            # The 1x1 convolution comes before the resize: the same result at a quarter of it.
            total = total + resize(self.adaptions[level - 1](below), total.shape[-2:])
        return self.pooling[level](functional.relu6(total))

    @torch.no_grad()
    def calibrate(self, features: list[Tensor]) -> None:
        """
        Scale the projections to a spread of 1 on ``features``, what comes from below to 2.

        An encoder's features differ in spread by a factor of 5, and there is no normalisation
        here: without this the coarsest, which know most, begin with the least say. After Mishkin
        and Matas, "All you need is a good init", ICLR 2016.
        """
        x = None
        for level, members in enumerate(self.levels):
            for index in members:
                projection = self.projections[index]
                projection.weight /= projection(features[index]).std()
            if x is not None:
                adaption = self.adaptions[level - 1]
                adaption.weight *= 2 / adaption(x).std()
            x = self._climb(level, features, x)


class Head(nn.Module):
    """
    A task head: per-channel scale (depthwise 1x1), ReLU6, 3x3 convolution.

    ``exact`` computes what has a unit, metres, in float32 under autocast, too.
    """

    def __init__(self, outputs: int, exact: bool = False):
        super().__init__()
        self.exact = exact
        self.scale = ChannelScale(WIDTH)
        self.predict = nn.Conv2d(WIDTH, outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu6(self.scale(x))
        return convolve_exactly(self.predict, x) if self.exact else self.predict(x)


class HydraNet(nn.Module):
    """
    Joint semantic segmentation and depth estimation (and surface normals) in one pass.

    ``heads`` maps tasks to output channels, a subset of ``{'semantics': K, 'depth': 1, 'normals':
    3}``. ``forward`` takes RGB (B, 3, H, W) normalised with the ImageNet mean and standard
    deviation, any size from 32x32, and returns ``Maps`` at ceil(H/4) x ceil(W/4): logits, metres
    (>= 0) and unnormalised normals. ``encoder`` is a key of ``ENCODERS``; for ``dropout`` see
    ``Decoder``.
    """

    output_stride = 4

    def __init__(self, heads: Mapping[str, int], depth_activation: str = 'softplus',
                 encoder: str = 'mobilenetv2', dropout: float = 0.):
        super().__init__()
        unknown = set(heads) - {'semantics', 'depth', 'normals'}
        if unknown or not heads:
            raise ValueError(f'heads: {sorted(unknown) or "none"}; choose from semantics, depth, '
                             'normals')
        if depth_activation not in DEPTH_ACTIVATIONS:
            raise ValueError(f'depth_activation {depth_activation!r}: choose from '
                             f'{", ".join(DEPTH_ACTIVATIONS)}')
        if encoder not in ENCODERS:
            raise ValueError(f'encoder {encoder!r}: choose from {", ".join(ENCODERS)}')
        self.depth_activation = depth_activation
        self.encoder = ENCODERS[encoder]()
        self.decoder = Decoder(self.encoder.channels, self.encoder.levels, dropout)
        self.heads = nn.ModuleDict(
            {task: Head(outputs, exact=task == 'depth') for task, outputs in heads.items()})
        self._initialise()

    def _initialise(self) -> None:
        # He initialisation; the authors' normal(0, 0.01) lets activations vanish to 1e-29.
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity='relu')
        for name, head in self.heads.items():
            nn.init.ones_(head.scale.weight)
            nn.init.normal_(head.predict.weight, std=0.01)
            # A depth head that starts at a room's usual distance has no first epoch to lose.
            nn.init.constant_(head.predict.bias, 2.5 if name == 'depth' else 0.)
        # Residual pooling starts as a small correction, or four stages of it would blow up.
        for block in self.decoder.pooling:
            for projection in block.projections:
                nn.init.normal_(projection.weight, std=0.01)

    def calibrate(self, image: Tensor) -> None:
        """Fit a decoder that starts at random to the encoder, on typical (B, 3, H, W) images."""
        training = self.training
        with torch.no_grad():
            self.decoder.calibrate(self.eval().encoder(image))
        self.train(training)

    def forward(self, image: Tensor) -> Maps:
        features = self.decoder(self.encoder(image))
        outputs = {task: head(features) for task, head in self.heads.items()}
        if 'depth' in outputs:
            outputs['depth'] = DEPTH_ACTIVATIONS[self.depth_activation](outputs['depth'])
        return Maps(**outputs)


_PUBLISHED = (
    (r'layer1\.0\.', 'encoder.stem.conv.'),
    (r'layer1\.1\.', 'encoder.stem.bn.'),
    (r'layer(\d)\.(\d)\.output\.(\d)\.(\d)\.', lambda m: (
        f'encoder.stages.{int(m[1]) - 2}.{m[2]}.{("expand", "depthwise", "project")[int(m[3])]}.'
        f'{("conv", "bn")[int(m[4])]}.')),
    (r'conv([3-8])\.', lambda m: f'decoder.projections.{int(m[1]) - 3}.'),
    (r'crp([1-4])\.0\.(\d)_outvar_dimred\.',
     lambda m: f'decoder.pooling.{4 - int(m[1])}.projections.{int(m[2]) - 1}.'),
    (r'conv_adapt([2-4])\.', lambda m: f'decoder.adaptions.{4 - int(m[1])}.'),
    (r'pre_(segm|depth|normal)\.', lambda m: f'heads.{_TASKS[m[1]]}.scale.'),
    (r'(segm|depth|normal)\.', lambda m: f'heads.{_TASKS[m[1]]}.predict.'),
)
_TASKS = {'segm': 'semantics', 'depth': 'depth', 'normal': 'normals'}


def convert_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """
    Return the ``HydraNet`` state of a checkpoint published by the authors; exact.

    Build the network with ``depth_activation='abs'`` for it: their depth head is linear. Raises
    KeyError naming the first key that is none of theirs.
    """
    converted = {}
    for key, value in state.items():
        for pattern, target in _PUBLISHED:
            renamed, count = re.subn(rf'^{pattern}', target, key)
            if count:
                converted[renamed] = value
                break
        else:
            raise KeyError(f'{key!r} is no key of a published HydraNet checkpoint')
    return converted
