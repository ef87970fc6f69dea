# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The common part of evaluations on a recording: request, topics, ground truth, sums, result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
import math
from pathlib import Path
from typing import Any, NamedTuple

import cv2
from jrn_perception.evaluation.measures.comparison import Comparison, Protocol
from jrn_perception.evaluation.recordings.camera import Camera, camera_topic
from jrn_perception.evaluation.recordings.pairing import Match, Pairing
from jrn_perception.evaluation.recordings.ranging import RangeTotals
from jrn_perception.evaluation.recordings.totals import Remarks, Totals
from jrn_perception.frame import Frame
from jrn_perception.labels import LabelSet, map_labels
from jrn_perception.messages import label_info
from jrn_perception.messages.images import BadImage
from jrn_perception.messages.maps import to_depth, to_labels
from jrn_perception.perception import Perception
from jrn_perception.recordings.reader import (
    COMPRESSED,
    IMAGE,
    Record,
    Recording,
    RecordingError,
    Topic,
)
import numpy as np

# The cameras and depth sensors of one driver share stamps. Other sensors need half a period, which
# is 17 ms at 30 Hz.
TOLERANCE_S = 0.017
# Two sizes show the same part of the world if their aspects differ by rounding alone.
ASPECT = 0.02


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
    ``Protocol``), '' the topic beside the pictures. ``range_topic`` is a range sensor that
    corrects depth in a second measurement, '' none; ``range_extrinsics`` is its pose, see
    ``RangeSensor``.
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
    range_topic: str = ''
    range_extrinsics: str = ''


@dataclass(frozen=True)
class BagEvaluation:
    """
    The results of an evaluation on a recording.

    ``topics`` are the topics by role (image, depth, labels). ``camera_info`` is the topic of the
    calibration, None if the recording has none or depth is not corrected. ``ids`` tell how the
    recorded labels were read. ``rates`` are the stamps (ns) by topic. ``reasons`` say why the
    evaluation is partial, and are empty for a whole evaluation; ``notes`` explain the numbers.
    ``wall_s`` and ``network_s`` are seconds of real time, NaN if the network ran in another
    process. ``ranged`` are the results with the range sensor, None without one.
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
    ranged: RangeTotals | None = None


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

    def __init__(self, perception: Perception, recording: Recording, request: Request,
                 inputs: bool):
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
                             if request.protocol.focal_correction else None, image)
        self.stopped = ''

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
            array = to_depth(msg) if role == 'depth' else to_labels(msg)
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
               ranged: RangeTotals | None = None, **seconds: float) -> BagEvaluation:
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
            [*self._notes(), *notes], camera_info=self.camera.topic, ranged=ranged,
            **seconds)

    def _reasons(self) -> list[str]:
        totals, request = self.totals, self.request
        reasons = [self.stopped] if self.stopped else []
        if totals.num_damaged:
            reasons.append(f'{totals.num_damaged} pictures were left out, the first: '
                           f'{totals.damaged[0]}')
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
        notes = sorted(self.totals.notes)
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


def topics_of(recording: Recording, request: Request) -> dict[str, Topic]:
    """Return the topics of a request by role: image, and depth and labels if it names them."""
    topics = {'image': recording.image_topic(request.image)}
    for role, name in (('depth', request.depth), ('labels', request.labels)):
        if name:
            topics[role] = map_topic(recording, name, role)
    if len({topic.name for topic in topics.values()}) < len(topics):
        raise ValueError(f'{recording.path}: pictures, depth and labels need a topic each')
    if request.range_topic:
        # The true depth may be the range image as well.
        topics['range'] = recording.topic(request.range_topic)
    return topics


def map_topic(recording: Recording, name: str, role: str) -> Topic:
    """Return the topic called ``name``; RecordingError if it has no images."""
    topic = recording.topic(name)
    if topic.msgtype not in (IMAGE, COMPRESSED):
        raise RecordingError(f'{recording.path}: {name} is {topic.msgtype}; {role} is an Image or '
                             'CompressedImage')
    return topic


def maps_of(recording: Recording, role: str) -> list[str]:
    """Return the topics whose first messages could be true depth or labels."""
    if role == 'labels' and not recording.of_type(label_info.LABEL_INFO):
        return []
    found = []
    for topic in recording.of_type(IMAGE, COMPRESSED):
        try:
            msg = recording.decode(next(recording.records([topic.name])))
            (to_depth if role == 'depth' else to_labels)(msg)
        except (BadImage, RecordingError):
            continue
        found.append(topic.name)
    return found


def class_names(recording: Recording, labels: Topic, label_map: Path | None) -> dict[int, str]:
    """
    Return the names of a label topic's ids: from the file, else from the recording's LabelInfo.

    The LabelInfo is in the topic's namespace or above, or is the recording's only LabelInfo.
    Raises RecordingError.
    """
    if label_map is not None:
        return label_info.read_names(label_map)
    infos = {topic.name: topic for topic in recording.of_type(label_info.LABEL_INFO)}
    namespace, found = labels.name, None
    while namespace and found is None:
        namespace = namespace.rpartition('/')[0]
        found = infos.get(f'{namespace}/label_info')
    if found is None and len(infos) == 1:
        found = next(iter(infos.values()))
    if found is None:
        raise RecordingError(f'{recording.path}: {len(infos) or "no"} topics of LabelInfo that '
                             f'could belong to {labels.name}: name a file with --label-map')
    return label_info.names_of(next(recording.records([found.name])).data)
