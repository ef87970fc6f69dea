# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Anchors: points of one picture whose depth a sensor has measured."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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
        """Return no points: the sensor is silent or too old."""
        return cls(*(np.zeros(0, np.float32) for _ in range(4)))

    def __add__(self, other: Anchors) -> Anchors:
        """Return the points of several sensors together."""
        return Anchors(*(np.concatenate((getattr(self, name), getattr(other, name)))
                         for name in ('column', 'row', 'depth', 'deviation')))


def anchors_from_points(points: np.ndarray, camera: np.ndarray, size: tuple[int, int],
                        distortion: np.ndarray | None = None,
                        deviation: float | np.ndarray = 0.01) -> Anchors:
    """
    Return the anchors of points (n, 3) in the camera's optical frame, metres.

    ``camera`` is the matrix (3, 3) of a picture of ``size`` (height, width), ``distortion`` the
    coefficients in OpenCV's order for a picture that is not rectified. Points that are not finite,
    behind the camera, outside the picture or hidden behind nearer points are left out.
    """
    raise NotImplementedError


def anchors_from_image(depth: np.ndarray, size: tuple[int, int], count: int = 500,
                       deviation: float = 0.01) -> Anchors:
    """
    Return at most ``count`` anchors of a sparse or dense depth image in the camera's view.

    ``depth`` (h, w) in metres is registered to the camera, at any resolution; values that are not
    finite or not positive do not count. ``size`` is the picture's (height, width).
    """
    raise NotImplementedError
