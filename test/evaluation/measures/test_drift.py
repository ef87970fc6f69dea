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


def test_pixels_that_are_not_known_in_both_frames_do_not_count():
    depth = np.array(((1, 2, np.nan, 4), (1, 1, 1, np.inf)), np.float32)
    other = np.array(((1.1, 2, 3, 2), (np.nan, 1.5, 1.2, 1)), np.float32)
    labels = np.array(((0, 1, 2, 3), (0, 0, 0, 255)), np.uint8)
    changed = labels.copy()
    changed[0, 0], changed[1, 3] = 5, 4
    found = drift(other, changed, depth, labels)
    assert found.labels == 2 / 8
    # |1.1-1|/1, 0, 2/4, 0.5, 0.2: the median of these five.
    assert found.depth == pytest.approx(0.2)
    assert drift(depth, labels, depth, labels) == (0, 0)


def test_no_drift_between_what_cannot_be_compared():
    depth, labels = np.ones((2, 2), np.float32), np.zeros((2, 2), np.uint8)
    for found in (drift(depth, labels, None, None), drift(None, None, depth, labels),
                  drift(depth, labels, depth[:1], labels[:1]),
                  drift(depth * np.nan, None, depth, None)):
        assert np.isnan(found).all()
