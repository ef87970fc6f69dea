# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Bounds that the recordings of a fleet must keep, for continuous integration.

A file of thresholds is json. Each metric has a bound, and the share of recordings that must keep
it, by default all of them::

    {"rms": {"max": 0.8, "pass_rate": 0.95}, "mean_iou": {"min": 35}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
import json
from pathlib import Path
from typing import Any

from jrn_perception.evaluation.fleet.measuring import FAILED, metrics_of, Row
from jrn_perception.evaluation.measures.metrics import METRICS

NAMES = (*METRICS, 'depth_drift', 'label_drift', 'invalid_share', 'low_confidence_share')


@dataclass(frozen=True)
class Threshold:
    """A bound of a metric; None is no bound. ``pass_rate`` (0..1) of the recordings keep it."""

    metric: str
    least: float | None
    most: float | None
    pass_rate: float = 1.0

    def passes(self, value: float | None) -> bool:
        """Return whether a value keeps the bound; an undefined value does not."""
        return value is not None and (self.least is None or value >= self.least) and (
            self.most is None or value <= self.most)


@dataclass(frozen=True)
class Verdict:
    """The number of recordings that keep a threshold, and the names of the others."""

    threshold: Threshold
    passed: int
    recordings: int
    missed: tuple[str, ...]

    @property
    def rate(self) -> float:
        return self.passed / self.recordings

    @property
    def met(self) -> bool:
        # Whole numbers: 0.29 * 100 is 28.999999999999996.
        return round(self.threshold.pass_rate * self.recordings, 6) <= self.passed

    def document(self) -> dict[str, Any]:
        """Return the entries of the verdict in a document."""
        threshold = self.threshold
        return {'metric': threshold.metric, 'min': threshold.least, 'max': threshold.most,
                'pass_rate': threshold.pass_rate, 'rate': self.rate, 'met': self.met,
                'missed': list(self.missed)}


def read_thresholds(path: Path) -> list[Threshold]:
    """Return the thresholds of a file; ValueError that names the faulty entry, OSError."""
    try:
        content = json.loads(path.read_text(encoding='utf-8-sig'))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f'{path}: not json: {error}') from error
    if not isinstance(content, dict) or not content:
        raise ValueError(f'{path}: expected an object such as {{"rms": {{"max": 0.8}}}}')
    return [_threshold(path, metric, bounds) for metric, bounds in content.items()]


def _threshold(path: Path, metric: str, bounds: Any) -> Threshold:
    if metric not in NAMES:
        raise ValueError(f'{path}: unknown metric {metric!r}; choose from {", ".join(NAMES)}')
    if not isinstance(bounds, Mapping) or not {'min', 'max'} & set(bounds) or (
            set(bounds) - {'min', 'max', 'pass_rate'}):
        raise ValueError(f'{path}: {metric}: expected min, max or both, and pass_rate if not all '
                         f'recordings must pass, not {json.dumps(bounds)}')
    for name, value in bounds.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f'{path}: {metric}: {name} is a number, not {json.dumps(value)}')
    rate = bounds.get('pass_rate', 1.0)
    if not 0 < rate <= 1:
        raise ValueError(f'{path}: {metric}: pass_rate is above 0 and at most 1, not {rate}')
    return Threshold(metric, bounds.get('min'), bounds.get('max'), rate)


def judge(thresholds: Sequence[Threshold], rows: Sequence[Row]) -> list[Verdict]:
    """
    Return the verdict on each threshold.

    A recording that could not be measured, or that does not have the metric, does not pass.
    """
    found = []
    values = {row.name: {} if row.state == FAILED else metrics_of(row.document) for row in rows}
    for threshold in thresholds:
        missed = tuple(name for name, metrics in values.items()
                       if not threshold.passes(metrics.get(threshold.metric)))
        found.append(Verdict(threshold, len(values) - len(missed), len(values), missed))
    return found
