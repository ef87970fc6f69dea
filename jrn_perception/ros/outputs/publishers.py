# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The publishers of the outputs, and the messages of one frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from jrn_perception.perception import Perception
from jrn_perception.ros.middleware.camera_topics import topic
from jrn_perception.ros.middleware.qos import publish_on_demand
from jrn_perception.ros.outputs.result import Result
from jrn_perception.ros.outputs.table import Output, OUTPUTS
from jrn_perception.ros.parameters.settings import Settings
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.timer import Timer

# Seconds between two counts of the subscribers, where no event reports that they come or go.
POLL_S = 0.1


class Delivery:
    """
    The messages of one frame. An output that fails does not take the others with it.

    ``failures`` holds the error of each output that could not be made or published,
    ``delivered`` the names of the published ones.
    """

    def __init__(self):
        self.failures: dict[str, Exception] = {}
        self.delivered: list[str] = []
        self._messages: list[tuple[str, Publisher, Any]] = []

    def add(self, name: str, publisher: Publisher, message: Any) -> None:
        """Have ``message`` published."""
        self._messages.append((name, publisher, message))

    def publish(self) -> None:
        """Publish all messages, one directly after the other."""
        for name, publisher, message in self._messages:
            try:
                publisher.publish(message)
                self.delivered.append(name)
            except Exception as error:  # noqa: B902, BLE001 whatever it is, the others go out
                self.failures[name] = error


class OutputPublishers:
    """
    The publishers of the outputs of one camera, of which ``camera`` is the name.

    ``on_demand`` is called, on the executor's thread, when subscribers come or go.
    """

    def __init__(self, node: Node, on_demand: Callable[[], None], camera: str = ''):
        self._node = node
        self._publishers: dict[str, Publisher] = {}
        self._poll: Timer | None = None
        has_events = True
        for output in OUTPUTS:
            self._publishers[output.name], reports = publish_on_demand(
                node, output.kind, _topic(node, camera, output), output.qos, on_demand)
            has_events &= reports
        if not has_events:
            self._poll = node.create_timer(
                POLL_S, on_demand, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        """Destroy all publishers."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        if self._poll is not None:
            self._node.destroy_timer(self._poll)

    def listened_to(self, perception: Perception | None = None) -> list[Output]:
        """Return the outputs with subscribers; given ``perception``, only the ones that it has."""
        return [output for output in OUTPUTS if self._has_listener(output)
                and (perception is None or output.available(perception))]

    def wanted(self, settings: Settings, perception: Perception) -> list[Output]:
        """Return the outputs to make for a frame."""
        return [output for output in OUTPUTS if output.available(perception)
                and (self._has_listener(output) or not (settings.lazy or output.optional))]

    def make(self, result: Result, wanted: Iterable[Output]) -> Delivery:
        """Return the messages of ``wanted``, without the cloud if the camera is not calibrated."""
        delivery = Delivery()
        for output in wanted:
            if output.cloud and result.intrinsics is None:
                continue
            try:
                message = output.make(result)
            except Exception as error:  # noqa: B902, BLE001 whatever it is, the others go out
                delivery.failures[output.name] = error
            else:
                delivery.add(output.name, self._publishers[output.name], message)
        return delivery

    def _has_listener(self, output: Output) -> bool:
        return self._publishers[output.name].get_subscription_count() > 0


def _topic(node: Node, camera: str, output: Output) -> str:
    if not output.transport:
        return topic(camera, output.name)
    # image_transport's convention: the name of the transport follows the resolved base topic, so
    # that a remapped `depth` takes its transports with it.
    base = node.resolve_topic_name(topic(camera, output.name.removesuffix(f'/{output.transport}')))
    return f'{base}/{output.transport}'
