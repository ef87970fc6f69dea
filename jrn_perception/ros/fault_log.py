# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What the log says of one camera's faults: the lasting ones once, the repeated ones rarely."""

from __future__ import annotations

from collections.abc import Mapping
import traceback

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.impl.rcutils_logger import RcutilsLogger

THROTTLE_S = 5.0


class FaultLog:
    """
    The faults of one camera, in the log ``logger``.

    Each camera has a logger of its own: a message that is throttled for one camera may be new for
    another one.
    """

    def __init__(self, logger: RcutilsLogger):
        self._logger = logger
        self._told: set[str] = set()
        self._told_silence = False

    def tell_once(self, *faults: str) -> None:
        """Log each of the ``faults`` that is new; '' is none."""
        for fault in faults:
            if fault and fault not in self._told:
                self._told.add(fault)
                self._logger.warning(fault)

    def follow(self, status: DiagnosticStatus) -> None:
        """Log once that no frame arrives, with the reason, and once that they arrive again."""
        silent = status.level == DiagnosticStatus.ERROR and status.values[0].value == 'silent'
        if silent and not self._told_silence:
            self._logger.warning(status.message)
        elif self._told_silence and not silent:
            self._logger.info(f'no longer silent: {status.message}')
        self._told_silence = silent

    def outputs_fail(self, failures: Mapping[str, Exception]) -> None:
        """Log the outputs that failed, by name, with the place."""
        self._logger.error(
            '\n'.join(f'output {name} fails: {_traceback(error)}'
                      for name, error in failures.items()),
            throttle_duration_sec=THROTTLE_S)

    def frame_fails(self, error: Exception) -> None:
        """Log why a whole frame failed, with the place."""
        self._logger.error(_traceback(error), throttle_duration_sec=THROTTLE_S)


def in_words(error: Exception) -> str:
    """Return kind and reason of an error in one line."""
    return f'{type(error).__name__}: {error}'


def _traceback(error: Exception) -> str:
    return ''.join(traceback.format_exception(error))
