# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The common part of evaluations on a recording: request, topics, ground truth, sums, result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import cv2
from jrn_perception.evaluation.measures.comparison import Comparison, Protocol
from jrn_perception.evaluation.recordings.camera import camera_topic
from jrn_perception.evaluation.recordings.pairing import Match, Pairing, stamp_of
from jrn_perception.evaluation.recordings.plausibility import DepthSigns
from jrn_perception.evaluation.recordings.ranging import RangeTotals
from jrn_perception.evaluation.recordings.roles import class_names, maps_of, topics_of
from jrn_perception.evaluation.recordings.steadying import SteadyTotals
from jrn_perception.evaluation.recordings.totals import Remarks, Totals
from jrn_perception.frame import Frame
from jrn_perception.labels import LabelSet, map_labels
from jrn_perception.messages import label_info
from jrn_perception.messages.images import BadImage
from jrn_perception.messages.maps import to_depth, to_labels
from jrn_perception.perception import Perception
from jrn_perception.recordings.camera import Camera
from jrn_perception.recordings.reader import (
    Record,
    Recording,
    RecordingError,
    Span,
    Topic,
)
import numpy as np

# The cameras and depth sensors of one driver share stamps. Other sensors need half a period, which
# is 17 ms at 30 Hz.
TOLERANCE_S = 0.017
# A stamp that differs by a second from the previous one may be part of a damaged message.
JUMP_NS = 10**9
# Two sizes show the same part of the world if their aspects differ by rounding alone.
ASPECT = 0.02


@dataclass(frozen=True)
class Predicted:
    """Topics with recorded predictions; '' means none."""

    depth: str = ''
    labels: str = ''


@dataclass(frozen=True)
class Request:
    """
    The part of a recording that is evaluated, and how.

    ``image``, ``depth`` and ``labels`` name topics; '' means no topic, and for ``image`` the only
    image topic of the recording. ``label_map`` is a json file of names by id, by default the
    recording's LabelInfo. ``tolerance_s`` is the largest difference between the stamps of a
    picture and its ground truth. A label counts as uncertain below ``confidence``. ``limit`` is
    the number of pictures from the first, 0 for all. ``worst`` frames are kept for each measure.
    ``camera_info`` names the topic with the focal length that depth is corrected for (see
    ``Protocol``), '' the topic beside the pictures. True depth is multiplied by ``depth_scale``.
    ``span`` is the part of the recording that is evaluated, None for all of it. ``predicted``
    names recorded predictions, which ``scored.score`` measures in place of a network's.
    ``range_topic`` is a range sensor that corrects depth in a second measurement, '' none;
    ``range_extrinsics`` is its pose, see ``RangeSensor``. ``temporal_filter`` is the time constant
    (s) of a filter whose output is measured as well, 0 for none.
    """

    image: str = ''
    depth: str = ''
    labels: str = ''
    label_map: Path | None = None
    tolerance_s: float = TOLERANCE_S
    protocol: Protocol = field(default_factory=Protocol)
    confidence: float = 0.5
    limit: int = 0
    worst: int = 3
    camera_info: str = ''
    depth_scale: float = 1.0
    span: Span | None = None
    predicted: Predicted | None = None
    range_topic: str = ''
    range_extrinsics: str = ''
    temporal_filter: float = 0.0

    def __post_init__(self):
        if not 0 <= self.temporal_filter < math.inf:
            raise ValueError(f'temporal filter {self.temporal_filter:g}: seconds, 0 for none')
        if not 0 < self.depth_scale < math.inf:
            raise ValueError(f'depth scale {self.depth_scale:g}: a positive number')


@dataclass(frozen=True)
class RecordedNetwork:
    """
    The network behind recorded predictions: only its label set is known, by a LabelInfo.

    ``table``, uint8 (256,), maps recorded ids to ids of ``label_set``; None without labels.
    """

    label_set: LabelSet | None
    table: np.ndarray | None
    can_mute = refines = False
    # Metres that the median of true depth can have.
    card = SimpleNamespace(depth_range=(0.1, 200.0))


@dataclass(frozen=True)
class BagEvaluation:
    """
    The results of an evaluation on a recording.

    ``topics`` are the topics by role (image, depth, labels). ``camera_info`` is the topic of the
    calibration, None if the recording has none or depth is not corrected. ``ids`` tell how the
    recorded labels were read. ``rates`` are the stamps (ns) by topic. ``reasons`` say why the
    evaluation is partial, and are empty for a whole evaluation; ``notes`` explain the numbers.
    ``wall_s`` and ``network_s`` are seconds of real time, NaN if the network ran in another
    process. ``network`` is the network, or its stand-in for recorded predictions. ``ranged`` are
    the results with the range sensor, ``steadied`` with the temporal filter, None without one.
    """

    path: Path
    request: Request
    topics: dict[str, Topic]
    ids: label_info.Ids | None
    labels: LabelSet | None
    clamp: tuple[float, float]
    totals: Totals
    rates: dict[str, list[int]]
    reasons: list[str]
    notes: list[str]
    wall_s: float = math.nan
    network_s: float = math.nan
    camera_info: Topic | None = None
    network: Perception | RecordedNetwork | None = None
    ranged: RangeTotals | None = None
    steadied: SteadyTotals | None = None


class Picture(NamedTuple):
    """A recorded picture, and the CameraInfo at that time."""

    record: Record
    camera_info: Any


class Session:
    """
    The common state of evaluations on a recording: its topics, its ground truth, the sums.

    ``inputs`` tells whether the inputs of a JRN are measured as well. ``stopped`` says why the
    messages end before the recording ends, '' if all were read.
    """

    def __init__(self, perception: Perception | RecordedNetwork, recording: Recording,
                 request: Request, inputs: bool):
        self.perception, self.recording, self.request = perception, recording, request
        self.topics = topics_of(recording, request)
        self._names: dict[int, str] = {}
        self.ids = None
        if request.labels:
            self._names = class_names(recording, self.topics['labels'], request.label_map)
            wanted = [labels for labels in (request.protocol.labels, perception.label_set)
                      if labels]
            self.ids = label_info.match(self._names, wanted)
        self.comparison = Comparison(perception, self.ids.labels if self.ids else None,
                                     request.protocol)
        labels = self.comparison.labels or perception.label_set
        self.totals = Totals(self.comparison.num_classes, labels, inputs, request.worst)
        self.rates: dict[str, list[int]] = {topic.name: [] for topic in self.topics.values()}
        self.pairing = Pairing(self.topics['image'].name, list(self.rates)[1:],
                               round(request.tolerance_s * 1e9))
        image = self.topics['image']
        self.camera = Camera(recording, camera_topic(recording, image, request.camera_info)
                             if request.protocol.focal_correction else None, image.name)
        self.signs = DepthSigns()
        self.stopped = ''
        # Number of messages that are none, and the first fault, by topic.
        self.damaged: dict[str, tuple[int, str]] = {}
        self._last: dict[str, int] = {}

    def stamp(self, record: Record) -> int | None:
        """
        Return the stamp of a message, ns; None if the message is damaged, which is counted.

        A damaged message may have any stamp, and messages after it would seem to go back in time.
        """
        topic, found = record.topic.name, None
        try:
            found = stamp_of(record.data)
            if abs(found - self._last.get(topic, found - JUMP_NS)) >= JUMP_NS:
                self.recording.decode(record)
        except ValueError as error:
            count, first = self.damaged.get(topic, (0, f'at {record.stamp_ns} ns: {error}'))
            self.damaged[topic] = count + 1, first
            return None
        self._last[topic] = found
        return found

    def truths(self, match: Match, frame: Frame, remarks: Remarks) -> dict[str, np.ndarray | None]:
        """Return the ground truth by role at the picture's size; None if there is none."""
        return {role: self._truth(role, match, frame, remarks)
                for role in ('depth', 'labels') if role in self.topics}

    def _truth(self, role: str, match: Match, frame: Frame,
               remarks: Remarks) -> np.ndarray | None:
        """Return the ground truth at the picture's size; None if it is missing or unusable."""
        partner = match.partners[self.topics[role].name]
        if partner is None:
            return None
        try:
            msg = self.recording.decode(partner.message)
            if role == 'depth':
                array = to_depth(msg) * np.float32(self.request.depth_scale)
                self.signs.add(msg, array)
            else:
                array = to_labels(msg)
        except (BadImage, RecordingError) as error:
            remarks.faults[role] = f'{partner.topic} for {frame.name}: {error}'
            return None
        size, own = frame.rgb.shape[:2], array.shape
        if abs(own[1] * size[0] / (own[0] * size[1]) - 1) > ASPECT:
            remarks.faults[role] = (f'{partner.topic} is {own[1]}x{own[0]}, {frame.name} '
                                    f'{size[1]}x{size[0]}: not the same view')
            return None
        if own != size:
            remarks.notes.append(f'{partner.topic} is {own[1]}x{own[0]}, the pictures are '
                                 f'{size[1]}x{size[0]}: compared by the nearest pixel')
            array = cv2.resize(array, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        if role == 'labels':
            found = np.flatnonzero(np.bincount(array.reshape(-1), minlength=256))
            for unnamed in set(found.tolist()) - set(self._names) - {255}:
                remarks.notes.append(f'{partner.topic} has id {unnamed}, which has no name: not '
                                     'compared')
            array = map_labels(array, self.ids.table)
        return array

    def result(self, reasons: Sequence[str] = (), notes: Sequence[str] = (),
               **seconds: float) -> BagEvaluation:
        """
        Return the result; RecordingError if no frame was evaluated.

        ``reasons`` and ``notes`` are added to the reasons and notes of the frames.
        """
        totals = self.totals
        if not totals.frames:
            found = next(iter([*totals.damaged, *reasons]), self.stopped or 'it has no pictures')
            raise RecordingError(f'{self.recording.path}: no picture of '
                                 f'{self.topics["image"].name} could be evaluated: {found}')
        return BagEvaluation(
            self.recording.path, self.request, self.topics, self.ids, self.comparison.labels,
            self.comparison.clamp, totals, self.rates, [*self._reasons(), *reasons],
            [*self._notes(), *notes], camera_info=self.camera.topic, network=self.perception,
            **seconds)

    def _reasons(self) -> list[str]:
        totals, request = self.totals, self.request
        reasons = [self.stopped] if self.stopped else []
        if totals.num_damaged:
            reasons.append(f'{totals.num_damaged} pictures were left out, the first: '
                           f'{totals.damaged[0]}')
        reasons += [f'{count} messages of {topic} were left out, the first {first}'
                    for topic, (count, first) in self.damaged.items()
                    if topic != self.topics['image'].name]
        if self.camera.damaged:
            reasons.append(self.camera.damage)
        # Without ground truth there is nothing to pair.
        if len(self.topics) > 1:
            reasons += [f'{count} messages of {topic} are not stamped (0): they cannot be paired'
                        for topic, count in self.pairing.unstamped.items()]
        for role in ('depth', 'labels'):
            if role not in self.topics:
                continue
            topic = self.topics[role].name
            if role in totals.damaged_truth:
                count, first = totals.damaged_truth[role]
                reasons.append(f'{count} messages of {topic} were left out, one of them: {first}')
            elif not totals.with_truth[role]:
                reasons.append(f'{topic}: none within {request.tolerance_s:g} s of any picture')
        return [' '.join(reason.split()) for reason in reasons]

    def _notes(self) -> list[str]:
        notes = [*self.recording.notes, *sorted(self.totals.notes)]
        if 'depth' in self.topics:
            notes += self.signs.notes(self.topics['depth'].name, self.perception.card.depth_range)
        for role in ('depth', 'labels'):
            unused = [] if role in self.topics else maps_of(self.recording, role)
            unused = [name for name in unused if name not in self.rates]
            if unused:
                notes.append(f'not compared with {", ".join(unused)}: name it with --{role} if it '
                             'is the truth')
        if self.ids and self.ids.missing:
            notes.append(f'classes that {self.ids.labels.name} does not have are not compared: '
                         f'{", ".join(self.ids.missing)}')
        return notes
