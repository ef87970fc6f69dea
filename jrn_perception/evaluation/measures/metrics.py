# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The paper's metrics of depth and semantics (Sec. IV), as sums over pixels kept for each image.

torchmetrics has rel, rms, IoU and pixel accuracy but not the other depth metrics, and none of its
classes keeps the contribution of each image. One table of sums gives pooled and per-image metrics,
classes, depth bins and bootstrap intervals (the tests compare with torchmetrics).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

# Metres: the bins of true depth are [0, 1), [1, 2) ... [10, inf).
DEPTH_EDGES = (0., 1., 2., 3., 4., 5., 7., 10., math.inf)
DEPTH_BINS = len(DEPTH_EDGES) - 1
# The sums over pixels: the columns of a depth table and of a label table.
DEPTH_SUMS = ('pixels', 'rel', 'rel_sqr', 'log10', 'square', 'log_square', 'delta1', 'delta2',
              'delta3')
LABEL_SUMS = ('hit', 'truth', 'predicted')

Crop = tuple[slice, slice]


class DepthMetrics(NamedTuple):
    """
    Errors (0 is perfect) and the share of pixels within 1.25, 1.25^2, 1.25^3 (1 is perfect).

    d predicted, d* true: ``rel`` = mean |d* - d| / d*, ``rel_sqr`` = mean (d* - d)^2 / d* (m),
    ``log10`` = mean |log10 d* - log10 d|, ``rms`` (m), ``rms_log`` with the natural logarithm.
    NaN without pixels.
    """

    rel: np.ndarray
    rel_sqr: np.ndarray
    log10: np.ndarray
    rms: np.ndarray
    rms_log: np.ndarray
    delta1: np.ndarray
    delta2: np.ndarray
    delta3: np.ndarray


class LabelMetrics(NamedTuple):
    """
    Agreement of labels in percent, 100 is perfect.

    ``iou`` (..., K) is NaN for a class that occurs neither in the ground truth nor in the
    prediction; ``mean_iou`` is the mean over the other classes.
    """

    iou: np.ndarray
    mean_iou: np.ndarray
    pixel_accuracy: np.ndarray


# The names under which documents have the metrics.
LABEL_METRICS = ('mean_iou', 'pixel_accuracy')
METRICS = (*DepthMetrics._fields, *LABEL_METRICS)


def depth_metrics(sums: np.ndarray) -> DepthMetrics:
    """Return the metrics (...) of sums (..., 9), see ``DEPTH_SUMS``."""
    pixels = sums[..., 0]
    with np.errstate(invalid='ignore'):
        mean = dict(zip(DEPTH_SUMS[1:], np.moveaxis(sums[..., 1:] / pixels[..., None], -1, 0)))
    return DepthMetrics(mean['rel'], mean['rel_sqr'], mean['log10'], np.sqrt(mean['square']),
                        np.sqrt(mean['log_square']), mean['delta1'], mean['delta2'],
                        mean['delta3'])


def label_metrics(sums: np.ndarray) -> LabelMetrics:
    """Return the metrics (...) of sums (..., K, 3), see ``LABEL_SUMS``."""
    hit, truth, predicted = (sums[..., column] for column in range(3))
    union = truth + predicted - hit
    with np.errstate(invalid='ignore', divide='ignore'):
        iou = 100 * hit / union
        mean_iou = np.nansum(iou, -1) / (union > 0).sum(-1)
        accuracy = 100 * hit.sum(-1) / truth.sum(-1)
    return LabelMetrics(iou, mean_iou, accuracy)


class Truth:
    """
    The ground truth of one image, which sums a prediction's errors by depth bin and class.

    ``depth`` (H, W) counts where it is finite, positive and not beyond ``max_depth``; ``labels``
    (H, W), ids below ``num_classes``, count where they are not 255; both count only inside
    ``crop``. Either is None if the image has no such ground truth. ``label_ids`` (n,) are the ids
    of the labelled pixels that count. Raises ValueError for a crop that does not fit the image, or
    an id that is no class.
    """

    def __init__(self, size: tuple[int, int], depth: np.ndarray | None,
                 labels: np.ndarray | None, num_classes: int, crop: Crop | None = None,
                 max_depth: float = math.inf):
        self.size, self.num_classes = tuple(size), num_classes
        self._crop = crop or (slice(0, size[0]), slice(0, size[1]))
        for part, length in zip(self._crop, size):
            if not 0 <= part.start < part.stop <= length:
                raise ValueError(f'crop {describe_crop(crop)} does not fit a picture of '
                                 f'{size[1]}x{size[0]}: rows are y0:y1, columns x0:x1')
        depth = np.full(size, np.nan, np.float32) if depth is None else depth
        labels = np.full(size, 255, np.uint8) if labels is None else labels
        depth, labels = self._cropped(depth).astype(np.float32, copy=False), self._cropped(labels)
        strange = labels[(labels >= num_classes) & (labels != 255)]
        if strange.size:
            raise ValueError(f'ground truth holds class id {strange[0]}, the label set has '
                             f'{num_classes} classes')
        known = np.isfinite(depth) & (depth > 0)
        # The same bins as np.digitize finds, in a fifth of its time.
        bins = sum((depth >= edge for edge in DEPTH_EDGES[1:-1]), np.zeros(depth.size, np.uint8))
        bins[~known] = DEPTH_BINS
        valid = np.flatnonzero(known & (depth <= max_depth))
        classes = np.minimum(labels, num_classes)
        cells = (bins.astype(np.uint16) * np.uint16(num_classes + 1) + classes)[valid]
        # Sorted, the pixels of a cell lie side by side and are summed ten times as fast as by
        # np.bincount. NumPy sorts 16-bit numbers by radix.
        order = np.argsort(cells, kind='stable')
        self._valid = valid[order]
        self._depth = depth[self._valid]
        limits = np.arange(DEPTH_BINS * (num_classes + 1) + 1, dtype=np.uint16)
        limits = np.searchsorted(cells[order], limits)
        self._counts = np.diff(limits)
        self._cells = np.flatnonzero(self._counts)
        self._starts = limits[self._cells]
        self._labelled = np.flatnonzero(labels != 255)
        self.label_ids = labels[self._labelled]
        # Index of (depth bin, true class, class 0) in the flat (depth bin, class, class) table.
        self._pairs = (bins.astype(np.intp) * num_classes + classes)[self._labelled] * num_classes

    def depth_sums(self, prediction: np.ndarray) -> np.ndarray:
        """
        Return float64 (bins, K + 1, 9): ``DEPTH_SUMS`` by true depth and true class.

        Class K is "unlabelled". Raises ValueError if a counted pixel of the prediction (H, W) is
        not finite and positive: log and ratio are undefined there, so clamp the prediction first.
        """
        depth = self._cropped(prediction)[self._valid].astype(np.float32, copy=False)
        bad = depth.size - np.count_nonzero(np.isfinite(depth) & (depth > 0))
        if bad:
            raise ValueError(f'predicted depth is not finite and positive at {bad} pixels')
        sums = np.zeros((self._counts.size, len(DEPTH_SUMS)))
        sums[:, 0] = self._counts
        if depth.size:
            error, ratio = depth - self._depth, depth / self._depth
            log, factor = np.log(ratio), np.maximum(ratio, 1 / ratio)
            columns = (np.abs(error) / self._depth, error ** 2 / self._depth, np.abs(log),
                       error ** 2, log ** 2, *(factor < 1.25 ** power for power in (1, 2, 3)))
            for place, column in enumerate(columns, 1):
                sums[self._cells, place] = np.add.reduceat(column, self._starts, dtype=np.float64)
            sums[:, DEPTH_SUMS.index('log10')] /= math.log(10)
        return sums.reshape(DEPTH_BINS, self.num_classes + 1, len(DEPTH_SUMS))

    def label_sums(self, prediction: np.ndarray) -> np.ndarray:
        """
        Return float64 (bins + 1, K, 3): ``LABEL_SUMS`` by true depth; the last bin is "unknown".

        Raises ValueError if a counted pixel of the prediction (H, W) is no class id.
        """
        predicted = self.labelled(prediction)
        if predicted.size and predicted.max() >= self.num_classes:
            raise ValueError(f'class id {predicted.max()} is predicted, the label set has '
                             f'{self.num_classes} classes')
        shape = (DEPTH_BINS + 1, self.num_classes, self.num_classes)
        confusion = np.bincount(self._pairs + predicted, minlength=math.prod(shape)).reshape(shape)
        sums = confusion.diagonal(axis1=1, axis2=2), confusion.sum(2), confusion.sum(1)
        return np.stack(sums, -1).astype(float)

    def labelled(self, array: np.ndarray) -> np.ndarray:
        """Return the values (n,) of an array (H, W) at the labelled pixels that count."""
        return self._cropped(array)[self._labelled]

    def _cropped(self, array: np.ndarray) -> np.ndarray:
        if array.shape != self.size:
            raise ValueError(f'got {array.shape}, the picture is {self.size}')
        return array[self._crop].ravel()


class Table:
    """
    The sums of each image of a data set, in order.

    ``depth`` is (N, bins, K + 1, 9), ``labels`` (N, bins + 1, K, 3), zeros for an image without
    such ground truth and for a network without such an output. ``first + second`` is a table of
    the images of both.
    """

    def __init__(self, num_classes: int):
        self.num_classes = num_classes
        self.names: list[str] = []
        self._depth: list[np.ndarray] = []
        self._labels: list[np.ndarray] = []

    def add(self, name: str, truth: Truth, depth: np.ndarray | None = None,
            labels: np.ndarray | None = None) -> None:
        """Append an image by its predicted metres and class ids, (H, W) each, or None."""
        if truth.num_classes != self.num_classes:
            raise ValueError(f'{name}: {truth.num_classes} classes in a table of '
                             f'{self.num_classes}')
        depth_sums = (np.zeros((DEPTH_BINS, self.num_classes + 1, len(DEPTH_SUMS)))
                      if depth is None else truth.depth_sums(depth))
        label_sums = (np.zeros((DEPTH_BINS + 1, self.num_classes, len(LABEL_SUMS)))
                      if labels is None else truth.label_sums(labels))
        self.names.append(name)
        self._depth.append(depth_sums)
        self._labels.append(label_sums)

    def __len__(self) -> int:
        return len(self.names)

    def __add__(self, other: Table) -> Table:
        if other.num_classes != self.num_classes:
            raise ValueError(f'tables of {self.num_classes} and {other.num_classes} classes')
        merged = Table(self.num_classes)
        merged.names = self.names + other.names
        merged._depth = self._depth + other._depth
        merged._labels = self._labels + other._labels
        return merged

    @property
    def depth(self) -> np.ndarray:
        shape = (-1, DEPTH_BINS, self.num_classes + 1, len(DEPTH_SUMS))
        return np.array(self._depth, float).reshape(shape)

    @property
    def labels(self) -> np.ndarray:
        shape = (-1, DEPTH_BINS + 1, self.num_classes, len(LABEL_SUMS))
        # Not -1: a table without classes has no element to derive it from.
        return np.array(self._labels, float).reshape(len(self), *shape[1:])


def describe_crop(crop: Crop | None) -> str:
    """Return ``y0:y1,x0:x1``, the notation of the command line, or ``none``."""
    return 'none' if crop is None else ','.join(f'{part.start}:{part.stop}' for part in crop)
