# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Statistics of streams of any length, in constant memory."""

from __future__ import annotations

import heapq
import math
from typing import Any, NamedTuple

import numpy as np


class Mean:
    """Count, mean and extremes of numbers; NaN does not count."""

    def __init__(self):
        self.count, self._sum = 0, 0.0
        self.low = self.high = math.nan

    def add(self, value: float) -> None:
        """Count a number."""
        if math.isnan(value):
            return
        self.count += 1
        self._sum += value
        self.low, self.high = np.fmin(self.low, value), np.fmax(self.high, value)

    @property
    def mean(self) -> float:
        return self._sum / self.count if self.count else math.nan


class Trace:
    """
    A curve of at most ``capacity`` points over any number of values.

    ``points`` are means of ``stride`` values each; when they become too many, neighbours are
    joined. NaN within a point is left out.
    """

    def __init__(self, capacity: int = 512):
        self._capacity, self.stride = capacity, 1
        self._sums: list[tuple[float, int]] = []
        self._open = (0.0, 0, 0)

    def add(self, value: float) -> None:
        """Append a value."""
        total, known, seen = self._open
        if not math.isnan(value):
            total, known = total + value, known + 1
        self._open = total, known, seen + 1
        if seen + 1 < self.stride:
            return
        self._sums.append((total, known))
        self._open = (0.0, 0, 0)
        if len(self._sums) == self._capacity:
            pairs = zip(self._sums[::2], self._sums[1::2])
            self._sums = [(a + b, m + n) for (a, m), (b, n) in pairs]
            self.stride *= 2

    @property
    def points(self) -> np.ndarray:
        """Return the curve (M,), NaN where nothing was known."""
        sums = self._sums + [self._open[:2]] * bool(self._open[2])
        return np.array([total / known if known else math.nan for total, known in sums])


class Quantiles:
    """Quantiles of positive numbers to 2 %, by counting in bins of equal ratio."""

    RATIO, LOW, BINS = 1.02, 1e-3, 1200

    def __init__(self):
        self._counts = np.zeros(self.BINS, np.int64)

    def add(self, value: float) -> None:
        """Count a number, 0.001 (or less) to 2e7."""
        place = math.log(max(value, self.LOW) / self.LOW, self.RATIO)
        self._counts[min(int(place), self.BINS - 1)] += 1

    def quantile(self, share: float) -> float:
        """Return the number that ``share`` of all do not exceed; NaN without any."""
        cumulative = np.cumsum(self._counts)
        if not cumulative[-1]:
            return math.nan
        place = int(np.searchsorted(cumulative, share * cumulative[-1]))
        return self.LOW * self.RATIO ** (place + 0.5)


class Rate:
    """How regularly a topic was recorded, by the stamps of its headers in ns."""

    def __init__(self):
        self.messages = 0
        # Whole nanoseconds: Python's integers neither round nor end.
        self._first = self._last = self._largest = self._squares = 0

    def add(self, stamp_ns: int) -> None:
        """Count a message."""
        if self.messages:
            period = stamp_ns - self._last
            self._largest = max(period, self._largest)
            self._squares += period ** 2
        else:
            self._first = stamp_ns
        self._last = stamp_ns
        self.messages += 1

    def document(self) -> dict[str, Any]:
        """Return messages, mean rate, and mean, deviation and largest of the periods, seconds."""
        count, span = self.messages - 1, self._last - self._first
        if count < 1:
            return {'messages': self.messages, 'seconds': 0.0, 'hz': math.nan,
                    'period_s': dict.fromkeys(('mean', 'deviation', 'largest'), math.nan)}
        variance = count * self._squares - span ** 2
        return {'messages': self.messages, 'seconds': span / 1e9,
                'hz': count / (span / 1e9) if span > 0 else math.nan,
                'period_s': {'mean': span / count / 1e9,
                             'deviation': math.sqrt(variance) / count / 1e9,
                             'largest': self._largest / 1e9}}


class Worst(NamedTuple):
    """A frame that is worse than others: ``score`` in the unit of its measure."""

    badness: float
    order: int
    name: str
    score: float
    content: Any


class WorstFrames:
    """The ``count`` frames with the largest badness; of equal ones the earlier."""

    def __init__(self, count: int):
        self._count = count
        self._heap: list[Worst] = []

    def add(self, badness: float, order: int, name: str, score: float, content: Any) -> None:
        """Consider a frame; NaN is not bad."""
        if math.isnan(badness) or not self._count:
            return
        # No two have the same order, so content is never compared.
        entry = Worst(badness, -order, name, score, content)
        if len(self._heap) < self._count:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def ranked(self) -> list[Worst]:
        """Return them, the worst first."""
        return sorted(self._heap, reverse=True)
