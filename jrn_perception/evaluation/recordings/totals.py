# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What single frames of a recording are worth, and the sums over all of them."""

from __future__ import annotations

import hashlib
import math
from typing import Any, NamedTuple

from jrn_perception.evaluation.measures.comparison import Comparison
from jrn_perception.evaluation.measures.drift import Drift
from jrn_perception.evaluation.measures.metrics import (
    DEPTH_BINS,
    depth_metrics,
    DEPTH_SUMS,
    label_metrics,
    LABEL_SUMS,
    Table,
)
from jrn_perception.evaluation.recordings.worst import WorstFrames
from jrn_perception.evaluation.reports.documents import LABEL_METRICS, METRICS
from jrn_perception.frame import Frame
from jrn_perception.labels import LabelSet
from jrn_perception.perception import Prediction
import numpy as np

# Damaged frames that are named; all are counted.
NAMED = 20
STAGES = ('preprocess', 'inference', 'postprocess')
# Measure -> whether more of it is worse.
MEASURES = {'rel': True, 'pixel_accuracy': False, 'depth_drift': True, 'label_drift': True}


class Timing(NamedTuple):
    """Seconds that the stages of one frame took."""

    preprocess_s: float
    inference_s: float
    postprocess_s: float


class Remarks(NamedTuple):
    """What is to be said about the ground truth of a frame; ``faults`` by role."""

    notes: list[str]
    faults: dict[str, str]


class Side:
    """Sums of one prediction, the network's output or what a JRN started from."""

    def __init__(self, num_classes: int):
        self.depth = np.zeros((DEPTH_BINS, num_classes + 1, len(DEPTH_SUMS)))
        self.labels = np.zeros((DEPTH_BINS + 1, num_classes, len(LABEL_SUMS)))
        self.images: dict[str, list[float]] = {name: [] for name in METRICS}

    def add(self, table: Table) -> dict[str, float]:
        """Add a table of one image; return that image's metrics."""
        depth, labels = table.depth[0], table.labels[0]
        self.depth += depth
        self.labels += labels
        values = metrics_of(depth, labels)
        for name, value in values.items():
            self.images[name].append(value)
        return values


def metrics_of(depth: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return all metrics of sums (bins, K + 1, 9) and (bins + 1, K, 3), NaN without pixels."""
    found_depth = depth_metrics(depth.sum((0, 1)))
    found_labels = label_metrics(labels.sum(0))
    return {name: float(getattr(found_labels if name in LABEL_METRICS else found_depth, name))
            for name in METRICS}


class Measured:
    """
    One frame and all that is to be known about its prediction; ``fault`` if there is none.

    ``timing`` is None where the network ran in another process. ``scale`` is what depth was
    multiplied by for the camera's focal length, NaN if that is not known.
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
        """Count invalid and uncertain pixels and those of each class."""
        if self.depth is not None:
            self.invalid = self.depth.size - np.count_nonzero(np.isfinite(self.depth))
        if self.labels is not None:
            self.histogram = np.bincount(self.labels.reshape(-1), minlength=256)
            self.uncertain = np.count_nonzero(confidence < threshold)
            self.confidence = float(confidence.sum(dtype=np.float64))

    def compare(self, comparison: Comparison, prediction: Prediction, inputs: bool) -> None:
        """Sum the errors where there is ground truth; ValueError names the frame."""
        if self.frame.depth is None and self.frame.labels is None:
            return
        truth = comparison.truth(self.frame)
        self.output = Table(comparison.num_classes)
        comparison.add(self.output, self.frame, truth, prediction)
        if inputs:
            self.inputs = Table(comparison.num_classes)
            comparison.add(self.inputs, self.frame, truth, prediction.inputs)


class Totals:
    """
    The sums of all frames, added in their order; of constant size.

    ``labels`` is the label set of the predictions, None if there are none; ``pixels`` counts the
    predicted ones. ``damaged`` names the first frames that were left out; ``damaged_truth`` counts
    by role and names the first.
    """

    def __init__(self, num_classes: int, labels: LabelSet | None, inputs: bool, worst: int):
        self.labels = labels
        self.output = Side(num_classes)
        self.inputs = Side(num_classes) if inputs else None
        self.frames = self.num_damaged = self.invalid = self.uncertain = 0
        self.pixels = {'depth': 0, 'labels': 0}
        self.confidence = 0.0
        self.histogram = np.zeros(256, np.int64)
        self.drift: dict[str, list[float]] = {'depth': [], 'labels': []}
        self.stages: dict[str, list[float]] = {stage: [] for stage in STAGES}
        self.traces: dict[str, list[float]] = {name: [] for name in (*MEASURES, 'inference_ms')}
        self.worst = {name: WorstFrames(worst) for name in MEASURES}
        self.scales: list[float] = []
        self.with_truth = {'depth': 0, 'labels': 0}
        self.damaged: list[str] = []
        self.damaged_truth: dict[str, tuple[int, str]] = {}
        self.notes: set[str] = set()
        self._digest = hashlib.sha256()

    @property
    def names_sha256(self) -> str:
        return self._digest.hexdigest()

    def add(self, measured: Measured) -> None:
        """Add the next frame."""
        if measured.fault:
            self.num_damaged += 1
            if len(self.damaged) < NAMED:
                self.damaged.append(measured.fault)
            return
        frame = measured.frame
        self.notes.update(measured.remarks.notes)
        for role, text in measured.remarks.faults.items():
            count, first = self.damaged_truth.get(role, (0, text))
            self.damaged_truth[role] = count + 1, first
        self._digest.update(('\n' * bool(self.frames) + frame.name).encode())
        self.frames += 1
        for role in self.pixels:
            values = getattr(measured, role)
            self.pixels[role] += 0 if values is None else values.size
        self.invalid += measured.invalid
        self.uncertain += measured.uncertain
        self.confidence += measured.confidence
        self.histogram += measured.histogram
        self.scales.append(measured.scale)
        for role in self.with_truth:
            self.with_truth[role] += getattr(frame, role) is not None
        found = self._compared(measured)
        found |= {'depth_drift': measured.drift.depth, 'label_drift': measured.drift.labels}
        self.drift['depth'].append(measured.drift.depth)
        self.drift['labels'].append(measured.drift.labels)
        for name, more_is_worse in MEASURES.items():
            value = found[name]
            self.traces[name].append(value)
            self.worst[name].add(value if more_is_worse else -value, self.frames, frame.name,
                                 value, measured)
        if measured.timing is not None:
            self._time(measured.timing)

    def _time(self, timing: Timing) -> None:
        for stage, seconds in zip(STAGES, timing):
            self.stages[stage].append(1e3 * seconds)
        self.traces['inference_ms'].append(1e3 * timing.inference_s)

    def _compared(self, measured: Measured) -> dict[str, Any]:
        values = dict.fromkeys(METRICS, float('nan'))
        if measured.output is not None:
            values = self.output.add(measured.output)
            if self.inputs is not None:
                self.inputs.add(measured.inputs)
        return values
