# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The standard deviation of predicted depth, from what the network says anyway.

The logarithm of the deviation is a linear function of a few features. The errors of a network on
annotated frames give its coefficients (``evaluation.measures.deviation``), which are in the card.
Anchors lower the deviation around them (``perception.anchoring``).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

FEATURES = ('constant', 'log_depth', 'log_depth_squared', 'confidence', 'row', 'row_squared',
            'edges')
# The deviation is computed on every so many pixels: it is smooth.
STEP = 4
# Pixels of that grid over which the confidence is averaged, and over which depth has edges.
BLUR = 11
EDGES = 15
# The part of the variance that anchors can take away; the rest is the error of single pixels. The
# errors have heavy tails: anchors lower the deviation, which contains 68 % of the errors, by more
# than the root of the variance. Both were fitted to the validation frames: docs/range.md.
SMOOTH = 0.95
EXPONENT = 0.88


def features(depth: np.ndarray, confidence: np.ndarray | None) -> np.ndarray:
    """
    Return the features float32 (h, w, 7), see ``FEATURES``, on a coarse grid of the picture.

    ``depth`` (H, W) in metres of the training camera; ``confidence`` (H, W) of the labels, 0..1,
    None without semantics. Where depth is not positive the features are those of 1 mm. ``edges``
    is the range of logarithmic depth around a pixel: a network knows less well where an edge is
    than how far the things on both sides are.
    """
    size = tuple(max(1, round(length / STEP)) for length in depth.shape[::-1])
    log = np.log(np.maximum(cv2.resize(depth, size, interpolation=cv2.INTER_AREA), 1e-3))
    sure = np.zeros_like(log) if confidence is None else cv2.blur(
        cv2.resize(confidence, size, interpolation=cv2.INTER_AREA), (BLUR, BLUR))
    row = np.broadcast_to(np.linspace(0, 1, size[1], dtype=np.float32)[:, None], log.shape)
    around = np.ones((EDGES, EDGES), np.uint8)
    edges = cv2.dilate(log, around) - cv2.erode(log, around)
    return np.stack((np.ones_like(log), log, log ** 2, sure, row, row ** 2, edges), -1)


def deviation(depth: np.ndarray, confidence: np.ndarray | None, coefficients: Sequence[float]
              ) -> np.ndarray:
    """
    Return the standard deviation of ``depth``, float32 (H, W), metres of the same camera.

    ``coefficients`` are those of the first ``FEATURES``: weights from before ``edges`` was one of
    them have six.
    """
    logs = features(depth, confidence)[..., :len(coefficients)] @ np.asarray(
        coefficients, np.float32)
    # The fit says nothing about depth far beyond what it has seen.
    return cv2.resize(np.exp(np.clip(logs, -6, 3)), depth.shape[::-1],
                      interpolation=cv2.INTER_LINEAR)


def lowered(deviation: np.ndarray, remaining: np.ndarray) -> np.ndarray:
    """
    Return the deviation (H, W) of depth that anchors have corrected.

    ``deviation`` is that of the same depth without anchors, ``remaining`` (h, w), 0..1, what the
    anchors leave of the variance of the error that anchors can correct, on a coarse grid.
    """
    factor = (1 - SMOOTH * (1 - remaining)) ** EXPONENT
    return deviation * cv2.resize(factor.astype(np.float32), deviation.shape[::-1],
                                  interpolation=cv2.INTER_LINEAR)
