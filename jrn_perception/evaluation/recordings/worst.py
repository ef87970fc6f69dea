# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The frames of a recording on which a network does worst."""

from __future__ import annotations

from collections.abc import Callable
import heapq
import math
from typing import Any, NamedTuple


class Worst(NamedTuple):
    """
    A frame that is worse than others.

    ``score`` is in the unit of its measure, ``badness`` the score or its negative so that more is
    worse. ``order`` is the negative place in the recording: of equally bad frames, the earlier
    compares as worse.
    """

    badness: float
    order: int
    name: str
    score: float
    content: Any


class WorstFrames:
    """The ``count`` frames with the largest badness; of equally bad frames the earlier."""

    def __init__(self, count: int):
        self._count = count
        self._heap: list[Worst] = []

    def add(self, badness: float, order: int, name: str, score: float, content: Any) -> None:
        """Consider a frame at place ``order``, different for each; NaN is not bad."""
        # No two frames have the same order, so content is never compared.
        self._consider(Worst(badness, -order, name, score, content))

    def merge(self, other: WorstFrames, offset: int) -> None:
        """Consider the worst frames of ``other``, whose place 0 is place ``offset`` here."""
        for frame in list(other._heap):
            self._consider(frame._replace(order=frame.order - offset))

    def ranked(self) -> list[Worst]:
        """Return the frames, the worst first."""
        return sorted(self._heap, reverse=True)

    def change(self, changed: Callable[[Worst], Worst]) -> None:
        """Replace each frame by ``changed(frame)``, which keeps badness and order."""
        self._heap = [changed(frame) for frame in self._heap]

    def _consider(self, frame: Worst) -> None:
        if math.isnan(frame.badness) or not self._count:
            return
        if len(self._heap) < self._count:
            heapq.heappush(self._heap, frame)
        else:
            heapq.heappushpop(self._heap, frame)
