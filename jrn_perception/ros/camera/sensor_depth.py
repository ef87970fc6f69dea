# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The depth camera beside a camera: its images, paired with pictures by their stamps."""

from __future__ import annotations

from collections import deque
import threading
from time import monotonic

from builtin_interfaces.msg import Time
from jrn_perception.messages.images import BadImage
from jrn_perception.messages.maps import to_depth
from jrn_perception.ros.middleware import qos
from jrn_perception.ros.middleware.camera_topics import topic
import numpy as np
from rclpy.node import Node
from sensor_msgs.msg import Image

TOPIC = 'sensor_depth'
# Nanoseconds between the stamps of a picture and of the depth image that belongs to it.
TOLERANCE_NS = 20_000_000
# Seconds that a picture waits for its depth image, which drivers publish after it, and seconds
# after the last depth image from when on no picture waits.
WAIT_S, ALIVE_S = 0.1, 1.0
KEPT = 30


class SensorDepth:
    """
    The depth images of one camera, registered to its pictures.

    The executor's thread adds messages, the worker's thread looks them up. ``fault`` tells in one
    line why the last picture had no depth image, '' if it had one.
    """

    def __init__(self, node: Node, camera: str = ''):
        self._node, self._name = node, topic(camera, TOPIC)
        self._recent: deque[Image] = deque(maxlen=KEPT)
        self._changed = threading.Condition()
        self._last_arrival = -ALIVE_S
        self.fault = ''
        # Made once before it is needed, because that declares the QoS parameters of the topic.
        self.subscription = self._subscribe()
        self.topic = self.subscription.topic_name

    def _subscribe(self):
        return qos.subscribe(self._node, Image, self._name, self.add, qos.SENSOR_QOS)

    def listen(self, wanted: bool) -> None:
        """Subscribe to the depth images if they are wanted now, unsubscribe if they are not."""
        if wanted and self.subscription is None:
            self.subscription = self._subscribe()
        elif not wanted and self.subscription is not None:
            self._node.destroy_subscription(self.subscription)
            self.subscription = None
            self.fault = ''
            with self._changed:
                self._recent.clear()

    def add(self, message: Image) -> None:
        with self._changed:
            self._recent.append(message)
            self._last_arrival = monotonic()
            self._changed.notify_all()

    def find(self, stamp: Time) -> np.ndarray | None:
        """
        Return metres (H, W), NaN in holes, of the depth image with this stamp; None without one.

        A picture whose depth image has not come yet waits for it a moment. Raises BadImage for a
        depth image that cannot be read.
        """
        taken = _nanoseconds(stamp)
        with self._changed:
            if monotonic() - self._last_arrival < ALIVE_S:
                self._changed.wait_for(lambda: self._latest() >= taken, WAIT_S)
            message = min(self._recent, default=None,
                          key=lambda other: abs(_nanoseconds(other.header.stamp) - taken))
        if message is None:
            self.fault = f'{self.topic}: no depth image has arrived'
            return None
        apart = abs(_nanoseconds(message.header.stamp) - taken)
        if apart > TOLERANCE_NS:
            self.fault = (f'{self.topic}: the nearest depth image is {apart / 1e9:.3f} s apart '
                          'from the picture: different clocks, or dropped images')
            return None
        self.fault = ''
        try:
            return to_depth(message)
        except BadImage as error:
            raise BadImage(f'{self.topic}: {error}') from error

    def _latest(self) -> int:
        return max((_nanoseconds(other.header.stamp) for other in self._recent), default=-1)


def _nanoseconds(stamp: Time) -> int:
    return stamp.sec * 10 ** 9 + stamp.nanosec
