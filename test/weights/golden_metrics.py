# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The metrics that tell whether shipped weights are as good as when they were measured."""

from jrn_perception.evaluation.measures.bootstrap import pooled
import numpy as np
import pytest

# Rounding differs between processors and versions of torch; a wrong mean, a swapped channel or a
# network in training mode costs far more.
TOLERANCE = {'mean_iou': 0.5, 'rms': 0.01, 'rel': 0.005}


def measured(table):
    """Return the metrics of a table of an evaluation, those that it has."""
    values = {metric: float(pooled(table, metric)(np.ones((1, len(table))))[0])
              for metric in TOLERANCE}
    return {metric: value for metric, value in values.items() if np.isfinite(value)}


def about(expected):
    """Return what compares equal to metrics that are about the expected ones."""
    return {metric: pytest.approx(value, abs=TOLERANCE[metric])
            for metric, value in expected.items()}
