# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Write a recording that has a network's results beside the recorded topics, for any viewer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jrn_perception.evaluation.recordings.camera import Camera, camera_topic, with_camera
from jrn_perception.frame import Frame
from jrn_perception.messages.images import (
    BadImage,
    compressed_to_rgb,
    to_millimetres,
    to_rgb,
)
from jrn_perception.messages.label_info import LABEL_INFO
from jrn_perception.perception import Perception
from jrn_perception.perception.stream import Step, stream, Track, untracked
from jrn_perception.recordings.reader import IMAGE, Record, Recording, RecordingError
from jrn_perception.recordings.writer import check_free, copy_header, Writer

DEPTH_ENCODINGS = ('32FC1', '16UC1')
RESULTS = ('depth', 'semantics', 'label_info')


@dataclass(frozen=True)
class Recorded:
    """
    The new recording.

    ``topics`` are all its topics, ``frames`` the number of pictures with results. ``reasons`` say
    why it is partial. ``left_out`` are topics whose message definition is unknown. ``scales`` are
    the factors on depth for the camera's focal length, of the pictures for which it is known;
    ``notes`` say why it is not known.
    """

    topics: list[str]
    frames: int
    reasons: list[str]
    left_out: list[str]
    scales: list[float]
    notes: list[str]


@dataclass
class _Visit:
    """A record on its way: copied as it is, and followed by messages if it is a picture."""

    record: Record
    camera_info: Any
    notes: list[str] = field(default_factory=list)
    msg: Any = None
    fault: str = ''
    messages: dict[str, Any] = field(default_factory=dict)
    scale: float | None = None


class _Recorder:
    """The stages of a record, in their order."""

    def __init__(self, perception: Perception, recording: Recording, writer: Writer,
                 image: str, namespace: str, depth_encoding: str, threshold: float,
                 camera: Camera):
        self._perception, self._recording, self._writer = perception, recording, writer
        self._camera = camera
        self._image, self._encoding, self._threshold = image, depth_encoding, threshold
        self.depth, self.semantics, self.label_info = (
            f'{namespace}/{name}' for name in RESULTS)
        self.stopped = ''

    def is_picture(self, visit: _Visit) -> bool:
        return visit.record.topic.name == self._image

    def records(self, topics: Collection[str]) -> Iterator[_Visit]:
        """Yield the records before the recording breaks off."""
        try:
            for record in self._recording.records(topics):
                if record.topic == self._camera.topic:
                    self._camera.hear(record)
                yield _Visit(record, self._camera.info)
        except RecordingError as error:
            self.stopped = str(error)

    def decode(self, visit: _Visit) -> Frame | None:
        try:
            visit.msg = self._recording.decode(visit.record)
            raw = visit.record.topic.msgtype == IMAGE
            rgb = to_rgb(visit.msg) if raw else compressed_to_rgb(visit.msg)
        except (BadImage, RecordingError) as error:
            visit.fault = f'{self._image} at {visit.record.stamp_ns} ns: {error}'
            return None
        return with_camera(Frame(rgb), self._camera.topic, visit.camera_info, visit.notes)

    def encode(self, step: Step[_Visit]) -> Step[_Visit]:
        visit, prediction = step.item, step.prediction
        if prediction is None:
            return step
        if step.frame.focal_length:
            visit.scale = prediction.depth_scale
        header = copy_header(self._writer, visit.msg)
        depth = prediction.valid_depth()
        if depth is not None:
            if self._encoding == '16UC1':
                depth = to_millimetres(depth)
            visit.messages[self.depth] = self._writer.image(header, depth, self._encoding)
        labels = prediction.confident_labels(self._threshold)
        if labels is not None:
            visit.messages[self.semantics] = self._writer.image(header, labels, 'mono8')
        return step


def record(perception: Perception, path: Path | str, output: Path | str,
           topics: Collection[str] = (), image: str = '', namespace: str = '',
           depth_encoding: str = '32FC1', confidence_threshold: float = 0.0,
           storage: str = 'mcap', track: Track = untracked,
           camera_info: str = '', focal_correction: bool = True,
           interrupted: Callable[[], bool] = lambda: False) -> Recorded:
    """
    Write a recording with ``depth`` and ``semantics`` beside the recorded topics.

    ``topics`` are copied undecoded; an empty list means all. The results have the header and the
    time of reception of their picture and lie below ``namespace``, with a latched ``label_info``.
    Depth is 32FC1 (metres, NaN = invalid) or 16UC1 (millimetres, 0 = invalid); labels below
    ``confidence_threshold`` are 255. Pictures that cannot be decoded are copied without results.
    With ``focal_correction`` depth is scaled as the node scales it, for the focal length in
    ``camera_info``, by default the topic beside the pictures. ``interrupted`` is asked before each
    message and ends the writing early; the file is then readable, and the result says that it is
    partial. Raises ValueError (RecordingError among them) of one line.
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
    total = sum(recording.topics[name].count for name in needed)
    steps = stream(perception, recorder.records(needed), recorder.decode, finish=recorder.encode,
                   has_picture=recorder.is_picture, interrupted=interrupted)
    for step in track(steps, total):
        visit, stamp = step.item, step.item.record.stamp_ns
        if visit.record.topic.name in writer.topics:
            writer.write_copy(visit.record.topic.name, stamp, visit.record.data)
        for topic, msg in visit.messages.items():
            if topic not in writer.topics:
                writer.add(topic, IMAGE)
            writer.write(topic, stamp, msg)
        frames += bool(visit.messages)
        faults += bool(visit.fault)
        first = first or visit.fault
        if visit.scale is not None:
            scales.append(visit.scale)
        notes.update(visit.notes)
        done += 1
    reasons = [recorder.stopped] if recorder.stopped else []
    if interrupted() and done < total:
        reasons.append(f'{recording.path}: interrupted after {done} of {total} messages')
    if faults:
        reasons.append(f'{faults} pictures have no results, the first: {first}')
    return Recorded(writer.topics, frames, reasons, left_out, scales, sorted(notes))
