# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
A network over a recording, with ground truth if the recording has it.

Pictures are decoded ahead and predictions are measured behind in threads (see
``perception.stream``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain, islice, pairwise
from pathlib import Path
import time

from jrn_perception.evaluation.measures.drift import Drift, drift
from jrn_perception.evaluation.recordings.camera import with_camera
from jrn_perception.evaluation.recordings.pairing import (
    BackwardsError,
    Match,
    pair,
    Stamped,
    written,
)
from jrn_perception.evaluation.recordings.ranging import RangeSensor, Ranging
from jrn_perception.evaluation.recordings.session import BagEvaluation, Picture, Request, Session
from jrn_perception.evaluation.recordings.steadying import Steadying
from jrn_perception.evaluation.recordings.totals import Measured, Remarks, Timing
from jrn_perception.frame import Frame
from jrn_perception.messages.camera_info import match
from jrn_perception.messages.images import BadImage
from jrn_perception.perception import Perception, Prediction
from jrn_perception.perception.anchoring import Anchors
from jrn_perception.perception.stream import Step, stream, Track, untracked
from jrn_perception.perception.threads import ahead
from jrn_perception.recordings.reader import picture_of, Recording, RecordingError
import numpy as np


@dataclass
class _Visit:
    """A picture of the recording with its ground truth, and the findings about both."""

    match: Match
    remarks: Remarks = field(default_factory=lambda: Remarks([], {}))
    name: str = ''
    fault: str = ''
    anchors: Anchors = field(default_factory=Anchors.none)
    # Why the range sensor's measurement cannot be used.
    unmeasured: str = ''


@dataclass(frozen=True)
class _Finished:
    """
    A measured picture, with all that the second measurements need.

    ``prediction`` and ``anchors`` are for the range sensor's, ``step`` is for the filter's.
    """

    measured: Measured
    prediction: Prediction | None = None
    anchors: Anchors = field(default_factory=Anchors.none)
    step: Step[_Visit] | None = None


def evaluate_bag(perception: Perception, path: Path | str, request: Request | None = None,
                 track: Track = untracked,
                 interrupted: Callable[[], bool] = lambda: False) -> BagEvaluation:
    """
    Measure ``perception`` on a recording.

    If the recording breaks off, its stamps go backwards, or pictures are damaged, the result has
    the other frames, and its ``reasons`` say what is missing. Raises ValueError (RecordingError
    among them) of one line if no frame could be evaluated or the request does not fit the
    recording. ``track`` wraps the frames and their number, for a progress bar. ``interrupted`` is
    asked before each frame and ends the evaluation early; KeyboardInterrupt if there is no frame
    to keep.
    """
    request = request or Request()
    if request.limit < 0:
        raise ValueError(f'limit {request.limit}: a number of frames, 0 for all')
    with Recording(path, request.span) as recording:
        inputs = perception.refines
        return Run(perception, recording, request, inputs).evaluate(track, interrupted)


class Run(Session):
    """One evaluation: the stages of a frame, in the order in which it passes them."""

    ranging: Ranging | None = None
    steadying: Steadying | None = None

    def evaluate(self, track: Track, interrupted: Callable[[], bool]) -> BagEvaluation:
        """Evaluate all frames."""
        request, network_s = self.request, 0.0
        start = time.perf_counter()
        total = self.recording.expected(self.topics['image'])
        total = min(request.limit, total) if request.limit else total
        if request.range_topic:
            self.ranging = Ranging(RangeSensor(self.recording, self.topics['range'],
                                               self.topics['image'], request.range_extrinsics),
                                   self.comparison)
        if request.temporal_filter:
            self.steadying = Steadying(self.perception, self.comparison, request.temporal_filter)
        matches = islice(pair(self._messages(), self.pairing), request.limit or None)
        measured = track(map(self._measure_again, stream(
            self.perception, map(_Visit, self._unbroken(matches)), self._decode,
            finish=self._measure, interrupted=interrupted)), total)
        with ThreadPoolExecutor() as pool:
            for result in ahead(self._drift, pairwise(chain([None], measured)), pool, 2):
                self.totals.add(result)
                network_s += result.timing.inference_s if result.timing else 0.0
        wall_s = time.perf_counter() - start
        done, reasons = self.totals.frames + self.totals.num_damaged, []
        if interrupted() and done < total:
            if not self.totals.frames:
                raise KeyboardInterrupt
            reasons.append(f'{self.recording.path}: interrupted after {done} of {total} pictures')
        return replace(
            self.result(reasons, wall_s=wall_s, network_s=network_s),
            ranged=self.ranging.totals if self.ranging else None,
            steadied=self.steadying.totals if self.steadying else None)

    def _messages(self) -> Iterator[Stamped]:
        camera = self.camera.topic
        for record in self.recording.records([*self.rates, *([camera.name] if camera else [])]):
            if record.topic == camera:
                self.camera.hear(record)
                continue
            stamp, is_picture = self.stamp(record), record.topic == self.topics['image']
            if stamp is not None:
                self.rates[record.topic.name].append(stamp)
            elif is_picture:
                # It passes on, so that it is counted at its place. 0 would mean "not stamped".
                stamp = (self.rates[record.topic.name] or [1])[-1]
            else:
                continue
            message = Picture(record, self.camera.info) if is_picture else record
            yield Stamped(record.topic.name, stamp, message)

    def _unbroken(self, matches: Iterator[Match]) -> Iterator[Match]:
        """Yield the matches before the recording breaks off."""
        try:
            yield from matches
        except BackwardsError as error:
            self.stopped = f'{self.recording.path}: {error}; later messages were left out'
        except RecordingError as error:
            self.stopped = str(error)

    def _decode(self, visit: _Visit) -> Frame | None:
        stamped = visit.match.message
        visit.name = f'{stamped.topic}@{written(stamped.stamp_ns)}'
        try:
            record = stamped.message.record
            frame = Frame(picture_of(record.topic, self.recording.decode(record)), visit.name,
                          stamped.stamp_ns)
            frame = with_camera(frame, self.camera, stamped.message.camera_info,
                                visit.remarks.notes)
            if self.ranging:
                visit.anchors = self._anchors(self.ranging, visit, frame)
            return replace(frame, **self.truths(visit.match, frame, visit.remarks))
        except (BadImage, RecordingError) as error:
            visit.fault = f'{visit.name}: {error}'
            return None

    def _anchors(self, ranging: Ranging, visit: _Visit, frame: Frame) -> Anchors:
        """Return the anchors of the range message of a picture, none if it has no message."""
        partner = visit.match.partners[ranging.sensor.topic.name]
        if partner is None:
            return Anchors.none()
        size = frame.rgb.shape[:2]
        camera = match(visit.match.message.message.camera_info, size, self.camera.rectified)
        try:
            return ranging.sensor.anchors(partner.message, size, camera.intrinsics)
        except ValueError as error:
            visit.unmeasured = str(error)
            visit.remarks.notes.append(visit.unmeasured)
            return Anchors.none()

    def _measure_again(self, finished: _Finished) -> Measured:
        """Return the measured picture; the second measurements go by the pictures' order."""
        measured, prediction = finished.measured, finished.prediction
        if self.ranging and prediction is not None and not measured.fault:
            self.ranging.add(measured, prediction, finished.anchors)
        if self.steadying and finished.step is not None and not measured.fault:
            self.steadying.add(finished.step)
        return measured

    def _measure(self, step: Step[_Visit]) -> _Finished:
        visit, frame = step.item, step.frame
        if step.prediction is None:
            return _Finished(Measured(
                Frame(np.zeros((1, 1, 3), np.uint8), visit.name, visit.match.message.stamp_ns),
                visit.remarks, visit.fault))
        start = time.perf_counter()
        prediction = self.comparison.prediction(step.prediction)
        depth, labels = prediction.valid_depth(), prediction.labels
        timing = Timing(step.preprocess_s, step.inference_s, time.perf_counter() - start)
        measured = Measured(frame, visit.remarks, '', timing, depth, labels)
        if frame.focal_length:
            measured.scale = prediction.depth_scale
        try:
            measured.count(prediction.confidence, self.request.confidence)
            measured.compare(self.comparison, prediction, bool(self.totals.inputs))
        except ValueError as error:
            return _Finished(Measured(frame, visit.remarks, str(error)))
        return _Finished(measured, prediction if self.ranging else None, visit.anchors,
                         step if self.steadying else None)

    def _drift(self, frames: tuple[Measured | None, Measured]) -> Measured:
        previous, measured = frames
        found = Drift()
        if previous is not None:
            found = drift(measured.depth, measured.labels, previous.depth, previous.labels)
        measured.drift = found
        return measured
