# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Writing rosbag2 recordings without ROS, by ``rosbags``."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from jrn_perception.labels import LabelSet
from jrn_perception.messages.label_info import LABEL_INFO, typestore, VISION_CLASS
from jrn_perception.recordings.reader import (
    CAMERA_INFO,
    COMPRESSED,
    IMAGE,
    INSTALL,
    Recording,
    RecordingError,
)
import numpy as np

STORAGES = ('mcap', 'sqlite3')
# The newest layout of metadata.yaml that Humble can read; newer distributions read it as well.
VERSION = 8
ENCODINGS = {'rgb8': (np.uint8, 3), 'bgr8': (np.uint8, 3), 'mono8': (np.uint8, 1),
             '16UC1': (np.uint16, 1), '32FC1': (np.float32, 1)}


class Writer:
    """
    A new rosbag2 folder; a context manager.

    ``add`` and ``add_copy`` declare topics; ``write`` and ``write_copy`` append messages in the
    order of their time of reception. The file contains the message definitions, so that viewers
    need no ROS. Raises ValueError if ``path`` exists or the storage is unknown, ImportError if
    ``rosbags`` is missing.
    """

    def __init__(self, path: Path | str, storage: str = 'mcap'):
        try:
            from rosbags import rosbag2
        except ImportError as error:
            raise ImportError(INSTALL) from error
        if storage not in STORAGES:
            raise ValueError(f'storage {storage!r}: choose from {", ".join(STORAGES)}')
        self.path = Path(path)
        if self.path.exists():
            raise ValueError(f'{path}: exists already; a recording is never written over')
        self._writer = rosbag2.Writer(self.path, version=VERSION,
                                      storage_plugin=rosbag2.StoragePlugin[storage.upper()])
        self._store = typestore()
        self._connections: dict[str, Any] = {}

    def __enter__(self) -> Writer:
        self._writer.open()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._writer.__exit__(*exception)

    @property
    def topics(self) -> list[str]:
        """Return the names of the topics so far."""
        return list(self._connections)

    def add(self, topic: str, msgtype: str, latched: bool = False) -> None:
        """Declare a reliable topic, ``latched`` for late joiners; ValueError if it exists."""
        if topic in self._connections:
            raise ValueError(f'{self.path}: two topics called {topic}')
        self._connections[topic] = self._writer.add_connection(
            topic, msgtype, typestore=self._store, offered_qos_profiles=[_qos(latched)])

    def add_copy(self, recording: Recording | Path, topics: Collection[str]) -> list[str]:
        """
        Declare ``topics`` as in another recording; return the topics without a known definition.

        Such topics are not declared, since nobody could read a copy of them.
        """
        if not isinstance(recording, Recording):
            with Recording(recording) as opened:
                return self.add_copy(opened, topics)
        left_out = []
        for topic in topics:
            if topic in self._connections or topic not in recording.topics:
                continue
            connection = recording.connection(topic)
            definition = {'msgdef': connection.msgdef.data, 'rihs01': connection.digest}
            if recording.is_ros1(topic) or not all(definition.values()):
                definition = {'typestore': recording.store(connection.msgtype)}
                if definition['typestore'] is None:
                    left_out.append(topic)
                    continue
            profiles = getattr(connection.ext, 'offered_qos_profiles',
                               [_qos(recording.topics[topic].latched)])
            self._connections[topic] = self._writer.add_connection(
                topic, connection.msgtype, **definition, offered_qos_profiles=profiles)
        return sorted(left_out)

    def write(self, topic: str, stamp_ns: int, msg: Any) -> None:
        """Append a message, received at ``stamp_ns``."""
        connection = self._connections[topic]
        self.write_copy(topic, stamp_ns, self._store.serialize_cdr(msg, connection.msgtype))

    def write_copy(self, topic: str, stamp_ns: int, data: bytes | memoryview) -> None:
        """Append a serialised message, received at ``stamp_ns``."""
        self._writer.write(self._connections[topic], stamp_ns, data)

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """Return a std_msgs/Header."""
        types = self._store.types
        stamp = types['builtin_interfaces/msg/Time'](stamp_ns // 10**9, stamp_ns % 10**9)
        return types['std_msgs/msg/Header'](stamp, frame_id)

    def image(self, header: Any, array: np.ndarray, encoding: str) -> Any:
        """Return a sensor_msgs/Image of an array (H, W) or (H, W, 3), see ``ENCODINGS``."""
        dtype, channels = ENCODINGS[encoding]
        shape = array.shape[:2] + ((3,) if channels == 3 else ())
        if array.dtype != dtype or array.shape != shape:
            raise ValueError(f'{encoding} takes {np.dtype(dtype)} of {channels} channels, not '
                             f'{array.dtype} {array.shape}')
        array = np.ascontiguousarray(array, array.dtype.newbyteorder('<'))
        return self._store.types[IMAGE](header, *array.shape[:2], encoding, 0, array[0].nbytes,
                                        array.reshape(-1).view(np.uint8))

    def compressed(self, header: Any, data: bytes, layout: str) -> Any:
        """Return a sensor_msgs/CompressedImage; ``layout`` is its ``format``."""
        return self._store.types[COMPRESSED](header, layout, np.frombuffer(data, np.uint8))

    def camera_info(self, header: Any, size: tuple[int, int], matrix: np.ndarray) -> Any:
        """Return the sensor_msgs/CameraInfo of an undistorted camera, ``size`` (H, W)."""
        types = self._store.types
        projection = np.hstack([matrix, np.zeros((3, 1))])
        region = types['sensor_msgs/msg/RegionOfInterest'](0, 0, 0, 0, False)
        return types[CAMERA_INFO](
            header, *size, 'plumb_bob', np.zeros(5), np.array(matrix, float).reshape(-1),
            np.eye(3).reshape(-1), projection.reshape(-1), 0, 0, region)

    def label_info(self, header: Any, labels: LabelSet, threshold: float = 0.0) -> Any:
        """Return a vision_msgs/LabelInfo with the classes of a label set."""
        types = self._store.types
        classes = [types[VISION_CLASS](index, name) for index, name in enumerate(labels.names)]
        return types[LABEL_INFO](header, classes, threshold)


def copy_header(writer: Writer, msg: Any) -> Any:
    """Return the header of a message from a recording as a header for the writer."""
    stamp = msg.header.stamp
    return writer.header(stamp.sec * 10**9 + stamp.nanosec, msg.header.frame_id)


def check_free(recording: Recording, topics: Collection[str], copied: Collection[str]) -> None:
    """Raise RecordingError if one of ``topics`` is also in ``copied``."""
    taken = sorted(set(topics) & set(copied))
    if taken:
        raise RecordingError(f'{recording.path}: has {", ".join(taken)} already; choose another '
                             '--namespace, or leave it out of --topics')


def _qos(latched: bool) -> Any:
    from rosbags.interfaces import (
        Qos,
        QosDurability,
        QosHistory,
        QosLiveliness,
        QosReliability,
        QosTime,
    )

    # The value that rmw uses for "infinite".
    never = QosTime(9223372036, 854775807)
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return Qos(QosHistory.KEEP_LAST, 1 if latched else 10, QosReliability.RELIABLE, durability,
               never, never, QosLiveliness.AUTOMATIC, never, False)
