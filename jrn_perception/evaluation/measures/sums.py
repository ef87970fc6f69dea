# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Sums that can be split: the sum of the parts' sums is the sum of all."""

from __future__ import annotations

import numpy as np


class PreciseSum:
    """
    A sum of float64 arrays of one shape that also sums its own rounding errors.

    ``value`` is rounded once, at the end, so that it does not depend on the order or the grouping
    of the summands: the parts of a recording may be summed separately and merged.
    """

    def __init__(self, shape: tuple[int, ...]):
        self._total, self._rest = np.zeros(shape), np.zeros(shape)

    def add(self, values: np.ndarray) -> None:
        """Add an array."""
        total = self._total + values
        # Knuth's TwoSum: the exact rounding error of ``total``.
        added = total - self._total
        lost = (self._total - (total - added)) + (values - added)
        self._total, self._rest = total, self._rest + lost

    def merge(self, other: PreciseSum) -> None:
        """Add all that ``other`` has summed."""
        for part in (other._total, other._rest):
            self.add(part)

    @property
    def value(self) -> np.ndarray:
        """Return the sum."""
        return self._total + self._rest
