# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The scale of depth by the camera's known height above the floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Floor:
    """
    A plane that was fitted to the floor in predicted depth.

    ``scale``: factor on the depth that puts the camera at its known height, None if the floor
    does not say; ``reason`` then says why. ``normal`` (3,): up, in the optical frame;
    ``height``: the camera's height in predicted metres; ``tilt``: degrees between the normal and
    ``up``, or the picture's upward axis without it; ``share``: of the floor's pixels on the plane.
    """

    scale: float | None
    reason: str = ''
    normal: np.ndarray | None = None
    height: float = float('nan')
    tilt: float = float('nan')
    share: float = 0.0


def scale_from_floor(depth: np.ndarray, labels: np.ndarray, floor_ids: tuple[int, ...],
                     camera: np.ndarray, height: float, up: np.ndarray | None = None) -> Floor:
    """
    Return the scale that puts the camera ``height`` metres above the floor.

    ``depth``, ``labels`` (H, W): predicted metres and class ids; ``floor_ids``: ids that are floor;
    ``camera`` (3, 3): the picture's matrix; ``up`` (3,): the direction away from gravity in the
    optical frame, if it is known.
    """
    raise NotImplementedError
