# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The correction of predicted depth by anchors, over time, for one camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
import math
from typing import NamedTuple

import cv2
from jrn_perception.perception.anchoring.anchors import Anchors
from jrn_perception.perception.anchoring.field import Field, Places, Prior
from jrn_perception.perception.anchoring.guide import (
    ANCHORS,
    Guide,
    guide_of,
    on_known_depth,
    places_of,
    USUAL,
)
from jrn_perception.perception.anchoring.line import is_line, prior_of, upright
from jrn_perception.perception.anchoring.memory import Memory
import numpy as np

MODES = ('scale', 'scale_shift', 'field')
# Corrections beyond this factor are not credible.
LARGEST = 4.0
# Fewer anchors give a scale alone; so do anchors within this spread of places (in widths of the
# picture) and log depth, because they tell nothing about the rest.
FEW = 3
SPOT = 0.02
ONE_DEPTH = 0.1
# Predicted log depth that changes by more than these from one picture to the next is a motion, of
# the whole picture and of one cell; corrected log depth that changes by more than the third is one
# that the network has not seen.
MOTION = 0.03
CELL_MOTION = 0.06
JUMP = 0.2
# Anchors with this median log ratio to the last corrected depth contradict the remembered ones.
CONTRADICTION = 0.12
# Without anchors the shape of the field is forgotten so many times as fast as its scale: the
# camera may look elsewhere.
SHAPE_FADES = 4


@dataclass(frozen=True)
class AnchoringSettings:
    """
    How anchors correct depth.

    ``time_constant`` (s): how slowly corrected depth follows small changes; 0: at once.
    ``memory`` (s): without anchors the correction decays to none within this time; while the
    picture stays as it is, past anchors count as long (with a time constant of 0 they do not).
    ``mode``: the richest correction that may be used: scale, scale_shift (a scale and a power of
    depth) or field. Raises ValueError for another value.
    """

    time_constant: float = 0.5
    memory: float = 2.0
    mode: str = 'field'

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ValueError(f'anchoring mode {self.mode!r}: choose from {", ".join(MODES)}')
        if not (self.time_constant >= 0 and self.memory > 0):
            raise ValueError('anchoring: time_constant is at least 0 s, memory more than 0 s')


@dataclass(frozen=True)
class Report:
    """
    What the anchors of the last picture have done.

    ``used`` and ``rejected`` count anchors on pixels with depth; further anchors than ``ANCHORS``
    are neither. ``mode`` is none, scale, scale_shift or field; ``scale`` is the median factor on
    the depth.
    """

    used: int = 0
    rejected: int = 0
    mode: str = 'none'
    scale: float = 1.0


class Anchoring:
    """
    The anchoring of one camera, which keeps its state over time.

    ``last`` reports on the last picture. ``remaining`` returns the shares (h, w), 0..1, that its
    anchors leave of the variance of the error that anchors can correct, on a coarse grid of the
    picture; it is None without a correction. It may be called later, and computes only then.
    """

    def __init__(self, settings: AnchoringSettings | None = None, prior: Prior | None = None):
        self.settings, self._prior = settings or AnchoringSettings(), prior or Prior()
        self.last = Report()
        self.remaining: Callable[[], np.ndarray] | None = None
        self._shape: tuple[int, int] = 0, 0
        # Stamps of the last picture and of the last anchors.
        self._seconds = self._anchored = -math.inf
        self._scale_and_power = 0.0, 0.0
        self._field: np.ndarray | None = None
        self._left: Callable[[], np.ndarray] | None = None
        # Corrected and predicted log depth on the grid of the last picture.
        self._previous: np.ndarray | None = None
        self._predicted: np.ndarray | None = None
        # Depth that follows at once has no use for the past.
        self._memory = Memory(self.settings.memory if self.settings.time_constant else 0)

    def __call__(self, depth: np.ndarray, labels: np.ndarray | None, anchors: Anchors,
                 seconds: float) -> np.ndarray:
        """
        Return ``depth`` (H, W), metres, corrected by ``anchors``, float32 (H, W).

        ``labels`` (H, W) are class ids that keep the correction of a thing on the thing, None
        without semantics. ``seconds`` is the picture's stamp; a stamp before the last one starts
        anew. Depth that is not finite and positive is returned as it is.
        """
        guide = guide_of(depth, labels)
        self.remaining = None
        if guide is None:
            self.last = Report()
            return depth
        elapsed = seconds - self._seconds
        if not 0 <= elapsed <= self.settings.memory or guide.shape != self._shape:
            self._forget()
        self._seconds, self._shape = seconds, guide.shape
        fresh = on_known_depth(depth, anchors)
        if len(fresh):
            field = self._fitted(_Picture(guide, depth, labels, seconds), fresh)
        else:
            field = self._faded(guide, seconds)
        if field is None:
            self._forget()
            self.last = Report()
            return depth
        field = self._steady(guide.log_depth + field, guide.log_depth, elapsed) - guide.log_depth
        limit = math.log(LARGEST)
        factor = np.exp(np.clip(field, -limit, limit)).astype(np.float32)
        self.last = Report(self.last.used, self.last.rejected, self.last.mode,
                           float(np.median(factor)))
        return depth * cv2.resize(factor, depth.shape[::-1], interpolation=cv2.INTER_LINEAR)

    def _forget(self) -> None:
        self._seconds = self._anchored = -math.inf
        self._scale_and_power = 0.0, 0.0
        self._field = self._left = self._previous = self._predicted = None
        self._memory.forget()

    def _fitted(self, picture: _Picture, fresh: Anchors) -> np.ndarray | None:
        """Return the log ratio on the grid by the anchors; None if all are outliers."""
        guide, count = picture.guide, len(fresh)
        recalled = self._memory.recall(picture.depth, picture.seconds, ANCHORS - count)
        if len(recalled) and self._contradicted(picture, fresh):
            self._memory.forget()
            recalled = Anchors.none()
        solution = self._solution(picture, fresh + recalled)
        right = solution.field.used
        used = int(right[:count].sum())
        self.last = Report(used, count - used, solution.mode if used else 'none')
        if not used:
            return self._faded(guide, picture.seconds)
        if count < ANCHORS:
            self._memory.update(right[count:], fresh.chosen(right[:count]), picture.depth,
                                picture.seconds)
        field = solution.field.on_grid(guide.columns, guide.rows, guide.log_depth, guide.labels)
        if solution.line:
            field = upright(guide.log_depth + field, guide.columns, guide.rows,
                            solution.places.chosen(right)) - guide.log_depth
        self._scale_and_power = _line(guide.log_depth, field)
        self._field, self._anchored = field, picture.seconds
        self._left = self.remaining = partial(_remaining, guide, solution.whole, self._prior)
        return field

    def _contradicted(self, picture: _Picture, fresh: Anchors) -> bool:
        """Return whether the anchors say that the last corrected depth is wrong as a whole."""
        if self._previous is None:
            return False
        down, across = (cells / pixels for cells, pixels in
                        zip(picture.guide.shape, picture.depth.shape))
        expected = self._previous[(fresh.row * down).astype(int),
                                  (fresh.column * across).astype(int)]
        return abs(float(np.median(np.log(fresh.depth) - USUAL - expected))) > CONTRADICTION

    def _solution(self, picture: _Picture, anchors: Anchors) -> _Solution:
        places = places_of(picture.depth, picture.labels, anchors)
        mode = _mode(places, self.settings.mode)
        line = mode == 'field' and is_line(places)
        prior = {'scale': self._prior.only_scale(),
                 'field': prior_of(self._prior) if line else self._prior,
                 'scale_shift': self._prior.only_scale_and_power()}[mode]
        ratios = np.log(anchors.depth) - places.log_depth - np.float32(USUAL)
        field = Field(places, ratios, anchors.deviation, prior)
        # What a line leaves of the variance is that of the usual field: the prior of a line suits
        # the most probable depth, but not its deviation.
        whole = (partial(Field, places, ratios, anchors.deviation, self._prior) if line
                 else lambda: field)
        return _Solution(field, places, mode, line, whole)

    def _faded(self, guide: Guide, seconds: float) -> np.ndarray | None:
        """Return what is left of the last correction; None if nothing is."""
        age = (seconds - self._anchored) / self.settings.memory
        if not self.last.used or self._field is None:
            self.last = Report()
        if self._field is None or age >= 1:
            return None
        self.last = Report(0, self.last.rejected if self.last.mode == 'none' else 0,
                           'scale_shift')
        scale, power = self._scale_and_power
        smooth = scale + power * guide.log_depth
        shape = max(0.0, 1 - SHAPE_FADES * age)
        if self._left is not None:
            self.remaining = partial(_forgotten, self._left, shape)
        return (1 - age) * (smooth + shape * (self._field - smooth))

    def _steady(self, target: np.ndarray, predicted: np.ndarray, elapsed: float) -> np.ndarray:
        """Return corrected log depth on the grid that changes slowly where little changes."""
        previous, self._previous = self._previous, target
        before, self._predicted = self._predicted, predicted
        if previous is None or before is None or not self.settings.time_constant:
            return target
        change, motion = (cv2.blur(parts, (3, 3)) for parts in
                          (target - previous, predicted - before))
        whole = min(float(np.median(np.abs(part))) for part in (change, motion))
        still = np.maximum(_stillness(change, CELL_MOTION),
                           _stillness(motion, CELL_MOTION) * _stillness(change, JUMP))
        kept = math.exp(-elapsed / self.settings.time_constant) * _stillness(whole, MOTION) * still
        self._previous = target - kept * (target - previous)
        return self._previous


class _Picture(NamedTuple):
    """The predicted depth and labels of a picture, on a grid and in full, with its stamp."""

    guide: Guide
    depth: np.ndarray
    labels: np.ndarray | None
    seconds: float


class _Solution(NamedTuple):
    """
    The field through anchors at ``places``, its ``mode``, and whether they are a line.

    ``whole`` returns the field that tells the deviation.
    """

    field: Field
    places: Places
    mode: str
    line: bool
    whole: Callable[[], Field]


def _stillness(change: np.ndarray | float, motion: float) -> np.ndarray:
    """Return 1 for no change of log depth, and 0 for changes from ``motion`` on."""
    return np.maximum(1 - np.square(change / motion), 0)


def _remaining(guide: Guide, field: Callable[[], Field], prior: Prior) -> np.ndarray:
    return guide.remaining(field(), prior)


def _forgotten(left: Callable[[], np.ndarray], share: float) -> np.ndarray:
    """Return what anchors leave of the variance when a share of their knowledge is left."""
    return 1 - share * (1 - left())


def _mode(places: Places, richest: str) -> str:
    """Return the richest allowed correction that the number and the spread of anchors support."""
    if len(places.column) < FEW:
        return MODES[0]
    spread = max(float(np.std(places.column)), float(np.std(places.row)))
    found = MODES[2]
    if spread < SPOT:
        found = MODES[1] if float(np.std(places.log_depth)) > ONE_DEPTH else MODES[0]
    return MODES[min(MODES.index(found), MODES.index(richest))]


def _line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Return offset and slope of the least squares line y = offset + slope x."""
    mean, middle = float(x.mean()), float(y.mean())
    centred = x - mean
    slope = float((centred * y).mean()) / max(float((centred ** 2).mean()), 1e-6)
    return middle - slope * mean, slope
