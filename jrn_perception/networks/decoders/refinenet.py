# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Light-weight RefineNet: the decoder of the HydraNet design, and its task heads.

Nekrasov et al., "Real-Time Joint Semantic Segmentation and Depth Estimation Using Asymmetric
Annotations", ICRA 2019 (arXiv:1809.04766), Fig. 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from jrn_perception.networks.layers import (
    ChainedResidualPooling,
    ChannelScale,
    convolve_exactly,
    resize,
)
import torch
from torch import nn, Tensor
from torch.nn import functional

# Channels of the decoder at every level, and of each head's input.
WIDTH = 256


class Decoder(nn.Module):
    """
    Light-weight RefineNet over an encoder's features; returns (B, 256, h, w), the finest size.

    ``channels`` and ``levels`` are the encoder's. The attribute ``levels`` lists the indices of
    each level's features, coarsest level first. Each level adds
    up the projections of its features and the output of the coarser level, and refines the sum
    (ReLU6, chained residual pooling). In training the features of the two coarsest levels lose
    the share ``dropout`` of their values, as in the published training of light-weight RefineNet
    with ResNets.
    """

    def __init__(self, channels: Sequence[int], levels: Sequence[int], dropout: float = 0.):
        super().__init__()
        self.levels = _by_level(levels)
        count = len(self.levels)
        self.dropout = nn.Dropout(dropout)
        self.projections = nn.ModuleList(
            nn.Conv2d(inputs, WIDTH, 1, bias=False) for inputs in channels)
        self.pooling = nn.ModuleList(
            ChainedResidualPooling(WIDTH, depthwise=level == count - 1) for level in range(count))
        self.adaptions = nn.ModuleList(
            nn.Conv2d(WIDTH, WIDTH, 1, bias=False) for _ in range(count - 1))

    def forward(self, features: list[Tensor]) -> Tensor:
        x = self._refine(0, features, None)
        for level in range(1, len(self.levels)):
            x = self._refine(level, features, x)
        return x

    def _refine(self, level: int, features: list[Tensor], coarser: Tensor | None) -> Tensor:
        given = [(index, features[index]) for index in self.levels[level]]
        if level < 2:
            given = [(index, self.dropout(feature)) for index, feature in given]
        total = sum(self.projections[index](feature) for index, feature in given)
        if coarser is not None:
            # Convolving 1x1 before resizing gives the same result at a quarter of the cost.
            total = total + resize(self.adaptions[level - 1](coarser), total.shape[-2:])
        return self.pooling[level](functional.relu6(total))

    @torch.no_grad()
    def calibrate(self, features: list[Tensor]) -> None:
        """
        Scale each projection to a spread of 1 on ``features``, each coarser level's output to 2.

        The spread of an encoder's features differs between levels by a factor of 5, and the
        decoder has no normalisation: otherwise the coarsest, most informative features start with
        the smallest weight. After Mishkin and Matas, "All you need is a good init", ICLR 2016.
        """
        x = None
        for level, members in enumerate(self.levels):
            for index in members:
                projection = self.projections[index]
                projection.weight /= projection(features[index]).std()
            if x is not None:
                adaption = self.adaptions[level - 1]
                adaption.weight *= 2 / adaption(x).std()
            x = self._refine(level, features, x)


def _by_level(levels: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """
    Return the indices of the features of each level: coarsest level first, last index first.

    The order within a level is the order of the published network's sums: it decides rounding.
    """
    return tuple(tuple(index for index in reversed(range(len(levels)))
                       if levels[index] == level)
                 for level in sorted(set(levels), reverse=True))


class Head(nn.Module):
    """
    A task head: per-channel scale (depthwise 1x1), ReLU6, 3x3 convolution to ``outputs`` maps.

    ``exact`` computes the last convolution in float32 even under autocast, for outputs in metres.
    """

    def __init__(self, outputs: int, exact: bool = False):
        super().__init__()
        self.exact = exact
        self.scale = ChannelScale(WIDTH)
        self.predict = nn.Conv2d(WIDTH, outputs, 3, padding=1)

    def features(self, x: Tensor) -> Tensor:
        """Return what the task takes of the decoder's output: (B, 256, h, w), 0..6."""
        return functional.relu6(self.scale(x))

    def convolve(self, features: Tensor) -> Tensor:
        """Return the task's maps of its features."""
        return convolve_exactly(self.predict, features) if self.exact else self.predict(features)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolve(self.features(x))
