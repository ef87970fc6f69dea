# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
How well the predicted deviation of depth tells its errors.

Sparsification (Ilg et al., "Uncertainty Estimates and Multi-Hypotheses Networks for Optical Flow",
ECCV 2018, Sec. 4.3): the error of the pixels that are left when those with the largest deviation
are taken away, against the same with the largest errors taken away. The area between both curves
is 0 for a deviation that orders the pixels as their errors do.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jrn_perception.evaluation.measures.metrics import Crop
import numpy as np

# So many pixels of each frame are taken.
PIXELS = 2000
STEPS = 50


class Sparsification(NamedTuple):
    """
    Root mean square errors, as shares of that of all pixels, while pixels are taken away.

    ``predicted`` and ``best`` (STEPS,) after k / STEPS of the pixels; ``area`` lies between them;
    ``constant_area`` is the area for a deviation that says nothing. ``coverage`` is the share of
    pixels whose error is within one deviation.
    """

    predicted: np.ndarray
    best: np.ndarray
    area: float
    constant_area: float
    coverage: float


def sparsification(errors: np.ndarray, deviations: np.ndarray) -> Sparsification:
    """Return the curves for errors (n,) and deviations (n,), metres; ValueError without pixels."""
    if not errors.size:
        raise ValueError('no pixel with true depth')
    squares = np.square(errors, dtype=np.float64)

    def curve(by: np.ndarray) -> np.ndarray:
        left = np.cumsum(squares[np.argsort(by, kind='stable')])
        counts = np.maximum(1, errors.size - np.arange(STEPS) * errors.size // STEPS)
        return np.sqrt(left[counts - 1] / counts / max(float(squares.mean()), 1e-12))

    predicted, best = curve(deviations), curve(squares)
    return Sparsification(predicted, best, float((predicted - best).mean()),
                          float((1 - best).mean()),
                          float(np.mean(np.abs(errors) <= deviations)))


def sample(depth: np.ndarray, crop: Crop | None, index: int) -> np.ndarray:
    """Return the flat indices of at most ``PIXELS`` pixels of frame ``index`` with true depth."""
    inside = np.zeros(depth.shape, bool)
    inside[crop or (slice(None), slice(None))] = True
    known = np.flatnonzero(inside & np.isfinite(depth) & (depth > 0))
    return np.random.default_rng((1, index)).permutation(known)[:PIXELS]


def describe(found: Sparsification) -> dict[str, Any]:
    """Return the entries of a document."""
    return found._asdict() | {'removed': np.arange(STEPS) / STEPS}
