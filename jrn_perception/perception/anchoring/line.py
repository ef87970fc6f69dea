# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Anchors on one line across the picture, as a planar lidar has them.

A line measures all columns but one height. The room tells some of the rest: above the place that
the line has hit, a room seldom comes nearer again, because its walls are upright. Networks predict
that it does. The numbers are the same on both halves of the validation frames: docs/range.md.
"""

from __future__ import annotations

from dataclasses import replace

from jrn_perception.perception.anchoring.field import Places, Prior
import numpy as np

# Fewer anchors, or anchors on a narrower part of the picture (standard deviation in widths), are
# no line; nor are anchors whose neighbours in a list by columns are further apart in rows.
LEAST = 20
NARROWEST = 0.1
STEEPEST = 0.02
# Many anchors of one height tell the scale, and little about the power of depth.
SCALE = 0.15
POWER = 0.03
# So much of log depth that falls upwards is taken back, of at most so large a fall: a low ceiling
# does come nearer.
SHARE = 0.5
LARGEST_FALL = 0.3


def is_line(places: Places) -> bool:
    """Return whether anchors lie on one line, straight or stepped, from left to right."""
    if len(places.column) < LEAST or float(np.std(places.column)) < NARROWEST:
        return False
    steps = np.abs(np.diff(places.row[np.argsort(places.column, kind='stable')]))
    return float(np.median(steps)) < STEEPEST


def prior_of(prior: Prior) -> Prior:
    """Return the prior of a field through a line."""
    return replace(prior, scale=SCALE, power=POWER)


def upright(log_depth: np.ndarray, columns: np.ndarray, rows: np.ndarray, line: Places
            ) -> np.ndarray:
    """
    Return corrected log depth (h, w) that falls less above a line of anchors.

    ``columns`` (w,) and ``rows`` (h,) are the places of the grid, as in ``Places``. Columns
    beside the line stay as they are.
    """
    order = np.argsort(line.column, kind='stable')
    column, row = line.column[order], line.row[order]
    cell = columns[1] - columns[0] if len(columns) > 1 else 0.0
    measured = (columns >= column[0] - cell) & (columns <= column[-1] + cell)
    at = np.interp(columns, column, row)
    nearest = np.abs(np.subtract.outer(rows, at)).argmin(0)
    above = (np.arange(len(rows))[:, None] <= nearest) & measured
    farthest = np.maximum.accumulate(np.where(above, log_depth, -np.inf)[::-1])[::-1]
    fall = np.where(above, farthest, log_depth) - log_depth
    return log_depth + SHARE * np.minimum(fall, LARGEST_FALL).astype(log_depth.dtype)
