# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The correction of predicted depth by anchors, over time, for one camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
import math

import cv2
from jrn_perception.perception.anchoring.anchors import Anchors, thinned
from jrn_perception.perception.anchoring.field import Field, Places, Prior
import numpy as np

MODES = ('scale', 'scale_shift', 'field')
# The correction is computed on a grid of about so many columns, and enlarged.
COLUMNS = 64
# The solution's time grows with the cube of the number of anchors.
ANCHORS = 200
# Corrections beyond this factor are not credible.
LARGEST = 4.0
# Fewer anchors give a scale alone; so do anchors within this spread of places (in widths of the
# picture) and log depth, because they tell nothing about the rest.
FEW = 3
SPOT = 0.02
ONE_DEPTH = 0.1
# The logarithm of a usual depth in rooms, from which the prior counts.
USUAL = 0.9
# Log depth that changes by more than these from one picture to the next is a motion, of the
# whole picture and of one cell.
MOTION = 0.03
CELL_MOTION = 0.06
# What the anchors leave of the variance is computed at every so many cells: it is smooth.
CELLS = 2
# Without anchors the shape of the field is forgotten so many times as fast as its scale: the
# camera may look elsewhere.
SHAPE_FADES = 4


@dataclass(frozen=True)
class AnchoringSettings:
    """
    How anchors correct depth.

    ``time_constant`` (s): how slowly corrected depth follows small changes; 0: at once.
    ``memory`` (s): without anchors the correction decays to none within this time. ``mode``: the
    richest correction that may be used: scale, scale_shift (a scale and a power of depth) or
    field. Raises ValueError for another value.
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
        self._previous: np.ndarray | None = None

    def __call__(self, depth: np.ndarray, labels: np.ndarray | None, anchors: Anchors,
                 seconds: float) -> np.ndarray:
        """
        Return ``depth`` (H, W), metres, corrected by ``anchors``, float32 (H, W).

        ``labels`` (H, W) are class ids that keep the correction of a thing on the thing, None
        without semantics. ``seconds`` is the picture's stamp; a stamp before the last one starts
        anew. Depth that is not finite and positive is returned as it is.
        """
        guide = _guide(depth, labels)
        self.remaining = None
        if guide is None:
            self.last = Report()
            return depth
        elapsed = seconds - self._seconds
        if not 0 <= elapsed <= self.settings.memory or guide.shape != self._shape:
            self._forget()
        self._seconds, self._shape = seconds, guide.shape
        places, measured, deviations = guide.at(depth, labels, anchors)
        if len(measured):
            field = self._fitted(guide, places, measured, deviations, seconds)
        else:
            field = self._faded(guide, seconds)
        if field is None:
            self._forget()
            self.last = Report()
            return depth
        field = self._steady(guide.log_depth + field, elapsed) - guide.log_depth
        limit = math.log(LARGEST)
        factor = np.exp(np.clip(field, -limit, limit)).astype(np.float32)
        self.last = Report(self.last.used, self.last.rejected, self.last.mode,
                           float(np.median(factor)))
        return depth * cv2.resize(factor, depth.shape[::-1], interpolation=cv2.INTER_LINEAR)

    def _forget(self) -> None:
        self._seconds = self._anchored = -math.inf
        self._scale_and_power = 0.0, 0.0
        self._field = self._left = self._previous = None

    def _fitted(self, guide: _Guide, places: Places, measured: np.ndarray,
                deviations: np.ndarray, seconds: float) -> np.ndarray | None:
        """Return the log ratio on the grid by the anchors; None if all are outliers."""
        mode = _mode(places, self.settings.mode)
        prior = {'scale': self._prior.only_scale(), 'field': self._prior,
                 'scale_shift': self._prior.only_scale_and_power()}[mode]
        found = Field(places, measured - places.log_depth - np.float32(USUAL), deviations, prior)
        used = int(found.used.sum())
        self.last = Report(used, len(measured) - used, mode if used else 'none')
        if not used:
            return self._faded(guide, seconds)
        field = found.on_grid(guide.columns, guide.rows, guide.log_depth, guide.labels)
        self._scale_and_power = _line(guide.log_depth, field)
        self._field, self._anchored = field, seconds
        self._left = self.remaining = partial(guide.remaining, found, self._prior)
        return field

    def _faded(self, guide: _Guide, seconds: float) -> np.ndarray | None:
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

    def _steady(self, target: np.ndarray, elapsed: float) -> np.ndarray:
        """Return log depth on the grid that changes slowly where it changes little."""
        previous, self._previous = self._previous, target
        if previous is None or not self.settings.time_constant:
            return target
        change = cv2.blur(target - previous, (3, 3))
        keep = math.exp(-elapsed / self.settings.time_constant) * max(
            0, 1 - (float(np.median(np.abs(change))) / MOTION) ** 2)
        kept = keep * np.maximum(1 - (change / CELL_MOTION) ** 2, 0)
        self._previous = target - kept * (target - previous)
        return self._previous


@dataclass(frozen=True)
class _Guide:
    """
    The prediction on a coarse grid (h, w), in the coordinates of ``Places``.

    ``columns`` (w,), ``rows`` (h,); ``log_depth`` counts from ``USUAL``; ``labels`` are uint8.
    """

    columns: np.ndarray
    rows: np.ndarray
    log_depth: np.ndarray
    labels: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        return self.log_depth.shape

    def at(self, depth: np.ndarray, labels: np.ndarray | None, anchors: Anchors
           ) -> tuple[Places, np.ndarray, np.ndarray]:
        """Return places, log of measured depth and deviation of the anchors on valid depth."""
        height, width = depth.shape
        columns = np.rint(anchors.column).astype(int)
        rows = np.rint(anchors.row).astype(int)
        good = ((columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
                & (anchors.depth > 0) & np.isfinite(anchors.depth))
        predicted = np.zeros(len(good), np.float32)
        predicted[good] = depth[rows[good], columns[good]]
        good &= (predicted > 0) & np.isfinite(predicted)
        # ``thinned`` counts indices, so that everything is chosen alike.
        part = thinned(Anchors(columns[good], rows[good], anchors.depth[good],
                               anchors.deviation[good]), depth.shape, ANCHORS)
        columns, rows = part.column, part.row
        places = Places(
            ((columns + 0.5) / width - 0.5).astype(np.float32),
            ((rows + 0.5 - height / 2) / width).astype(np.float32),
            np.log(depth[rows, columns]).astype(np.float32) - np.float32(USUAL),
            np.zeros(len(rows), np.uint8) if labels is None else labels[rows, columns])
        return places, np.log(part.depth), part.deviation

    def remaining(self, field: Field, prior: Prior) -> np.ndarray:
        """Return what the anchors of ``field`` leave of the variance at every CELLS-th cell."""
        part = self.log_depth[::CELLS, ::CELLS]
        columns, rows = np.meshgrid(self.columns[::CELLS], self.rows[::CELLS])
        places = Places(columns.ravel(), rows.ravel(), part.ravel(),
                        self.labels[::CELLS, ::CELLS].ravel())
        return field.remaining(places, prior).reshape(part.shape).astype(np.float32)


def _forgotten(left: Callable[[], np.ndarray], share: float) -> np.ndarray:
    """Return what anchors leave of the variance when a share of their knowledge is left."""
    return 1 - share * (1 - left())


def _guide(depth: np.ndarray, labels: np.ndarray | None) -> _Guide | None:
    """Return the prediction on a grid; None if it has no valid depth."""
    height, width = depth.shape
    step = max(1, round(width / COLUMNS))
    size = max(1, round(width / step)), max(1, round(height / step))
    valid = np.isfinite(depth) & (depth > 0)
    if not valid.all():
        if not valid.any():
            return None
        depth = np.where(valid, depth, np.median(depth[valid]))
    small = cv2.resize(depth, size, interpolation=cv2.INTER_AREA)
    ids = np.zeros(small.shape, np.uint8) if labels is None else cv2.resize(
        labels, size, interpolation=cv2.INTER_NEAREST_EXACT)
    columns = (np.arange(size[0], dtype=np.float32) + 0.5) / size[0] - 0.5
    rows = ((np.arange(size[1], dtype=np.float32) + 0.5) / size[1] - 0.5) * (height / width)
    return _Guide(columns, rows.astype(np.float32), np.log(small) - np.float32(USUAL), ids)


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
