# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Where one frame is in another one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np


class Pose(NamedTuple):
    """A rotation (3, 3) and a translation (3,), metres: a frame's axes and origin in another."""

    rotation: np.ndarray
    translation: np.ndarray

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Return points (n, 3) of the frame in the other frame."""
        return points @ self.rotation.T + self.translation


IDENTITY = Pose(np.eye(3), np.zeros(3))


def from_numbers(values: Any) -> Pose:
    """Return the pose of x y z and a quaternion qx qy qz qw; ValueError for other values."""
    numbers = np.array(values, np.float64)
    length = float(np.linalg.norm(numbers[3:]))
    if numbers.shape != (7,) or not np.isfinite(numbers).all() or length < 1e-6:
        raise ValueError(f'expected seven numbers x y z qx qy qz qw, got {values!r}')
    x, y, z, w = numbers[3:] / length
    return Pose(np.array((
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)))), numbers[:3])


def from_text(text: str) -> Pose:
    """Return the pose of 'x y z qx qy qz qw'; ValueError for other texts."""
    try:
        values = [float(word) for word in text.replace(',', ' ').split()]
    except ValueError:
        values = []
    if len(values) != 7:
        raise ValueError(f'expected seven numbers x y z qx qy qz qw, got {text!r}')
    return from_numbers(values)


def from_transform(transform: Any) -> Pose:
    """Return the pose of a geometry_msgs/Transform."""
    move, turn = transform.translation, transform.rotation
    return from_numbers([move.x, move.y, move.z, turn.x, turn.y, turn.z, turn.w])
