# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Measured distances from PointCloud2, LaserScan and Range messages as arrays, without ROS.

``messages.maps`` reads depth images. A distance that is not finite or outside of the limits in the
message is no measurement (REP 117).
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

# The numbers in sensor_msgs/PointField.
_TYPES = {1: 'i1', 2: 'u1', 3: 'i2', 4: 'u2', 5: 'i4', 6: 'u4', 7: 'f4', 8: 'f8'}


class BadRange(ValueError):
    """A message that holds no distances; the text says why, in one line."""


class Cone(NamedTuple):
    """
    A Range message: something is ``distance`` metres away, inside a cone around the x axis.

    ``angle`` is the angle between the sides of the cone in radians.
    """

    distance: float
    angle: float


def cloud_points(msg: Any) -> np.ndarray:
    """
    Return the finite points of a PointCloud2 in its frame, float64 (n, 3), metres.

    Raises BadRange for a cloud without x, y and z and for data that is too short.
    """
    fields = {field.name: field for field in msg.fields}
    if not {'x', 'y', 'z'} <= set(fields):
        names = ' '.join(', '.join(fields).split())
        raise BadRange(f'the cloud has the fields {names or "none"}, not x, y and z')
    order = '>' if msg.is_bigendian else '<'
    try:
        layout = np.dtype({
            'names': ['x', 'y', 'z'], 'itemsize': msg.point_step,
            'formats': [f'{order}{_TYPES[fields[axis].datatype]}' for axis in 'xyz'],
            'offsets': [fields[axis].offset for axis in 'xyz']})
    except (KeyError, ValueError) as error:
        raise BadRange(f'x, y and z do not fit into points of {msg.point_step} bytes') from error
    row_bytes = msg.width * msg.point_step
    if msg.row_step < row_bytes or len(msg.data) < msg.height * msg.row_step:
        raise BadRange(f'the data has {len(msg.data)} bytes in rows of {msg.row_step}; '
                       f'{msg.width}x{msg.height} points of {msg.point_step} bytes need more')
    data = np.frombuffer(msg.data, np.uint8, msg.height * msg.row_step)
    rows = np.ascontiguousarray(data.reshape(msg.height, msg.row_step)[:, :row_bytes])
    values = rows.reshape(-1).view(layout)
    points = np.stack([values[axis] for axis in 'xyz'], -1).astype(np.float64)
    return points[np.isfinite(points).all(1)]


def scan_points(msg: Any) -> np.ndarray:
    """Return the points of a LaserScan in its frame, float64 (n, 3), metres; z is 0."""
    distances = np.asarray(msg.ranges, np.float64)
    angles = msg.angle_min + msg.angle_increment * np.arange(len(distances))
    with np.errstate(invalid='ignore'):
        valid = (np.isfinite(distances) & (distances >= msg.range_min)
                 & (distances <= msg.range_max) & (distances > 0))
    distances, angles = distances[valid], angles[valid]
    return np.stack([distances * np.cos(angles), distances * np.sin(angles),
                     np.zeros(len(angles))], -1)


def cone(msg: Any) -> Cone | None:
    """Return the measurement of a Range message, None if the sensor has seen nothing."""
    # REP 117: -Inf is too near, +Inf too far. Some drivers publish the limit itself instead.
    if not msg.min_range <= msg.range < msg.max_range or not 0 < msg.range < math.inf:
        return None
    return Cone(float(msg.range), float(msg.field_of_view))
