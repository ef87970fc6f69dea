# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What every network takes and returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

# Every network takes RGB (B, 3, H, W) in 0..1, normalised with these statistics of ImageNet.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class Influence(NamedTuple):
    """
    How far each output of a JRN moves when the other modality is muted, pixel by pixel.

    ``depth`` (B, 1, h, w): metres, D' of both inputs minus D' without semantics. ``semantics``
    (B, 1, h, w): the probability, with both inputs, of the class that they decide for, minus the
    probability of that class without depth; -1..1.
    """

    depth: Tensor
    semantics: Tensor


class Maps(NamedTuple):
    """
    The dense outputs of a network, at the network's own output resolution.

    ``depth`` is (B, 1, h, w), metres along the optical axis. ``semantics`` is (B, K, h, w), logits
    over the K classes. ``normals`` is (B, 3, h, w). What a network does not predict is None.
    ``inputs`` are the maps that a refinement network was given, ``influence`` what they do to
    each other's output, where that was asked for.
    """

    depth: Tensor | None = None
    semantics: Tensor | None = None
    normals: Tensor | None = None
    inputs: Maps | None = None
    influence: Influence | None = None
