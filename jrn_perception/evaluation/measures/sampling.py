# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Range points drawn from ground truth, as a sensor would measure them.

They tell how much a range sensor would help a network, on any data set with depth. The points of
a frame depend on its number and depth alone.
"""

from __future__ import annotations

from dataclasses import dataclass
import re

from jrn_perception.evaluation.measures.metrics import Crop
from jrn_perception.perception import Prediction
from jrn_perception.perception.anchoring import Anchoring, Anchors, anchors_from_image
import numpy as np

KINDS = ('points', 'line', 'image')
# The share of wrong points, and the relative standard deviation of the others.
OUTLIERS = 0.05
NOISE = 0.01
# Metres between which a wrong point lies.
WRONG = (0.5, 10.0)
# A planar lidar sees every second column.
LINE_STEP = 2
SEED = 0


@dataclass(frozen=True)
class Sampling:
    """
    The range sensor that is imitated.

    ``kind``: points, ``count`` of them drawn over the picture; line, a row through the middle; or
    image, a dense depth image. ``noise`` is the relative standard deviation of the measured depth,
    ``outliers`` the share of points with a depth drawn from ``WRONG``. Raises ValueError for
    another sensor.
    """

    kind: str = 'points'
    count: int = 50
    noise: float = NOISE
    outliers: float = OUTLIERS

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.count < 1:
            raise ValueError(f'range {self.kind}:{self.count}: choose from points:N, line, image')
        if not (0 <= self.noise <= 1 and 0 <= self.outliers < 1):
            raise ValueError(f'noise {self.noise} and outliers {self.outliers} are shares: from 0 '
                             'to 1')

    @property
    def name(self) -> str:
        return f'{self.kind}:{self.count}' if self.kind == 'points' else self.kind


@dataclass
class AnchorCounts:
    """How many anchors the frames had, and how many of them the correction rejected."""

    used: int = 0
    rejected: int = 0


def parse_sampling(text: str, noise: float = NOISE, outliers: float = OUTLIERS) -> Sampling:
    """Return the sampling for ``points:N``, ``line`` or ``image``; ValueError for another."""
    found = re.fullmatch(r'(points):(\d+)|line|image', text)
    if not found:
        raise ValueError(f'range {text!r}: choose from points:N, line, image')
    count = {'count': int(found[2])} if found[2] else {}
    return Sampling(found[1] or text, noise=noise, outliers=outliers, **count)


def sample(depth: np.ndarray, sampling: Sampling, index: int, crop: Crop | None = None
           ) -> Anchors:
    """
    Return anchors of the true ``depth`` (H, W) of frame ``index``, inside ``crop``.

    Pixels without true depth (NaN, or not positive) have no anchors.
    """
    rng = np.random.default_rng((SEED, index))
    known = np.full(depth.shape, np.nan, np.float32)
    crop = crop or (slice(None), slice(None))
    known[crop] = np.where(depth[crop] > 0, depth[crop], np.nan)
    if sampling.kind == 'image':
        found = anchors_from_image(known, depth.shape)
    else:
        rows, columns = np.nonzero(np.isfinite(known))
        if sampling.kind == 'line':
            inside = range(*crop[0].indices(depth.shape[0]))
            chosen = np.flatnonzero((rows == inside[len(inside) // 2])
                                    & (columns % LINE_STEP == 0))
        else:
            chosen = rng.permutation(len(rows))[:sampling.count]
        rows, columns = rows[chosen], columns[chosen]
        found = Anchors(columns.astype(float), rows.astype(float), known[rows, columns],
                        np.zeros(len(rows), np.float32))
    measured = found.depth * np.exp(sampling.noise * rng.standard_normal(len(found)))
    wrong = rng.random(len(found)) < sampling.outliers
    measured[wrong] = rng.uniform(*WRONG, np.count_nonzero(wrong))
    return Anchors(found.column, found.row, measured.astype(np.float32),
                   np.full(len(found), max(sampling.noise, 1e-3), np.float32))


def anchored(prediction: Prediction, anchors: Anchors, counts: AnchorCounts) -> Prediction:
    """Return the prediction of a single frame with depth corrected by anchors, and count them."""
    if prediction.depth is None:
        return prediction
    anchoring = Anchoring()
    found = prediction.with_depth(
        anchoring(prediction.depth, prediction.labels, anchors, 0.0),
        remaining=anchoring.remaining)
    counts.used += anchoring.last.used
    counts.rejected += anchoring.last.rejected
    return found
