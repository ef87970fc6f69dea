# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Steady output: the maps of a network averaged over the last pictures, where nothing has moved.

The average is made at the resolution of the maps, whose cells are some pixels wide. A cell is
averaged with its own past alone, and its past is forgotten as soon as the picture or the depth
changes there.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
import math

import cv2
from jrn_perception.perception.backends.interface import ArrayMaps
import numpy as np

# A cell's past counts fully if the largest change of its mean colour, of 255 levels, is below the
# first, and not at all from the second on.
STILL, MOVED = 4.0, 12.0
# Nor does it count where depth changes by more than this share of it, or than so many times the
# median change where the network is noisier; never more than the last share.
DEPTH_JUMP, NOISE, LARGEST_JUMP = 0.1, 4.0, 0.3
# If more than this share of the cells has moved, the scene or the camera has: nothing counts.
CUT = 0.5
# Nor after so many seconds without a picture.
GAP_S = 1.0


@dataclass
class _Average:
    """Values (h, w) or (h, w, K) and the weight (h, w) of all pictures that they contain."""

    values: np.ndarray
    weight: np.ndarray

    def add(self, values: np.ndarray, weight: np.ndarray, keep: np.ndarray) -> None:
        """Add ``values``; ``keep`` (h, w), 0..1, is the part of the past that counts."""
        past = self.weight * keep
        part, fresh = weight / (past + weight), past <= 0
        self.weight = np.where(_known(values), past + weight, np.float32(0))
        if values.ndim == 3:
            part, fresh = part[..., None], fresh[..., None]
        mixed = self.values + part * (values - self.values)
        # Without a past the new value stands alone. A value that is not finite has no weight.
        self.values = np.where(fresh, values, mixed)


class TemporalFilter:
    """The average of one camera and one network over time."""

    def __init__(self) -> None:
        self._picture: _Average | None = None
        self._depth: _Average | None = None
        self._semantics: _Average | None = None
        self._seconds = -math.inf
        self._key: Hashable = None

    def forget(self) -> None:
        """Begin anew with the next picture: another network, or another camera."""
        self._picture = self._depth = self._semantics = None

    def __call__(self, maps: ArrayMaps, picture: np.ndarray, seconds: float,
                 time_constant: float, camera: Hashable = None) -> ArrayMaps:
        """
        Return the ``maps`` of one picture, depth and semantics averaged with those before.

        ``picture`` is the network's input, uint8 (H, W, 3), ``seconds`` its stamp. The weight of
        a picture is the probability of the predicted class, and falls to 37 % within
        ``time_constant`` seconds, more than 0. Logits are averaged: the probabilities that follow
        are the normalised geometric mean, less certain where pictures disagree. Averaged depth
        differs from ``maps.depth`` by at most 10 % of it, 30 % if depth is noisy, and is NaN where
        the depth of the picture is.
        Everything is forgotten if the stamp goes back or jumps by more than ``GAP_S``, ``camera``
        or a size changes, or most of the picture does.
        """
        shape = next(values.shape[1:3] for values in (maps.depth, maps.semantics)
                     if values is not None)
        elapsed, self._seconds = seconds - self._seconds, seconds
        key, self._key = self._key, (camera, picture.shape, shape)
        if key != self._key or not 0 <= elapsed <= GAP_S:
            self.forget()
        colours = cv2.resize(picture, shape[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
        confidence = _confidence(maps.semantics, shape)
        keep = np.float32(0)
        if self._picture is not None:
            keep = self._unmoved(self._picture.values, colours, maps.depth)
            keep = keep * np.float32(math.exp(-elapsed / time_constant))
        self._picture = _averaged(self._picture, colours, confidence, keep)
        depth, semantics = maps.depth, maps.semantics
        if depth is not None:
            self._depth = _averaged(self._depth, depth[0], confidence, keep)
            depth = self._depth.values[None]
        if semantics is not None:
            self._semantics = _averaged(self._semantics, semantics[0], confidence, keep)
            semantics = self._semantics.values[None]
        return replace(maps, depth=depth, semantics=semantics)

    def _unmoved(self, before: np.ndarray, colours: np.ndarray, depth: np.ndarray | None
                 ) -> np.ndarray:
        """Return how far the past of each cell counts, float32 (h, w), 0..1."""
        change = np.abs(colours - before).max(2)
        keep = np.clip((MOVED - change) / (MOVED - STILL), 0, 1)
        if np.count_nonzero(keep < 0.5) > CUT * keep.size:
            return np.zeros_like(keep)
        # The cells beside a moved one contain a part of it.
        keep = cv2.erode(keep, np.ones((3, 3), np.uint8))
        if depth is not None and self._depth is not None:
            with np.errstate(invalid='ignore', divide='ignore'):
                jump = np.abs(self._depth.values - depth[0]) / np.abs(depth[0])
            known = jump[np.isfinite(jump)]
            usual = NOISE * float(np.median(known)) if known.size else 0.0
            keep[jump > min(max(DEPTH_JUMP, usual), LARGEST_JUMP)] = 0
        return keep


def _averaged(average: _Average | None, values: np.ndarray, weight: np.ndarray,
              keep: np.ndarray) -> _Average:
    if average is None:
        return _Average(values, np.where(_known(values), weight, np.float32(0)))
    average.add(values, weight, keep)
    return average


def _known(values: np.ndarray) -> np.ndarray:
    return np.isfinite(values if values.ndim == 2 else values[..., 0])


def _confidence(semantics: np.ndarray | None, shape: tuple[int, int]) -> np.ndarray:
    """Return the probability of the predicted class, float32 (h, w); 1 without semantics."""
    if semantics is None:
        return np.ones(shape, np.float32)
    logits = semantics[0]
    return 1 / np.exp(logits - logits.max(2, keepdims=True)).sum(2)
