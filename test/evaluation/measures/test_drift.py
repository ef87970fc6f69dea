# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Drift by hand, and its median against numpy's."""

import math

from jrn_perception.evaluation.measures.drift import Drift, drift
import numpy as np
import pytest


def test_by_hand():
    old, new = (np.array([row], np.float32) for row in ((1, 2, 4, 5), (1.5, 2, 3, math.nan)))
    assert drift(new, np.array([[0, 1, 2, 3]]), old, np.array([[0, 1, 1, 1]])) == Drift(0.5, 0.25)


@pytest.mark.parametrize('size', [1, 2, 3, 4, 999, 1000])
def test_the_median_is_that_of_numpy(size):
    rng = np.random.default_rng(size)
    old, new = rng.uniform(0.5, 9, (2, size, 1)).astype(np.float32)
    assert drift(new, None, old, None).depth == float(np.median(np.abs(new - old) / old))


def test_what_cannot_be_compared_is_not_known():
    depth, empty = np.ones((2, 3), np.float32), np.full((2, 3), np.nan, np.float32)
    for pair in ((depth, None), (None, depth), (depth, depth.T), (depth, empty)):
        assert math.isnan(drift(pair[0], None, pair[1], None).depth)
