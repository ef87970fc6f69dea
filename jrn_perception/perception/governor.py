# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The decision which setting of a ladder keeps the latency below a limit.

The settings, rungs, are numbered from the best and slowest, 0, to the fastest. The decision knows
their numbers alone, and no network.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

# Down: so many of the last frames took longer than the limit.
OVER, FRAMES = 3, 8
# The first frames of a rung are not counted: they were waiting before, or allocate memory.
SETTLE = 2
# Up: all frames of HOLD_S seconds met the limit, and the better rung probably stays below this
# share of it.
HOLD_S, MARGIN = 5.0, 0.8
# After so many seconds the cost of the better rung is forgotten: the better rung is tried again.
# A climb has failed if the rung does not last as long. Each failure doubles all waiting.
FORGET_S, DOUBLINGS = 60.0, 6
# After a pause of so many seconds the load is unknown, and the waiting begins anew.
PAUSE_S = 60.0
# Longer latencies are not the time that a frame took, but the stamps of another clock.
LONGEST_MS = 60_000.0


def cost_ms(latency_ms: float, processing_ms: float) -> float:
    """
    Return what a frame took: ``latency_ms`` from its stamp, or ``processing_ms``.

    The processing time counts if stamp and clock cannot belong together: the latency is NaN,
    shorter than the processing time or longer than a minute.
    """
    return latency_ms if processing_ms <= latency_ms <= LONGEST_MS else processing_ms


@dataclass(frozen=True)
class Change:
    """A change to ``rung`` from ``before``, and its reason in words."""

    before: int
    rung: int
    reason: str


@dataclass
class _Memory:
    """
    What a rung took, ms, when it was left at a time in seconds.

    ``below`` is what the rung below took then, None if it was left before that was known.
    """

    seconds: float
    cost: float
    below: float | None = None


class Governor:
    """
    Chooses the rung, from 0 to ``rungs`` - 1, that keeps frames below ``limit_ms``.

    ``rung`` is the choice and ``changes`` counts its changes. What frames took is summarised as
    their level: the third largest of the last eight values.
    """

    def __init__(self, limit_ms: float, rungs: int):
        self.limit_ms, self.rungs = limit_ms, rungs
        self.rung = self.changes = 0
        self._costs: deque[float] = deque(maxlen=FRAMES)
        self._settling = SETTLE
        self._calm_since = self._last = self._climbed = float('-inf')
        self._memories: dict[int, _Memory] = {}
        # The rung that was left, until the level of the present rung is known.
        self._left: int | None = None
        self._failures = [0] * rungs

    @property
    def level_ms(self) -> float | None:
        """Return the level of the present rung, None before there are enough frames."""
        return sorted(self._costs)[-OVER] if len(self._costs) >= OVER else None

    @property
    def is_over(self) -> bool:
        """Return whether the present rung takes longer than the limit."""
        return self.level_ms is not None and self.level_ms > self.limit_ms

    def require(self, seconds: float, usable: Sequence[bool]) -> Change | None:
        """Return the change to the next better rung that is ``usable`` if the present is not."""
        if usable[self.rung]:
            return None
        better = self._better(usable)
        return self._move(0 if better is None else better, seconds,
                          'an output or a parameter needs it')

    def observe(self, seconds: float, cost: float, usable: Sequence[bool]) -> Change | None:
        """
        Take what a frame took, ms, at a time in seconds; return the change that follows, if any.

        ``usable`` tells of each rung whether it may be chosen now.
        """
        if seconds - self._last > PAUSE_S:
            self._calm_since = seconds
        self._last = seconds
        if self._settling:
            self._settling -= 1
            return None
        self._costs.append(cost)
        if cost > self.limit_ms:
            self._calm_since = seconds
        level = self.level_ms
        if level is None:
            return None
        if len(self._costs) == FRAMES:
            self._remember_below(level)
        if level > self.limit_ms:
            return self._descend(seconds, level, usable)
        return self._climb(seconds, level, usable) if len(self._costs) == FRAMES else None

    def _descend(self, seconds: float, level: float, usable: Sequence[bool]) -> Change | None:
        worse = [rung for rung in range(self.rung + 1, self.rungs) if usable[rung]]
        if not worse:
            return None
        self._remember_below(level)
        lasted, left = seconds - self._climbed, self.rung
        if lasted < self._wait(left, FORGET_S):
            self._failures[left] = min(self._failures[left] + 1, DOUBLINGS)
        else:
            self._failures[left] = max(self._failures[left] - 1, 0)
        change = self._move(worse[0], seconds, f'{OVER} of the last {FRAMES} frames took '
                            f'{level:.0f} ms or more')
        self._climbed = float('-inf')
        self._memories[left], self._left = _Memory(seconds, level), left
        return change

    def _climb(self, seconds: float, level: float, usable: Sequence[bool]) -> Change | None:
        better = self._better(usable)
        if better is None or seconds - self._calm_since < self._wait(better, HOLD_S):
            return None
        memory, expected, known = self._memories.get(better), level, ''
        if memory is not None and seconds - memory.seconds < self._wait(better, FORGET_S):
            expected = memory.cost * (level / memory.below if memory.below else 1)
            known = f', which would take about {expected:.0f} ms'
        if expected > MARGIN * self.limit_ms:
            return None
        change = self._move(better, seconds, f'frames take {level:.0f} ms; back to the better '
                            f'setting{known}')
        self._climbed = seconds
        return change

    def _better(self, usable: Sequence[bool]) -> int | None:
        return next((rung for rung in range(self.rung - 1, -1, -1) if usable[rung]), None)

    def _wait(self, rung: int, seconds: float) -> float:
        return seconds * 2 ** self._failures[rung]

    def _remember_below(self, level: float) -> None:
        if self._left is not None:
            self._memories[self._left].below = level
            self._left = None

    def _move(self, rung: int, seconds: float, reason: str) -> Change:
        change = Change(self.rung, rung, reason)
        self.rung = rung
        self.changes += 1
        self._costs.clear()
        self._settling, self._calm_since, self._left = SETTLE, seconds, None
        return change
