# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
A running node on a recording that is played to it, measured as ``jrn_evaluate bag`` measures.

Messages come in as bytes with the time of their arrival; nothing here knows ROS.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
import math
from typing import Any

from jrn_perception.evaluation.measures.drift import drift
from jrn_perception.evaluation.measures.series import spread
from jrn_perception.evaluation.recordings.camera import with_camera
from jrn_perception.evaluation.recordings.pairing import (
    BackwardsError,
    Match,
    stamp_of,
    Stamped,
    written,
)
from jrn_perception.evaluation.recordings.session import BagEvaluation, Picture, Request, Session
from jrn_perception.evaluation.recordings.totals import Measured, Remarks
from jrn_perception.frame import Frame
from jrn_perception.messages import label_info
from jrn_perception.messages.images import BadImage
from jrn_perception.messages.maps import to_depth, to_labels
from jrn_perception.perception import Perception, Prediction
from jrn_perception.recordings.reader import IMAGE, Record, Recording
import numpy as np

# The measured outputs of the node.
OUTPUTS = ('depth', 'semantics', 'confidence')
# These parameters make the node publish the plain output of its network: the limits of depth and
# confidence and the correction for the focal length are applied here, as in ``bag``. Range sensors
# and the camera's height are left out.
PARAMETERS = {'min_depth': 1e-6, 'max_depth': 1000.0, 'confidence_threshold': 0.0,
              'depth_confidence_threshold': 0.0, 'focal_correction': False,
              'anchoring': 'off', 'camera_height': 0.0, 'no_depth_classes': 'predicted',
              'out_of_range': 'nan'}
# Pictures that may still get an answer; no node is farther behind.
WAITING = 200


@dataclass
class _Answer:
    """The messages of one stamp, and the time of the last one."""

    messages: dict[str, bytes]
    seconds: float = math.nan


class Replay(Session):
    """
    Measures a node by its answers to the pictures of a recording.

    ``outputs`` are the node's topics by their names in ``OUTPUTS``. ``hear`` takes each message of
    these topics and of the recording's topics; ``result`` ends the replay. A picture counts as
    processed if all outputs carried its stamp. Its ground truth is paired as in ``jrn_evaluate
    bag``. ``latency`` has the milliseconds from the arrival of each picture to the arrival of its
    last result. Raises ValueError if labels would have to be folded into coarser classes, for
    which probabilities are needed.
    """

    def __init__(self, perception: Perception, recording: Recording, request: Request,
                 outputs: Mapping[str, str]):
        super().__init__(perception, recording, request, inputs=False)
        if self.comparison.labels not in (None, perception.label_set):
            raise ValueError(f'the node publishes ids of {perception.label_set.name}: to compare '
                             f'them as {self.comparison.labels.name} its probabilities would have '
                             'to be summed, which `jrn_evaluate bag` does')
        self.sent = 0
        self.latency: list[float] = []
        self.last_picture = self.last_answer = -1
        self._roles = {topic: role for role, topic in outputs.items()}
        self._store = label_info.typestore()
        self._arrivals: dict[int, float] = {}
        self._answers: dict[int, _Answer] = {}
        self._complete: deque[int] = deque()
        self._matches: dict[int, Match] = {}
        self._previous: Measured | None = None
        self._without_depth = 0
        camera = self.camera.topic
        self._file = iter(recording.records([self.topics['image'].name, camera.name])
                          if camera else ())

    def hear(self, topic: str, data: bytes, seconds: float) -> None:
        """Take a serialised message that arrived at ``seconds`` on any steady clock."""
        if topic in self._roles:
            stamp = stamp_of(data)
            answer = self._answers.setdefault(stamp, _Answer({}))
            answer.messages[self._roles[topic]] = data
            if len(answer.messages) == len(self._roles):
                answer.seconds, self.last_answer = seconds, stamp
                self._complete.append(stamp)
        elif not self.stopped:
            self._hear_recorded(topic, data, seconds)
        self._measure_decided()

    def result(self, reasons: Sequence[str] = (), notes: Sequence[str] = (),
               **seconds: float) -> BagEvaluation:
        """Measure the pictures that still wait; return the result, as ``Session.result``."""
        self._decide(self.pairing.end())
        self._measure_decided()
        notes = list(notes)
        if self._without_depth:
            notes.append(f'{self._without_depth} pixels came without a depth, it was not above 0: '
                         f'they count as {self.comparison.clamp[0]:g} m')
        if self.totals.frames < self.sent:
            notes.append('drift is measured between processed frames')
        return super().result(reasons, notes, **seconds)

    def timings(self) -> dict[str, Any]:
        """Return frames sent, processed and dropped, and the latencies."""
        processed = self.totals.frames + self.totals.num_damaged
        return {'frames': {'sent': self.sent, 'processed': processed,
                           'dropped': self.sent - processed},
                'stages_ms': {'end to end': spread(self.latency)}}

    def _hear_recorded(self, topic: str, data: bytes, seconds: float) -> None:
        record = Record(self.recording.topic(topic), 0, data)
        stamp = self.stamp(record)
        if stamp is None:
            return  # Damaged, and counted.
        record = replace(record, stamp_ns=stamp)
        if topic == self.topics['image'].name:
            self.sent += 1
            self.last_picture = stamp
            self._arrivals[stamp] = seconds
            record = Picture(record, self._camera_info(stamp))
        self.rates[topic].append(stamp)
        try:
            self._decide(self.pairing.add(Stamped(topic, stamp, record)))
        except BackwardsError as error:
            self._decide(self.pairing.end())
            self.stopped = f'{self.recording.path}: {error}; later messages were left out'

    def _camera_info(self, stamp: int) -> Any:
        """Return the CameraInfo that the recording has before a picture."""
        for record in self._file:
            if record.topic == self.camera.topic:
                self.camera.hear(record)
            elif len(record.data) >= 12 and stamp_of(record.data) >= stamp:
                break
        return self.camera.info

    def _decide(self, matches: list[Match]) -> None:
        self._matches.update((match.message.stamp_ns, match) for match in matches)
        while len(self._matches) > WAITING:
            del self._matches[next(iter(self._matches))]

    def _measure_decided(self) -> None:
        """Measure the pictures that have both an answer and their ground truth."""
        while self._complete and self._matches:
            stamp = self._complete[0]
            if stamp in self._matches:
                self._measure(self._matches[stamp], self._answers[stamp])
            elif max(self._matches) < stamp:
                return
            # Answers come in the order of the pictures: the node dropped the older pictures.
            self._complete.popleft()
            for kept in (self._answers, self._matches, self._arrivals):
                for old in [key for key in kept if key <= stamp]:
                    del kept[old]

    def _measure(self, match: Match, answer: _Answer) -> None:
        stamped, remarks = match.message, Remarks([], {})
        name = f'{stamped.topic}@{written(stamped.stamp_ns)}'
        self.latency.append(1e3 * (answer.seconds - self._arrivals[stamped.stamp_ns]))
        empty = Frame(np.zeros((1, 1, 3), np.uint8), name, stamped.stamp_ns)
        try:
            frame, published = self._decode(empty, answer, stamped.message, remarks)
            frame = replace(frame, **self.truths(match, frame, remarks))
            measured = Measured(frame, remarks, '', None, published.valid_depth(),
                                published.labels)
            if frame.focal_length:
                measured.scale = published.depth_scale
            measured.count(published.confidence, self.request.confidence)
            # The node publishes no depth below 0, but a network with a linear output may predict
            # such depth, which the evaluation clamps.
            self._without_depth += np.count_nonzero(np.isnan(published.depth))
            published.depth = np.nan_to_num(published.depth)
            measured.compare(self.comparison, published, inputs=False)
        except ValueError as error:
            measured = Measured(empty, remarks, f'{name}: {error}')
        if self._previous is not None and not measured.fault and not self._previous.fault:
            measured.drift = drift(measured.depth, measured.labels, self._previous.depth,
                                   self._previous.labels)
        self._previous = measured
        self.totals.add(measured)

    def _decode(self, empty: Frame, answer: _Answer, picture: Picture, remarks: Remarks
                ) -> tuple[Frame, Prediction]:
        """Return a frame of the published size with its camera, and the node's prediction."""
        messages = {role: self._store.deserialize_cdr(data, IMAGE)
                    for role, data in answer.messages.items()}
        confidence = messages['confidence']
        if confidence.encoding != '32FC1':
            raise BadImage(f'confidence is {confidence.encoding}, 8 bits of it say too little: '
                           'start the node with confidence_encoding 32FC1')
        depth = to_depth(messages['depth'])
        # Only the size of the picture is needed.
        frame = replace(empty, rgb=np.broadcast_to(np.uint8(0), (*depth.shape, 3)))
        frame = with_camera(frame, self.camera, picture.camera_info, remarks.notes)
        # The node corrects for the size of its input alone: see ``PARAMETERS``.
        scale = self.perception.depth_scale(depth.shape, frame.focal_length)
        factor = scale / self.perception.depth_scale(depth.shape)
        return frame, Prediction.of_arrays(
            depth * np.float32(factor), to_labels(messages['semantics']),
            np.frombuffer(confidence.data, np.float32).reshape(depth.shape),
            self.perception.label_set, scale, self.perception.card.depth_range)
