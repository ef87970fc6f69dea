# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Anchors of one picture from the measurements of range sensors, in the camera's view."""

from __future__ import annotations

from typing import NamedTuple

from jrn_perception.messages.camera_info import Intrinsics
from jrn_perception.messages.lens import as_pinhole, rays
from jrn_perception.messages.poses import Pose
from jrn_perception.messages.ranges import Cone
from jrn_perception.perception.anchoring import Anchors, anchors_from_points
import numpy as np

# Relative standard deviations. A cone does not say which of its things is so far away.
POINT_DEVIATION, CONE_DEVIATION = 0.01, 0.05
# An image that is not registered is thinned before its points are projected.
IMAGE_POINTS = 20_000


class View(NamedTuple):
    """A picture's camera, and the depth (H, W) that was predicted for it, metres."""

    camera: Intrinsics
    depth: np.ndarray


def of_points(points: np.ndarray, pose: Pose, view: View) -> Anchors:
    """Return the anchors of points (n, 3) in the frame of a sensor at ``pose``."""
    seen = as_pinhole(view.camera, pose.apply(points))
    return anchors_from_points(seen, view.camera.matrix, view.depth.shape,
                               deviation=POINT_DEVIATION)


def points_of_image(depth: np.ndarray, camera: Intrinsics) -> np.ndarray:
    """Return points (n, 3) in the frame of a depth camera for its image (h, w), NaN = invalid."""
    stride = max(1, int(np.sqrt(depth.size / IMAGE_POINTS)))
    x, y = rays(camera, depth.shape, stride)
    z = depth[::stride, ::stride]
    points = np.stack([x * z, y * z, z], -1).reshape(-1, 3)
    return points[np.isfinite(points).all(1)]


def of_cone(cone: Cone, pose: Pose, view: View) -> Anchors:
    """
    Return the one anchor of a single distance, none if the camera does not see the cone.

    The sensor sees the nearest thing in its cone. Which pixel this is, predicted depth says.
    """
    stride = max(1, min(view.depth.shape) // 60)
    x, y = np.broadcast_arrays(*rays(view.camera, view.depth.shape, stride))
    directions = np.stack([x, y, np.ones_like(x)], -1).astype(np.float64)
    offsets = directions * view.depth[::stride, ::stride, None] - pose.translation
    distances = np.linalg.norm(offsets, axis=2)
    with np.errstate(invalid='ignore'):
        inside = offsets @ pose.rotation[:, 0] >= distances * np.cos(cone.angle / 2)
    rows, columns = np.nonzero(inside)
    if not len(rows):  # A beam as thin as a pixel.
        return of_points(np.array([(cone.distance, 0, 0)]), pose, view)
    # Not the very nearest pixel, which may be a stray one.
    rank = len(rows) // 20
    nearest = np.argpartition(distances[rows, columns], rank)[rank]
    row, column = rows[nearest], columns[nearest]
    # The point z * direction has the measured distance from the sensor.
    direction, origin = directions[row, column], pose.translation
    length, along = direction @ direction, direction @ origin
    root = along ** 2 - length * (origin @ origin - cone.distance ** 2)
    z = (along + np.sqrt(root)) / length if root >= 0 else -1.0
    if z <= 0:
        return Anchors.none()
    return Anchors(*(np.array([value], np.float32) for value in (
        column * stride, row * stride, z, CONE_DEVIATION)))
