# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""From pixels to rays and from points to pixels, for cameras with lens distortion."""

from __future__ import annotations

from functools import lru_cache

import cv2
from jrn_perception.messages.camera_info import Intrinsics
import numpy as np

# Pixels by which a ray may miss its pixel. Where a polynomial of distortion folds back, as beyond
# the edge of the calibrated view, pixels have no single ray.
MISS = 0.5
_CRITERIA = (cv2.TERM_CRITERIA_COUNT, 20, 0)


@lru_cache(maxsize=4)
def rays(camera: Intrinsics, size: tuple[int, int], stride: int = 1
         ) -> tuple[np.ndarray, np.ndarray]:
    """
    Return x and y per metre of depth for every ``stride``-th row and column of (height, width).

    Without distortion x has the shape (1, w) and y (h, 1), with distortion both have (h, w). A
    pixel that has no ray is NaN. The arrays are shared: do not write to them.
    """
    rows, columns = (np.arange(0, length, stride, dtype=np.float64) for length in size)
    if not camera.distortion:
        return ((columns - camera.cx) / camera.fx).astype(np.float32)[None], (
            (rows - camera.cy) / camera.fy).astype(np.float32)[:, None]
    pixels = np.stack(np.meshgrid(columns, rows), -1).reshape(-1, 2)
    found = _undistorted(camera, pixels)
    x, y = found.astype(np.float32).T.reshape(2, len(rows), len(columns))
    return x, y


def project(camera: Intrinsics, points: np.ndarray) -> np.ndarray:
    """
    Return the pixels (n, 2), column and row, of points (n, 3) in the optical frame, float64.

    NaN for points that are not finite or not in front of the camera, and for points outside of
    the view to which the lens's coefficients apply.
    """
    points = np.asarray(points, np.float64).reshape(-1, 3)
    with np.errstate(divide='ignore', invalid='ignore'):
        slopes = np.where(points[:, 2:] > 0, points[:, :2] / points[:, 2:], np.nan)
    usable = np.isfinite(slopes).all(1)
    pixels = np.full((len(points), 2), np.nan)
    if usable.any():
        pixels[usable] = _distorted(camera, slopes[usable])
        if camera.distortion:
            found = pixels[usable]
            back = _undistorted(camera, found)
            hits = (np.abs(back - slopes[usable]) * (camera.fx, camera.fy) < MISS).all(1)
            pixels[usable] = np.where(hits[:, None], found, np.nan)
    return pixels


def as_pinhole(camera: Intrinsics, points: np.ndarray) -> np.ndarray:
    """
    Return points (n, 3) that a camera without distortion sees at the pixels of ``points``.

    The depth stays. Points that the camera cannot see are NaN.
    """
    points = np.asarray(points, np.float64).reshape(-1, 3)
    if not camera.distortion:
        return points
    slopes = (project(camera, points) - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
    return np.hstack([slopes * points[:, 2:], points[:, 2:]])


def _distorted(camera: Intrinsics, slopes: np.ndarray) -> np.ndarray:
    """Return the pixels (n, 2) of rays (n, 2)."""
    if not camera.distortion:
        return slopes * (camera.fx, camera.fy) + (camera.cx, camera.cy)
    coefficients, nowhere = np.array(camera.distortion), np.zeros(3)
    directions = np.hstack([slopes, np.ones((len(slopes), 1))])[:, None]
    module = cv2.fisheye if camera.fisheye else cv2
    return module.projectPoints(directions, nowhere, nowhere, camera.matrix,
                                coefficients)[0].reshape(-1, 2)


def _undistorted(camera: Intrinsics, pixels: np.ndarray) -> np.ndarray:
    """Return the rays (n, 2) of pixels (n, 2), NaN for a pixel that has none."""
    coefficients = np.array(camera.distortion)
    if camera.fisheye:
        found = cv2.fisheye.undistortPoints(pixels[:, None], camera.matrix, coefficients)
    else:
        found = cv2.undistortPointsIter(pixels[:, None], camera.matrix, coefficients, np.eye(3),
                                        np.eye(3), _CRITERIA)
    found = found.reshape(-1, 2)
    # OpenCV returns something for every pixel.
    with np.errstate(invalid='ignore', over='ignore'):
        hits = (np.abs(_distorted(camera, found) - pixels) < MISS).all(1)
    return np.where(hits[:, None], found, np.nan)
