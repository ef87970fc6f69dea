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
# Two classes are equally probable if their logits differ by less than this share of the range of
# the picture's logits. Runtimes in fp32 differ by a tenth of it, and then either class is right.
TIE = 1e-4
# Of bf16 and int8, on one picture: the mean difference of depth as a share of the mean depth, and
# the share of pixels whose class is the same. They find a wrong network; ``jrn_export`` measures
# the accuracy. The shipped HydraNet in int8 has 0.02 and 0.96.
REDUCED_DEPTH_LIMIT = 0.1
REDUCED_LABELS_LIMIT = 0.85


@dataclass(frozen=True)
class Parity:
    """
    How far the maps of two runtimes differ.

    ``depth_m`` is the largest difference in metres, ``labels`` the share of equal labels, and
    ``depth_share`` the mean difference of depth divided by the mean depth.
    """

    depth_m: float = 0.0
    labels: float = 1.0
    depth_share: float = 0.0

    @property
    def fault(self) -> str:
        """Return in one line which limit of fp32 is exceeded, '' if none is."""
        # A NaN passes no limit.
        if not self.depth_m <= DEPTH_LIMIT_M:
            return (f'depth differs from torch by {1000 * self.depth_m:.3g} mm, allowed are '
                    f'{1000 * DEPTH_LIMIT_M:g} mm')
        if not self.labels >= LABELS_LIMIT:
            return (f'{100 * self.labels:.3f} % of the labels are those of torch, required are '
                    f'{100 * LABELS_LIMIT:g} %')
        return ''

    @property
    def reduced_fault(self) -> str:
        """Return in one line which limit of bf16 and int8 is exceeded, '' if none is."""
        if not self.depth_share <= REDUCED_DEPTH_LIMIT:
            return (f'depth differs from fp32 by {100 * self.depth_share:.3g} %, allowed are '
                    f'{100 * REDUCED_DEPTH_LIMIT:g} %')
        if not self.labels >= REDUCED_LABELS_LIMIT:
            return (f'{100 * self.labels:.3g} % of the labels are those of fp32, required are '
                    f'{100 * REDUCED_LABELS_LIMIT:g} %')
        return ''


def compare(found: ArrayMaps, expected: ArrayMaps) -> Parity:
    """
    Return how far ``found`` differs from ``expected``; NaN for maps of other shapes.

    A label also counts as equal if ``expected`` has a tie between it and its own label (``TIE``).
    """
    depth_m, depth_share, labels = 0.0, 0.0, 1.0
    if expected.depth is not None:
        depth_m = depth_share = float('nan')
        if found.depth is not None and found.depth.shape == expected.depth.shape:
            difference = np.abs(found.depth - expected.depth)
            depth_m = float(difference.max())
            depth_share = float(difference.mean() / np.abs(expected.depth).mean())
    if expected.semantics is not None:
        labels = float('nan')
        if found.semantics is not None and found.semantics.shape == expected.semantics.shape:
            labels = _equal_labels(found.semantics, expected.semantics)
    return Parity(depth_m, labels, depth_share)


def _equal_labels(found: np.ndarray, expected: np.ndarray) -> float:
    if not np.isfinite(found).all():
        return float('nan')
    chosen = found.argmax(3)[..., None]
    behind = expected.max(3) - np.take_along_axis(expected, chosen, 3)[..., 0]
    return float((behind <= TIE * np.ptp(expected)).mean())


def worst(parities: list[Parity]) -> Parity:
    """Return the largest difference of depth and the share of equal labels over all pictures."""
    return Parity(float(np.max([parity.depth_m for parity in parities])),
                  float(np.mean([parity.labels for parity in parities])),
                  float(np.mean([parity.depth_share for parity in parities])))
