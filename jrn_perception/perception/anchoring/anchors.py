# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Anchors: points of one picture whose depth a sensor has measured."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

# The correction uses at most so many points, spread over the picture.
COUNT = 500
ENOUGH = 20
# A point is hidden if a neighbour within this share of the picture's width is nearer than this
# share of the point's depth. A floor 5 m away changes by less within that distance.
NEIGHBOURHOOD = 0.015
HIDDEN = 0.8
# Neighbouring pixels of a depth image that differ by more than this factor are an edge.
EDGE = 1.1
# Metres: nearer points are the sensor's own housing.
NEAREST = 0.05


@dataclass(frozen=True)
class Anchors:
    """
    Points with measured depth in one picture.

    ``column``, ``row`` (n,): pixels, 0 is the centre of the first pixel; ``depth`` (n,): metres
    along the optical axis; ``deviation`` (n,): relative standard deviation, e.g. 0.01.
    """

    column: np.ndarray
    row: np.ndarray
    depth: np.ndarray
    deviation: np.ndarray

    def __len__(self) -> int:
        return len(self.depth)

    @classmethod
    def none(cls) -> Anchors:
        """Return no points: the sensor is silent, or its last message is too old."""
        return cls(*(np.zeros(0, np.float32) for _ in range(4)))

    def __add__(self, other: Anchors) -> Anchors:
        """Return the points of several sensors together."""
        return Anchors(*(np.concatenate((getattr(self, name), getattr(other, name)))
                         for name in ('column', 'row', 'depth', 'deviation')))

    def chosen(self, which: np.ndarray) -> Anchors:
        """Return the points of an index or mask."""
        return Anchors(self.column[which], self.row[which], self.depth[which],
                       self.deviation[which])


def anchors_from_points(points: np.ndarray, camera: np.ndarray, size: tuple[int, int],
                        deviation: float | np.ndarray = 0.01) -> Anchors:
    """
    Return the anchors of points (n, 3) in the camera's optical frame, metres.

    ``camera`` is the matrix (3, 3) of a picture of ``size`` (height, width) without distortion;
    ``messages.lens.as_pinhole`` gives the points that such a camera sees in place of a distorting
    one. Points are left out that are not finite, behind the camera, outside the picture, or hidden
    behind nearer points; of the others at most ``COUNT`` are kept, spread over the picture.
    ``deviation`` is one number or (n,). Raises ValueError for another shape.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f'points are (n, 3), not {points.shape}')
    deviations = np.broadcast_to(np.float32(deviation), len(points))
    ahead = np.isfinite(points).all(1)
    ahead &= np.where(ahead, points[:, 2], 0) > NEAREST
    points, deviations = points[ahead], deviations[ahead]
    pixels = (points[:, :2] / points[:, 2:] * (camera[0, 0], camera[1, 1])
              + (camera[0, 2], camera[1, 2]))
    height, width = size
    seen = np.all((pixels >= -0.5) & (pixels < (width - 0.5, height - 0.5)), 1)
    found = Anchors(pixels[seen, 0], pixels[seen, 1], points[seen, 2].astype(np.float32),
                    deviations[seen])
    return thinned(found.chosen(~_hidden(found, size)), size)


def anchors_from_image(depth: np.ndarray, size: tuple[int, int], count: int = COUNT,
                       deviation: float = 0.01) -> Anchors:
    """
    Return at most ``count`` anchors of a sparse or dense depth image in the camera's view.

    ``depth`` (h, w) in metres is registered to the camera, at any resolution. Values that are not
    finite or not positive do not count, nor do pixels at edges, where the depth of a sensor that
    looks from beside the camera is most often wrong. ``size`` is the picture's (height, width).
    Raises ValueError for another shape.
    """
    if depth.ndim != 2:
        raise ValueError(f'a depth image is (h, w), not {depth.shape}')
    valid = np.isfinite(depth) & (depth > 0)
    near = np.where(valid, depth, np.float32(np.inf)).astype(np.float32)
    far = np.where(valid, depth, np.float32(0)).astype(np.float32)
    square = np.ones((3, 3), np.uint8)
    flat = cv2.dilate(far, square) / EDGE < cv2.erode(near, square)
    rows, columns = np.nonzero(valid & flat)
    found = Anchors((columns + 0.5) * size[1] / depth.shape[1] - 0.5,
                    (rows + 0.5) * size[0] / depth.shape[0] - 0.5,
                    depth[rows, columns].astype(np.float32),
                    np.full(len(rows), deviation, np.float32))
    return thinned(found, size, count)


def thinned(anchors: Anchors, size: tuple[int, int], count: int = COUNT) -> Anchors:
    """Return at most ``count`` of the anchors, spread over the picture, always the same."""
    if len(anchors) <= count:
        return anchors
    # The first point of each cell; smaller cells until there are enough points.
    side = (size[0] * size[1] / count) ** 0.5
    # A dense depth image has many more points than are needed to fill the cells.
    order = np.random.default_rng(0).permutation(len(anchors))[:ENOUGH * count]
    while True:
        columns = (anchors.column[order] / side).astype(int) + 1
        rows = (anchors.row[order] / side).astype(int) + 1
        _, first = np.unique(rows * int(size[1] / side + 3) + columns, return_index=True)
        if len(first) >= count or side < 0.5:
            break
        side /= 2 ** 0.5
    return anchors.chosen(order[np.sort(first)[:count]])


def _hidden(anchors: Anchors, size: tuple[int, int]) -> np.ndarray:
    """Return which anchors (n,) have a much nearer anchor beside them."""
    side = max(1.0, NEIGHBOURHOOD * size[1])
    columns = ((anchors.column + 0.5) / side).astype(int)
    rows = ((anchors.row + 0.5) / side).astype(int)
    nearest = np.full((int(size[0] / side) + 1, int(size[1] / side) + 1), np.inf, np.float32)
    # Of several values for one cell, NumPy keeps the last.
    far_to_near = np.argsort(-anchors.depth, kind='stable')
    nearest[rows[far_to_near], columns[far_to_near]] = anchors.depth[far_to_near]
    around = cv2.erode(nearest, np.ones((3, 3), np.uint8))
    return around[rows, columns] < HIDDEN * anchors.depth
