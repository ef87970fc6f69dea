# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Whether a confidence is the share of pixels that are right: the expected calibration error (ECE).

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, Eq. 3, pooled over the labelled
pixels inside the crop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from jrn_perception.evaluation.measures.bootstrap import Estimate, estimate, pool, resamplings
from jrn_perception.evaluation.measures.metrics import Truth
import numpy as np

# The field's number of bins of equal width, and the sums over the pixels of each.
BINS = 15
CALIBRATION_SUMS = ('pixels', 'hit', 'confidence')


class Bins(NamedTuple):
    """Pixels, mean confidence and share of right pixels of each bin (..., 15), NaN if empty."""

    pixels: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray


class Calibration:
    """
    The sums of each image of a data set, in order: ``sums`` (N, 15, 3).

    The last axis is ``CALIBRATION_SUMS``; an image without labels, true or predicted, has zeros.
    ``first + second`` has the images of both.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self._sums: list[np.ndarray] = []

    def add(self, name: str, truth: Truth, labels: np.ndarray | None = None,
            confidence: np.ndarray | None = None) -> None:
        """Append an image by its class ids and their confidence, (H, W) each, or None."""
        if labels is None or confidence is None:
            found = np.zeros((BINS, len(CALIBRATION_SUMS)))
        else:
            found = calibration_sums(truth.labelled(labels) == truth.label_ids,
                                     truth.labelled(confidence))
        self.names.append(name)
        self._sums.append(found)

    def __len__(self) -> int:
        return len(self.names)

    def __add__(self, other: Calibration) -> Calibration:
        merged = Calibration()
        merged.names = self.names + other.names
        merged._sums = self._sums + other._sums
        return merged

    @property
    def sums(self) -> np.ndarray:
        return np.array(self._sums, float).reshape(-1, BINS, len(CALIBRATION_SUMS))


def calibration_sums(hit: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """
    Return float64 (15, 3), ``CALIBRATION_SUMS`` by bin of confidence.

    ``hit`` (n,) says whether a pixel's label is right, ``confidence`` (n,) is 0..1. Bin m of M is
    ((m - 1) / M, m / M]. Raises ValueError for another confidence.
    """
    # Interpolation may exceed 1 by a rounding error.
    wrong = confidence.size - np.count_nonzero((confidence >= 0) & (confidence <= 1 + 1e-5))
    if wrong:
        raise ValueError(f'the confidence is not between 0 and 1 at {wrong} pixels')
    bins = np.clip(np.ceil(confidence * BINS).astype(np.intp) - 1, 0, BINS - 1)
    return np.stack([np.bincount(bins, weights, BINS) for weights in (None, hit, confidence)],
                    -1).astype(float)


def bins_of(sums: np.ndarray) -> Bins:
    """Return the bins of sums (..., 15, 3)."""
    pixels, hit, confidence = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid='ignore'):
        return Bins(pixels, confidence / pixels, hit / pixels)


def ece(sums: np.ndarray) -> np.ndarray:
    """
    Return the expected calibration error (...) of sums (..., 15, 3), 0..1; NaN without pixels.

    It is the mean over all pixels of the distance |accuracy - mean confidence| of their bin.
    """
    pixels, hit, confidence = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid='ignore'):
        return np.abs(hit - confidence).sum(-1) / pixels.sum(-1)


def pooled_ece(calibration: Calibration) -> Callable[[np.ndarray], np.ndarray]:
    """Return the error as a function of weights (R, N) of the images, see ``bootstrap``."""
    sums = calibration.sums
    return lambda weights: ece(pool(sums, weights))


def ece_estimate(calibration: Calibration) -> Estimate:
    """Return the error over all images, with its bootstrap interval."""
    return estimate(pooled_ece(calibration), resamplings(len(calibration)))


def ece_gain(output: Calibration, inputs: Calibration) -> Estimate:
    """
    Return the error of output minus the error of inputs, with its paired interval.

    Raises ValueError for different images.
    """
    if output.names != inputs.names:
        raise ValueError('a paired interval needs the same images in both tables')
    new, old = pooled_ece(output), pooled_ece(inputs)
    return estimate(lambda weights: new(weights) - old(weights), resamplings(len(output)))
