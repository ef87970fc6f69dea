# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Nodes that publish like a camera driver or a player of recordings, and their clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
import importlib
import time
from typing import Any

from builtin_interfaces.msg import Time
import cv2
from jrn_perception.frame import Frame
from jrn_perception.recordings.reader import Record, Topic
from jrn_perception.ros.conversions.images import image_message
from jrn_perception.sources.source import Source
import numpy as np
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

RAW, COMPRESSED = ('rgb8', 'bgr8', 'mono8'), ('jpeg', 'png')
ENCODINGS = RAW + COMPRESSED
DEFAULT_RATE = 10.0
# x right, y down, z forward: REP 103's suffix says so.
OPTICAL_FRAME = 'camera_optical_frame'
# After the last acknowledgement the readers still have to fetch the last messages.
LINGER_S = 0.3
SETTLE_S = 0.5
CLOCK_PERIOD_S = 0.02
LATE_S = 0.05


class Player(Node):
    """
    The common part of a camera and a replay: pace, clock, clean start and clean end.

    With ``clock`` the time of the source is published on /clock; it runs ``speed`` times as fast
    as wall time. The methods spin the node; nobody else should. It is a context manager, which at
    its end waits until the published messages have arrived.
    """

    def __init__(self, name: str, reliable: bool = True, clock: bool = False, speed: float = 1.0):
        super().__init__(name)
        self._reliability = (ReliabilityPolicy.RELIABLE if reliable
                             else ReliabilityPolicy.BEST_EFFORT)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self)
        self._outputs: list[Any] = []
        self._clock_output = self.create_publisher(
            Clock, '/clock', QoSProfile(depth=1)) if clock else None
        self._speed = speed
        # One moment in both times: seconds of the wall clock, nanoseconds of the source.
        self._anchor: tuple[float, int] | None = None
        self._latest_ns = 0

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if not self.finish():
                self.get_logger().warning('a reliable subscriber has not taken everything')
        finally:
            # The garbage collector would take executor and guard conditions in any order.
            self._executor.shutdown()
            self.destroy_node()

    def create_output(self, msg_type: type, topic: str, latched: bool = False) -> Any:
        """Return a publisher that ``wait_for_subscribers`` and ``finish`` look after."""
        qos = QoSProfile(depth=100 if latched else 10, reliability=self._reliability)
        if latched:
            qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
        self._outputs.append(self.create_publisher(msg_type, topic, qos))
        return self._outputs[-1]

    def wait_for_subscribers(self, count: int) -> None:
        """Return when the outputs have ``count`` subscriptions together."""
        if count:
            while sum(output.get_subscription_count() for output in self._outputs) < count:
                self._spin(0.05)
            # We know the subscribers now; they also have to know us.
            self._spin(SETTLE_S)

    def pause(self, time_ns: int) -> None:
        """
        Return when it is time for the message stamped ``time_ns``.

        The first call starts the clock. A stamp before the previous one (a recording that starts
        again) restarts the clock. After a delay the pace stays as it is; it does not catch up.
        """
        if self._anchor is None or time_ns < self._latest_ns:
            self._anchor = time.monotonic(), time_ns
        wall, origin = self._anchor
        due = wall + (time_ns - origin) * 1e-9 / self._speed
        while (rest := due - time.monotonic()) > 0:
            self._tick(time_ns - round(rest * self._speed * 1e9))
            self._spin(min(rest, CLOCK_PERIOD_S))
        if rest < -LATE_S:
            self._anchor = wall - rest, origin
        self._latest_ns = time_ns
        self._tick(time_ns)

    def finish(self, timeout_s: float = 5.0) -> bool:
        """Return whether all messages reached the reliable subscriptions in time."""
        deadline = time.monotonic() + timeout_s
        delivered = True
        for output in self._outputs:
            left = Duration(nanoseconds=max(0, round(1e9 * (deadline - time.monotonic()))))
            delivered &= output.wait_for_all_acked(left)
        self._spin(LINGER_S)
        return delivered

    def _tick(self, time_ns: int) -> None:
        if self._clock_output:
            self._clock_output.publish(Clock(clock=_time(time_ns)))

    def _spin(self, seconds: float) -> None:
        """Serve the node (parameters, /clock) for a while."""
        deadline = time.monotonic() + seconds
        while (rest := deadline - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=rest)


class Camera(Player):
    """
    A camera: ``image`` (or ``image/compressed``) and ``image_camera_info``.

    ``encoding`` is one of ``ENCODINGS`` (ValueError). The camera_info of an unknown camera has
    K = 0, "uncalibrated". With ``clock`` pictures keep the stamps of the source; without, they get
    the time of the node's clock when they are published.
    """

    def __init__(self, encoding: str = 'rgb8', frame_id: str = OPTICAL_FRAME,
                 reliable: bool = True, clock: bool = False, speed: float = 1.0):
        super().__init__('jrn_play', reliable, clock, speed)
        if encoding not in ENCODINGS:
            raise ValueError(f'encoding {encoding!r}: choose from {", ".join(ENCODINGS)}')
        self._encoding, self._frame_id, self._keep_stamps = encoding, frame_id, clock
        raw = encoding in RAW
        self._image = self.create_output(Image if raw else CompressedImage,
                                         'image' if raw else 'image/compressed')
        info = QoSProfile(depth=10, reliability=self._reliability)
        self._info = self.create_publisher(CameraInfo, 'image_camera_info', info)

    @property
    def topic(self) -> str:
        """Return the resolved name of the pictures' topic."""
        return self._image.topic_name

    def publish(self, frame: Frame, time_ns: int) -> None:
        """Publish a picture whose time in the source is ``time_ns``."""
        stamp = _time(time_ns) if self._keep_stamps else self.get_clock().now().to_msg()
        header = Header(stamp=stamp, frame_id=self._frame_id)
        self._info.publish(camera_info(frame, header))
        self._image.publish(picture_message(frame.rgb, header, self._encoding))


class Replay(Player):
    """
    A recording: its messages, not decoded, on the topics of the recording.

    ``topics`` whose types are not installed, or have another layout in ROS 2, are left out and
    listed in ``unknown``. A recorded /clock is left out if ``clock`` publishes its own.
    """

    def __init__(self, topics: Iterable[Topic], reliable: bool = True, clock: bool = False,
                 speed: float = 1.0):
        super().__init__('jrn_play', reliable, clock, speed)
        self.unknown: list[Topic] = []
        self._by_topic = {}
        for topic in topics:
            if clock and topic.name == '/clock':
                continue
            msg_type = _message_class(topic.msgtype)
            if msg_type is None or topic.foreign:
                self.unknown.append(topic)
            else:
                self._by_topic[topic.name] = self.create_output(msg_type, topic.name,
                                                                topic.latched)

    @property
    def topics(self) -> list[str]:
        """Return the recorded names of the topics that are published."""
        return list(self._by_topic)

    def publish(self, record: Record, time_ns: int) -> None:
        """Publish a message of one of ``topics`` with its recorded stamp."""
        if record.data:  # A damaged message of ROS 1 has none.
            self._by_topic[record.topic.name].publish(record.data)


def timed(source: Source, rate: float = 0.0, loop: bool = False) -> Iterator[tuple[int, Frame]]:
    """
    Yield a source's frames with the time, in ns, when each is due.

    The time is the frame's own stamp. With a ``rate`` in Hz, or where the source has no clock, the
    time follows from the frame's place in the sequence. Times of a source that starts at 0 (a
    video) count from now, and go on when the video loops. The times of a recording start again
    when the recording loops.
    """
    if not source.rate and not source.endless:
        rate = rate or DEFAULT_RATE
    start = time.time_ns()
    while True:
        first, due, period = None, start, round(1e9 / (rate or source.rate or DEFAULT_RATE))
        for index, frame in enumerate(source):
            if first is None:
                first, start = frame.stamp_ns, frame.stamp_ns or start
            due = start + (round(index * 1e9 / rate) if rate else frame.stamp_ns - first)
            yield due, frame
        if not loop or first is None:
            return
        start = due + period


def picture_message(rgb: np.ndarray, header: Header, encoding: str) -> Image | CompressedImage:
    """Return the message of RGB, uint8 (H, W, 3), in one of ``ENCODINGS``."""
    if encoding == 'rgb8':
        return image_message(rgb, header, encoding)
    if encoding == 'mono8':
        return image_message(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), header, encoding)
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    if encoding == 'bgr8':
        return image_message(bgr, header, encoding)
    _, data = cv2.imencode(f'.{encoding}', bgr)
    # As image_transport's compressed plug-in describes what it makes of rgb8.
    msg = CompressedImage(header=header, format=f'rgb8; {encoding} compressed bgr8')
    msg.data.frombytes(data.reshape(-1))
    return msg


def camera_info(frame: Frame, header: Header) -> CameraInfo:
    """Return the calibration of an undistorted camera, K = 0 where it is not known."""
    msg = CameraInfo(header=header, height=frame.rgb.shape[0], width=frame.rgb.shape[1],
                     distortion_model='plumb_bob', d=[0.0] * 5)
    if frame.camera_matrix is not None:
        matrix = np.asarray(frame.camera_matrix, np.float64)
        msg.k = matrix.reshape(-1).tolist()
        msg.r = np.eye(3).reshape(-1).tolist()
        msg.p = np.hstack([matrix, np.zeros((3, 1))]).reshape(-1).tolist()
    return msg


def _time(time_ns: int) -> Time:
    return Time(sec=time_ns // 10**9, nanosec=time_ns % 10**9)


def _message_class(msgtype: str) -> type | None:
    package, _, name = msgtype.split('/')
    try:
        return getattr(importlib.import_module(f'{package}.msg'), name)
    except (ImportError, AttributeError):
        return None
