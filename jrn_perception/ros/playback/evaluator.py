# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A node that records the messages of some topics, and the times of their arrival."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from queue import Empty, SimpleQueue
import threading
import time
from typing import Any, NamedTuple

from jrn_perception.recordings.reader import COMPRESSED, IMAGE
from rcl_interfaces.srv import GetParameters, SetParametersAtomically
from rclpy.client import Client
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter, parameter_value_to_python
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

TYPES = {IMAGE: Image, COMPRESSED: CompressedImage}
# Reliable, because the node and the players publish so; deep enough for the messages that arrive
# while Python is busy.
QOS = QoSProfile(depth=50, reliability=ReliabilityPolicy.RELIABLE)
ANSWER_S, ASK_AGAIN_S = 30.0, 3.0


class ReceivedMessage(NamedTuple):
    """A serialised message; it arrived at ``seconds`` of the monotonic clock."""

    topic: str
    data: bytes
    seconds: float


class Evaluator(Node):
    """
    Receives messages on a thread of its own, so that their times do not depend on the caller.

    It is a context manager, inside which the thread runs. One other thread calls the methods.
    """

    def __init__(self, **arguments: Any):
        super().__init__('jrn_evaluator', **arguments)
        self._received: SimpleQueue[ReceivedMessage] = SimpleQueue()
        self._service_clients: dict[str, Client] = {}
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._spin, name='evaluator')

    def __enter__(self) -> Evaluator:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._executor.shutdown()
        self.destroy_node()

    def listen(self, topic: str, msgtype: str) -> None:
        """Record a topic of Image or CompressedImage ('sensor_msgs/msg/Image')."""
        self.create_subscription(TYPES[msgtype], topic, partial(self._receive, topic), QOS,
                                 raw=True)

    def take(self, timeout: float) -> ReceivedMessage | None:
        """Return the next message, None if none arrives within ``timeout`` seconds."""
        try:
            return self._received.get(timeout=timeout)
        except Empty:
            return None

    def is_there(self, node: str) -> bool:
        """Return whether a node of this name offers its parameters."""
        return self._client(GetParameters, f'{node}/get_parameters').wait_for_service(0.2)

    def get_parameters_of(self, node: str, names: Iterable[str]) -> dict[str, Any]:
        """Return the values of a node's parameters; RuntimeError if one is missing."""
        names = list(names)
        values = self._call(GetParameters, f'{node}/get_parameters', names=names).values
        found = dict(zip(names, map(parameter_value_to_python, values)))
        if len(found) < len(names) or None in found.values():
            raise RuntimeError(f'{node} does not have all of {", ".join(names)}: another node?')
        return found

    def set_parameters_of(self, node: str, values: Mapping[str, Any]) -> None:
        """Set a node's parameters, all or none; RuntimeError with its reason if it refuses."""
        result = self._call(
            SetParametersAtomically, f'{node}/set_parameters_atomically', parameters=[
                Parameter(name, value=value).to_parameter_msg()
                for name, value in values.items()]).result
        if not result.successful:
            raise RuntimeError(f'{node} refuses {", ".join(values)}: {result.reason}')

    def _call(self, kind: type, name: str, **request: Any) -> Any:
        client, deadline = self._client(kind, name), time.monotonic() + ANSWER_S
        while (rest := deadline - time.monotonic()) > 0:
            if not client.wait_for_service(rest):
                break
            answered = threading.Event()
            future = client.call_async(kind.Request(**request))
            future.add_done_callback(lambda _, event=answered: event.set())
            # If the service has not discovered this client yet, its answer is lost: ask again.
            # These requests can be repeated without harm.
            if answered.wait(min(rest, ASK_AGAIN_S)):
                return future.result()
            client.remove_pending_request(future)
        raise RuntimeError(f'{name} does not answer')

    def _client(self, kind: type, name: str) -> Client:
        if name not in self._service_clients:
            self._service_clients[name] = self.create_client(kind, name)
        return self._service_clients[name]

    def _receive(self, topic: str, data: bytes) -> None:
        self._received.put(ReceivedMessage(topic, data, time.monotonic()))

    def _spin(self) -> None:
        while not self._ended.is_set():
            self._executor.spin_once(timeout_sec=0.1)
