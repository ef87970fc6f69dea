# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Surface normals from depth and the camera alone."""

from __future__ import annotations

import cv2
from jrn_perception.messages.camera_info import Intrinsics
from jrn_perception.messages.lens import rays
import numpy as np

# Pixels of the square that a normal is measured over. Predicted depth has the detail of the
# network, a quarter of its input, so that a smaller square would measure interpolation.
WINDOW = 7


def surface_normals(depth: np.ndarray, camera: Intrinsics) -> np.ndarray:
    """
    Return the unit normals of the surfaces, float32 (H, W, 3), in the camera's optical frame.

    ``depth``: float32 (H, W), metres along the optical axis; ``camera`` in pixels of it. Normals
    point to the camera. They are exact for planes, because differences between points of a plane
    lie in the plane. NaN where a pixel of the window has no depth or no ray.
    """
    x, y = rays(camera, depth.shape)
    z = np.where(np.abs(depth) < np.inf, depth, np.float32(np.nan))
    points = np.stack(np.broadcast_arrays(x * z, y * z, z), -1)
    along, down = (cv2.Sobel(points, cv2.CV_32F, *order, ksize=WINDOW,
                             borderType=cv2.BORDER_REPLICATE) for order in ((1, 0), (0, 1)))
    normals = np.cross(down, along)
    with np.errstate(invalid='ignore', divide='ignore'):
        normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    away = (normals * points).sum(2, keepdims=True) > 0
    return np.where(away, -normals, normals)
