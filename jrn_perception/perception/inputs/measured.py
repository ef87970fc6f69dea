# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Measured depth with holes: resized without the holes, completed, and used as a scale."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
from jrn_perception.perception.inputs.interface import SourceError, Unmeasured
import numpy as np

# Relative difference of the aspects of a picture and of its registered depth image.
SAME_ASPECT = 0.02
# The part of a pixel that has to be measured.
COVERED = 0.25
# A scale and a shift are fitted to so many measured pixels at least.
ENOUGH = 50
# How strongly a coarser average pulls where little was measured, in pixels.
PULL = 0.1


@dataclass(frozen=True)
class Measured:
    """
    Measured depth at the size of a network's maps.

    ``depth`` (h, w) metres, NaN in holes; ``validity`` (h, w), 0..1, the part of each pixel that
    was measured.
    """

    depth: np.ndarray
    validity: np.ndarray


def check_registered(depth: np.ndarray, size: tuple[int, int]) -> None:
    """Raise SourceError unless a depth image covers the view of a picture of this size."""
    if depth.ndim != 2:
        raise SourceError(f'measured depth is (H, W), got {depth.shape}')
    aspect = depth.shape[1] * size[0] / (depth.shape[0] * size[1])
    if abs(aspect - 1) > SAME_ASPECT:
        raise SourceError(f'measured depth of {depth.shape[1]}x{depth.shape[0]} is not registered '
                          f'to a picture of {size[1]}x{size[0]}: the aspect differs')


def shrink(depth: np.ndarray, size: tuple[int, ...]) -> Measured:
    """
    Return metres (H, W), NaN or 0 in holes, at (height, width) ``size``.

    A pixel is the mean of what was measured in it, a hole if that is less than a quarter of it.
    """
    known = np.isfinite(depth) & (depth > 0)
    filled: np.ndarray = np.where(known, depth, 0).astype(np.float32)
    validity: np.ndarray = known.astype(np.float32)
    if depth.shape != size:
        smaller = size[0] * size[1] < depth.shape[0] * depth.shape[1]
        kind = cv2.INTER_AREA if smaller else cv2.INTER_NEAREST
        filled = cv2.resize(filled, size[::-1], interpolation=kind)
        validity = cv2.resize(validity, size[::-1], interpolation=kind)
    covered = validity >= COVERED
    mean = filled / np.maximum(validity, COVERED)
    return Measured(np.where(covered, mean, np.float32(np.nan)),
                    np.where(covered, validity, np.float32(0)))


def smooth_field(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """
    Return a smooth field (h, w) that follows ``values`` where ``weights`` (h, w) are positive.

    Averages over blocks of 2, 4, 8, ... pixels fill what finer blocks leave open. Where nothing
    has a weight the field is 0.
    """
    levels = [(values * weights, weights)]
    while min(levels[-1][1].shape) > 1:
        values, weights = levels[-1]
        levels.append((_halve(values), _halve(weights)))
    total, weight = (float(array.sum()) for array in levels[-1])
    field: np.ndarray = np.full(levels[-1][1].shape, total / weight if weight else 0, np.float32)
    for values, weights in reversed(levels):
        field = cv2.resize(field, weights.shape[::-1], interpolation=cv2.INTER_LINEAR)
        field = (values + PULL * field) / (weights + PULL)
    return field


def _halve(array: np.ndarray) -> np.ndarray:
    size = tuple(max(1, -(-length // 2)) for length in array.shape[::-1])
    # Sums, not means: a block counts by what was measured in it.
    return cv2.resize(array, size, interpolation=cv2.INTER_AREA) * np.float32(
        array.size / (size[0] * size[1]))


def complete(measured: Measured, predicted: np.ndarray) -> np.ndarray:
    """
    Return metres (h, w) without holes: the measurement, and ``predicted`` depth scaled to it.

    The factor is a smooth field, fitted to the logarithms of the ratio of both where there is a
    measurement. Without any, the result is ``predicted``.
    """
    known = measured.validity > 0
    predicted = np.maximum(predicted, np.float32(1e-3))
    ratio = np.where(known, np.log(np.where(known, measured.depth, 1) / predicted), 0)
    field = smooth_field(ratio.astype(np.float32), measured.validity)
    return np.where(known, measured.depth, predicted * np.exp(field)).astype(np.float32)


def nearest(depth: np.ndarray) -> np.ndarray:
    """Return metres (h, w) whose holes, NaN, have the nearest pixel's value; NaN without any."""
    known = np.isfinite(depth)
    if not known.any():
        return depth
    _, label = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE,
        labelType=cv2.DIST_LABEL_PIXEL)
    values = np.zeros(label.max() + 1, np.float32)
    values[label[known]] = depth[known]
    return values[label]


def scaled(values: np.ndarray, unit: str, measured: Measured | None) -> np.ndarray:
    """
    Return metres (h, w) for ``values`` of ``unit``, relative or disparity.

    Scale and shift are fitted to the measurement: to metres for relative depth, to 1 / metres for
    disparity, by least squares without the worst of the pixels. Raises Unmeasured if too little is
    measured, or if the values do not rise with the measured ones.
    """
    if measured is None:
        raise Unmeasured(f'depth in the unit {unit} has no scale: it needs measured depth')
    known = measured.validity > 0
    if known.sum() < ENOUGH:
        raise Unmeasured(f'depth in the unit {unit} needs {ENOUGH} measured pixels for its scale, '
                         f'there are {int(known.sum())}')
    target = measured.depth[known].astype(np.float64)
    if unit == 'disparity':
        target = 1 / target
    given = values[known].astype(np.float64)
    keep = np.ones(len(given), bool)
    for _ in range(4):
        centre, mean = given[keep] - given[keep].mean(), target[keep].mean()
        spread = float(centre @ centre)
        scale = float(centre @ (target[keep] - mean)) / spread if spread > 1e-12 else 0.
        shift = mean - scale * given[keep].mean()
        error = np.abs(scale * given + shift - target)
        keep = error <= max(3 * np.median(error), 1e-9)
    if scale <= 0:
        raise Unmeasured(f'depth in the unit {unit} does not rise with the measured depth: no '
                         'scale can be fitted')
    found = scale * values + shift
    if unit == 'disparity':
        found = 1 / np.maximum(found, 1e-3)
    return np.maximum(found, 1e-3).astype(np.float32)
