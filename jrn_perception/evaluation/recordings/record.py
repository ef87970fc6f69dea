# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A recording with a network's results beside what was recorded, for any viewer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
import os
from pathlib import Path
from typing import Any

from jrn_perception.evaluation.recordings.camera import Camera, camera_topic, scale_of
from jrn_perception.messages.images import (
    BadImage,
    compressed_to_rgb,
    to_millimetres,
    to_rgb,
)
from jrn_perception.messages.label_info import LABEL_INFO
from jrn_perception.networks.interface import Maps
from jrn_perception.perception import Perception, Prediction
from jrn_perception.perception.prediction import limit_depth, limit_labels
from jrn_perception.perception.threads import ahead, until
from jrn_perception.recordings.reader import IMAGE, Record, Recording, RecordingError
from jrn_perception.recordings.writer import check_free, copy_header, Writer
from torch import Tensor

DEPTH_ENCODINGS = ('32FC1', '16UC1')
RESULTS = ('depth', 'semantics', 'label_info')
Track = Callable[[Iterable, int], Iterable]


@dataclass(frozen=True)
class Recorded:
    """
    What was written.

    ``topics`` are all of the new recording, ``frames`` the pictures with results; ``reasons`` why
    it is partial; ``left_out`` are topics whose definition nobody knows; ``scales`` what depth was
    multiplied by for the camera's focal length, where that is known, ``notes`` why it is not.
    """

    topics: list[str]
    frames: int
    reasons: list[str]
    left_out: list[str]
    scales: list[float]
    notes: list[str]


class _Step:
    """A record on its way: copied as it is, and followed by messages if it is a picture."""

    def __init__(self, record: Record, camera_info: Any):
        self.record, self.camera_info = record, camera_info
        self.scale: float | None = None
        self.notes: list[str] = []
        self.msg: Any = None
        self.size = (0, 0)
        self.tensor: Tensor | None = None
        self.maps: Maps | None = None
        self.fault = ''
        self.messages: dict[str, Any] = {}


class _Recorder:
    """The stages of a record, in the order in which it passes them."""

    def __init__(self, perception: Perception, recording: Recording, writer: Writer,
                 image: str, namespace: str, depth_encoding: str, threshold: float,
                 camera: Camera):
        self._perception, self._recording, self._writer = perception, recording, writer
        self._camera = camera
        self._image, self._encoding, self._threshold = image, depth_encoding, threshold
        self.depth, self.semantics, self.label_info = (
            f'{namespace}/{name}' for name in RESULTS)
        self.stopped = ''

    def is_picture(self, record: Record) -> bool:
        return record.topic.name == self._image

    def records(self, topics: Collection[str]) -> Iterator[_Step]:
        """Yield what comes before the recording breaks off."""
        try:
            for record in self._recording.records(topics):
                if record.topic == self._camera.topic:
                    self._camera.hear(record)
                yield _Step(record, self._camera.info)
        except RecordingError as error:
            self.stopped = str(error)

    def decode(self, step: _Step) -> _Step:
        try:
            step.msg = self._recording.decode(step.record)
            raw = step.record.topic.msgtype == IMAGE
            rgb = to_rgb(step.msg) if raw else compressed_to_rgb(step.msg)
        except (BadImage, RecordingError) as error:
            step.fault = f'{self._image} at {step.record.stamp_ns} ns: {error}'
            return step
        step.size, step.tensor = rgb.shape[:2], self._perception.preprocess(rgb)
        step.scale = scale_of(self._perception, self._camera.topic, step.camera_info, step.size,
                              step.notes)
        return step

    def infer(self, step: _Step) -> _Step:
        if step.tensor is not None:
            step.maps, step.tensor = self._perception.infer(step.tensor), None
        return step

    def encode(self, step: _Step) -> _Step:
        scale = 1.0 if step.scale is None else step.scale
        prediction = Prediction(step.maps, step.size, self._perception.label_set, scale)
        header = copy_header(self._writer, step.msg)
        if prediction.depth is not None:
            depth = limit_depth(prediction.depth, *self._perception.card.depth_range_at(scale))
            if self._encoding == '16UC1':
                depth = to_millimetres(depth)
            step.messages[self.depth] = self._writer.image(header, depth, self._encoding)
        if prediction.labels is not None:
            labels = limit_labels(prediction, self._threshold)
            step.messages[self.semantics] = self._writer.image(header, labels, 'mono8')
        step.maps = step.msg = None
        return step


def record(perception: Perception, path: Path | str, output: Path | str,
           topics: Collection[str] = (), image: str = '', namespace: str = '',
           depth_encoding: str = '32FC1', confidence_threshold: float = 0.0,
           storage: str = 'mcap', track: Track = lambda items, total: items,
           camera_info: str = '', focal_correction: bool = True,
           interrupted: Callable[[], bool] = lambda: False) -> Recorded:
    """
    Write a recording with ``depth`` and ``semantics`` beside the recorded topics.

    ``topics`` are copied undecoded, all if empty; the results, with the header of their picture
    and its time of reception, go below ``namespace``, with a latched ``label_info``. Depth is
    32FC1 (m, NaN = invalid) or 16UC1 (mm, 0); labels below ``confidence_threshold`` are 255.
    Pictures that cannot be decoded are copied and have no results. With ``focal_correction``
    depth is scaled as the node does it, for the focal length in ``camera_info``, by default the
    topic beside the pictures. ``interrupted`` is asked before each message and ends the new
    recording, which is whole and partial. Raises ValueError (RecordingError among them) of one
    line.
    """
    if depth_encoding not in DEPTH_ENCODINGS:
        raise ValueError(f'depth encoding {depth_encoding!r}: choose from '
                         f'{", ".join(DEPTH_ENCODINGS)}')
    if namespace and not namespace.startswith('/'):
        raise ValueError(f'namespace {namespace!r}: begins with /')
    with Recording(path) as recording:
        picture = recording.image_topic(image)
        copied = [recording.topic(name).name for name in topics] or list(recording.topics)
        namespace = namespace.rstrip('/')
        check_free(recording, [f'{namespace}/{name}' for name in RESULTS], copied)
        camera = Camera(recording, camera_topic(recording, picture, camera_info)
                        if focal_correction else None)
        with Writer(output, storage) as writer:
            recorder = _Recorder(perception, recording, writer, picture.name, namespace,
                                 depth_encoding, confidence_threshold, camera)
            read = [picture.name, *([camera.topic.name] if camera.topic else [])]
            return _write(recorder, recording, writer, perception, copied, read, track,
                          interrupted)


def _write(recorder: _Recorder, recording: Recording, writer: Writer, perception: Perception,
           copied: list[str], read: list[str], track: Track,
           interrupted: Callable[[], bool]) -> Recorded:
    left_out = writer.add_copy(recording.readable, copied)
    labels = perception.label_set
    if labels:
        writer.add(recorder.label_info, LABEL_INFO, latched=True)
        header = writer.header(recording.start_ns, '')
        writer.write(recorder.label_info, recording.start_ns, writer.label_info(header, labels))
    done, frames, faults, first, scales, notes = 0, 0, 0, '', [], set()
    needed = list(dict.fromkeys([*(name for name in copied if name not in left_out), *read]))
    workers = max(2, os.cpu_count() or 2)
    with ThreadPoolExecutor(workers) as pool:
        decoded = ahead(recorder.decode, recorder.records(needed), pool, 2 * workers,
                        lambda step: recorder.is_picture(step.record))
        total = sum(recording.topics[name].count for name in needed)
        inferred = map(recorder.infer, until(interrupted, track(decoded, total)))
        for step in ahead(recorder.encode, inferred, pool, 2 * workers,
                          lambda step: step.maps is not None):
            stamp = step.record.stamp_ns
            if step.record.topic.name in writer.topics:
                writer.write_copy(step.record.topic.name, stamp, step.record.data)
            for topic, msg in step.messages.items():
                if topic not in writer.topics:
                    writer.add(topic, IMAGE)
                writer.write(topic, stamp, msg)
            frames += bool(step.messages)
            faults += bool(step.fault)
            first = first or step.fault
            if step.scale is not None:
                scales.append(step.scale)
            notes.update(step.notes)
            done += 1
    reasons = [recorder.stopped] if recorder.stopped else []
    if interrupted() and done < total:
        reasons.append(f'{recording.path}: interrupted after {done} of {total} messages')
    if faults:
        reasons.append(f'{faults} pictures have no results, the first: {first}')
    return Recorded(writer.topics, frames, reasons, left_out, scales, sorted(notes))
