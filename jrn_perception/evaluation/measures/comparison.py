# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A network over a data set with ground truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
import math

from jrn_perception.datasets.subsets import Undamaged
from jrn_perception.evaluation.measures.calibration import Calibration
from jrn_perception.evaluation.measures.completion import Completion
from jrn_perception.evaluation.measures.metrics import Crop, Table, Truth
from jrn_perception.evaluation.measures.sampling import AnchorCounts, anchored, sample, Sampling
from jrn_perception.evaluation.measures.sparsification import sample as sample_pixels
from jrn_perception.evaluation.measures.sparsification import Sparsification, sparsification
from jrn_perception.frame import Frame
from jrn_perception.labels import fold_matrix, FOLDS, LABEL_SETS, LabelSet, map_labels
from jrn_perception.perception import Perception, Prediction
from jrn_perception.perception.inputs.interface import SENSOR
from jrn_perception.perception.stream import stream, Track, untracked
import numpy as np


@dataclass(frozen=True)
class Protocol:
    """
    How predictions and ground truth are compared.

    Ground truth counts inside ``crop`` and up to ``max_depth`` metres. Predicted depth is clamped
    to ``clamp`` (low, high) metres, by default the ``depth_range`` of the network's card, scaled
    as the depth is: the paper defines D' on [0, 10] m (Sec. III-C), and log10 d and d* / d need a
    positive d. Only the evaluation clamps; the network does not. ``labels`` is the label set of
    the comparison, by default the network's. The ids of finer ground truth are mapped to it; the
    probabilities of a finer network are summed. With ``focal_correction`` depth is scaled for the
    focal length of the camera, if it is known, as the node scales it. With a ``sampling`` the
    depth is measured a second time, corrected by points that are drawn from the ground truth.
    """

    crop: Crop | None = None
    max_depth: float = math.inf
    clamp: tuple[float, float] | None = None
    labels: LabelSet | None = None
    focal_correction: bool = True
    sampling: Sampling | None = None

    def __post_init__(self):
        if not self.max_depth > 0:
            raise ValueError(f'cap {self.max_depth}: a depth in metres')


class IncomparableLabelsError(ValueError):
    """Two label sets without a map to a common one."""


class Comparison:
    """Compares the predictions of one network with the ground truth of one source."""

    def __init__(self, perception: Perception, truth_labels: LabelSet | None, protocol: Protocol):
        self.protocol = protocol
        self.clamp = protocol.clamp or perception.card.depth_range
        predicted = perception.label_set
        self.labels = _common(predicted, truth_labels, protocol.labels)
        self.num_classes = len(self.labels) if self.labels else 0
        if self.labels:
            folds = predicted != self.labels
            self._fold = fold_matrix(predicted, self.labels) if folds else None
            self._ids = FOLDS.get((truth_labels.name, self.labels.name),
                                  np.arange(self.num_classes, dtype=np.uint8))

    def truth(self, frame: Frame) -> Truth:
        """Return the frame's ground truth in the label set of the comparison."""
        labels = frame.labels
        if labels is not None:
            labels = map_labels(labels, self._ids) if self.labels else None
        return Truth(frame.rgb.shape[:2], frame.depth, labels, self.num_classes,
                     self.protocol.crop, self.protocol.max_depth)

    def reader(self, source: Undamaged) -> Callable[[int], Frame | None]:
        """Return a function that reads a frame, without camera if depth is not corrected."""
        def read(index: int) -> Frame | None:
            frame = source.read(index)
            if frame is None or self.protocol.focal_correction:
                return frame
            return replace(frame, camera_matrix=None)

        return read

    def prediction(self, prediction: Prediction) -> Prediction:
        """Return the prediction in the label set of the comparison."""
        if not self.labels or self._fold is None:
            return prediction
        return prediction.folded(self._fold, self.labels)

    def limits(self, prediction: Prediction) -> tuple[float, float]:
        """Return the metres to which the depth of a prediction is clamped."""
        return self.protocol.clamp or prediction.depth_limits()

    def depth(self, prediction: Prediction) -> np.ndarray | None:
        """Return the clamped depth, NaN where it is not finite; None if none is predicted."""
        depth = prediction.depth
        if depth is None:
            return None
        clamped = np.clip(depth, *self.limits(prediction))
        # An infinity is a fault for the metrics to refuse, not a far wall.
        return np.where(np.isfinite(depth), clamped, np.float32(math.nan))

    def anchored(self, prediction: Prediction, frame: Frame, index: int,
                 counts: AnchorCounts) -> Prediction:
        """Return the prediction with its depth corrected by points of the frame's truth."""
        sampling = self.protocol.sampling
        if frame.depth is None or sampling is None:
            return prediction
        return anchored(prediction, sample(frame.depth, sampling, index, self.protocol.crop),
                        counts)

    def errors_and_deviations(self, prediction: Prediction, frame: Frame,
                              index: int) -> list[np.ndarray]:
        """Return [errors and deviations (2, n)] of pixels of a frame, [] if it has none."""
        if prediction.depth_deviation is None or frame.depth is None:
            return []
        chosen = sample_pixels(frame.depth, self.protocol.crop, index)
        error = self.depth(prediction) - frame.depth
        return [np.stack((error.flat[chosen], prediction.depth_deviation.flat[chosen]))]

    def class_ids(self, prediction: Prediction) -> np.ndarray | None:
        """Return the labels, None if they cannot be compared."""
        return prediction.labels if self.labels else None

    def add(self, table: Table, frame: Frame, truth: Truth, prediction: Prediction,
            depth: bool = True, labels: bool = True) -> None:
        """Append a frame to a table, its depth, its labels or both; ValueError names the frame."""
        try:
            table.add(frame.name, truth, self.depth(prediction) if depth else None,
                      self.class_ids(prediction) if labels else None)
        except ValueError as error:
            raise ValueError(f'frame {frame.name}: {error}') from error

    def add_confidence(self, calibration: Calibration, frame: Frame, truth: Truth,
                       prediction: Prediction) -> None:
        """Append the labels of a frame and their confidence; ValueError names the frame."""
        try:
            calibration.add(frame.name, truth, prediction.labels, prediction.confidence)
        except ValueError as error:
            raise ValueError(f'frame {frame.name}: {error}') from error


@dataclass(frozen=True)
class Evaluation:
    """
    The sums of all images: of the network's ``output`` and, for a JRN, of its ``inputs``.

    ``labels`` is the label set of the comparison, None if no labels were compared. ``damaged`` has
    the reasons why samples were left out, by index. ``scales`` are the factors on depth for the
    cameras of the frames whose focal length is known. ``reason`` says why the evaluation is
    partial, '' if it is whole. ``calibration`` and ``inputs_calibration`` compare the confidence
    with the share of right pixels, None if no labels were compared; the confidence of the inputs
    is the one that the JRN was given, at temperature 1. ``anchored`` has the depth of the output
    as the protocol's ``sampling`` corrects it, None without a sampling, ``anchors`` counts the
    points. ``note`` says why labels were not compared although both sides have some, '' otherwise.
    ``completion`` has the errors in the holes of a depth camera, None without one. ``deviation``
    compares the deviation of depth with its errors, None without one; ``anchored_deviation``
    does so for the corrected depth.
    """

    output: Table
    inputs: Table | None
    labels: LabelSet | None
    clamp: tuple[float, float]
    damaged: dict[int, str] = field(default_factory=dict)
    scales: list[float] = field(default_factory=list)
    reason: str = ''
    calibration: Calibration | None = None
    inputs_calibration: Calibration | None = None
    anchored: Table | None = None
    anchors: AnchorCounts = field(default_factory=AnchorCounts)
    note: str = ''
    completion: Completion | None = None
    deviation: Sparsification | None = None
    anchored_deviation: Sparsification | None = None


def evaluate(perception: Perception, frames: Sequence[Frame], protocol: Protocol | None = None,
             skip_damaged: bool = False, track: Track = untracked,
             interrupted: Callable[[], bool] = lambda: False) -> Evaluation:
    """
    Measure ``perception`` on ``frames``, a sequence with ``labels`` (its label set).

    A damaged sample raises DamagedSampleError, or is named in the result and skipped.
    ``track`` wraps the frames, for a progress bar. ``interrupted`` is asked before each frame and
    ends the evaluation; the frames until then are kept, KeyboardInterrupt if there are none.
    Raises ValueError if nothing can be compared. If the labels of both sides have no map to each
    other, and the protocol names no label set, depth alone is measured.
    """
    comparison, fault = _comparison(perception, frames.labels, protocol or Protocol())
    output = Table(comparison.num_classes)
    inputs = Table(comparison.num_classes) if perception.refines else None
    calibration = Calibration() if comparison.labels else None
    inputs_calibration = Calibration() if comparison.labels and inputs is not None else None
    corrected = Table(comparison.num_classes) if comparison.protocol.sampling else None
    completion = None
    if perception.card.sources.get('depth') == SENSOR:
        completion = Completion(comparison.protocol.crop, comparison.protocol.max_depth)
    anchors, scales = AnchorCounts(), list[float]()
    errors: list[np.ndarray] = []
    anchored_errors: list[np.ndarray] = []
    source = Undamaged(frames, 'skip' if skip_damaged else 'raise')
    done, reason = 0, ''
    for step in track(stream(perception, range(len(frames)), comparison.reader(source),
                             interrupted=interrupted), len(frames)):
        done += 1
        if step.frame is None:
            continue
        if fault is not None and step.prediction.depth is None:
            raise fault
        truth = frame_truth(comparison, step.frame)
        if step.frame.focal_length:
            scales.append(step.prediction.depth_scale)
        prediction = comparison.prediction(step.prediction)
        comparison.add(output, step.frame, truth, prediction)
        if inputs is not None:
            comparison.add(inputs, step.frame, truth, prediction.inputs)
        if corrected is not None:
            # As in a node, the network's own classes guide the correction.
            by_points = comparison.anchored(step.prediction, step.frame, step.item, anchors)
            comparison.add(corrected, step.frame, truth, by_points, labels=False)
            anchored_errors += comparison.errors_and_deviations(by_points, step.frame, step.item)
        if completion is not None:
            completion.add(step.frame, step.prediction, comparison.limits(step.prediction))
        errors += comparison.errors_and_deviations(step.prediction, step.frame, step.item)
        if calibration is not None:
            comparison.add_confidence(calibration, step.frame, truth, prediction)
        if inputs_calibration is not None:
            comparison.add_confidence(inputs_calibration, step.frame, truth, prediction.inputs)
    # Samples that were read ahead of an interruption are not in the result.
    source.damaged = {index: text for index, text in source.damaged.items() if index < done}
    source.report_damage()
    if interrupted() and done < len(frames):
        if not len(output):
            raise KeyboardInterrupt
        reason = f'interrupted after {done} of {len(frames)} frames'
    source.require_some()
    try:
        check_comparable(output)
    except ValueError as error:
        raise fault or error from error
    note = f'{fault}: depth alone is compared' if fault else ''
    return Evaluation(output, inputs, comparison.labels, comparison.clamp, source.damaged, scales,
                      reason, calibration, inputs_calibration, corrected, anchors, note,
                      completion, *map(_sparsification, (errors, anchored_errors)))


def _sparsification(errors: list[np.ndarray]) -> Sparsification | None:
    return sparsification(*np.concatenate(errors, 1)) if errors else None


def _comparison(perception: Perception, truth_labels: LabelSet | None, protocol: Protocol
                ) -> tuple[Comparison, IncomparableLabelsError | None]:
    """Return a comparison, of depth alone if the labels cannot be compared, and why."""
    try:
        return Comparison(perception, truth_labels, protocol), None
    except IncomparableLabelsError as error:
        if protocol.labels:
            raise
        return Comparison(perception, None, protocol), error


def frame_truth(comparison: Comparison, frame: Frame) -> Truth:
    """Return the frame's ground truth; ValueError names the frame."""
    try:
        return comparison.truth(frame)
    except ValueError as error:
        raise ValueError(f'frame {frame.name}: {error}') from error


def check_comparable(table: Table) -> None:
    """Raise ValueError if no pixel of the table was compared."""
    if not table.depth[..., 0].any() and not table.labels.any():
        raise ValueError(f'nothing to compare in {len(table)} frames: no pixel has both a '
                         'prediction and a ground truth inside crop and cap')


def find_label_set(name: str) -> LabelSet | None:
    """Return the label set of that name, None for ''; ValueError lists the choices."""
    if name and name not in LABEL_SETS:
        raise ValueError(f'unknown label set {name!r}: choose from {", ".join(LABEL_SETS)}')
    return LABEL_SETS[name] if name else None


def _common(predicted: LabelSet | None, truth: LabelSet | None,
            wanted: LabelSet | None) -> LabelSet | None:
    """Return a label set that both have a map to: the wanted, the network's or the truth's."""
    if predicted is None or truth is None:
        if wanted:
            missing = 'network predicts' if predicted is None else 'data set has'
            raise ValueError(f'label set {wanted.name}: the {missing} no labels')
        return None
    for target in (wanted,) if wanted else (predicted, truth):
        # Classes of one's own may be another data set's: the names count.
        if all(source.names == target.names or (source.name, target.name) in FOLDS
               for source in (predicted, truth)):
            return target
    raise IncomparableLabelsError(
        f'labels of the network ({predicted.name}) and of the data set ({truth.name}) cannot be '
        'compared' + (f' as {wanted.name}' if wanted else '')
        + f'; known maps: {", ".join(" -> ".join(pair) for pair in FOLDS)}')
