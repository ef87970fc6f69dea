# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What a network says about one picture, at the picture's size."""

from __future__ import annotations

from functools import cached_property
import math

import cv2
from jrn_perception.labels import LabelSet, UNLABELLED
from jrn_perception.networks.interface import Maps
import numpy as np
from torch import Tensor

# Logits are enlarged as far towards the picture's size as this many values go, before the class is
# decided; the rest of the way decisions are copied. Five classes fit at 640x480. All the way for
# forty takes 10 ms, more than all else around the network, and changes a pixel in forty:
# benchmarks/upsampling.py.
LOGIT_BUDGET = 2 ** 21


class Prediction:
    """
    What a network says about one picture, at the picture's size.

    Each property is computed when it is first read, so that nobody pays for what nobody wants.
    ``depth``: float32 (H, W), metres along the optical axis. ``labels``: uint8 (H, W), ids of
    ``label_set``. ``confidence``: float32 (H, W), 0..1, the largest class probability, decided at
    the network's resolution and interpolated. ``inputs``: the unrefined prediction that a JRN
    started from. ``depth_scale``: what the network's depth was multiplied by for the camera's
    focal length. What the network does not predict is None.
    """

    def __init__(self, maps: Maps, size: tuple[int, int], label_set: LabelSet | None,
                 depth_scale: float = 1.0):
        self._maps, self._size, self.label_set = maps, size, label_set
        self.depth_scale = depth_scale

    @cached_property
    def depth(self) -> np.ndarray | None:
        if self._maps.depth is None:
            return None
        depth = self.depth_scale * self._maps.depth[0, 0].float()
        return _enlarge(depth.cpu().numpy(), self._size, smooth=True)

    @cached_property
    def labels(self) -> np.ndarray | None:
        if self._maps.semantics is None:
            return None
        logits = self._logits.numpy()
        height, width, count = logits.shape
        scale = math.sqrt(LOGIT_BUDGET / (height * width * count))
        size = (max(height, min(self._size[0], int(height * scale))),
                max(width, min(self._size[1], int(width * scale))))
        # OpenCV and NumPy on (h, w, K) take a tenth of torch's time on (K, h, w) here.
        labels = _enlarge(logits, size, smooth=True).argmax(2).astype(np.uint8)
        return _enlarge(labels, self._size, smooth=False)

    @cached_property
    def confidence(self) -> np.ndarray | None:
        if self._maps.semantics is None:
            return None
        # The softmax of the largest logit, without the other K - 1 quotients.
        largest = (self._logits.amax(2) - self._logits.logsumexp(2)).exp()
        return _enlarge(largest.numpy(), self._size, smooth=True)

    @cached_property
    def inputs(self) -> Prediction | None:
        if self._maps.inputs is None:
            return None
        return Prediction(self._maps.inputs, self._size, self.label_set, self.depth_scale)

    @cached_property
    def normals(self) -> np.ndarray | None:
        """Return surface normals, float32 (H, W, 3) of length 1, where the network has them."""
        if self._maps.normals is None:
            return None
        normals = self._maps.normals[0].permute(1, 2, 0).float().cpu().contiguous().numpy()
        normals = _enlarge(normals, self._size, smooth=True)
        return normals / np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-6)

    @cached_property
    def influence_depth(self) -> np.ndarray | None:
        """Return metres by which semantics moved the depth, float32 (H, W); see ``Influence``."""
        if self._maps.influence is None:
            return None
        moved = self.depth_scale * self._maps.influence.depth[0, 0].float()
        return _enlarge(moved.cpu().numpy(), self._size, smooth=True)

    @cached_property
    def influence_semantics(self) -> np.ndarray | None:
        """Return the probability that depth added to the class, float32 (H, W), -1..1."""
        if self._maps.influence is None:
            return None
        moved = self._maps.influence.semantics[0, 0].float()
        return _enlarge(moved.cpu().numpy(), self._size, smooth=True)

    @cached_property
    def mean_influence(self) -> tuple[float, float] | None:
        """Return mean absolute metres and mean absolute probability of both influences."""
        if self._maps.influence is None:
            return None
        # Of the enlarged maps, which interpolation between unlike signs has made smaller: the
        # numbers are to be those of what is published.
        depth, semantics = (float(np.abs(moved).mean(dtype=np.float64))
                            for moved in (self.influence_depth, self.influence_semantics))
        return depth, semantics

    @cached_property
    def _logits(self) -> Tensor:
        """Return the logits (h, w, K) on the CPU; a view of a channels_last network's output."""
        return self._maps.semantics[0].permute(1, 2, 0).float().cpu().contiguous()


def limit_depth(depth: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return a copy of ``depth`` with NaN, "invalid" (REP 118), outside ``low``..``high``."""
    return np.where((depth >= low) & (depth <= high), depth, np.float32(math.nan))


def limit_labels(prediction: Prediction, threshold: float) -> np.ndarray:
    """Return the labels with 255 where the confidence is below ``threshold``."""
    if threshold <= 0:
        return prediction.labels
    return np.where(prediction.confidence >= threshold, prediction.labels, np.uint8(UNLABELLED))


def _enlarge(array: np.ndarray, size: tuple[int, int], smooth: bool) -> np.ndarray:
    interpolation = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST_EXACT
    return cv2.resize(array, size[::-1], interpolation=interpolation)
