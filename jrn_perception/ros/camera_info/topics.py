# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The camera_info topics of one camera: what the node reads, and passes on."""

from __future__ import annotations

from collections.abc import Callable

from jrn_perception.messages.camera_info import Calibration, is_rectified
from jrn_perception.ros.camera_info.calibration import CalibrationWatch, CameraInfoBuffer
from jrn_perception.ros.conversions.images import with_header
from jrn_perception.ros.middleware import qos
from jrn_perception.ros.middleware.camera_topics import camera_info_topics, topic
from jrn_perception.ros.outputs import Delivery
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header


class CameraInfoTopics:
    """
    The subscriptions to the camera_info of ``camera``, and the publisher of the one passed on.

    ``on_demand`` is called, on the executor's thread, when subscribers come or go. ``infos`` are
    the messages that have come.
    """

    def __init__(self, node: Node, camera: str, on_demand: Callable[[], None]):
        self._node, self._camera = node, camera
        self.infos = CameraInfoBuffer()
        own = self._resolve('camera_info')
        sources = camera_info_topics(*map(self._resolve, ('image', 'image_camera_info')))
        # If a remapping makes both the same topic, the node must not read its own messages.
        self._publisher: Publisher | None = None
        if own != sources[0]:
            self._publisher, _ = qos.publish_on_demand(
                node, CameraInfo, topic(camera, 'camera_info'), qos.DATA_QOS, on_demand)
            sources = [source for source in sources if source != own]
        self._subscriptions = [
            qos.subscribe(node, CameraInfo, source, self.infos.add, qos.SENSOR_QOS)
            for source in sources]

    def _resolve(self, name: str) -> str:
        return self._node.resolve_topic_name(topic(self._camera, name))

    def watch(self, rectified: str, image: str) -> CalibrationWatch:
        """Return what pairs images on the topic ``image`` with these messages."""
        return CalibrationWatch(
            self.infos, *map(self._resolve, ('image_camera_info', 'points')),
            rectified == 'yes' or (rectified == 'auto' and is_rectified(image)),
            topic(self._camera, 'image_camera_info'))

    def has_listener(self) -> bool:
        """Return whether somebody subscribes to the camera_info that is passed on."""
        return self._publisher is not None and self._publisher.get_subscription_count() > 0

    def add_to(self, delivery: Delivery, camera: Calibration, header: Header) -> None:
        """Have the camera's info published with the ``header`` of its image, if there is one."""
        if camera.info is not None and self._publisher is not None:
            delivery.add('camera_info', self._publisher, with_header(camera.info, header))

    def close(self) -> None:
        """Destroy the publisher and all subscriptions."""
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
