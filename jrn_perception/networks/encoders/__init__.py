# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Encoders: from images to a pyramid of features. ``ENCODERS`` is the table of their names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from jrn_perception.networks.encoders.mobilenet import MobileNetV2
from jrn_perception.networks.encoders.resnet import ResNet50
from torch import Tensor


class Encoder(Protocol):
    """
    An encoder: an ``nn.Module`` with the properties that a decoder reads.

    Features come finest first. Feature i has ``channels[i]`` channels and ceil(H / ``strides[i]``)
    x ceil(W / ``strides[i]``) pixels. A decoder joins features of the same ``levels[i]``.
    """

    @property
    def channels(self) -> tuple[int, ...]:
        """Return the channels of each feature."""

    @property
    def strides(self) -> tuple[int, ...]:
        """Return the pixels of the image per pixel of each feature, along either axis."""

    @property
    def levels(self) -> tuple[int, ...]:
        """
        Return the level of each feature: its stride in the encoder without dilation.

        So a decoder's weights fit the encoder at each output stride.
        """

    def __call__(self, image: Tensor) -> list[Tensor]:
        """Return the features of normalised images (B, 3, H, W)."""


# Each is called with the stride of its coarsest features, 32 by default.
ENCODERS: dict[str, Callable[..., Encoder]] = {
    'mobilenetv2': MobileNetV2,
    'resnet50': ResNet50,
}
