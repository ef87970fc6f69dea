# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The interface of a network: its inputs and outputs, and the parts that training needs.

This module imports no torch, so that code that only handles maps need not import torch either.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol, TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn, Tensor

# The tasks that a network of the table can have a head for; each is a field of ``Maps``.
TASKS = ('semantics', 'depth', 'normals')
# The networks of this package take RGB (B, 3, H, W) in 0..1, normalised with these statistics of
# ImageNet. The card of a weights file states the statistics of its network (``Preprocessing``).
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
# The set-ups of the influence test (Fig. 4 of the JRN paper): which input of a JRN is muted ...
MUTE = ('none', 'depth', 'semantics')
# ... and the values that replace the muted input.
MUTE_VALUES = ('zero', 'mean', 'noise')


class NotExportableError(ValueError):
    """A network has no ONNX graph; one line."""


class Influence(NamedTuple):
    """
    How far each output of a JRN moves when the other modality is muted, pixel by pixel.

    ``depth`` (B, 1, h, w): D' with both inputs minus D' without semantics, in metres.
    ``semantics`` (B, 1, h, w), -1..1: the probability of the class that the JRN decides for with
    both inputs, minus the probability of the same class without depth.
    """

    depth: Tensor
    semantics: Tensor


class Maps(NamedTuple):
    """
    The dense outputs of a network, at the network's own output resolution.

    ``depth`` is (B, 1, h, w), metres along the optical axis. ``semantics`` is (B, K, h, w), logits
    over the K classes. ``normals`` is (B, 3, h, w), surface normals of any length. A map that the
    network does not predict is None. For a JRN, ``inputs`` are the unrefined maps; ``influence``
    is None unless the caller asked for it. ``validity`` (B, 1, h, w), 0..1, of a JRN's inputs is
    the part of each pixel whose depth a sensor measured, None without a sensor.
    """

    depth: Tensor | None = None
    semantics: Tensor | None = None
    normals: Tensor | None = None
    inputs: Maps | None = None
    influence: Influence | None = None
    validity: Tensor | None = None


class Network(Protocol):
    """
    A network that can be run.

    Maps have ceil(H / ``output_stride``) rows and ceil(W / ``output_stride``) columns. A network
    whose maps have a fixed size states the stride at its native image size.
    """

    @property
    def output_stride(self) -> int:
        """Return the pixels of the image per pixel of the maps, along either axis."""

    def __call__(self, image: Tensor) -> Maps:
        """Return the maps of normalised images (B, 3, H, W)."""


class Trainable(Network, Protocol):
    """
    A network that a ``Recipe`` can train.

    The parameters of ``encoder`` get published weights and a learning rate of their own.
    """

    @property
    def encoder(self) -> nn.Module:
        """Return the part that starts from published weights."""

    def calibrate(self, image: Tensor) -> None:
        """Fit the randomly initialised part to the encoder, on typical images (B, 3, H, W)."""


_TRAINABLE = ('encoder', 'calibrate', 'output_stride')


def check_trainable(network: object, name: str) -> None:
    """Raise ValueError that names the parts of ``Trainable`` that the network ``name`` lacks."""
    lacks = [part for part in _TRAINABLE if not hasattr(network, part)]
    if lacks:
        raise ValueError(f'{name}: this recipe cannot train it, the network has no '
                         f'{" and no ".join(lacks)}')
