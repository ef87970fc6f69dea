# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The subscriptions to range sensors, and which of their messages belong to a picture."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import cached_property
import math
import threading
from time import monotonic
from typing import Any

from jrn_perception.messages import camera_info, maps, ranges
from jrn_perception.perception.anchoring import Anchors, anchors_from_image
from jrn_perception.ros.camera_info import calibration
from jrn_perception.ros.middleware import qos
from jrn_perception.ros.middleware.camera_topics import topic
from jrn_perception.ros.parameters.settings import range_inputs, Settings
from jrn_perception.ros.range import anchors
from jrn_perception.ros.range.anchors import View
from jrn_perception.ros.range.extrinsics import Extrinsics
from rclpy.node import Node
from rclpy.subscription import Subscription
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image, LaserScan, PointCloud2, Range
from std_msgs.msg import Header

# Messages of one sensor that are kept: the nearest to a picture may not be the latest.
KEPT = 8
KINDS: dict[str, tuple[type, Callable[[Any], Any]]] = {
    'points': (PointCloud2, ranges.cloud_points), 'scan': (LaserScan, ranges.scan_points),
    'image': (Image, maps.to_depth), 'range': (Range, ranges.cone)}


class Reading:
    """One message of a range sensor; ``values`` are its measurements as arrays, read once."""

    def __init__(self, message: Any, read: Callable[[Any], Any]):
        self.message, self._read = message, read
        # Not by rclpy's Time, which raises for a stamp before 1970: on the executor's thread.
        self.stamp_ns = message.header.stamp.sec * 10 ** 9 + message.header.stamp.nanosec

    @cached_property
    def values(self) -> Any:
        return self._read(self.message)


class RangeInput:
    """
    One range sensor.

    The executor's thread adds messages, the worker's thread looks up the nearest to a picture.
    """

    def __init__(self, node: Node, kind: str, camera: str = ''):
        self._node, self.kind, self._name = node, kind, topic(camera, f'range/{kind}')
        self._message, self._read = KINDS[kind]
        self._recent: deque[Reading] = deque(maxlen=KEPT)
        self._lock = threading.Lock()
        self._subscription: Subscription | None = None
        self.topic = node.resolve_topic_name(self._name)

    def subscribe(self, wanted: bool) -> None:
        """Subscribe to the topic, or end the subscription."""
        if wanted and self._subscription is None:
            self._subscription = qos.subscribe(self._node, self._message, self._name, self._add,
                                               qos.RANGE_QOS)
        elif not wanted and self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def recent(self) -> list[Reading]:
        """Return the messages that are kept, the earliest arrival first."""
        with self._lock:
            return list(self._recent)

    def nearest(self, stamp_ns: int) -> Reading | None:
        """Return the message whose stamp is nearest, None if none has come."""
        return min(self.recent(), key=lambda reading: abs(reading.stamp_ns - stamp_ns),
                   default=None)

    def silence(self) -> str:
        """Return why no message may have come."""
        return ('no message has come' if self._node.count_publishers(self.topic)
                else 'nobody publishes it')

    def _add(self, message: Any) -> None:
        with self._lock:
            self._recent.append(Reading(message, self._read))


class RangeInputs:
    """
    The range sensors of one camera that the parameter range_inputs names.

    ``age`` is the time in seconds between the last picture and the measurements used for it, NaN
    if there were none.
    """

    def __init__(self, node: Node, settings: Settings, camera: str = ''):
        names = range_inputs(settings)
        self.sensors = [RangeInput(node, kind, camera) for kind in names]
        if names:
            self._extrinsics = Extrinsics(node, settings.range_extrinsics)
        self.age = math.nan
        # The faults of the last picture by topic, and when each topic's first one came.
        self._faults: dict[str, str] = {}
        self._since: dict[str, float] = {}
        self.infos = calibration.CameraInfoBuffer()
        self._node, self._info_subscription = node, None
        if 'image' in names:
            self._info_subscription = qos.subscribe(
                node, CameraInfo, topic(camera, 'range/camera_info'), self.infos.add,
                qos.SENSOR_QOS)
        self.subscribe(True)  # Declares the QoS parameters of the topics.

    def __bool__(self) -> bool:
        return bool(self.sensors)

    def subscribe(self, wanted: bool) -> None:
        """Subscribe to the sensors and their poses, or end the subscriptions."""
        for sensor in self.sensors:
            sensor.subscribe(wanted)
        if self.sensors:
            self._extrinsics.listen(wanted)

    def close(self) -> None:
        """Destroy all subscriptions."""
        self.subscribe(False)
        if self._info_subscription is not None:
            self._node.destroy_subscription(self._info_subscription)

    def measure(self, header: Header, view: View | None, size: tuple[int, int],
                max_age: float) -> Anchors:
        """
        Return the anchors of a picture of ``size`` (height, width) from all sensors.

        ``header`` is the picture's, ``view`` is None if its camera is not calibrated. Only
        messages with stamps at most ``max_age`` seconds from the picture's count.
        """
        stamp_ns = Time.from_msg(header.stamp).nanoseconds
        found, ages, faults = Anchors.none(), [], {}
        for sensor in self.sensors:
            reading = sensor.nearest(stamp_ns)
            if reading is None:
                faults[sensor.topic] = sensor.silence()
                continue
            age = abs(reading.stamp_ns - stamp_ns) / 1e9
            if age > max_age:
                faults[sensor.topic] = (f'no message has a stamp within range_max_age '
                                        f'({max_age:g} s) of the image')
                continue
            try:
                found += self._anchors(sensor.kind, reading, header, view, size)
            except ValueError as error:
                faults[sensor.topic] = str(error)
            else:
                ages.append(age)
        self.age = max(ages, default=math.nan)
        self._note(faults)
        return found

    def fault(self) -> str:
        """Return which sensors have not been used for a while, and why; '' if all are used."""
        now = monotonic()
        faults = self._faults
        return '; '.join(f'{topic}: {text}' for topic, text in faults.items()
                         if now - self._since.get(topic, now) >= calibration.WAIT_S)

    def _note(self, faults: dict[str, str]) -> None:
        now = monotonic()
        self._since = {topic: self._since.get(topic, now) for topic in faults}
        self._faults = faults

    def _anchors(self, kind: str, reading: Reading, image: Header, view: View | None,
                 size: tuple[int, int]) -> Anchors:
        frame_id, values = reading.message.header.frame_id, reading.values
        if kind == 'image' and frame_id == image.frame_id and values.shape == size:
            return anchors_from_image(values, size)
        if view is None:
            raise ValueError('is not used: the camera is not calibrated')
        pose = self._extrinsics.pose(frame_id, image)
        if kind == 'range':
            return anchors.of_cone(values, pose, view) if values else Anchors.none()
        if kind == 'image':
            values = anchors.points_of_image(values, self._camera_of(reading))
        return anchors.of_points(values, pose, view)

    def _camera_of(self, reading: Reading) -> camera_info.Intrinsics:
        """Return the camera of a range image that is not registered to the picture."""
        size = reading.values.shape
        info = self.infos.find(reading.message.header.stamp, size)
        image, = (sensor.topic for sensor in self.sensors if sensor.kind == 'image')
        found = camera_info.match(info, size, camera_info.is_rectified(image))
        if found.intrinsics is None:
            raise ValueError('is not registered to the image, and about range/camera_info: '
                             f'{found.fault}')
        return found.intrinsics
