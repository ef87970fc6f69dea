# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Reading rosbag2 recordings (sqlite3 and mcap, compressed or not) without ROS, by ``rosbags``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jrn_perception.frame import Frame
from jrn_perception.messages.camera_info import is_rectified, match
from jrn_perception.messages.images import BadImage, compressed_to_rgb, to_rgb
from jrn_perception.recordings import broken
import numpy as np

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
DEPTH_ENCODINGS = ('16UC1', '32FC1')
INSTALL = 'reading a recording needs rosbags: pip install "rosbags>=0.11"'


class RecordingError(ValueError):
    """A recording, topic or message that cannot be read; the text names it in one line."""


@dataclass(frozen=True)
class Topic:
    """
    A topic of a recording.

    ``msgtype`` looks like 'sensor_msgs/msg/Image'; ``count`` is the number of messages;
    ``latched`` topics sent their last messages to late joiners (durability TRANSIENT_LOCAL, as
    /tf_static does).
    """

    name: str
    msgtype: str
    count: int
    latched: bool = False


@dataclass(frozen=True)
class Record:
    """One recorded message: its CDR bytes and its time of reception (ns since the epoch)."""

    topic: Topic
    stamp_ns: int
    data: bytes


def is_recording(path: Path) -> bool:
    """Return whether ``path`` looks like a rosbag2 folder or one of its storage files."""
    if path.is_dir():
        return (path / 'metadata.yaml').is_file() or any(
            file.suffix in broken.STORAGE_SUFFIXES for file in path.iterdir())
    return path.suffix in broken.STORAGE_SUFFIXES


class Recording:
    """
    An open rosbag2 recording; a context manager.

    ``path`` is the folder with metadata.yaml or a single .mcap or .db3 file. ``topics`` maps names
    to the topics that have messages; ``start_ns`` and ``duration_ns`` are times of reception. A
    file that breaks off can be read up to that place: ``breaks_off`` names the place ('' for a
    whole recording), and ``readable`` is the path that ``rosbags`` can open, either ``path`` or a
    copy that exists until the recording is closed. Raises RecordingError if the recording is
    damaged, FileNotFoundError if it does not exist, ImportError if ``rosbags`` is missing.
    """

    def __init__(self, path: Path | str):
        try:
            from rosbags.highlevel import AnyReader
            from rosbags.typesys import get_typestore, Stores
        except ImportError as error:
            raise ImportError(INSTALL) from error
        self.path = broken.find_recording(Path(path))
        if not self.path.exists():
            raise FileNotFoundError(f'{path}: no such recording')
        self._copies = ExitStack()
        try:
            self.breaks_off = broken.describe(self.path)
            self.readable = broken.readable(self.path, self._copies)
            # Recordings from before Iron carry no message definitions; the messages that this
            # package reads have the same fields in every distribution.
            self._reader = AnyReader([self.readable],
                                     default_typestore=get_typestore(Stores.LATEST))
            self._reader.open()
        except FileNotFoundError:
            self._copies.close()
            raise RecordingError(f'{path}: no metadata.yaml; `ros2 bag reindex` writes it, or '
                                 'name the .mcap or .db3 file itself') from None
        # Decoders of damaged files raise struct.error, sqlite3.Error, ZstdError, KeyError and
        # others.
        except Exception as error:  # noqa: B902
            self._copies.close()
            raise RecordingError(f'{path}: damaged or no rosbag2 recording: '
                                 f'{_one_line(error)}') from error
        self._connections = {c.topic: [] for c in self._reader.connections}
        for connection in self._reader.connections:
            self._connections[connection.topic].append(connection)
        self.topics = {
            name: Topic(name, parts[0].msgtype, sum(c.msgcount for c in parts), _latched(parts))
            for name, parts in sorted(self._connections.items())
            if sum(c.msgcount for c in parts)}
        if self.breaks_off and not self.topics:
            self.close()
            raise RecordingError(f'{self.breaks_off}; there are no messages before')
        self.start_ns = self._reader.start_time if self.topics else 0
        # The reader's end is exclusive.
        self.duration_ns = max(self._reader.end_time - self.start_ns - 1, 0) if self.topics else 0

    def close(self) -> None:
        """Close the files; the recording cannot be read afterwards."""
        self._reader.close()
        self._copies.close()

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
            raise RecordingError(f'{self.path}: no messages of {name!r}; there are: '
                                 f'{", ".join(self.topics)}')
        return self.topics[name]

    def records(self, topics: Collection[str] = ()) -> Iterator[Record]:
        """
        Yield the undecoded messages of ``topics`` (default: all) in the order of reception.

        Raises RecordingError for an unknown topic, and at the place where the recording is damaged
        or breaks off; the messages before that place are yielded.
        """
        chosen = [self.topic(name) for name in topics] or list(self.topics.values())
        connections = [c for topic in chosen for c in self._connections[topic.name]]
        # An empty list would mean all connections.
        reader = self._reader.messages(connections=connections) if connections else iter(())
        count = 0
        while True:
            try:
                connection, stamp_ns, data = next(reader)
            except StopIteration:
                break
            # Decoders of damaged files raise many types, as above.
            except Exception as error:  # noqa: B902
                raise RecordingError(f'{self.path}: damaged after {count} of '
                                     f'{sum(topic.count for topic in chosen)} messages: '
                                     f'{_one_line(error)}') from error
            count += 1
            yield Record(self.topics[connection.topic], stamp_ns, bytes(data))
        if self.breaks_off:
            raise RecordingError(f'{self.breaks_off}; {count} messages were read before')

    def decode(self, record: Record) -> Any:
        """Return the message: an object with the fields of its type, arrays as numpy arrays."""
        try:
            return self._reader.deserialize(record.data, record.topic.msgtype)
        # For truncated CDR data the generated code raises many types.
        except Exception as error:  # noqa: B902
            raise RecordingError(f'{self.path}: {record.topic.name} at {record.stamp_ns} ns '
                                 f'cannot be decoded: {_one_line(error)}') from error

    def image_topic(self, name: str = '') -> Topic:
        """
        Return the image topic called ``name``, or the only suitable one if ``name`` is empty.

        Without a name, depth images are ignored, colour is preferred to grey, and a raw topic to
        its compressed form. Raises RecordingError, which lists the choices, if no topic or several
        topics remain, or if the named topic has no pictures.
        """
        images = self.of_type(IMAGE, COMPRESSED)
        listed = ', '.join(f'{t.name} ({t.msgtype.split("/")[-1]}, {t.count})' for t in images)
        if not images:
            raise RecordingError(f'{self.path}: no image topic among '
                                 f'{", ".join(self.topics) or "no messages at all"}')
        if name:
            if name not in [topic.name for topic in images]:
                raise RecordingError(f'{self.path}: no image topic {name!r}; there are: {listed}')
            return self.topics[name]
        kinds = {topic: self._kind(topic) for topic in images}
        chosen = [topic for topic in images if kinds[topic] == 'colour']
        chosen = chosen or [topic for topic in images if kinds[topic] == 'grey']
        names = [topic.name for topic in chosen]
        chosen = [topic for topic in chosen if topic.msgtype == IMAGE or
                  topic.name.rpartition('/')[0] not in names]
        if len(chosen) != 1:
            raise RecordingError(f'{self.path}: {len(chosen) or "no"} topics of pictures, name '
                                 f'one of: {listed}')
        return chosen[0]

    def camera_info_topic(self, image: str) -> Topic | None:
        """Return the CameraInfo topic beside an image topic, or None."""
        infos = self.of_type(CAMERA_INFO)
        for namespace in (image.rpartition('/')[0], image.rpartition('/')[0].rpartition('/')[0]):
            for info in infos:
                if info.name in (f'{namespace}/camera_info', f'{image}_camera_info'):
                    return info
        return None

    def frames(self, topic: str = '',
               damaged: Callable[[str], None] | None = None) -> Iterator[Frame]:
        """
        Yield the pictures of an image topic with the stamps of their headers.

        ``camera_matrix`` comes from the last CameraInfo before the picture (for the earliest
        pictures, the first CameraInfo) on the topic beside the image topic, from its P if the name
        of the image topic says rectified, otherwise from its K; it is None while the camera is
        uncalibrated or the sizes differ. ``damaged`` is called with one line for each picture that
        cannot be decoded and is left out; without ``damaged`` such a picture raises
        RecordingError.
        """
        image = self.image_topic(topic)
        info = self.camera_info_topic(image.name)
        names = [image.name] + ([info.name] if info else [])
        calibration = self.decode(self.first(info)) if info else None
        rectified = is_rectified(image.name)
        for record in self.records(names):
            try:
                msg = self.decode(record)
                if record.topic != image:
                    calibration = msg
                    continue
                rgb = picture_of(image, msg)
            except (BadImage, RecordingError) as error:
                text = f'{record.topic.name} at {record.stamp_ns} ns: {error}'
                if damaged is None:
                    raise RecordingError(f'{self.path}: {text}') from error
                damaged(text)
                continue
            stamp = msg.header.stamp
            yield Frame(rgb, f'{image.name}@{stamp.sec}.{stamp.nanosec:09d}',
                        stamp.sec * 10**9 + stamp.nanosec,
                        camera_matrix=camera_matrix(calibration, rgb.shape[:2], rectified))

    def frame_id(self, topic: str) -> str:
        """Return the frame_id in the header of a topic's first message."""
        return self.decode(self.first(self.topic(topic))).header.frame_id

    def first(self, topic: Topic) -> Record:
        """Return a topic's first message; RecordingError if it cannot be read."""
        return next(self.records([topic.name]))

    def _kind(self, topic: Topic) -> str:
        """Return depth, grey or colour, judged by the topic's first message."""
        msg = self.decode(self.first(topic))
        layout = msg.encoding if topic.msgtype == IMAGE else msg.format
        if layout.startswith(DEPTH_ENCODINGS) or 'compresseddepth' in layout.lower():
            return 'depth'
        return 'grey' if layout.startswith(('mono', '8UC1')) else 'colour'


def picture_of(topic: Topic, msg: Any) -> np.ndarray:
    """Return the picture in a message of an image topic, uint8 RGB (H, W, 3); BadImage."""
    return (to_rgb if topic.msgtype == IMAGE else compressed_to_rgb)(msg)


def camera_matrix(info: Any, size: tuple[int, int], rectified: bool = False) -> np.ndarray | None:
    """Return the 3x3 matrix of a CameraInfo for pictures of (H, W); None if it has none."""
    found = match(info, size, rectified).intrinsics
    return None if found is None else found.matrix


def _latched(connections: list) -> bool:
    return any(qos.durability.name == 'TRANSIENT_LOCAL'
               for connection in connections for qos in connection.ext.offered_qos_profiles)


def _one_line(error: Exception) -> str:
    return ' '.join(f'{type(error).__name__}: {error}'.split())
