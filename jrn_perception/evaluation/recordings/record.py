# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Write a recording that has a network's results beside the recorded topics, for any viewer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
import math
from pathlib import Path
from typing import Any

from jrn_perception import drawing
from jrn_perception.evaluation.recordings.camera import camera_topic, with_camera
from jrn_perception.evaluation.recordings.rerun_file import RerunFile, Shown
from jrn_perception.frame import Frame
from jrn_perception.messages.camera_info import match
from jrn_perception.messages.images import BadImage, to_millimetres
from jrn_perception.messages.label_info import LABEL_INFO
from jrn_perception.perception import Perception, Prediction
from jrn_perception.perception.stream import Step, stream, Track, untracked
from jrn_perception.recordings.camera import Camera
from jrn_perception.recordings.reader import (
    IMAGE,
    picture_of,
    Record,
    Recording,
    RecordingError,
    Span,
    Topic,
)
from jrn_perception.recordings.writer import check_free, copy_header, Writer
import numpy as np

DEPTH_ENCODINGS = ('32FC1', '16UC1')
RESULTS = ('depth', 'semantics', 'label_info')
COLOURS = ('depth_color', 'semantics_color', 'overlay')


@dataclass(frozen=True)
class RecordRequest:
    """
    The parts of a recording that are copied, and how the results are written.

    ``topics`` are copied undecoded; an empty list means all. ``image`` names the topic of the
    pictures, '' the only such topic. The topics of the results lie below ``namespace``. By
    ``depth_encoding`` depth is 32FC1 (metres, NaN = invalid) or 16UC1 (millimetres, 0 = invalid).
    Labels below ``confidence_threshold`` are 255. With ``focal_correction`` depth is scaled, as
    the node scales depth, for the focal length in ``camera_info``, by default the topic beside the
    pictures. ``span`` is the part that is copied, None for all of it. With ``colours`` the results
    are also there as pictures, the topics ``COLOURS``. ``rrd`` is the Rerun file to write, None
    for none. ``colour_range`` are the metres at the ends of the colours of depth, None for the
    range that the network was trained on. Raises ValueError for another encoding, for a relative
    namespace and unless the first metres are smaller.
    """

    topics: Collection[str] = ()
    image: str = ''
    namespace: str = ''
    depth_encoding: str = DEPTH_ENCODINGS[0]
    confidence_threshold: float = 0.0
    storage: str = 'mcap'
    camera_info: str = ''
    focal_correction: bool = True
    span: Span | None = None
    colours: bool = False
    rrd: Path | None = None
    colour_range: tuple[float, float] | None = None

    def __post_init__(self):
        if self.depth_encoding not in DEPTH_ENCODINGS:
            raise ValueError(f'depth encoding {self.depth_encoding!r}: choose from '
                             f'{", ".join(DEPTH_ENCODINGS)}')
        if self.namespace and not self.namespace.startswith('/'):
            raise ValueError(f'namespace {self.namespace!r}: begins with /')
        if self.colour_range and not 0 <= self.colour_range[0] < self.colour_range[1] < math.inf:
            low, high = self.colour_range
            raise ValueError(f'colours from {low:g} to {high:g} m: two numbers of metres, the '
                             'first smaller')

    @property
    def results(self) -> tuple[str, ...]:
        """Return the names of the topics that are added if the network has all outputs."""
        return RESULTS + COLOURS * self.colours

    def result(self, name: str) -> str:
        """Return the topic of one of the ``results``."""
        return f'{self.namespace.rstrip("/")}/{name}'


@dataclass(frozen=True)
class Recorded:
    """
    The new recording.

    ``topics`` are all its topics, ``frames`` the number of pictures with results. ``reasons`` say
    why it is partial. ``left_out`` are topics whose message definition is unknown. ``scales`` are
    the factors on depth for the camera's focal length, of the pictures whose focal length is
    known; ``notes`` say why a focal length is not known. ``colour_range`` are the metres at the
    ends of the colours of depth. ``clouds`` counts the pictures with points in the Rerun file.
    """

    topics: list[str]
    frames: int
    reasons: list[str]
    left_out: list[str]
    scales: list[float]
    notes: list[str]
    colour_range: tuple[float, float]
    clouds: int


@dataclass
class _Visit:
    """A record on its way: copied as it is, and followed by messages if it is a picture."""

    record: Record
    camera_info: Any
    notes: list[str] = field(default_factory=list)
    msg: Any = None
    fault: str = ''
    messages: dict[str, Any] = field(default_factory=dict)
    shown: Shown | None = None
    scale: float | None = None


class _Recorder:
    """The stages of a record, in their order; ``stopped`` says why the recording breaks off."""

    def __init__(self, recording: Recording, writer: Writer, image: Topic, camera: Camera,
                 request: RecordRequest, colour_range: tuple[float, float]):
        self.recording, self.writer, self.request = recording, writer, request
        self.image, self.camera, self.colour_range = image, camera, colour_range
        self.stopped = ''

    def is_picture(self, visit: _Visit) -> bool:
        return visit.record.topic.name == self.image.name

    def records(self, topics: Collection[str]) -> Iterator[_Visit]:
        """Yield the records before the recording breaks off."""
        try:
            for record in self.recording.records(topics):
                if record.topic == self.camera.topic:
                    self.camera.hear(record)
                yield _Visit(record, self.camera.info)
        except RecordingError as error:
            self.stopped = str(error)

    def decode(self, visit: _Visit) -> Frame | None:
        try:
            visit.msg = self.recording.decode(visit.record)
            rgb = picture_of(visit.record.topic, visit.msg)
        except (BadImage, RecordingError) as error:
            visit.fault = f'{self.image.name} at {visit.record.stamp_ns} ns: {error}'
            return None
        if not self.request.focal_correction:
            return Frame(rgb)
        return with_camera(Frame(rgb), self.camera, visit.camera_info, visit.notes)

    def encode(self, step: Step[_Visit]) -> Step[_Visit]:
        visit, prediction, request = step.item, step.prediction, self.request
        if prediction is None:
            return step
        if step.frame.focal_length:
            visit.scale = prediction.depth_scale
        depth = prediction.valid_depth()
        labels = prediction.confident_labels(request.confidence_threshold)
        images = {}
        if depth is not None:
            stored = to_millimetres(depth) if request.depth_encoding == '16UC1' else depth
            images['depth'] = stored, request.depth_encoding
        if labels is not None:
            images['semantics'] = labels, 'mono8'
        if request.colours:
            images.update(self._colours(step.frame.rgb, depth, labels, prediction))
        header = copy_header(self.writer, visit.msg)
        for name, (array, encoding) in images.items():
            visit.messages[request.result(name)] = self.writer.image(header, array, encoding)
        if request.rrd:
            camera = match(visit.camera_info, step.frame.rgb.shape[:2], self.camera.rectified)
            stamp_ns = header.stamp.sec * 10**9 + header.stamp.nanosec
            visit.shown = Shown(stamp_ns, step.frame.rgb, depth, labels, camera.intrinsics)
        return step

    def _colours(self, rgb: np.ndarray, depth: np.ndarray | None, labels: np.ndarray | None,
                 prediction: Prediction) -> dict[str, tuple[np.ndarray, str]]:
        """Return the ``COLOURS`` that the network has, by name, each with its encoding."""
        pictures = {}
        if depth is not None:
            pictures['depth_color'] = drawing.colourise_depth(depth, *self.colour_range)
        if labels is not None:
            label_set = prediction.label_set
            pictures['semantics_color'] = drawing.colourise_labels(labels, label_set)
            pictures['overlay'] = drawing.overlay(rgb, labels, label_set)
        return {name: (picture, 'rgb8') for name, picture in pictures.items()}


def record(perception: Perception, path: Path | str, output: Path | str,
           request: RecordRequest | None = None, track: Track = untracked,
           interrupted: Callable[[], bool] = lambda: False) -> Recorded:
    """
    Write a recording with ``depth`` and ``semantics`` beside the recorded topics.

    The results have the header and the time of reception of their picture, and there is a latched
    ``label_info``. Pictures that cannot be decoded are copied without results. ``track`` wraps the
    messages and their number, for a progress bar. ``interrupted`` is asked before each message and
    ends the writing early; the file is then readable, and the result says that it is partial.
    Raises ValueError (RecordingError among them) of one line, and ImportError if ``rrd`` is wanted
    without its extra.
    """
    request = request or RecordRequest()
    with Recording(path, request.span) as recording:
        image = recording.image_topic(request.image)
        copied = ([recording.topic(name).name for name in request.topics]
                  or list(recording.topics))
        check_free(recording, [request.result(name) for name in request.results], copied)
        wanted = request.focal_correction or request.rrd
        camera = Camera(recording, camera_topic(recording, image, request.camera_info)
                        if wanted else None, image.name)
        colours = request.colour_range or perception.card.depth_range
        rerun = (RerunFile(request.rrd, perception.label_set, request.depth_encoding, colours)
                 if request.rrd else nullcontext())
        with Writer(output, request.storage) as writer, rerun as rerun_file:
            recorder = _Recorder(recording, writer, image, camera, request, colours)
            return _write(recorder, rerun_file, perception, copied, track, interrupted)


def _write(recorder: _Recorder, rerun_file: RerunFile | None, perception: Perception,
           copied: list[str], track: Track, interrupted: Callable[[], bool]) -> Recorded:
    recording, writer = recorder.recording, recorder.writer
    left_out = writer.add_copy(recording, copied)
    labels = perception.label_set
    if labels:
        topic = recorder.request.result('label_info')
        writer.add(topic, LABEL_INFO, latched=True)
        header = writer.header(recording.start_ns, '')
        writer.write(topic, recording.start_ns, writer.label_info(header, labels))
    done, frames, faults, first, scales, notes = 0, 0, 0, '', [], set()
    read = [recorder.image.name, *([recorder.camera.topic.name] if recorder.camera.topic else [])]
    needed = list(dict.fromkeys([*(name for name in copied if name not in left_out), *read]))
    total = sum(recording.expected(recording.topics[name]) for name in needed)
    steps = stream(perception, recorder.records(needed), recorder.decode, finish=recorder.encode,
                   has_picture=recorder.is_picture, interrupted=interrupted)
    for step in track(steps, total):
        visit, stamp = step.item, step.item.record.stamp_ns
        if visit.record.topic.name in writer.topics and visit.record.data:
            writer.write_copy(visit.record.topic.name, stamp, visit.record.data)
        for topic, msg in visit.messages.items():
            if topic not in writer.topics:
                writer.add(topic, IMAGE)
            writer.write(topic, stamp, msg)
        if rerun_file is not None and visit.shown is not None:
            rerun_file.add(visit.shown)
        frames += bool(visit.messages)
        faults += bool(visit.fault)
        first = first or visit.fault
        if visit.scale is not None:
            scales.append(visit.scale)
        notes.update(visit.notes)
        done += 1
    reasons = [recorder.stopped] if recorder.stopped else []
    if recorder.camera.damaged:
        reasons.append(recorder.camera.damage)
    notes.update(recording.notes)
    if interrupted() and done < total:
        reasons.append(f'{recording.path}: interrupted after {done} of {total} messages')
    if faults:
        reasons.append(f'{faults} pictures have no results, the first: {first}')
    return Recorded(writer.topics, frames, reasons, left_out, scales, sorted(notes),
                    recorder.colour_range, rerun_file.clouds if rerun_file else 0)
