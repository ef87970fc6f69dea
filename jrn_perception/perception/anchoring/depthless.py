# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The rule for surfaces whose depth no camera can tell: windows, mirrors, sky."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Names of classes, in any label set.
DEPTHLESS_CLASSES = ('window', 'windowpane', 'mirror', 'sky')


@dataclass(frozen=True)
class DepthlessRule:
    """
    What depth becomes where it is not known.

    ``classes``: the class ids without depth; ``value``: theirs: nan, inf, or cap (the largest
    valid depth); ``out_of_range``: nan, or rep117: +Inf beyond the range, -Inf below it.
    """

    classes: tuple[int, ...] = ()
    value: str = 'nan'
    out_of_range: str = 'nan'


def without_depth(depth: np.ndarray, labels: np.ndarray | None, limits: tuple[float, float],
                  rule: DepthlessRule) -> np.ndarray:
    """Return ``depth`` (H, W) as the rule wants it; ``limits`` (low, high) are the valid metres."""
    raise NotImplementedError
