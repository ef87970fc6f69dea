# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The bootstrap over images: how far a number would move with other images of the same kind.

A statistic is a function of ``weights`` (R, N): how often each of N images counts in each of R
data sets. Weights of one give the estimate, resamplings give its interval. The difference of two
networks is made under the same weights for both: its interval is paired, image by image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
import warnings

from jrn_perception.evaluation.measures.metrics import (
    depth_metrics,
    LABEL_METRICS,
    label_metrics,
    METRICS,
    Table,
)
import numpy as np

RESAMPLES = 1000
SEED = 0
CONFIDENCE_LEVEL = 0.95


class Estimate(NamedTuple):
    """
    A value and the ends of its percentile interval: numbers, or arrays (...).

    The interval holds the share ``CONFIDENCE_LEVEL`` of the drawings.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def resamplings(images: int, count: int = RESAMPLES, seed: int = SEED) -> np.ndarray:
    """
    Return weights (count, images), each row a drawing of ``images`` images with replacement.

    The same arguments give the same drawings. Raises ValueError without images.
    """
    if images < 1:
        raise ValueError('no image to draw from')
    rng = np.random.default_rng(seed)
    return rng.multinomial(images, np.full(images, 1 / images), count).astype(float)


def estimate(statistic: Callable[[np.ndarray], np.ndarray], weights: np.ndarray) -> Estimate:
    """
    Return the statistic over all images and its interval under the drawings ``weights``.

    ``statistic`` maps weights (R, N) to (R, ...). Drawings for which the statistic is undefined
    (NaN: a rare class is in none of the drawn images) do not count.
    """
    value = statistic(np.ones((1, weights.shape[1])))[0]
    samples = statistic(weights)
    if not samples.size:  # No classes: nanquantile loses the shape of an empty array.
        return Estimate(value, value, value)
    with warnings.catch_warnings():
        # A statistic that is undefined in all drawings has an undefined interval.
        warnings.filterwarnings('ignore', 'All-NaN slice', RuntimeWarning)
        low, high = np.nanquantile(
            samples, ((1 - CONFIDENCE_LEVEL) / 2, (1 + CONFIDENCE_LEVEL) / 2), axis=0)
    return Estimate(value, low, high)


def pool(sums: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted totals (R, ...) of the images' sums (N, ...)."""
    return np.tensordot(weights, sums, 1)


def average(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the weighted mean (R,) of the images' values (N,), undefined values left out."""
    defined = np.isfinite(values)
    with np.errstate(invalid='ignore'):
        return (weights[:, defined] @ values[defined]) / weights[:, defined].sum(1)


def pooled(table: Table, name: str) -> Callable[[np.ndarray], np.ndarray]:
    """Return a metric as a function of weights (R, N): over the pixels of all images together."""
    if name in LABEL_METRICS:
        labels = table.labels.sum(1)
        return lambda weights: getattr(label_metrics(pool(labels, weights)), name)
    depth = table.depth.sum((1, 2))
    return lambda weights: getattr(depth_metrics(pool(depth, weights)), name)


def image_values(table: Table, name: str) -> np.ndarray:
    """Return a metric of each image (N,), NaN for an image without such ground truth."""
    return pooled(table, name)(np.eye(len(table)))


def gains(output: Table, inputs: Table) -> dict[str, Estimate]:
    """
    Return output minus inputs of each pooled metric, with paired intervals.

    Both tables hold the same images in the same order, and each drawing of images counts for both:
    the interval says how far the difference would move, not the two numbers. Raises ValueError for
    tables of different images.
    """
    if output.names != inputs.names:
        raise ValueError('a paired interval needs the same images in both tables')
    drawings = resamplings(len(output))

    def difference(name: str) -> Estimate:
        new, old = pooled(output, name), pooled(inputs, name)
        return estimate(lambda weights: new(weights) - old(weights), drawings)

    return {name: difference(name) for name in METRICS}
