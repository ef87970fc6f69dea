# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The prediction on a coarse grid, and the places of anchors in it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from jrn_perception.perception.anchoring.anchors import Anchors, thinned
from jrn_perception.perception.anchoring.field import Field, Places, Prior
import numpy as np

# The correction is computed on a grid of about so many columns, and enlarged.
COLUMNS = 64
# The solution's time grows with the cube of the number of anchors.
ANCHORS = 200
# The logarithm of a usual depth in rooms, from which the prior counts.
USUAL = 0.9
# What the anchors leave of the variance is computed at every so many cells: it is smooth.
CELLS = 2


@dataclass(frozen=True)
class Guide:
    """
    The prediction on a coarse grid (h, w), in the coordinates of ``Places``.

    ``columns`` (w,), ``rows`` (h,); ``log_depth`` counts from ``USUAL``; ``labels`` are uint8.
    """

    columns: np.ndarray
    rows: np.ndarray
    log_depth: np.ndarray
    labels: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return self.log_depth.shape

    def remaining(self, field: Field, prior: Prior) -> np.ndarray:
        """Return what the anchors of ``field`` leave of the variance at every CELLS-th cell."""
        part = self.log_depth[::CELLS, ::CELLS]
        columns, rows = np.meshgrid(self.columns[::CELLS], self.rows[::CELLS])
        places = Places(columns.ravel(), rows.ravel(), part.ravel(),
                        self.labels[::CELLS, ::CELLS].ravel())
        return field.remaining(places, prior).reshape(part.shape).astype(np.float32)


def guide_of(depth: np.ndarray, labels: np.ndarray | None) -> Guide | None:
    """Return the prediction on a grid; None if it has no valid depth."""
    height, width = depth.shape
    step = max(1, round(width / COLUMNS))
    size = max(1, round(width / step)), max(1, round(height / step))
    valid = np.isfinite(depth) & (depth > 0)
    if not valid.all():
        if not valid.any():
            return None
        depth = np.where(valid, depth, np.median(depth[valid]))
    small = cv2.resize(depth, size, interpolation=cv2.INTER_AREA)
    ids = np.zeros(small.shape, np.uint8) if labels is None else cv2.resize(
        labels, size, interpolation=cv2.INTER_NEAREST_EXACT)
    columns = (np.arange(size[0], dtype=np.float32) + 0.5) / size[0] - 0.5
    rows = ((np.arange(size[1], dtype=np.float32) + 0.5) / size[1] - 0.5) * (height / width)
    return Guide(columns, rows.astype(np.float32), np.log(small) - np.float32(USUAL), ids)


def on_known_depth(depth: np.ndarray, anchors: Anchors) -> Anchors:
    """Return at most ``ANCHORS`` anchors, moved to whole pixels with valid depth."""
    height, width = depth.shape
    columns, rows = np.rint(anchors.column).astype(int), np.rint(anchors.row).astype(int)
    good = ((columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
            & (anchors.depth > 0) & np.isfinite(anchors.depth))
    predicted = np.zeros(len(good), np.float32)
    predicted[good] = depth[rows[good], columns[good]]
    good &= (predicted > 0) & np.isfinite(predicted)
    return thinned(Anchors(columns[good], rows[good], anchors.depth[good],
                           anchors.deviation[good]), depth.shape, ANCHORS)


def places_of(depth: np.ndarray, labels: np.ndarray | None, anchors: Anchors) -> Places:
    """Return the places of anchors on whole pixels with valid depth."""
    height, width = depth.shape
    columns, rows = anchors.column.astype(int), anchors.row.astype(int)
    return Places(
        ((columns + 0.5) / width - 0.5).astype(np.float32),
        ((rows + 0.5 - height / 2) / width).astype(np.float32),
        np.log(depth[rows, columns]).astype(np.float32) - np.float32(USUAL),
        np.zeros(len(rows), np.uint8) if labels is None else labels[rows, columns])
