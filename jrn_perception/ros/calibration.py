# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What a CameraInfo says of the images it belongs to."""

from __future__ import annotations

from copy import copy

from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header


def image_size(info: CameraInfo) -> tuple[int, int]:
    """Return the (height, width) of the images: the region of interest, binned."""
    return ((info.roi.height or info.height) // max(1, info.binning_y),
            (info.roi.width or info.width) // max(1, info.binning_x))


def focal_length(info: CameraInfo) -> tuple[float, float] | None:
    """Return the focal length (x, y) in pixels of the images; None if uncalibrated (K is 0)."""
    x, y = info.k[0], info.k[4]
    if x <= 0 or y <= 0:
        return None
    return x / max(1, info.binning_x), y / max(1, info.binning_y)


def with_header(info: CameraInfo, header: Header) -> CameraInfo:
    """Return ``info`` under another header: that of the image it was matched with."""
    matched = copy(info)
    matched.header = header
    return matched
