# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Quality of service of every topic, and the parameters ``qos_overrides`` that change it.

The names are ROS's own: ``qos_overrides.TOPIC.publisher.reliability`` and the like.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription

PREFIX = 'qos_overrides'

# Matches every camera; the newest frame wins.
SENSOR_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
# Reliable, because image_transport, rviz and depth_image_proc subscribe so. Two deep, because a
# stopped reader of a single slot can block the writer.
DATA_QOS = QoSProfile(depth=2, reliability=ReliabilityPolicy.RELIABLE)
PICTURE_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE,
                         durability=DurabilityPolicy.TRANSIENT_LOCAL)


def publish(node: Node, kind: type, topic: str, qos: QoSProfile) -> Publisher:
    """Return a publisher of ``kind`` whose QoS parameters may override."""
    return node.create_publisher(kind, topic, **_overridable(qos))


def subscribe(node: Node, kind: type, topic: str, callback: Callable,
              qos: QoSProfile) -> Subscription:
    """Return a subscription to ``kind`` whose QoS parameters may override."""
    return node.create_subscription(kind, topic, callback, **_overridable(qos))


def _overridable(qos: QoSProfile) -> dict:
    # A copy: rclpy writes the overrides of one topic into the profile that others share.
    return {'qos_profile': copy(qos),
            'qos_overriding_options': QoSOverridingOptions.with_default_policies()}


def overrides(node: Node) -> list[str]:
    """Return the names of all parameters that override, with the prefix."""
    return [f'{PREFIX}.{name}' for name in node.get_parameters_by_prefix(PREFIX)]


def check_overrides(node: Node, names: list[str]) -> None:
    """Raise ValueError if one of ``names`` belongs to no topic that ``node`` overrides."""
    ignored = sorted(name for name in names if not node.has_parameter(name))
    if ignored:
        known = sorted({name.rpartition('.')[0] for name in overrides(node)})
        raise ValueError(f'{", ".join(ignored)}: overrides nothing; there are history, depth and '
                         f'reliability of {", ".join(known)}')
