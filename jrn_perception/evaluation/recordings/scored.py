# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Recorded predictions against recorded ground truth, without a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import islice
import math
from pathlib import Path
from typing import Any

import cv2
from jrn_perception.evaluation.measures.drift import drift
from jrn_perception.evaluation.recordings.bag import Run
from jrn_perception.evaluation.recordings.pairing import Match, pair, written
from jrn_perception.evaluation.recordings.roles import class_names
from jrn_perception.evaluation.recordings.session import (
    BagEvaluation,
    RecordedNetwork,
    Request,
)
from jrn_perception.evaluation.recordings.totals import Measured, Remarks
from jrn_perception.frame import Frame
from jrn_perception.labels import custom, FOLDS, LABEL_SETS, map_labels, UNLABELLED
from jrn_perception.messages.images import BadImage
from jrn_perception.messages.maps import to_depth, to_labels
from jrn_perception.perception import Prediction
from jrn_perception.perception.stream import Track, untracked
from jrn_perception.recordings.reader import Recording, RecordingError
import numpy as np

# Metres that metrics can measure: log and ratio need a positive depth.
LIMITS = (1e-3, 1e3)


def score(path: Path | str, request: Request, track: Track = untracked,
          interrupted: Callable[[], bool] = lambda: False) -> BagEvaluation:
    """
    Measure the predictions on the topics ``request.predicted``, as ``evaluate_bag`` a network's.

    Depth is compared where it is predicted (not NaN or 0), labels where they are not 255. Raises
    ValueError (RecordingError among them) of one line.
    """
    # Recorded depth is in metres already.
    protocol = replace(request.protocol, focal_correction=False,
                       clamp=request.protocol.clamp or LIMITS)
    request = replace(request, protocol=protocol)
    with Recording(path, request.span) as recording:
        network = _network(recording, request)
        return _Scoring(network, recording, request, False).evaluate(track, interrupted)


def _network(recording: Recording, request: Request) -> RecordedNetwork:
    """Return what a LabelInfo says of the predicted labels; RecordingError without one."""
    if not request.predicted.labels:
        return RecordedNetwork(None, None)
    topic = recording.topic(request.predicted.labels)
    names = {key: name for key, name in class_names(recording, topic, None).items()
             if key != UNLABELLED}
    ids = sorted(names)
    known = [labels for labels in LABEL_SETS.values()
             if list(labels.names) == [names[key] for key in ids]]
    try:
        labels = known[0] if known else custom([names[key] for key in ids])
    except ValueError as error:
        raise RecordingError(f'{recording.path}: the LabelInfo of {topic.name}: {error}'
                             ) from error
    table = np.full(256, UNLABELLED, np.uint8)
    table[ids] = np.arange(len(ids))
    return RecordedNetwork(labels, table)


class _Scoring(Run):
    """One evaluation of recorded predictions."""

    def evaluate(self, track: Track, interrupted: Callable[[], bool]) -> BagEvaluation:
        """Evaluate all predictions."""
        request = self.request
        total = self.recording.expected(self.topics['image'])
        total = min(request.limit, total) if request.limit else total
        self._without = {'depth': 0, 'label': 0}
        previous: Measured | None = None
        matches = islice(pair(self._messages(), self.pairing), request.limit or None)
        done = 0
        for match in track(self._unbroken(matches), total):
            if interrupted():
                break
            measured = self._measure_recorded(match)
            if previous and not measured.fault and not previous.fault:
                measured.drift = drift(measured.depth, measured.labels, previous.depth,
                                       previous.labels)
            previous = measured
            self.totals.add(measured)
            done += 1
        reasons = []
        if interrupted() and done < total:
            if not self.totals.frames:
                raise KeyboardInterrupt
            reasons.append(f'{self.recording.path}: interrupted after {done} of {total} messages')
        notes = [f'{count} pixels have a true {name} but no predicted {name}: not compared'
                 for name, count in self._without.items() if count]
        return self.result(reasons, notes)

    def _measure_recorded(self, match: Match) -> Measured:
        leader, remarks = match.message, Remarks([], {})
        name = f'{leader.topic}@{written(leader.stamp_ns)}'
        empty = Frame(np.zeros((1, 1, 3), np.uint8), name, leader.stamp_ns)
        try:
            depth, labels = self._predicted(match)
            size = (labels if depth is None else depth).shape
            # Only the size of the picture is needed.
            frame = replace(empty, rgb=np.broadcast_to(np.uint8(0), (*size, 3)))
            frame = self._where_predicted(
                replace(frame, **self.truths(match, frame, remarks)), depth, labels)
            confidence = None if labels is None else np.where(
                labels == UNLABELLED, np.float32(0), np.float32(math.nan))
            # Where nothing is predicted there is no truth either: the values do not count.
            prediction = Prediction.of_arrays(
                np.zeros(size, np.float32), labels, confidence, self.perception.label_set)
            prediction.depth = None if depth is None else np.nan_to_num(depth, nan=LIMITS[0])
            if labels is not None:
                prediction.labels = np.where(labels == UNLABELLED, np.uint8(0), labels)
            measured = Measured(frame, remarks, '', None, depth, labels)
            measured.count(confidence, self.request.confidence)
            measured.compare(self.comparison, prediction, inputs=False)
        except ValueError as error:
            return Measured(empty, remarks, f'{name}: {error}')
        return measured

    def _predicted(self, match: Match) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return the predicted depth and labels of a match at the size of the leading map."""
        depth = labels = None
        predicted = self.request.predicted
        if predicted.depth:
            depth = to_depth(self._decoded(match.message.message.record))
        if predicted.labels:
            record = match.message.message.record
            if predicted.depth:
                partner = match.partners[self.topics['predicted_labels'].name]
                if partner is None:
                    raise BadImage(f'{predicted.labels} has no message within '
                                   f'{self.request.tolerance_s:g} s')
                record = partner.message
            labels = map_labels(to_labels(self._decoded(record)), self.perception.table)
            own, common = self.perception.label_set, self.comparison.labels
            if common not in (None, own):
                # Coarser classes: a recording has no probabilities that could be summed.
                labels = map_labels(labels, FOLDS[own.name, common.name])
            if depth is not None and labels.shape != depth.shape:
                labels = cv2.resize(labels, depth.shape[::-1],
                                    interpolation=cv2.INTER_NEAREST_EXACT)
        return depth, labels

    def _decoded(self, record: Any) -> Any:
        return self.recording.decode(record)

    def _where_predicted(self, frame: Frame, depth: np.ndarray | None,
                         labels: np.ndarray | None) -> Frame:
        """Return the frame without truth where nothing is predicted, and count these pixels."""
        if frame.depth is not None and depth is not None:
            missing = np.isnan(depth) & np.isfinite(frame.depth)
            self._without['depth'] += np.count_nonzero(missing)
            frame = replace(frame, depth=np.where(missing, np.float32(math.nan), frame.depth))
        if frame.labels is not None and labels is not None:
            missing = (labels == UNLABELLED) & (frame.labels != UNLABELLED)
            self._without['label'] += np.count_nonzero(missing)
            frame = replace(frame, labels=np.where(missing, np.uint8(UNLABELLED), frame.labels))
        return frame
