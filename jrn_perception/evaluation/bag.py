# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
A network over a recording, with ground truth where there is some.

Pictures are decoded ahead and predictions are measured behind in threads, so that the network
waits for nothing; what is kept does not grow with the recording.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain, islice, pairwise
import os
from pathlib import Path
import time
from typing import NamedTuple

import cv2
from jrn_perception.data import label_info
from jrn_perception.data.frame import Frame
from jrn_perception.data.image_encodings import BadImage, compressed_to_rgb, to_rgb
from jrn_perception.data.map_encodings import to_depth, to_labels
from jrn_perception.data.recording import (
    COMPRESSED,
    IMAGE,
    Record,
    Recording,
    RecordingError,
    Topic,
)
from jrn_perception.evaluation.dataset import Comparison, Protocol
from jrn_perception.evaluation.drift import Drift, drift
from jrn_perception.evaluation.pairing import (
    BackwardsError,
    Match,
    pair,
    Pairing,
    stamp_of,
    Stamped,
    written,
)
from jrn_perception.evaluation.pipeline import ahead
from jrn_perception.evaluation.streams import Rate
from jrn_perception.evaluation.totals import Measured, Remarks, Timing, Totals
from jrn_perception.labels import LabelSet, map_labels
from jrn_perception.networks.maps import Maps
from jrn_perception.perception import limit_depth, Perception
import numpy as np
from torch import Tensor

Track = Callable[[Iterable, int], Iterable]
# Cameras and depth sensors of one driver share stamps; half a period at 30 Hz for the others.
TOLERANCE_S = 0.017
# Two sizes show the same part of the world if their aspects agree so far: rounding, no more.
ASPECT = 0.02


@dataclass(frozen=True)
class Request:
    """
    What of a recording is evaluated.

    Topics are named, '' for none (for the pictures: the one that there is); ``label_map`` is a
    json file of names by id, by default the recording's LabelInfo. ``tolerance_s`` between the
    stamps of a picture and its ground truth; ``confidence`` below which a label counts as
    uncertain; the first ``limit`` pictures, 0 for all; ``worst`` frames kept for each measure.
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


@dataclass(frozen=True)
class BagEvaluation:
    """
    What was found.

    ``topics`` by role (image, depth, labels); ``ids`` as the labels of the recording were read;
    ``rates`` by topic; ``reasons`` why the evaluation is partial, empty if it is not; ``notes``
    on what the numbers mean; ``wall_s`` and ``network_s`` as measured by the clock on the wall.
    """

    path: Path
    request: Request
    topics: dict[str, Topic]
    ids: label_info.Ids | None
    labels: LabelSet | None
    clamp: tuple[float, float]
    totals: Totals
    rates: dict[str, Rate]
    reasons: list[str]
    notes: list[str]
    wall_s: float
    network_s: float


class _Decoded(NamedTuple):
    """A picture ready for the network, or the ``fault`` for which there is none."""

    frame: Frame
    tensor: Tensor | None
    preprocess_s: float
    remarks: Remarks
    fault: str = ''


class _Inferred(NamedTuple):
    decoded: _Decoded
    maps: Maps | None
    inference_s: float


def evaluate_bag(perception: Perception, path: Path | str, request: Request | None = None,
                 track: Track = lambda items, total: items) -> BagEvaluation:
    """
    Return what ``perception`` is worth on a recording.

    Where the recording breaks off, its stamps go backwards, or pictures are damaged, what could be
    evaluated is kept and ``reasons`` say what is missing. Raises ValueError (RecordingError among
    them) of one line if nothing could be evaluated or the request does not fit the recording.
    ``track`` wraps the frames, of which the second argument is the number, for a progress bar.
    """
    request = request or Request()
    if request.limit < 0:
        raise ValueError(f'limit {request.limit}: a number of frames, 0 for all')
    with Recording(path) as recording:
        return _Run(perception, recording, request).evaluate(track)


class _Run:
    """One evaluation: the stages of a frame, in the order in which it passes them."""

    def __init__(self, perception: Perception, recording: Recording, request: Request):
        self._perception, self._recording, self._request = perception, recording, request
        self._topics = {'image': recording.image_topic(request.image)}
        for role, name in (('depth', request.depth), ('labels', request.labels)):
            if name:
                self._topics[role] = map_topic(recording, name, role)
        if len({topic.name for topic in self._topics.values()}) < len(self._topics):
            raise ValueError(f'{recording.path}: pictures, depth and labels need a topic each')
        self._names: dict[int, str] = {}
        self._ids = None
        if request.labels:
            self._names = class_names(recording, self._topics['labels'], request.label_map)
            wanted = [labels for labels in (request.protocol.labels, perception.label_set)
                      if labels]
            self._ids = label_info.match(self._names, wanted)
        self._comparison = Comparison(perception, self._ids.labels if self._ids else None,
                                      request.protocol)
        labels = self._comparison.labels or perception.label_set
        self._totals = Totals(self._comparison.num_classes, labels,
                              bool(perception.card.spec.inputs), request.worst)
        self._rates = {topic.name: Rate() for topic in self._topics.values()}
        self._pairing = Pairing(self._topics['image'].name, list(self._rates)[1:],
                                round(request.tolerance_s * 1e9))
        self._stopped = ''

    def evaluate(self, track: Track) -> BagEvaluation:
        """Evaluate all frames."""
        request, network_s = self._request, 0.0
        start = time.perf_counter()
        total = self._topics['image'].count
        total = min(request.limit, total) if request.limit else total
        matches = islice(pair(self._messages(), self._pairing), request.limit or None)
        workers = max(2, os.cpu_count() or 2)
        with ThreadPoolExecutor(workers) as pool:
            decoded = ahead(self._decode, self._unbroken(matches), pool, 2 * workers)
            inferred = map(self._infer, track(decoded, total))
            measured = ahead(self._measure, inferred, pool, 2 * workers)
            for result in ahead(self._drift, pairwise(chain([None], measured)), pool, workers):
                self._totals.add(result)
                network_s += result.timing.inference_s if result.timing else 0.0
        wall_s = time.perf_counter() - start
        totals = self._totals
        if not totals.frames:
            reason = next(iter(totals.damaged), self._stopped or 'it has no pictures')
            raise RecordingError(f'{self._recording.path}: no picture of '
                                 f'{self._topics["image"].name} could be evaluated: {reason}')
        return BagEvaluation(
            self._recording.path, request, self._topics, self._ids, self._comparison.labels,
            self._comparison.clamp, totals, self._rates, self._reasons(), self._notes(), wall_s,
            network_s)

    def _messages(self) -> Iterator[Stamped]:
        for record in self._recording.records(list(self._rates)):
            try:
                stamp = stamp_of(record.data)
            except ValueError as error:
                raise RecordingError(f'{self._recording.path}: {record.topic.name} at '
                                     f'{record.stamp_ns} ns: {error}') from error
            self._rates[record.topic.name].add(stamp)
            yield Stamped(record.topic.name, stamp, record)

    def _unbroken(self, matches: Iterator[Match]) -> Iterator[Match]:
        """Yield what comes before the recording breaks off."""
        try:
            yield from matches
        except BackwardsError as error:
            self._stopped = f'{self._recording.path}: {error}; what follows was left out'
        except RecordingError as error:
            self._stopped = str(error)

    def _decode(self, match: Match) -> _Decoded:
        stamped = match.message
        name = f'{stamped.topic}@{written(stamped.stamp_ns)}'
        remarks = Remarks([], {})
        try:
            frame = Frame(decode_picture(self._recording, stamped.message), name,
                          stamped.stamp_ns)
            truth = {role: self._truth(role, match, frame, remarks)
                     for role in ('depth', 'labels') if role in self._topics}
        except (BadImage, RecordingError) as error:
            empty = Frame(np.zeros((1, 1, 3), np.uint8), name, stamped.stamp_ns)
            return _Decoded(empty, None, 0.0, remarks, f'{name}: {error}')
        start = time.perf_counter()
        tensor = self._perception.preprocess(frame.rgb)
        seconds = time.perf_counter() - start
        return _Decoded(replace(frame, **truth), tensor, seconds, remarks)

    def _truth(self, role: str, match: Match, frame: Frame,
               remarks: Remarks) -> np.ndarray | None:
        """Return the ground truth at the picture's size, None where it is not to be had."""
        partner = match.partners[self._topics[role].name]
        if partner is None:
            return None
        try:
            msg = self._recording.decode(partner.message)
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
            array = map_labels(array, self._ids.table)
        return array

    def _infer(self, decoded: _Decoded) -> _Inferred:
        if decoded.tensor is None:
            return _Inferred(decoded, None, 0.0)
        start = time.perf_counter()
        maps = self._perception.infer(decoded.tensor)
        return _Inferred(decoded, maps, time.perf_counter() - start)

    def _measure(self, inferred: _Inferred) -> Measured:
        decoded, frame = inferred.decoded, inferred.decoded.frame
        if inferred.maps is None:
            return Measured(frame, decoded.remarks, decoded.fault)
        start = time.perf_counter()
        prediction = self._comparison.prediction(inferred.maps, frame.rgb.shape[:2])
        depth, labels = prediction.depth, prediction.labels
        timing = Timing(decoded.preprocess_s, inferred.inference_s, time.perf_counter() - start)
        if depth is not None:
            depth = limit_depth(depth, *self._perception.card.depth_range)
        measured = Measured(frame, decoded.remarks, '', timing, depth, labels)
        try:
            measured.count(prediction.confidence, self._request.confidence)
            measured.compare(self._comparison, prediction, bool(self._totals.inputs))
        except ValueError as error:
            return Measured(frame, decoded.remarks, str(error))
        return measured

    def _drift(self, frames: tuple[Measured | None, Measured]) -> Measured:
        previous, measured = frames
        found = Drift()
        if previous is not None:
            found = drift(measured.depth, measured.labels, previous.depth, previous.labels)
        measured.drift = found
        return measured

    def _reasons(self) -> list[str]:
        totals, request = self._totals, self._request
        reasons = [self._stopped] if self._stopped else []
        if totals.num_damaged:
            reasons.append(f'{totals.num_damaged} pictures were left out, the first: '
                           f'{totals.damaged[0]}')
        for role in ('depth', 'labels'):
            if role not in self._topics:
                continue
            topic = self._topics[role].name
            if role in totals.damaged_truth:
                count, first = totals.damaged_truth[role]
                reasons.append(f'{count} messages of {topic} were left out, one of them: {first}')
            elif not totals.with_truth[role]:
                reasons.append(f'{topic}: none within {request.tolerance_s:g} s of any picture')
        return [' '.join(reason.split()) for reason in reasons]

    def _notes(self) -> list[str]:
        notes = sorted(self._totals.notes)
        for role in ('depth', 'labels'):
            unused = [] if role in self._topics else maps_of(self._recording, role)
            unused = [name for name in unused if name not in self._rates]
            if unused:
                notes.append(f'not compared with {", ".join(unused)}: name it with --{role} if it '
                             'is the truth')
        if self._ids and self._ids.missing:
            notes.append(f'classes that {self._ids.labels.name} does not have are not compared: '
                         f'{", ".join(self._ids.missing)}')
        return notes


def decode_picture(recording: Recording, record: Record) -> np.ndarray:
    """Return the picture of a record, uint8 (H, W, 3); BadImage, RecordingError."""
    msg = recording.decode(record)
    return to_rgb(msg) if record.topic.msgtype == IMAGE else compressed_to_rgb(msg)


def map_topic(recording: Recording, name: str, role: str) -> Topic:
    """Return the topic called ``name``; RecordingError if it has no images."""
    topic = recording.topic(name)
    if topic.msgtype not in (IMAGE, COMPRESSED):
        raise RecordingError(f'{recording.path}: {name} is {topic.msgtype}; {role} is an Image or '
                             'CompressedImage')
    return topic


def maps_of(recording: Recording, role: str) -> list[str]:
    """Return the topics that could be true depth or labels, by their first messages."""
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
    Return what the ids of a label topic mean: from the file, else from the recording's LabelInfo.

    That is the one in the namespace of the topic or above, or the only one. RecordingError.
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
