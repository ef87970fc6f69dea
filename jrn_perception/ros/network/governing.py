# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The rung of the ladder that all cameras of a node run on, for max_latency_ms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from jrn_perception.perception.governor import Change, cost_ms, Governor
from jrn_perception.ros.network.configuration import Configuration
from jrn_perception.ros.network.ladder import can_replace, Ladder
from jrn_perception.ros.outputs import Output
from rclpy.impl.rcutils_logger import RcutilsLogger


@dataclass(frozen=True)
class RungReport:
    """
    The rung in use and the number of changes, for the diagnostics; ``rung`` is off without limit.

    ``effect`` tells of a rung below the configured network, ``fault`` that no rung is fast enough.
    """

    rung: str = 'off'
    changes: int = 0
    effect: str = ''
    fault: str = ''

    def values(self) -> dict[str, object]:
        """Return the keys and values of the diagnostics."""
        return {'latency_rung': self.rung, 'latency_rung_changes': self.changes}


class Governing:
    """
    The rung that all cameras of a node share, because they share the network.

    ``adopt`` gets the configuration with the network of a new rung; ``wanted`` returns the outputs
    that a configuration gives to the subscribers of all cameras. The worker's thread calls all
    methods, so that a rung changes between two frames: ``check`` before each frame, ``finish``
    after it. ``report`` is for all threads.
    """

    def __init__(self, logger: RcutilsLogger, adopt: Callable[[Configuration], None],
                 wanted: Callable[[Configuration], list[Output]]):
        self._logger, self._run_on, self._wanted = logger, adopt, wanted
        self._configured: Configuration | None = None
        self._governor: Governor | None = None
        # Which rungs give everything that is wanted of this frame.
        self._usable: list[bool] = []
        self.report = RungReport()

    def configure(self, configuration: Configuration) -> Configuration:
        """Return the configuration to run: the same one, with the network of the rung in use."""
        before, self._configured = self._configured, configuration
        limit, ladder = configuration.settings.max_latency_ms, configuration.ladder
        if ladder is None:
            self._governor, self.report = None, RungReport()
            return configuration
        if (self._governor is None or before is None or before.ladder is not ladder
                or self._governor.limit_ms != limit):
            self._governor = Governor(limit, len(ladder.rungs))
        self.report = self._describe(ladder, self._governor)
        return self._current(ladder, self._governor)

    def adopt(self, configuration: Configuration) -> None:
        """Have all cameras run ``configuration``, with the network of the rung in use."""
        self._run_on(self.configure(configuration))

    def check(self) -> None:
        """Leave the rung before the next frame if it lacks something that is wanted by now."""
        if self._governor is None:
            return
        self._usable = self._find_usable()
        if self._governor.rung:
            self._apply(self._governor.require(monotonic(), self._usable))

    def finish(self, latency_ms: float, processing_ms: float) -> None:
        """Take the times of a frame; change the rung for the next one if they call for that."""
        if self._governor is not None:
            self._apply(self._governor.observe(
                monotonic(), cost_ms(latency_ms, processing_ms), self._usable))

    @staticmethod
    def _describe(ladder: Ladder, governor: Governor) -> RungReport:
        rung, fault, limit = governor.rung, '', f'max_latency_ms ({governor.limit_ms:g})'
        text = ladder.describe(rung)
        if governor.is_over:
            fault = f'frames take longer than {limit}, and no faster setting is left'
        effect = f'{limit} has chosen the setting {text}' if rung else ''
        return RungReport(text, governor.changes, effect, fault)

    def _find_usable(self) -> list[bool]:
        configured = self._configured
        assert configured is not None and configured.ladder is not None
        wanted = self._wanted(configured)
        return [can_replace(rung, configured.perception, configured.settings, wanted)
                for rung in configured.ladder.rungs]

    def _apply(self, change: Change | None) -> None:
        assert self._configured is not None and self._governor is not None
        ladder = self._configured.ladder
        assert ladder is not None
        self.report = self._describe(ladder, self._governor)
        if change is None:
            return
        self._run_on(self._current(ladder, self._governor))
        self._logger.info(f'max_latency_ms {self._governor.limit_ms:g}: {change.reason}; now '
                          f'{ladder.describe(change.rung)}')

    def _current(self, ladder: Ladder, governor: Governor) -> Configuration:
        assert self._configured is not None
        return self._configured._replace(perception=ladder.rungs[governor.rung])
