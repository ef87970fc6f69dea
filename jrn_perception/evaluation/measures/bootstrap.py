# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
How far a number would move with other images of the same kind: the bootstrap over images.

A statistic is a function of ``weights`` (R, N): how often each of N images counts in each of R
data sets. Ones give the estimate, resamplings its interval; two networks under the same weights
are compared image by image (paired).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
import warnings

import numpy as np

RESAMPLES = 1000
SEED = 0
LEVEL = 0.95


class Estimate(NamedTuple):
    """A value and the ends of its percentile interval (``LEVEL``), numbers or arrays."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def resamplings(images: int, count: int = RESAMPLES, seed: int = SEED) -> np.ndarray:
    """Return weights (count, images), each row a drawing of ``images`` images with replacement."""
    if images < 1:
        raise ValueError('no image to draw from')
    rng = np.random.default_rng(seed)
    return rng.multinomial(images, np.full(images, 1 / images), count).astype(float)


def estimate(statistic: Callable[[np.ndarray], np.ndarray], weights: np.ndarray) -> Estimate:
    """
    Return the statistic over all images and its interval under the drawings ``weights``.

    ``statistic`` maps (R, N) to (R, ...). Drawings in which it is undefined (NaN: a rare class in
    none of the images) do not count.
    """
    value = statistic(np.ones((1, weights.shape[1])))[0]
    samples = statistic(weights)
    if not samples.size:  # No classes: of an empty array nanquantile forgets the shape.
        return Estimate(value, value, value)
    with warnings.catch_warnings():
        # What is undefined in all drawings has an undefined interval.
        warnings.filterwarnings('ignore', 'All-NaN slice', RuntimeWarning)
        low, high = np.nanquantile(samples, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    return Estimate(value, low, high)


def pool(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted totals (R, ...) of the images' sums (N, ...)."""
    return np.tensordot(weights, sums, 1)


def average(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean (R,) of the images' values (N,), without the undefined ones."""
    defined = np.isfinite(values)
    with np.errstate(invalid='ignore'):
        return (weights[:, defined] @ values[defined]) / weights[:, defined].sum(1)
