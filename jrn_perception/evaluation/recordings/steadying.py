# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The predictions of a recording a second time, averaged by the temporal filter."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import Any

from jrn_perception.evaluation.measures.comparison import Comparison
from jrn_perception.evaluation.measures.drift import Drift, drift
from jrn_perception.evaluation.measures.metrics import Table
from jrn_perception.evaluation.recordings.totals import ErrorSums
from jrn_perception.perception import Perception, Prediction
from jrn_perception.perception.stream import Step
from jrn_perception.perception.temporal import TemporalFilter


@dataclass
class SteadyTotals:
    """The errors of filtered predictions, and their drift (see ``measures.drift``) by task."""

    sums: ErrorSums
    drift: dict[str, array] = field(
        default_factory=lambda: {'depth': array('d'), 'labels': array('d')})


class Steadying:
    """Filters the maps of a recording's pictures, in their order, and measures the result."""

    def __init__(self, perception: Perception, comparison: Comparison, time_constant: float):
        self._perception, self._comparison = perception, comparison
        self._time_constant, self._filter = time_constant, TemporalFilter()
        self._previous: Prediction | None = None
        self.totals = SteadyTotals(ErrorSums(comparison.num_classes))

    def add(self, step: Step[Any]) -> None:
        """Filter the next picture, whose step has maps, and add its errors; ValueError."""
        frame, comparison, totals = step.frame, self._comparison, self.totals
        assert frame is not None and step.maps is not None and step.picture is not None
        size = frame.rgb.shape[:2]
        maps = self._filter(step.maps.at(step.index), step.picture, frame.stamp_ns / 1e9,
                            self._time_constant, (size, frame.focal_length))
        prediction = comparison.prediction(
            self._perception.postprocess(maps, size, frame.focal_length))
        previous, self._previous = self._previous, prediction
        found = Drift()
        if previous is not None:
            found = drift(prediction.valid_depth(), prediction.labels, previous.valid_depth(),
                          previous.labels)
        for task, values in totals.drift.items():
            values.append(getattr(found, task))
        table = None
        if frame.depth is not None or frame.labels is not None:
            table = Table(comparison.num_classes)
            comparison.add(table, frame, comparison.truth(frame), prediction)
        totals.sums.add(table)
