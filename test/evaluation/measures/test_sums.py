# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Sums in parts are the sum of all, to the last bit."""

import math

from jrn_perception.evaluation.measures.sums import PreciseSum
import numpy as np
import pytest

VALUES = np.random.default_rng(0).lognormal(0, 8, (200, 3, 4))
EXACT = np.array([[math.fsum(VALUES[:, row, column]) for column in range(4)] for row in range(3)])


def summed(values):
    total = PreciseSum((3, 4))
    for each in values:
        total.add(each)
    return total


def merged(first, *others):
    for other in others:
        first.merge(other)
    return first.value


def test_the_sum_is_rounded_once():
    np.testing.assert_array_equal(summed(VALUES).value, EXACT)
    plain = np.zeros((3, 4))
    for each in VALUES:
        plain = plain + each
    # Plain addition is not that exact, or these values would show nothing.
    assert (plain != EXACT).any()


@pytest.mark.parametrize('at', [0, 1, 77, 199, 200])
def test_parts_are_the_whole(at):
    np.testing.assert_array_equal(merged(summed(VALUES[:at]), summed(VALUES[at:])), EXACT)
    np.testing.assert_array_equal(merged(summed(VALUES[at:]), summed(VALUES[:at])), EXACT)


def test_the_grouping_of_parts_does_not_matter():
    parts = VALUES[:50], VALUES[50:60], VALUES[60:]
    first, second, third = map(summed, parts)
    np.testing.assert_array_equal(merged(first, second, third), EXACT)
    second = summed(parts[1])
    second.merge(summed(parts[2]))
    np.testing.assert_array_equal(merged(summed(parts[0]), second), EXACT)


def test_a_sum_is_not_changed_by_later_ones():
    total = summed(VALUES[:2])
    before = total.value
    total.add(VALUES[2])
    np.testing.assert_array_equal(before, summed(VALUES[:2]).value)
    values = np.ones((3, 4))
    total = summed([values])
    values[:] = 7
    assert (total.value == 1).all()
