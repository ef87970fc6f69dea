# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Statistics of series: one number per frame or message.

A series is kept whole, in a list or an array: a million numbers are 8 MB.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
import math
from typing import Any, NamedTuple

import numpy as np

QUANTILES = (0.5, 0.95, 0.99)


class Summary(NamedTuple):
    """Count, mean and extremes of the numbers that are not NaN; NaN if there are none."""

    count: int
    mean: float
    low: float
    high: float


class Curve(NamedTuple):
    """Points (M,) of a plot, each the mean of ``stride`` numbers of the series."""

    points: np.ndarray
    stride: int


def summarise(values: Sequence[float]) -> Summary:
    """Return count, mean and extremes of a series without its NaN."""
    found = np.asarray(values, float)
    found = found[~np.isnan(found)]
    if not found.size:
        return Summary(0, math.nan, math.nan, math.nan)
    # fsum rounds once: the mean is the same in any order.
    mean = math.fsum(found) / found.size
    return Summary(found.size, mean, float(found.min()), float(found.max()))


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return mean, p50, p95, p99 and largest of a series without NaN; NaN if it is empty."""
    found = summarise(values)
    quantiles = (np.quantile(values, QUANTILES).tolist() if found.count
                 else [math.nan] * len(QUANTILES))
    return {'mean': found.mean, **dict(zip(quantile_names(), quantiles)), 'largest': found.high}


def quantile_names() -> list[str]:
    """Return the names of ``QUANTILES`` in documents and tables: p50 and so on."""
    return [f'p{100 * share:g}' for share in QUANTILES]


def curve(values: Sequence[float], capacity: int = 512) -> Curve:
    """
    Return a series as at most ``capacity`` points.

    The last point may stand for fewer numbers than the others. NaN does not count in a mean; a
    point is NaN if all its numbers are.
    """
    values, stride = np.asarray(values, float), 1
    while len(values) // stride >= capacity:
        stride *= 2
    padding = np.full(-len(values) % stride, math.nan)
    groups = np.concatenate((values, padding)).reshape(-1, stride)
    with np.errstate(invalid='ignore'):
        return Curve(np.nansum(groups, 1) / (~np.isnan(groups)).sum(1), stride)


def rate(stamps_ns: Sequence[int]) -> dict[str, Any]:
    """
    Return how regularly a topic was recorded, by the stamps (ns) of its message headers.

    The keys: messages, seconds from first to last, mean rate (hz), and mean, deviation and largest
    of the periods (period_s).
    """
    count = len(stamps_ns) - 1
    if count < 1:
        return {'messages': len(stamps_ns), 'seconds': 0.0, 'hz': math.nan,
                'period_s': dict.fromkeys(('mean', 'deviation', 'largest'), math.nan)}
    # Python's integers: squares of nanoseconds overflow 64 bits.
    periods = [after - before for before, after in pairwise(stamps_ns)]
    span = stamps_ns[-1] - stamps_ns[0]
    variance = count * sum(period ** 2 for period in periods) - span ** 2
    return {'messages': len(stamps_ns), 'seconds': span / 1e9,
            'hz': count / (span / 1e9) if span > 0 else math.nan,
            'period_s': {'mean': span / count / 1e9,
                         'deviation': math.sqrt(variance) / count / 1e9,
                         'largest': max(0, *periods) / 1e9}}
