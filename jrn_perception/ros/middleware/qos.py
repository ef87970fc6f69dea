# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Publishers and subscriptions with their quality of service, which parameters can override.

The parameters have ROS's own names: ``qos_overrides.TOPIC.publisher.reliability`` and the like.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from copy import copy

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

try:
    from rclpy.event_handler import PublisherEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble has other names, and no event for subscribers that come or go.
    PublisherEventCallbacks = None

PREFIX = 'qos_overrides'

# Matches every camera; the newest frame wins.
SENSOR_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
# The measurement nearest to an image may not be the latest.
RANGE_QOS = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
# Reliable, because image_transport, rviz and depth_image_proc subscribe reliably. Depth 2, because
# at depth 1 a stopped reader can block the writer.
DATA_QOS = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
PICTURE_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                         durability=DurabilityPolicy.TRANSIENT_LOCAL)


def publish(node: Node, kind: type, topic: str, qos: QoSProfile) -> Publisher:
    """Return a publisher of ``kind`` whose QoS parameters may override."""
    return node.create_publisher(kind, topic, **_overridable(qos))


def publish_on_demand(node: Node, kind: type, topic: str, qos: QoSProfile,
                      on_change: Callable[[], None]) -> tuple[Publisher, bool]:
    """
    Return a publisher, and whether ``on_change`` is called when subscribers come or go.

    It is not called on Humble, nor with a middleware that lacks the event: poll the publisher's
    subscription count there.
    """
    if PublisherEventCallbacks is not None:
        events = PublisherEventCallbacks(matched=lambda _: on_change())
        try:
            return node.create_publisher(kind, topic, event_callbacks=events,
                                         **_overridable(qos)), True
        except UnsupportedEventTypeError:
            pass
    return publish(node, kind, topic, qos), False


def subscribe(node: Node, kind: type, topic: str, callback: Callable,
              qos: QoSProfile) -> Subscription:
    """Return a subscription to ``kind`` whose QoS parameters may override."""
    return node.create_subscription(kind, topic, callback, **_overridable(qos))


def _overridable(qos: QoSProfile) -> dict:
    # A copy: rclpy writes the overrides of one topic into the profile that others share.
    return {'qos_profile': copy(qos),
            'qos_overriding_options': QoSOverridingOptions.with_default_policies()}


def overrides(node: Node) -> list[str]:
    """Return the names of all parameters that override QoS, with the prefix."""
    return [f'{PREFIX}.{name}' for name in node.get_parameters_by_prefix(PREFIX)]


def check_overrides(node: Node, names: list[str], foreign: Collection[str]) -> str:
    """
    Raise ValueError if one of ``names`` belongs to no topic that ``node`` overrides.

    The names in ``foreign`` may be meant for other nodes: for these, return what to warn of.
    """
    ignored = sorted(name for name in names if not node.has_parameter(name))
    if not ignored:
        return ''
    known = sorted({name.rpartition('.')[0] for name in overrides(node)})
    reason = (f'{", ".join(ignored)}: overrides nothing; there are history, depth and '
              f'reliability of {", ".join(known)}')
    if set(ignored) - set(foreign):
        raise ValueError(reason)
    return reason
