# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The scale of depth by the camera's known height above the floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
import math

import cv2
import numpy as np

# The floor needs this share of the picture, and this share of its height from top to bottom.
SHARE = 0.02
EXTENT = 0.08
# A pixel is on the plane if its depth differs by less than this share; of the floor's pixels so
# many must be: stairs and ramps have fewer.
ON_PLANE = 0.08
PLANAR = 0.6
# Degrees between the plane and the floor that gravity wants: a ramp, or a wrong prediction.
TILT = 15.0
# Without gravity, degrees that a camera may look up or down, or hang askew.
LOOKS = 60.0
SCALES = (1 / 3, 3.0)
# Of the logarithm of a scale one half is believed at this roughness. Fitted on validation frames:
# docs/range.md.
FLAT, FLAT_WITH_GRAVITY = 0.01, 0.02
PIXELS = 3000
ROUNDS = 8


@dataclass(frozen=True)
class Floor:
    """
    A plane that was fitted to the floor in predicted depth.

    ``ratio`` is the factor on the depth that puts the camera at its known height. ``scale`` is the
    part of it that is believed, because the depth of a floor that is not predicted flat has other
    errors than its scale; it is the factor to apply. It is None if the floor does not tell;
    ``reason`` then says why. ``normal`` (3,) points up, in the optical frame; ``height`` is the
    camera's height in predicted metres; ``tilt`` are degrees between the normal and ``up``, or the
    picture's own upward axis without it; ``share`` of the floor's pixels lie on the plane;
    ``roughness`` is their median relative distance from it.
    """

    scale: float | None
    reason: str = ''
    normal: np.ndarray | None = None
    height: float = math.nan
    tilt: float = math.nan
    share: float = 0.0
    roughness: float = 0.0
    ratio: float = math.nan


def scale_from_floor(depth: np.ndarray, labels: np.ndarray, floor_ids: Sequence[int],
                     camera: np.ndarray, height: float, up: np.ndarray | None = None) -> Floor:
    """
    Return the scale that puts the camera about ``height`` metres above the floor.

    ``depth``, ``labels`` (H, W): predicted metres and class ids; ``floor_ids``: ids that are
    floor; ``camera`` (3, 3): the matrix of the picture, which is rectified; ``up`` (3,): the
    direction away from gravity in the optical frame (x right, y down, z forward), None if it is
    not known. With ``up`` the height is measured along it, otherwise along the plane's normal.
    Raises ValueError for a height that is not positive.
    """
    if not height > 0:
        raise ValueError(f'camera height {height}: metres above the floor')
    rays, inverse = _floor_pixels(depth, labels, floor_ids, np.asarray(camera, np.float64))
    if len(rays) < SHARE * PIXELS:
        return Floor(None, 'no floor is seen')
    if np.ptp(rays[:, 1]) * camera[1, 1] < EXTENT * depth.shape[0]:
        return Floor(None, 'too narrow a strip of floor is seen')
    plane, share, roughness = _fit(rays, inverse)
    found_height = 1 / float(np.linalg.norm(plane))
    normal = -plane * found_height
    upward = np.array((0., -1., 0.)) if up is None else np.asarray(up) / np.linalg.norm(up)
    tilt = math.degrees(math.acos(float(np.clip(normal @ upward, -1, 1))))
    if up is not None:
        found_height = float(np.median(-(rays @ upward) / inverse))
    found = Floor(None, '', normal, found_height, tilt, share, roughness)
    if share < PLANAR:
        return _refused(found, f'only {share:.0%} of the floor lie in one plane')
    if tilt > (LOOKS if up is None else TILT):
        return _refused(found, f'the floor is tilted by {tilt:.0f} degrees')
    if not found_height > 0 or not SCALES[0] < height / found_height < SCALES[1]:
        return _refused(found, f'the floor is {found_height:.2f} m below the camera, which is at '
                               f'{height:g} m')
    ratio = height / found_height
    flat = FLAT if up is None else FLAT_WITH_GRAVITY
    return replace(found, ratio=ratio, scale=ratio ** (1 / (1 + (roughness / flat) ** 2)))


def _refused(found: Floor, reason: str) -> Floor:
    return replace(found, reason=reason)


def _floor_pixels(depth: np.ndarray, labels: np.ndarray, floor_ids: Sequence[int],
                  camera: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return rays (n, 3) with z = 1 and inverse depths (n,) of pixels well inside the floor."""
    table = np.zeros(256, np.uint8)
    table[list(floor_ids)] = 1
    # Labels are least certain, and depth smeared, at the border of the floor.
    inside = cv2.erode(table[labels], np.ones((9, 9), np.uint8))
    # So that PIXELS is the whole picture, and the share of the floor its number of pixels.
    stride = max(1, round(math.sqrt(depth.size / PIXELS)))
    part = slice(stride // 2, None, stride)
    metres = depth[part, part]
    rows, columns = np.nonzero((inside[part, part] > 0) & np.isfinite(metres) & (metres > 0))
    rays = np.column_stack((
        (columns * stride + stride // 2 - camera[0, 2]) / camera[0, 0],
        (rows * stride + stride // 2 - camera[1, 2]) / camera[1, 1], np.ones(len(rows))))
    return rays, 1 / metres[rows, columns].astype(np.float64)


def _fit(rays: np.ndarray, inverse: np.ndarray) -> tuple[np.ndarray, float, float]:
    """
    Return the plane p (3,) with p . ray = inverse depth, the share of pixels on it, and roughness.

    A plane n . X = h is p = n / h. Errors count relative to the depth (Tukey's biweight).
    """
    weights = np.ones(len(rays))
    for _ in range(ROUNDS):
        scaled = rays / inverse[:, None] * np.sqrt(weights)[:, None]
        plane = np.linalg.lstsq(scaled, np.sqrt(weights), rcond=None)[0]
        errors = np.abs(rays @ plane / inverse - 1)
        limit = max(3 * float(np.median(errors)), 0.02)
        weights = np.maximum(1 - (errors / limit) ** 2, 0) ** 2
        if np.count_nonzero(weights) < 3:
            break
    return plane, float(np.mean(errors < ON_PLANE)), float(np.median(errors))
