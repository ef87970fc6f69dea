# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The measurement of a single frame, and the totals over all frames of a recording."""

from __future__ import annotations

from array import array
import hashlib
import math
from typing import NamedTuple

from jrn_perception.evaluation.measures.comparison import Comparison
from jrn_perception.evaluation.measures.drift import Drift
from jrn_perception.evaluation.measures.metrics import (
    DEPTH_BINS,
    depth_metrics,
    DEPTH_SUMS,
    LABEL_METRICS,
    label_metrics,
    LABEL_SUMS,
    METRICS,
    Table,
)
from jrn_perception.evaluation.measures.sums import PreciseSum
from jrn_perception.evaluation.recordings.worst import WorstFrames
from jrn_perception.frame import Frame
from jrn_perception.labels import LabelSet
from jrn_perception.perception import Prediction
import numpy as np

# So many damaged frames are named; all are counted.
NAMED = 20
STAGES = ('preprocess', 'inference', 'postprocess')
# Measure by which the worst frames are chosen -> whether more of it is worse.
MEASURES = {'rel': True, 'pixel_accuracy': False, 'depth_drift': True, 'label_drift': True}


class Timing(NamedTuple):
    """Seconds that the stages of one frame took."""

    preprocess_s: float
    inference_s: float
    postprocess_s: float


class Remarks(NamedTuple):
    """Remarks on the ground truth of a frame; ``faults`` by role (depth, labels)."""

    notes: list[str]
    faults: dict[str, str]


class Measured:
    """
    One frame and the measurements of its prediction; ``fault`` says why there is no prediction.

    ``depth`` (metres) and ``labels`` (class ids) are the prediction, (H, W) each, None if the
    network does not predict them. ``timing`` is None where the network ran in another process.
    ``scale`` is the factor by which depth was multiplied for the camera's focal length, NaN if the
    camera is not known.
    """

    def __init__(self, frame: Frame, remarks: Remarks, fault: str = '',
                 timing: Timing | None = None, depth: np.ndarray | None = None,
                 labels: np.ndarray | None = None):
        self.frame, self.remarks, self.fault, self.timing = frame, remarks, fault, timing
        self.depth, self.labels = depth, labels
        self.drift = Drift()
        self.scale = math.nan
        self.invalid = self.uncertain = 0
        self.confidence = 0.0
        self.histogram = np.zeros(256, np.int64)
        self.output: Table | None = None
        self.inputs: Table | None = None

    def count(self, confidence: np.ndarray | None, threshold: float) -> None:
        """Count the pixels without depth, with less confidence, and of each class."""
        if self.depth is not None:
            self.invalid = self.depth.size - np.count_nonzero(np.isfinite(self.depth))
        if self.labels is not None:
            self.histogram = np.bincount(self.labels.reshape(-1), minlength=256)
            self.uncertain = np.count_nonzero(confidence < threshold)
            self.confidence = float(confidence.sum(dtype=np.float64))

    def compare(self, comparison: Comparison, prediction: Prediction, inputs: bool) -> None:
        """Sum the errors if the frame has ground truth; ValueError names the frame."""
        if self.frame.depth is None and self.frame.labels is None:
            return
        truth = comparison.truth(self.frame)
        self.output = Table(comparison.num_classes)
        comparison.add(self.output, self.frame, truth, prediction)
        if inputs:
            self.inputs = Table(comparison.num_classes)
            comparison.add(self.inputs, self.frame, truth, prediction.inputs)


class ErrorSums:
    """
    The errors of one prediction: the output of a network, or the inputs of a JRN.

    ``depth`` (bins, K + 1, 9) and ``labels`` (bins + 1, K, 3) are summed over all frames;
    ``images`` has the metrics of each frame, NaN where the frame has no such ground truth.
    """

    def __init__(self, num_classes: int):
        self._depth = PreciseSum((DEPTH_BINS, num_classes + 1, len(DEPTH_SUMS)))
        # Pixels, whole numbers: float64 adds them without rounding.
        self.labels = np.zeros((DEPTH_BINS + 1, num_classes, len(LABEL_SUMS)))
        self.images = {name: array('d') for name in METRICS}

    @property
    def depth(self) -> np.ndarray:
        return self._depth.value

    def add(self, table: Table | None) -> dict[str, float]:
        """Add the table of one frame, None without ground truth; return the frame's metrics."""
        values = dict.fromkeys(METRICS, math.nan)
        if table is not None:
            depth, labels = table.depth[0], table.labels[0]
            self._depth.add(depth)
            self.labels += labels
            values = metrics_of(depth, labels)
        for name, value in values.items():
            self.images[name].append(value)
        return values

    def merge(self, other: ErrorSums) -> None:
        """Add all frames of ``other``."""
        self._depth.merge(other._depth)
        self.labels += other.labels
        _extend(self.images, other.images)


def metrics_of(depth: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return all metrics of sums (bins, K + 1, 9) and (bins + 1, K, 3), NaN without pixels."""
    found_depth = depth_metrics(depth.sum((0, 1)))
    found_labels = label_metrics(labels.sum(0))
    return {name: float(getattr(found_labels if name in LABEL_METRICS else found_depth, name))
            for name in METRICS}


class Totals:
    """
    The totals over all frames, added in their order.

    Only numbers are kept for each frame, and pictures for the ``worst`` frames of each measure.
    Totals can be pickled and merged: a recording may be measured in parts, in several processes.

    ``labels`` is the label set of the predictions, None if there are none; ``pixels`` counts the
    predicted pixels. ``damaged`` names the first frames that were left out; ``damaged_truth`` has
    by role the number of damaged messages and the first fault. ``drift``, ``stages`` (ms) and
    ``scales`` are series, see ``measures.series``.
    """

    def __init__(self, num_classes: int, labels: LabelSet | None, inputs: bool, worst: int):
        self.labels = labels
        self.output = ErrorSums(num_classes)
        self.inputs = ErrorSums(num_classes) if inputs else None
        self.frames = self.num_damaged = self.invalid = self.uncertain = 0
        self.pixels = {'depth': 0, 'labels': 0}
        self.histogram = np.zeros(256, np.int64)
        self.drift = {'depth': array('d'), 'labels': array('d')}
        self.stages = {stage: array('d') for stage in STAGES}
        self.scales = array('d')
        self.worst = {name: WorstFrames(worst) for name in MEASURES}
        self.with_truth = {'depth': 0, 'labels': 0}
        self.damaged: list[str] = []
        self.damaged_truth: dict[str, tuple[int, str]] = {}
        self.notes: set[str] = set()
        self._kind = num_classes, labels, inputs
        self._confidence = array('d')
        # One byte string: a list of a million names takes four times the memory.
        self._names = bytearray()

    @property
    def confidence(self) -> float:
        """Return the sum over all pixels."""
        return math.fsum(self._confidence)

    @property
    def names_sha256(self) -> str:
        """Return the digest of the names of all frames, a line each."""
        return hashlib.sha256(self._names).hexdigest()

    @property
    def traces(self) -> dict[str, array]:
        """Return the series that are plotted over the frames, in the frames' order."""
        return {'rel': self.output.images['rel'],
                'pixel_accuracy': self.output.images['pixel_accuracy'],
                'depth_drift': self.drift['depth'], 'label_drift': self.drift['labels'],
                'inference_ms': self.stages['inference']}

    def add(self, measured: Measured) -> None:
        """Add the next frame."""
        if measured.fault:
            self.num_damaged += 1
            self._name_damaged([measured.fault])
            return
        frame = measured.frame
        self.notes.update(measured.remarks.notes)
        for role, text in measured.remarks.faults.items():
            self._count_damaged_truth(role, 1, text)
        self._append_names(frame.name.encode())
        self.frames += 1
        for role in self.pixels:
            values = getattr(measured, role)
            self.pixels[role] += 0 if values is None else values.size
        self.invalid += measured.invalid
        self.uncertain += measured.uncertain
        self._confidence.append(measured.confidence)
        self.histogram += measured.histogram
        self.scales.append(measured.scale)
        for role in self.with_truth:
            self.with_truth[role] += getattr(frame, role) is not None
        for role, values in self.drift.items():
            values.append(getattr(measured.drift, role))
        found = self.output.add(measured.output)
        if self.inputs is not None:
            self.inputs.add(measured.inputs)
        found |= {'depth_drift': measured.drift.depth, 'label_drift': measured.drift.labels}
        for name, more_is_worse in MEASURES.items():
            value = found[name]
            self.worst[name].add(value if more_is_worse else -value, self.frames, frame.name,
                                 value, measured)
        if measured.timing is not None:
            for stage, seconds in zip(STAGES, measured.timing):
                self.stages[stage].append(1e3 * seconds)

    def merge(self, other: Totals) -> None:
        """
        Add all frames of ``other``, which come after the frames of these totals.

        The result equals, to the last bit, the result of adding the frames one by one. The drift
        of a frame is measured before the frame is added; the first frame of a recording has none.
        Raises ValueError for the totals of another comparison.
        """
        if self._kind != other._kind:
            raise ValueError('the totals are of different comparisons: their label sets or '
                             'networks differ')
        for name, frames in self.worst.items():
            frames.merge(other.worst[name], self.frames)
        if other.frames:
            self._append_names(other._names)
        for name in ('frames', 'num_damaged', 'invalid', 'uncertain'):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for role in self.pixels:
            self.pixels[role] += other.pixels[role]
            self.with_truth[role] += other.with_truth[role]
        self.output.merge(other.output)
        if self.inputs is not None:
            self.inputs.merge(other.inputs)
        self.histogram += other.histogram
        self._confidence.extend(other._confidence)
        self.scales.extend(other.scales)
        _extend(self.drift, other.drift)
        _extend(self.stages, other.stages)
        self._name_damaged(other.damaged)
        for role, (count, first) in other.damaged_truth.items():
            self._count_damaged_truth(role, count, first)
        self.notes |= other.notes

    def _append_names(self, names: bytes) -> None:
        if self.frames:
            self._names += b'\n'
        self._names += names

    def _name_damaged(self, faults: list[str]) -> None:
        self.damaged += faults[:NAMED - len(self.damaged)]

    def _count_damaged_truth(self, role: str, count: int, fault: str) -> None:
        before, first = self.damaged_truth.get(role, (0, fault))
        self.damaged_truth[role] = before + count, first


def _extend(series: dict[str, array], others: dict[str, array]) -> None:
    for name, values in series.items():
        values.extend(others[name])
