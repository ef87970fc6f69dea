# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The camera that a CameraInfo describes; the message may come from ROS or from ``rosbags``.

K and D describe the raw image, P the rectified one (REP 104). All code takes its camera from here.
ROS 1 names the fields D, K, R and P, ROS 2 d, k, r and p; a recording that was converted with its
definitions keeps the names of ROS 1.
"""

from __future__ import annotations

import math
import re
from typing import Any, NamedTuple

import numpy as np

# The names in sensor_msgs/distortion_models.hpp, '' for drivers that leave the name out, and the
# numbers of coefficients that OpenCV accepts.
_FISHEYE = {'equidistant', 'fisheye'}
_POLYNOMIAL = {'', 'plumb_bob', 'rational_polynomial'}
_COUNTS = (4, 5, 8, 12, 14)


class Intrinsics(NamedTuple):
    """
    A camera: focal lengths and principal point, in pixels of its images, and its lens.

    ``distortion`` has the lens's coefficients in OpenCV's order, those of ``cv2.fisheye`` if
    ``fisheye``. It is empty for an ideal lens and for rectified images.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()
    fisheye: bool = False

    @property
    def matrix(self) -> np.ndarray:
        """Return the 3x3 camera matrix, float64."""
        return np.array(((self.fx, 0, self.cx), (0, self.fy, self.cy), (0, 0, 1.)))


class Calibration(NamedTuple):
    """
    The known calibration of the camera that took an image.

    ``info`` is its CameraInfo, None if there is none for images of this size. ``intrinsics`` is
    None without ``info``, and if the camera is not calibrated. ``fault`` says in words what is
    missing; it is empty if nothing is.
    """

    info: Any = None
    intrinsics: Intrinsics | None = None
    fault: str = ''


def match(info: Any, size: tuple[int, int], rectified: bool = False) -> Calibration:
    """
    Return the calibration in ``info`` (None: no message) for an image of (height, width).

    A ``rectified`` image belongs to P and has no lens distortion, a raw image to K and D.
    """
    if info is None:
        return Calibration(fault='no camera_info has come')
    height, width = image_size(info)
    if (height, width) != size:
        return Calibration(fault=f'camera_info is for {width}x{height}, the image is '
                                 f'{size[1]}x{size[0]}')
    try:
        return Calibration(info, intrinsics(info, rectified))
    except ValueError as error:
        return Calibration(info, fault=str(error))


def is_rectified(topic: str) -> bool:
    """
    Return whether the name of an image topic says that its images are rectified.

    image_proc publishes ``image_rect`` and ``image_rect_color``, RealSense ``image_rect_raw``, ZED
    ``rgb/color/rect/image``.
    """
    names = topic.split('/')
    if names[-1] in ('compressed', 'theora', 'ffmpeg'):
        names.pop()
    return bool({'rect', 'rectified'} & {*names, *re.split('_', names[-1])})


def image_size(info: Any) -> tuple[int, int]:
    """Return the (height, width) of the images: the region of interest after binning."""
    return ((info.roi.height or info.height) // max(1, info.binning_y),
            (info.roi.width or info.width) // max(1, info.binning_x))


def values(info: Any, name: str) -> Any:
    """Return the field d, k, r or p of a CameraInfo under its name in ROS 2 or in ROS 1."""
    return getattr(info, name if hasattr(info, name) else name.upper())


def intrinsics(info: Any, rectified: bool = False) -> Intrinsics:
    """
    Return the camera of the raw or rectified images; ValueError if it is not calibrated.

    K and P describe the whole sensor. First the region of interest moves the principal point, then
    binning divides all values, as in image_geometry's PinholeCameraModel.
    """
    k, d = values(info, 'k'), values(info, 'd')
    p: Any = values(info, 'p') if rectified else ()
    lens: tuple[tuple[float, ...], bool] = (), False
    if rectified and p[0] > 0 and p[5] > 0:
        fx, cx, fy, cy = (float(p[index]) for index in (0, 2, 5, 6))
    elif rectified and any(d):
        raise ValueError('camera_info has no projection matrix (P is 0), which a rectified image '
                         'needs: the camera is not calibrated')
    else:
        # Without distortion the raw image and the rectified image are the same.
        fx, cx, fy, cy = (float(k[index]) for index in (0, 2, 4, 5))
        lens = _lens(info)
    if not (fx > 0 and fy > 0 and all(map(math.isfinite, (fx, cx, fy, cy)))):
        raise ValueError('camera_info has no focal length (K is 0): the camera is not calibrated')
    binning_x, binning_y = max(1, info.binning_x), max(1, info.binning_y)
    return Intrinsics(fx / binning_x, fy / binning_y,
                      (cx - info.roi.x_offset) / binning_x, (cy - info.roi.y_offset) / binning_y,
                      *lens)


def _lens(info: Any) -> tuple[tuple[float, ...], bool]:
    """Return the distortion of the raw image, () for none, and whether it is a fisheye's."""
    distortion = tuple(map(float, values(info, 'd')))
    if not any(distortion):
        return (), False
    model = info.distortion_model
    fisheye = model in _FISHEYE
    counts = (4,) if fisheye else _COUNTS
    if not fisheye and model not in _POLYNOMIAL:
        raise ValueError(f'camera_info has the unknown distortion model {model!r}')
    if len(distortion) not in counts or not np.isfinite(distortion).all():
        raise ValueError(f'camera_info has {len(distortion)} distortion coefficients for '
                         f'{model!r}, expected {" or ".join(map(str, counts))} numbers')
    return distortion, fisheye
