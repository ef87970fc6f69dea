# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""From a picture to the network's input: sizes, resizing, and the camera's focal length."""

from __future__ import annotations

import math

import cv2
import numpy as np

# Inference sizes are multiples of the coarsest feature map's stride: no row or column is padding.
STRIDE = 32
# Relative; a card rounds to 0.001 pixels.
SAME_CAMERA = 1e-5


def resize_picture(rgb: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """
    Return (H, W, 3) at (height, width) ``size``, the same way in training and at inference.

    The sharpness of the result moves predicted depth by a few per cent.
    """
    shrinks = size[0] * size[1] < rgb.shape[0] * rgb.shape[1]
    return cv2.resize(rgb, size[::-1],
                      interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)


def input_size_for(trained: tuple[int, int], height: int, width: int) -> tuple[int, int]:
    """
    Return the (height, width) of a network's input for a picture of this size.

    As many pixels as ``trained`` (height, width), in the picture's aspect: constant cost.
    """
    scale = math.sqrt(trained[0] * trained[1] / (height * width))
    return multiple_of_stride(scale * height), multiple_of_stride(scale * width)


def focal_ratio(of: tuple[float, float], to: tuple[float, float]) -> float:
    """
    Return how much longer one focal length (x, y) is than another, in pixels of the same input.

    Under the longer focal length the same picture shows things that are farther away in
    proportion. 1 if both are equal but for the rounding of a card.
    """
    ratio = math.sqrt(of[0] * of[1] / (to[0] * to[1]))
    return 1.0 if abs(ratio - 1) < SAME_CAMERA else ratio


def multiple_of_stride(length: float) -> int:
    """Return the multiple of ``STRIDE`` next to a length, at least one."""
    return max(STRIDE, STRIDE * round(length / STRIDE))
