# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Reading recordings of ROS 2 (sqlite3 and mcap, compressed or not) and ROS 1, without ROS."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
import math
from pathlib import Path
from typing import Any

from jrn_perception.frame import Frame
from jrn_perception.messages.camera_info import match
from jrn_perception.messages.images import BadImage, compressed_to_rgb, to_rgb
from jrn_perception.recordings.camera import (
    Camera,
    CAMERA_INFO,
    choose_camera_info,
    choose_image,
    COMPRESSED,
    IMAGE,
    Topic,
)
from jrn_perception.recordings.definitions import Definitions
from jrn_perception.recordings.files import find_files, is_recording, RecordingError
from jrn_perception.recordings.storage import one_line, Storage
import numpy as np

# The names of other files are part of what a reader of recordings needs.
__all__ = ('Camera', 'CAMERA_INFO', 'COMPRESSED', 'IMAGE', 'is_recording', 'NO_FOCAL_LENGTH',
           'picture_of', 'Record', 'Recording', 'RecordingError', 'Span', 'Topic')
NO_FOCAL_LENGTH = 'no focal length: '
INSTALL = 'reading a recording needs rosbags: pip install "rosbags>=0.11"'


@dataclass(frozen=True)
class Record:
    """
    One recorded message: its CDR bytes and its time of reception (ns since the epoch).

    Messages of ROS 1 are converted; ``data`` is empty for a message that cannot be converted.
    """

    topic: Topic
    stamp_ns: int
    data: bytes


@dataclass(frozen=True)
class Span:
    """A part of a recording by time of reception: seconds after its first message, and seconds."""

    start_s: float = 0.0
    duration_s: float = math.inf

    def __post_init__(self):
        if not 0 <= self.start_s < math.inf:
            raise ValueError(f'start {self.start_s:g} s: seconds after the first message')
        if not self.duration_s > 0:
            raise ValueError(f'duration {self.duration_s:g} s: more than 0')


class Recording:
    """
    An open recording; a context manager.

    ``path`` is a folder of rosbag2, with metadata.yaml or without, or a single .mcap, .db3 or .bag
    file. ``topics`` maps names to the topics that have messages; ``start_ns`` and ``duration_ns``
    are times of reception of the whole recording; ``span`` limits ``records`` and ``frames``. A
    recording with a file that breaks off or is missing can be read without the rest:
    ``breaks_off`` names the places ('' for a whole recording). ``notes`` name topics that
    metadata.yaml announces with more messages than there are. Raises RecordingError if the
    recording is damaged, FileNotFoundError if it does not exist, ImportError if ``rosbags`` is
    missing.
    """

    def __init__(self, path: Path | str, span: Span | None = None):
        try:
            import rosbags.highlevel  # noqa: F401
        except ImportError as error:
            raise ImportError(INSTALL) from error
        self.path, self.span = Path(path), span or Span()
        if not self.path.exists():
            raise FileNotFoundError(f'{path}: no such recording')
        found = find_files(self.path)
        self._files = ExitStack()
        try:
            self._storage = Storage(found, self._files)
            self._set_up(found.announced)
        except BaseException:
            self._files.close()
            raise

    def _set_up(self, announced: Mapping[str, int]) -> None:
        self._connections = self._storage.connections
        self._definitions = Definitions(
            connection for parts in self._connections.values() for connection in parts)
        self.topics = {
            name: Topic(name, parts[0].msgtype, sum(c.msgcount for c in parts), _latched(parts),
                        self.is_ros1(name) and not self._definitions.is_common(parts[0].msgtype))
            for name, parts in sorted(self._connections.items())
            if sum(c.msgcount for c in parts)}
        self.breaks_off = '; '.join(self._storage.faults)
        if self.breaks_off and not self.topics:
            raise RecordingError(f'{self.breaks_off}; there are no messages before')
        counts = {name: topic.count for name, topic in self.topics.items()}
        self.notes = [] if self.breaks_off else [
            f'{name}: metadata.yaml announces {count} messages, there are {counts.get(name, 0)}'
            for name, count in announced.items() if counts.get(name, 0) < count]
        times = self._storage.times
        self.start_ns = times[0] if times else 0
        # The end is exclusive.
        self.duration_ns = max(times[1] - self.start_ns - 1, 0) if times else 0
        start_ns, self._limits = self.start_ns + round(self.span.start_s * 1e9), (None, None)
        if self.span != Span():
            if self.span.start_s * 1e9 > self.duration_ns:
                raise RecordingError(f'{self.path}: a start {self.span.start_s:g} s after the '
                                     f'first message is after its end, {self.duration_ns / 1e9:g}'
                                     ' s')
            stop = None
            if self.span.duration_s < math.inf:
                stop = start_ns + round(self.span.duration_s * 1e9)
            self._limits = start_ns, stop

    def close(self) -> None:
        """Close the files; the recording cannot be read afterwards."""
        self._files.close()

    def __enter__(self) -> Recording:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def of_type(self, *types: str) -> list[Topic]:
        """Return the topics of these types, by name."""
        return [topic for topic in self.topics.values() if topic.msgtype in types]

    def topic(self, name: str) -> Topic:
        """Return the topic called ``name``; RecordingError if it has no messages."""
        if name not in self.topics:
            raise RecordingError('; '.join([f'{self.path}: no messages of {name!r}; there are: '
                                            f'{", ".join(self.topics)}', *self.notes]))
        return self.topics[name]

    def expected(self, topic: Topic) -> int:
        """Return the number of messages in the span, estimated unless it is the whole."""
        if self.span == Span() or not self.duration_ns:
            return topic.count
        rest_s = self.duration_ns / 1e9 - self.span.start_s
        return round(topic.count * min(rest_s, self.span.duration_s) * 1e9 / self.duration_ns)

    def connection(self, topic: str) -> Any:
        """Return the connection of ``rosbags`` that declares a topic."""
        return self._connections[topic][0]

    def is_ros1(self, topic: str) -> bool:
        """Return whether the messages of a topic were recorded by ROS 1, and are converted."""
        return not hasattr(self.connection(topic).ext, 'offered_qos_profiles')

    def store(self, msgtype: str) -> Any:
        """Return the type store of ``rosbags`` that has a type; None if nobody defines it."""
        return self._definitions.store(msgtype)

    def records(self, topics: Collection[str] = ()) -> Iterator[Record]:
        """
        Yield the undecoded messages of ``topics`` (default: all) in the order of reception.

        Raises RecordingError for an unknown topic, and at the end if messages are missing because
        a file is damaged, breaks off or is missing; all other messages are yielded.
        """
        return self._read(topics, self._limits)

    def whole(self, topics: Collection[str]) -> Iterator[Record]:
        """Yield the messages of the whole recording, as ``records`` does for the span."""
        return self._read(topics, (None, None))

    def _read(self, topics: Collection[str], limits: tuple[int | None, int | None]
              ) -> Iterator[Record]:
        chosen = {topic.name: topic for topic in
                  [self.topic(name) for name in topics] or self.topics.values()}
        count, damage = 0, []
        for message in self._storage.messages(list(chosen), limits, damage):
            count += 1
            topic, data = chosen[message.topic], message.data
            if message.ros1:
                try:
                    data = self._definitions.to_cdr(topic.msgtype, data)
                # For data that is cut off, the generated code raises many types.
                except Exception:  # noqa: B902, BLE001
                    data = b''
            yield Record(topic, message.stamp_ns, data)
        if damage:
            raise RecordingError(f'{self.path}: damaged after {count} of '
                                 f'{sum(topic.count for topic in chosen.values())} messages: '
                                 f'{"; ".join(damage)}')
        if self.breaks_off:
            raise RecordingError(f'{self.breaks_off}; {count} messages were read before')

    def decode(self, record: Record) -> Any:
        """Return the message: an object with the fields of its type, arrays as numpy arrays."""
        try:
            return self._definitions.decode(record.topic.msgtype, record.data)
        # As above.
        except Exception as error:  # noqa: B902
            raise RecordingError(f'{self.path}: {record.topic.name} at {record.stamp_ns} ns '
                                 f'cannot be decoded: {one_line(error)}') from error

    def image_topic(self, name: str = '', others: Collection[str] = ()) -> Topic:
        """
        Return the image topic called ``name``, or the only suitable one if ``name`` is empty.

        Without a name, depth images and the topics ``others`` are ignored, colour is preferred to
        grey, and a raw topic to its compressed form. Raises RecordingError, which lists the
        choices, if no topic or several topics remain, or if the named topic has no pictures.
        """
        return choose_image(self, name, others)

    def camera_info_topic(self, image: str) -> Topic | None:
        """Return the CameraInfo topic beside an image topic, or None."""
        return choose_camera_info(self, image)

    def frames(self, topic: str = '', damaged: Callable[[str], None] | None = None,
               noted: Callable[[str], None] = lambda text: None) -> Iterator[Frame]:
        """
        Yield the pictures of an image topic with the stamps of their headers.

        ``camera_matrix`` comes from the last CameraInfo before the picture (for the earliest
        pictures, the first CameraInfo) on the topic beside the image topic, from its P if the name
        of the image topic says rectified, otherwise from its K. It is None for a picture without a
        usable CameraInfo; then ``noted`` is called with the reason, once for each reason.
        ``damaged`` is called with one line for each picture that cannot be decoded and is left
        out; without ``damaged`` such a picture raises RecordingError.
        """
        image = self.image_topic(topic)
        camera = Camera(self, self.camera_info_topic(image.name), image.name)
        said = set()
        for record in self.records([image.name, *([camera.topic.name] if camera.topic else [])]):
            if record.topic == camera.topic:
                camera.hear(record)
                continue
            try:
                msg = self.decode(record)
                rgb = picture_of(image, msg)
            except (BadImage, RecordingError) as error:
                text = f'{record.topic.name} at {record.stamp_ns} ns: {error}'
                if damaged is None:
                    raise RecordingError(f'{self.path}: {text}') from error
                damaged(text)
                continue
            calibration = match(camera.info, rgb.shape[:2], camera.rectified)
            fault = calibration.fault and NO_FOCAL_LENGTH + (
                f'{camera.topic.name}: {calibration.fault}' if camera.topic
                else f'no camera_info beside {image.name}')
            if fault and fault not in said:
                said.add(fault)
                noted(fault)
            stamp, found = msg.header.stamp, calibration.intrinsics
            yield Frame(rgb, f'{image.name}@{stamp.sec}.{stamp.nanosec:09d}',
                        stamp.sec * 10**9 + stamp.nanosec,
                        camera_matrix=None if found is None else found.matrix)
        if camera.damaged:
            noted(camera.damage)

    def frame_id(self, topic: str) -> str:
        """Return the frame_id in the header of a topic's first message that can be decoded."""
        return self.decode(self.first(self.topic(topic))).header.frame_id

    def first(self, topic: Topic) -> Record:
        """Return a topic's first message that can be decoded; RecordingError if there is none."""
        fault = None
        for record in self.whole([topic.name]):
            try:
                self.decode(record)
                return record
            except RecordingError as error:
                fault = fault or error
        raise fault or RecordingError(f'{self.path}: {topic.name} has no message')


def picture_of(topic: Topic, msg: Any) -> np.ndarray:
    """Return the picture in a message of an image topic, uint8 RGB (H, W, 3); BadImage."""
    return (to_rgb if topic.msgtype == IMAGE else compressed_to_rgb)(msg)


def _latched(connections: list) -> bool:
    return any(getattr(connection.ext, 'latching', None) or any(
        qos.durability.name == 'TRANSIENT_LOCAL'
        for qos in getattr(connection.ext, 'offered_qos_profiles', ()))
        for connection in connections)
