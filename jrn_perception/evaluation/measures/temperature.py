# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The temperature that turns a network's confidence into the share of pixels that are right.

Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, Sec. 4.2: the logits are divided
by one number, fitted to annotated frames that the network has not learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import math

from jrn_perception.datasets.subsets import Undamaged
from jrn_perception.evaluation.measures.calibration import Calibration
from jrn_perception.evaluation.measures.comparison import Comparison, frame_truth, Protocol
from jrn_perception.evaluation.measures.metrics import Truth
from jrn_perception.frame import Frame
from jrn_perception.perception import Perception, Prediction
from jrn_perception.perception.stream import stream, Track, untracked
import numpy as np

# A fitted temperature lies between these.
TEMPERATURES = (0.1, 10.0)
# The golden-section search ends when the logarithm of the temperature is known to this.
TOLERANCE = 1e-4
# The fit takes at most about so many pixels of all frames, the same share of each frame.
PIXELS = 300_000


@dataclass(frozen=True)
class Fit:
    """
    A temperature, the number of pixels it was fitted to, and the calibration of all pixels.

    ``before`` is the calibration with the temperature of the card, ``after`` with the fitted one.
    """

    temperature: float
    pixels: int
    before: Calibration
    after: Calibration


def fit(perception: Perception, frames: Sequence[Frame], protocol: Protocol | None = None,
        track: Track = untracked) -> Fit:
    """
    Fit a temperature to the labelled pixels of ``frames``, a sequence with ``labels``.

    The same frames give the same temperature, which has four decimals. Raises ValueError if the
    network predicts no labels, if the frames have coarser classes than the network, and the errors
    of ``fit_temperature``.
    """
    if perception.label_set is None:
        raise ValueError(f'{perception.source}: predicts no labels, so it has no confidence')
    comparison = Comparison(perception, frames.labels, protocol or Protocol())
    if comparison.labels != perception.label_set:
        raise ValueError(f'a temperature is fitted to the classes of the network, '
                         f'{perception.label_set.name}; the frames are labelled in '
                         f'{frames.labels.name if frames.labels else "no classes"}')
    if not len(frames):
        raise ValueError('no frame to fit a temperature to')
    pixels = math.prod(frames[0].rgb.shape[:2]) * len(frames)
    share, drawing = min(1, PIXELS / pixels), np.random.default_rng(0)
    logits, labels = [], []

    def sample(truth: Truth, prediction: Prediction) -> None:
        height, width = truth.size
        count = math.ceil(truth.label_ids.size * share)
        chosen = drawing.choice(truth.label_ids.size, count, replace=False)
        places = truth.labelled(np.arange(height * width).reshape(truth.size))[chosen]
        logits.append(prediction.logits_at(*np.divmod(places, width)))
        labels.append(truth.label_ids[chosen])

    before = _measure(perception, comparison, frames, track, sample)
    found = np.concatenate(labels)
    temperature = round(fit_temperature(np.concatenate(logits), found), 4)
    after = _measure(perception.with_temperature(temperature), comparison, frames, track)
    return Fit(temperature, found.size, before, after)


def _measure(perception: Perception, comparison: Comparison, frames: Sequence[Frame],
             track: Track, visit: Callable[[Truth, Prediction], None] = lambda *_: None
             ) -> Calibration:
    """Return the calibration on ``frames``; ``visit`` sees each ground truth and prediction."""
    calibration, source = Calibration(), Undamaged(frames, 'raise')
    for step in track(stream(perception, range(len(frames)), comparison.reader(source)),
                      len(frames)):
        truth = frame_truth(comparison, step.frame)
        comparison.add_confidence(calibration, step.frame, truth, step.prediction)
        visit(truth, step.prediction)
    return calibration


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """
    Return the temperature with the smallest mean negative log likelihood of the labels.

    ``logits`` (n, K) and the true class ids ``labels`` (n,) are of n pixels. The likelihood has
    one optimum in the temperature, because it is concave in the inverse. Raises ValueError without
    pixels, and if the best temperature is not between ``TEMPERATURES``: then the logits say
    nothing about the errors.
    """
    if not labels.size:
        raise ValueError('no labelled pixel to fit a temperature to')
    shifted = logits - logits.max(1, keepdims=True)
    own = shifted[np.arange(labels.size), labels].mean(dtype=np.float64)

    def loss(log: float) -> float:
        sums = np.exp(shifted / np.float32(math.exp(log))).sum(1)
        return np.log(sums).mean(dtype=np.float64) - own / math.exp(log)

    low, high = map(math.log, TEMPERATURES)
    found = _minimum(loss, low, high)
    if not low + 2 * TOLERANCE < found < high - 2 * TOLERANCE:
        raise ValueError('no temperature between {:g} and {:g} fits: the confidence of this '
                         'network says nothing about its errors'.format(*TEMPERATURES))
    return math.exp(found)


def _minimum(function: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function with one minimum has it (golden-section search)."""
    share = (math.sqrt(5) - 1) / 2
    first, second = high - share * (high - low), low + share * (high - low)
    at_first, at_second = function(first), function(second)
    while high - low > TOLERANCE:
        if at_first < at_second:
            high, second, at_second = second, first, at_first
            first = high - share * (high - low)
            at_first = function(first)
        else:
            low, first, at_first = first, second, at_second
            second = low + share * (high - low)
            at_second = function(second)
    return (low + high) / 2
