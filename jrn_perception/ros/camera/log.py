# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What the log says of one camera: lasting faults once, repeated ones rarely."""

from __future__ import annotations

from collections.abc import Mapping
import traceback

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.logging import get_logger
from rclpy.node import Node

THROTTLE_S = 5.0


class CameraLog:
    """
    The messages about ``camera`` in the log of ``node``, which begin with the name of the camera.

    Each kind of fault has a method of its own, because rclpy counts the time between two messages
    for each line of code. It counts for each logger too, and each camera has a logger: so a fault
    of one camera does not silence the next camera's.
    """

    def __init__(self, node: Node, camera: str = ''):
        # Under the node's name, because /rosout has the messages of this name.
        self._logger = get_logger(node.get_logger().name)
        self._prefix = f'{camera}: ' if camera else ''
        self._told: set[str] = set()
        self._told_silence = False

    def debug(self, text: str) -> None:
        self._logger.debug(self._prefix + text)

    def tell_once(self, *faults: str) -> None:
        """Log each of the ``faults`` that is new; '' is none."""
        for fault in faults:
            if fault and fault not in self._told:
                self._told.add(fault)
                self._logger.warning(self._prefix + fault)

    def follow(self, status: DiagnosticStatus) -> None:
        """Log once that no frame arrives, with the reason, and once that they arrive again."""
        silent = status.level == DiagnosticStatus.ERROR and status.values[0].value == 'silent'
        if silent and not self._told_silence:
            self._logger.warning(self._prefix + status.message)
        elif self._told_silence and not silent:
            self._logger.info(f'{self._prefix}no longer silent: {status.message}')
        self._told_silence = silent

    def rejects(self, topic: str, reason: str) -> None:
        """Log why a message is not processed."""
        self._logger.warning(f'{self._prefix}rejected a message on {topic}: {reason}',
                             throttle_duration_sec=THROTTLE_S)

    def depth_fails(self, reason: str) -> None:
        """Log why a frame has no valid depth."""
        self._logger.warning(self._prefix + reason, throttle_duration_sec=THROTTLE_S)

    def outputs_fail(self, failures: Mapping[str, Exception]) -> None:
        """Log the outputs that failed, by name, with the place."""
        self._logger.error(
            '\n'.join(f'{self._prefix}output {name} fails: {_traceback(error)}'
                      for name, error in failures.items()),
            throttle_duration_sec=THROTTLE_S)

    def frame_fails(self, error: Exception) -> None:
        """Log why a whole frame failed, with the place."""
        self._logger.error(self._prefix + _traceback(error), throttle_duration_sec=THROTTLE_S)


def in_words(error: Exception) -> str:
    """Return kind and reason of an error in one line."""
    return f'{type(error).__name__}: {error}'


def _traceback(error: Exception) -> str:
    return ''.join(traceback.format_exception(error))
