# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The camera that a CameraInfo describes; the message may come from ROS or from ``rosbags``.

Everything that reads a CameraInfo reads it here. ROS 1 names its fields D, K, R and P, ROS 2 d, k,
r and p; a recording that was converted with its definitions keeps the names of ROS 1.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np


class Intrinsics(NamedTuple):
    """A pinhole camera: focal lengths and principal point, in pixels of its images."""

    fx: float
    fy: float
    cx: float
    cy: float

    @property
    def matrix(self) -> np.ndarray:
        """Return the 3x3 camera matrix, float64."""
        return np.array(((self.fx, 0, self.cx), (0, self.fy, self.cy), (0, 0, 1.)))


class Calibration(NamedTuple):
    """
    The known calibration of the camera that took an image.

    ``info`` is its CameraInfo, None if there is none for images of this size. ``intrinsics`` is
    None without ``info``, and if its K is 0. ``fault`` says in words what is missing; it is empty
    if nothing is.
    """

    info: Any = None
    intrinsics: Intrinsics | None = None
    fault: str = ''


def match(info: Any, size: tuple[int, int]) -> Calibration:
    """Return the calibration in ``info`` (None: no message) for an image of (height, width)."""
    if info is None:
        return Calibration(fault='no camera_info has come')
    height, width = image_size(info)
    if (height, width) != size:
        return Calibration(fault=f'camera_info is for {width}x{height}, the image is '
                                 f'{size[1]}x{size[0]}')
    found = intrinsics(info)
    if found is None:
        return Calibration(info, fault='camera_info has no focal length (K is 0): the camera is '
                                       'not calibrated')
    return Calibration(info, found)


def image_size(info: Any) -> tuple[int, int]:
    """Return the (height, width) of the images: the region of interest after binning."""
    return ((info.roi.height or info.height) // max(1, info.binning_y),
            (info.roi.width or info.width) // max(1, info.binning_x))


def values(info: Any, name: str) -> Any:
    """Return the field d, k, r or p of a CameraInfo under its name in ROS 2 or in ROS 1."""
    return getattr(info, name if hasattr(info, name) else name.upper())


def intrinsics(info: Any) -> Intrinsics | None:
    """
    Return the pinhole camera of the images; None if uncalibrated (K is 0 or not finite).

    K describes the whole sensor. First the region of interest moves the principal point, then
    binning divides all values, as in image_geometry's PinholeCameraModel.
    """
    k = values(info, 'k')
    fx, cx, fy, cy = (float(k[index]) for index in (0, 2, 4, 5))
    if not (fx > 0 and fy > 0 and all(map(math.isfinite, (fx, cx, fy, cy)))):
        return None
    binning_x, binning_y = max(1, info.binning_x), max(1, info.binning_y)
    return Intrinsics(fx / binning_x, fy / binning_y,
                      (cx - info.roi.x_offset) / binning_x, (cy - info.roi.y_offset) / binning_y)
