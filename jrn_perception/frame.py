# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A picture with its ground truth and its camera, as every source yields it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Frame:
    """
    One picture, with ground truth and camera if the source has them.

    ``rgb`` is uint8 (H, W, 3). ``depth`` is the true depth, float32 (H, W), metres along the
    optical axis, NaN = unknown. ``labels`` are the true class ids of the source's label set, uint8
    (H, W), 255 = unlabelled. ``camera_matrix`` is the 3x3 pinhole matrix in pixels of ``rgb``.
    ``pose`` is the 4x4 matrix from the camera's coordinates (right, down, forward; metres) to the
    world's. ``stamp_ns`` counts nanoseconds on the source's own clock. ``measured`` is what a
    depth camera saw of the same view, float32 metres of any resolution, NaN in holes; None without
    one.
    """

    rgb: np.ndarray
    name: str = ''
    stamp_ns: int = 0
    depth: np.ndarray | None = None
    labels: np.ndarray | None = None
    camera_matrix: np.ndarray | None = None
    pose: np.ndarray | None = None
    measured: np.ndarray | None = None

    @property
    def focal_length(self) -> tuple[float, float] | None:
        """Return (x, y) in pixels, None if the camera is not known."""
        return None if self.camera_matrix is None else tuple(np.diag(self.camera_matrix)[:2])
