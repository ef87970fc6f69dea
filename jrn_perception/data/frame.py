# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What every source of pictures yields."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


def resize_picture(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """
    Return (H, W, 3) at (height, width) ``size``, as networks get it, in training and at work.

    How sharp that is moves what they say of depth by a few per cent.
    """
    shrinks = size[0] * size[1] < rgb.shape[0] * rgb.shape[1]
    return cv2.resize(rgb, size[::-1],
                      interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


@dataclass(frozen=True)
class Frame:
    """
    One picture and what is known about it.

    ``rgb`` is uint8 (H, W, 3). Ground truth, where a source has it: ``depth`` is float32 (H, W),
    metres along the optical axis, NaN = unknown; ``labels`` is uint8 (H, W), class ids of the
    source's label set, 255 = unlabelled. ``camera_matrix`` is the 3x3 pinhole matrix in pixels of
    ``rgb``. ``stamp_ns`` counts nanoseconds on the source's own clock.
    """

    rgb: np.ndarray
    name: str = ''
    stamp_ns: int = 0
    depth: np.ndarray | None = None
    labels: np.ndarray | None = None
    camera_matrix: np.ndarray | None = None
