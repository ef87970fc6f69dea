# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The camera of a recording: the topic of its pictures, and their calibration."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, TYPE_CHECKING

from jrn_perception.messages.camera_info import is_rectified
from jrn_perception.recordings.files import RecordingError

if TYPE_CHECKING:
    from jrn_perception.recordings.reader import Record, Recording

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
DEPTH_ENCODINGS = ('16UC1', '32FC1')


@dataclass(frozen=True)
class Topic:
    """
    A topic of a recording.

    ``msgtype`` looks like 'sensor_msgs/msg/Image'; ``count`` is the number of messages;
    ``latched`` topics sent their last messages to late joiners (durability TRANSIENT_LOCAL, as
    /tf_static does). ``foreign`` topics come from ROS 1 with a type that ROS 2 lays out otherwise.
    """

    name: str
    msgtype: str
    count: int
    latched: bool = False
    foreign: bool = False


class Camera:
    """
    The CameraInfo of the pictures of a recording, as a node would know it at that time.

    ``topic`` is None if there is no such topic. ``info`` is the last message before now; before
    the first message it is the first message. The name of the topic ``image`` says whether the
    pictures are rectified. ``damaged`` counts messages that cannot be decoded,
    ``damage`` names them.
    """

    def __init__(self, recording: Recording, topic: Topic | None, image: str):
        self._recording, self.topic = recording, topic
        self.rectified = is_rectified(image)
        self._said = b''
        self.info: Any = None
        self.damaged, self._first = 0, ''
        if topic is not None:
            try:
                self.hear(recording.first(topic))
            except RecordingError:
                return  # None can be decoded: each counts when it is heard.

    @property
    def damage(self) -> str:
        return f'{self.damaged} messages of camera_info were left out, the first: {self._first}'

    def hear(self, record: Record) -> None:
        """Take the next CameraInfo; a message that cannot be decoded is counted."""
        # Consecutive messages usually differ only in their stamp.
        if record.data[12:] == self._said:
            return
        try:
            self.info = self._recording.decode(record)
        except RecordingError as error:
            self.damaged += 1
            self._first = self._first or str(error)
        else:
            self._said = record.data[12:]


def choose_image(recording: Recording, name: str, others: Collection[str]) -> Topic:
    """Return the topic of the pictures, see ``Recording.image_topic``."""
    images = recording.of_type(IMAGE, COMPRESSED)
    listed = ', '.join(f'{t.name} ({t.msgtype.split("/")[-1]}, {t.count})' for t in images)
    if not images:
        raise RecordingError('; '.join([f'{recording.path}: no image topic among '
                                        f'{", ".join(recording.topics) or "no messages at all"}',
                                        *recording.notes]))
    if name:
        if name not in [topic.name for topic in images]:
            raise RecordingError(f'{recording.path}: no image topic {name!r}; there are: {listed}')
        return recording.topics[name]
    kinds = {topic: _kind(recording, topic) for topic in images if topic.name not in others}
    chosen = [topic for topic, kind in kinds.items() if kind == 'colour']
    chosen = chosen or [topic for topic, kind in kinds.items() if kind == 'grey']
    chosen = chosen or [topic for topic, kind in kinds.items() if kind == 'damaged']
    names = [topic.name for topic in chosen]
    chosen = [topic for topic in chosen if topic.msgtype == IMAGE or
              topic.name.rpartition('/')[0] not in names]
    if len(chosen) != 1:
        raise RecordingError(f'{recording.path}: {len(chosen) or "no"} topics of pictures, name '
                             f'one of: {listed}')
    return chosen[0]


def choose_camera_info(recording: Recording, image: str) -> Topic | None:
    """Return the CameraInfo topic beside an image topic, or None."""
    infos = recording.of_type(CAMERA_INFO)
    for namespace in (image.rpartition('/')[0], image.rpartition('/')[0].rpartition('/')[0]):
        for info in infos:
            if info.name in (f'{namespace}/camera_info', f'{image}_camera_info'):
                return info
    return None


def _kind(recording: Recording, topic: Topic) -> str:
    """Return depth, grey or colour, judged by the first message that says; else damaged."""
    try:
        for record in recording.whole([topic.name]):
            try:
                msg = recording.decode(record)
            except RecordingError:
                continue
            layout = msg.encoding if topic.msgtype == IMAGE else msg.format
            # A message of zeros can be decoded, but it is no picture.
            if not layout and not len(msg.data):
                continue
            if layout.startswith(DEPTH_ENCODINGS) or 'compresseddepth' in layout.lower():
                return 'depth'
            return 'grey' if layout.startswith(('mono', '8UC1')) else 'colour'
    except RecordingError:
        pass  # The place where the recording breaks off.
    return 'damaged'
