# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The fit of the deviation of depth to annotated frames, see ``perception.deviation``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from jrn_perception.datasets.subsets import Undamaged
from jrn_perception.evaluation.measures.comparison import Comparison, Protocol
from jrn_perception.evaluation.measures.sparsification import sample
from jrn_perception.frame import Frame
from jrn_perception.perception import Perception
from jrn_perception.perception.deviation import FEATURES, features
from jrn_perception.perception.stream import stream, Track, untracked
import numpy as np

# The share of a normal distribution within one deviation.
WITHIN = 0.6827
# Errors below this many metres are noise of the ground truth.
NOISE = 0.05
# Of the regression on normalised features. Pixels of a frame err alike, so there is less to learn
# from than pixels: 3000 gave smaller areas than 300 on the halves that were not fitted.
RIDGE = 3000.0


class Fit(NamedTuple):
    """Coefficients of ``perception.deviation``, and the number of pixels they were fitted to."""

    coefficients: tuple[float, ...]
    pixels: int


def fit(perception: Perception, frames: Sequence[Frame], protocol: Protocol | None = None,
        track: Track = untracked) -> Fit:
    """
    Fit the deviation of depth to ``frames``, which the network has not learned from.

    First the logarithms of the errors are regressed on the features; then one factor makes the
    share ``WITHIN`` of the errors smaller than the deviation. Raises ValueError without depth.
    """
    comparison = Comparison(perception, frames.labels, protocol or Protocol())
    rows: list[np.ndarray] = []
    errors: list[np.ndarray] = []
    source = Undamaged(frames, 'raise')
    for step in track(stream(perception, range(len(frames)), comparison.reader(source)),
                      len(frames)):
        frame, prediction = step.frame, step.prediction
        if frame.depth is None or prediction.depth is None:
            continue
        chosen = sample(frame.depth, comparison.protocol.crop, step.item)
        scale, size = prediction.depth_scale, frame.depth.shape
        grid = features(prediction.depth / np.float32(scale), prediction.confidence)
        row, column = np.divmod(chosen, size[1])
        rows.append(grid[row * grid.shape[0] // size[0], column * grid.shape[1] // size[1]])
        errors.append((prediction.depth - frame.depth).reshape(-1)[chosen] / scale)
    if not errors or not sum(map(len, errors)):
        raise ValueError('no pixel has both predicted and true depth')
    found = fit_coefficients(np.concatenate(rows), np.abs(np.concatenate(errors)))
    return Fit(found, sum(map(len, errors)))


def fit_coefficients(rows: np.ndarray, errors: np.ndarray) -> tuple[float, ...]:
    """Return the coefficients for features (n, 7) and absolute errors (n,), metres."""
    rows = rows.astype(np.float64)
    mean, spread = rows.mean(0), rows.std(0)
    # The constant, and a confidence that is always 0, have no spread.
    varies = spread > 1e-6
    scaled = np.where(varies, (rows - mean) / np.where(varies, spread, 1), 0)
    logs = np.log(errors + NOISE)
    slopes = np.linalg.solve(scaled.T @ scaled + RIDGE * np.eye(len(FEATURES)),
                             scaled.T @ (logs - logs.mean()))
    slopes = np.where(varies, slopes / np.where(varies, spread, 1), 0)
    slopes[0] = logs.mean() - mean @ slopes
    slopes[0] += np.log(np.quantile(errors / np.exp(rows @ slopes), WITHIN))
    return tuple(round(float(value), 5) for value in slopes)
