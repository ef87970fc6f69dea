# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What every network takes and returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

# Every network takes RGB (B, 3, H, W) in 0..1, normalised with these statistics of ImageNet.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class Maps(NamedTuple):
    """
    The dense outputs of a network, at the network's own output resolution.

    ``depth`` is (B, 1, h, w), metres along the optical axis. ``semantics`` is (B, K, h, w), logits
    over the K classes. ``normals`` is (B, 3, h, w). What a network does not predict is None.
    ``inputs`` are the maps that a refinement network was given.
    """

    depth: Tensor | None = None
    semantics: Tensor | None = None
    normals: Tensor | None = None
    inputs: Maps | None = None
