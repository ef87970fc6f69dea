# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The parity gate: a network in another runtime must compute the maps that torch computed."""

from __future__ import annotations

from dataclasses import dataclass

from jrn_perception.perception.backends.interface import ArrayMaps
import numpy as np

# Of fp32: metres, and the share of pixels whose class is the same.
DEPTH_LIMIT_M = 0.001
LABELS_LIMIT = 0.9999


@dataclass(frozen=True)
class Parity:
    """How far the maps of two runtimes differ: metres at most, and the share of equal labels."""

    depth_m: float = 0.0
    labels: float = 1.0

    @property
    def fault(self) -> str:
        """Return in one line which limit is exceeded, '' if none is."""
        # A NaN passes no limit.
        if not self.depth_m <= DEPTH_LIMIT_M:
            return (f'depth differs from torch by {1000 * self.depth_m:.3g} mm, allowed are '
                    f'{1000 * DEPTH_LIMIT_M:g} mm')
        if not self.labels >= LABELS_LIMIT:
            return (f'{100 * self.labels:.3f} % of the labels are those of torch, required are '
                    f'{100 * LABELS_LIMIT:g} %')
        return ''


def compare(found: ArrayMaps, expected: ArrayMaps) -> Parity:
    """Return how far ``found`` differs from ``expected``; NaN for maps of other shapes."""
    depth_m, labels = 0.0, 1.0
    if expected.depth is not None:
        depth_m = float('nan')
        if found.depth is not None and found.depth.shape == expected.depth.shape:
            depth_m = float(np.abs(found.depth - expected.depth).max())
    if expected.semantics is not None:
        labels = float('nan')
        if found.semantics is not None and found.semantics.shape == expected.semantics.shape:
            labels = float((found.semantics.argmax(3) == expected.semantics.argmax(3)).mean())
    return Parity(depth_m, labels)


def worst(parities: list[Parity]) -> Parity:
    """Return the largest difference of depth and the share of equal labels over all pictures."""
    return Parity(float(np.max([parity.depth_m for parity in parities])),
                  float(np.mean([parity.labels for parity in parities])))
