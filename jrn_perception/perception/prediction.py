# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A network's prediction for one picture, at the picture's size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import copy
from dataclasses import replace
from functools import cached_property
import math

import cv2
from jrn_perception.labels import LabelSet, UNLABELLED
from jrn_perception.perception.backends.interface import ArrayMaps
from jrn_perception.perception.deviation import deviation, lowered
import numpy as np

# Logits are enlarged towards the picture's size until they are this many values, then the class
# is decided; for the rest of the way decisions are copied. Five classes fit at 640x480. Forty
# classes at full size take 10 ms, more than all else around the network, and change one pixel in
# forty: benchmarks/upsampling.py.
LOGIT_BUDGET = 2 ** 21
# Above this share of pixels between different classes, enlarging all logits is faster.
MIXED_LIMIT = 0.2


class Prediction:
    """
    A network's prediction for one picture, at the picture's size (H, W).

    Each property is computed when it is first read, so that an output that nobody reads costs
    nothing. An output that the network does not have is None. ``maps`` are those of one picture.
    ``depth_scale`` is the factor on the network's depth for the camera's focal length.
    ``depth_range`` (low, high) are the metres that the network was trained on, before that factor.
    ``temperature`` divides the logits for ``confidence`` alone. It changes neither the labels nor
    the influence, and not ``inputs``, which are the probabilities that the JRN was given.
    ``coefficients`` are those of ``depth_deviation``, see ``perception.deviation``.
    """

    def __init__(self, maps: ArrayMaps, size: tuple[int, int], label_set: LabelSet | None,
                 depth_scale: float = 1.0, depth_range: tuple[float, float] = (0.0, math.inf),
                 temperature: float = 1.0, coefficients: Sequence[float] | None = None):
        self._maps, self._size, self._deviation = maps, size, coefficients
        self.label_set = label_set
        self.depth_scale, self.depth_range = depth_scale, depth_range
        self.temperature = temperature
        # The prediction before its depth was corrected, and what that leaves of the variance.
        self._before: Prediction | None = None
        self._remaining: Callable[[], np.ndarray] | None = None

    @classmethod
    def of_arrays(cls, depth: np.ndarray, labels: np.ndarray, confidence: np.ndarray,
                  label_set: LabelSet | None, depth_scale: float = 1.0,
                  depth_range: tuple[float, float] = (0.0, math.inf)) -> Prediction:
        """Return a prediction that has the picture's size already, as a node publishes it."""
        prediction = cls(ArrayMaps(), depth.shape, label_set, depth_scale, depth_range)
        # In place of the cached properties.
        vars(prediction).update(depth=depth, labels=labels, confidence=confidence)
        return prediction

    def with_depth(self, depth: np.ndarray, scale: float = 1.0,
                   remaining: Callable[[], np.ndarray] | None = None) -> Prediction:
        """
        Return the same prediction with other ``depth``, float32 (H, W), such as corrected depth.

        ``scale`` is the factor between both on the whole, which the limits of depth and the
        influence on depth share. The deviation of each pixel changes by the factor on its depth;
        where anchors have corrected depth, ``remaining`` (``Anchoring.remaining``) lowers it.
        """
        other = copy.copy(self)
        other.depth_scale = self.depth_scale * scale
        for name in ('influence_depth', 'mean_influence', 'inputs', 'depth_deviation'):
            vars(other).pop(name, None)
        other._before, other._remaining = self, remaining
        # In place of the cached property.
        vars(other).update(depth=depth)
        return other

    def folded(self, matrix: np.ndarray, label_set: LabelSet) -> Prediction:
        """
        Return the same prediction in the n coarser classes of ``label_set``.

        ``matrix`` (n, K) is 0/1 (``labels.fold_matrix``): probabilities are summed. The sums at
        temperature 1 decide the labels. The sums of the probabilities at ``temperature`` are the
        confidence, because the temperature was fitted to the finer classes.
        """
        folded = Prediction(_folded(self._maps, matrix), self._size, label_set, self.depth_scale,
                            self.depth_range, self.temperature)
        if self.temperature != 1 and self._tempered is not None:
            # In place of the cached property.
            vars(folded).update(_tempered=fold_logits(self._tempered, matrix))
        return folded

    @cached_property
    def depth(self) -> np.ndarray | None:
        """Return metres along the optical axis, float32 (H, W)."""
        return self._scaled(self._maps.depth)

    @cached_property
    def depth_deviation(self) -> np.ndarray | None:
        """
        Return the standard deviation of ``depth``, metres, float32 (H, W).

        None if it was not fitted to this network, and for folded classes, because it was fitted
        to the confidence of the network's own.
        """
        if self._deviation is None or self.depth is None:
            return None
        if self._before is not None:
            return self._corrected_deviation(self._before)
        scale = np.float32(self.depth_scale)
        return scale * deviation(self.depth / scale, self.confidence, self._deviation)

    def _corrected_deviation(self, before: Prediction) -> np.ndarray | None:
        if before.depth is None or before.depth_deviation is None or self.depth is None:
            return None
        known = before.depth > 0
        found = before.depth_deviation * np.where(
            known, self.depth / np.where(known, before.depth, 1), 1)
        return found if self._remaining is None else lowered(found, self._remaining())

    @cached_property
    def labels(self) -> np.ndarray | None:
        """Return ids of ``label_set``, uint8 (H, W)."""
        logits = self._logits
        if logits is None:
            return None
        height, width, count = logits.shape
        scale = math.sqrt(LOGIT_BUDGET / (height * width * count))
        size = (max(height, min(self._size[0], int(height * scale))),
                max(width, min(self._size[1], int(width * scale))))
        return _enlarge(_decide(logits, self._decisions, size), self._size, smooth=False)

    @cached_property
    def confidence(self) -> np.ndarray | None:
        """
        Return the probability of the most probable class, float32 (H, W), 0..1.

        It is the softmax of logits / ``temperature``, decided at the network's resolution, then
        interpolated.
        """
        logits, tempered = self._logits, self._tempered
        if logits is None or tempered is None:
            return None
        # Where classes were folded, another class may be the most probable at the temperature.
        chosen = np.take_along_axis(tempered, self._decisions[..., None], 2)
        # The softmax of the chosen class, without the other K - 1 quotients.
        return _enlarge(1 / np.exp(tempered - chosen).sum(2), self._size, smooth=True)

    def logits_at(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray | None:
        """Return logits (n, K) at n pixels of the picture, interpolated, at temperature 1."""
        logits = self._logits
        return None if logits is None else _interpolate(logits, self._size, rows, columns)

    @cached_property
    def normals(self) -> np.ndarray | None:
        """Return surface normals, float32 (H, W, 3) of length 1."""
        if self._maps.normals is None:
            return None
        normals = _enlarge(self._maps.normals[0], self._size, smooth=True)
        return normals / np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-6)

    @cached_property
    def inputs(self) -> Prediction | None:
        """Return the unrefined prediction that a JRN started from."""
        if self._maps.inputs is None:
            return None
        return Prediction(self._maps.inputs, self._size, self.label_set, self.depth_scale,
                          self.depth_range)

    @cached_property
    def influence_depth(self) -> np.ndarray | None:
        """Return metres by which semantics moved the depth, float32 (H, W); see ``Influence``."""
        return None if self._maps.influence is None else self._scaled(self._maps.influence.depth)

    @cached_property
    def influence_semantics(self) -> np.ndarray | None:
        """Return the probability that depth added to the class, float32 (H, W), -1..1."""
        if self._maps.influence is None:
            return None
        return _enlarge(self._maps.influence.semantics[0], self._size, smooth=True)

    @cached_property
    def mean_influence(self) -> tuple[float, float] | None:
        """Return mean absolute metres and mean absolute probability of both influences."""
        depth, semantics = self.influence_depth, self.influence_semantics
        if depth is None or semantics is None:
            return None
        # Means of the enlarged maps, in which interpolation between unlike signs has made values
        # smaller: the numbers describe the maps that are published.
        return (float(np.abs(depth).mean(dtype=np.float64)),
                float(np.abs(semantics).mean(dtype=np.float64)))

    def depth_limits(self, min_depth: float = 0.0, max_depth: float = 0.0
                     ) -> tuple[float, float]:
        """
        Return the metres between which depth is valid; 0 takes the network's own limit.

        The network's limits are metres of the training camera: they are scaled as its depth is.
        """
        low, high = self.depth_range
        return min_depth or self.depth_scale * low, max_depth or self.depth_scale * high

    def valid_depth(self, min_depth: float = 0.0, max_depth: float = 0.0) -> np.ndarray | None:
        """Return ``depth`` with NaN, "invalid" (REP 118), outside ``depth_limits``."""
        if self.depth is None:
            return None
        low, high = self.depth_limits(min_depth, max_depth)
        valid = (self.depth >= low) & (self.depth <= high)
        return np.where(valid, self.depth, np.float32(math.nan))

    def confident_labels(self, threshold: float) -> np.ndarray | None:
        """Return ``labels`` with 255, unlabelled, where ``confidence`` is below ``threshold``."""
        if threshold <= 0 or self.labels is None or self.confidence is None:
            return self.labels
        return np.where(self.confidence >= threshold, self.labels, np.uint8(UNLABELLED))

    @property
    def _logits(self) -> np.ndarray | None:
        return None if self._maps.semantics is None else self._maps.semantics[0]

    @cached_property
    def _decisions(self) -> np.ndarray:
        """Return the class ids (h, w) at the network's resolution."""
        assert self._logits is not None
        return self._logits.argmax(2)

    @cached_property
    def _tempered(self) -> np.ndarray | None:
        logits = self._logits
        if logits is None or self.temperature == 1:
            return logits
        return logits / np.float32(self.temperature)

    def _scaled(self, metres: np.ndarray | None) -> np.ndarray | None:
        if metres is None:
            return None
        return _enlarge(np.float32(self.depth_scale) * metres[0], self._size, smooth=True)


def fold_logits(logits: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """
    Return log probabilities (..., n) of coarser classes for logits (..., K).

    ``matrix`` (n, K) is 0/1: probabilities are summed, and bounded from below by 1e-8.
    """
    probabilities = np.exp(logits - logits.max(-1, keepdims=True))
    probabilities /= probabilities.sum(-1, keepdims=True)
    folded = probabilities @ matrix.T.astype(np.float32)
    return np.log(np.maximum(folded, np.float32(1e-8)))


def _folded(maps: ArrayMaps, matrix: np.ndarray) -> ArrayMaps:
    semantics = None if maps.semantics is None else fold_logits(maps.semantics, matrix)
    inputs = None if maps.inputs is None else _folded(maps.inputs, matrix)
    return replace(maps, semantics=semantics, inputs=inputs)


def _decide(logits: np.ndarray, decisions: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """
    Return the class ids, uint8 of ``size``, of logits (h, w, K) that are enlarged to it.

    ``decisions`` (h, w) are the class ids before. Between four pixels of one class each mean of
    their logits has this class as well, so that only the logits at borders are enlarged.
    """
    classes = decisions.astype(np.uint8)
    # Whether a pixel has the class of its neighbours to the right, below and in between.
    next_ = np.pad(classes, (0, 1), mode='edge')
    same = classes == next_[1:, :-1]
    for neighbour in (next_[:-1, 1:], next_[1:, 1:]):
        same &= classes == neighbour
    upper, left = (_neighbours(np.arange(length), length, source)[0]
                   for length, source in zip(size, decisions.shape))
    rows, columns = np.nonzero(~_pick(same, upper, left))
    if len(rows) > MIXED_LIMIT * size[0] * size[1]:
        return _enlarge(logits, size, smooth=True).argmax(2).astype(np.uint8)
    labels = _pick(classes, upper, left)
    labels[rows, columns] = _interpolate(logits, size, rows, columns).argmax(1)
    return labels


def _pick(array: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    # In a quarter of the time of np.ix_.
    return array.take(rows, 0).take(columns, 1)


def _interpolate(array: np.ndarray, size: tuple[int, int], rows: np.ndarray, columns: np.ndarray
                 ) -> np.ndarray:
    """Return values (n, K) of an array (h, w, K) at n places of its enlargement to ``size``."""
    # cv2.remap does the same, but for at most four channels.
    height, width, count = array.shape
    upper, lower, down = _neighbours(rows, size[0], height)
    left, right, across = _neighbours(columns, size[1], width)
    pixels = array.reshape(-1, count)
    above, below = (pixels.take(row * width + left, 0) * (1 - across)
                    + pixels.take(row * width + right, 0) * across for row in (upper, lower))
    return above * (1 - down) + below * down


def _neighbours(places: np.ndarray, size: int, source: int
                ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the two source pixels of each place (n,) and the weight (n, 1) of the second."""
    found = np.clip((places + 0.5) * source / size - 0.5, 0, source - 1)
    first = found.astype(int)
    return first, np.minimum(first + 1, source - 1), np.float32(found - first)[:, None]


def _enlarge(array: np.ndarray, size: tuple[int, int], smooth: bool) -> np.ndarray:
    interpolation = cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST_EXACT
    return cv2.resize(array, size[::-1], interpolation=interpolation)
