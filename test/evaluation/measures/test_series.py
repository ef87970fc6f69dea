# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Statistics of series, by hand and against numpy."""

from jrn_perception.evaluation.measures.series import curve, rate, spread, summarise
import numpy as np
import pytest

NAN = float('nan')


def test_summary():
    assert summarise([2.0, NAN, -1.0, 8.0]) == (3, 3, -1, 8)
    for nothing in ([], [NAN]):
        found = summarise(nothing)
        assert found.count == 0 and np.isnan(found[1:]).all()


def test_the_mean_is_the_same_in_any_order():
    values = np.random.default_rng(0).lognormal(0, 8, 1000)
    assert summarise(values) == summarise(values[::-1]) == summarise(np.sort(values))


@pytest.mark.parametrize('count', [1, 7, 8, 9, 100, 1000])
def test_a_curve_of_any_length_keeps_its_capacity_and_its_mean(count):
    values = np.random.default_rng(count).random(count)
    points, stride = curve(values, capacity=8)
    assert len(points) <= 8 and stride * 8 >= count
    expected = [values[k:k + stride].mean() for k in range(0, count, stride)]
    np.testing.assert_allclose(points, expected)


def test_a_curve_leaves_out_what_is_unknown():
    points, stride = curve([1.0, NAN, NAN, NAN, 5.0, 7.0], capacity=4)
    np.testing.assert_allclose(points, [1, NAN, 6])
    assert stride == 2


def test_a_series_of_nothing_has_no_points():
    assert len(curve([]).points) == 0


@pytest.mark.parametrize('scale', [0.01, 20.0, 5000.0])
def test_spread(scale):
    values = np.random.default_rng(2).gamma(2, scale, 5000)
    found = spread(values.tolist())
    assert list(found) == ['mean', 'p50', 'p95', 'p99', 'largest']
    for name, share in (('p50', 0.5), ('p95', 0.95), ('p99', 0.99)):
        assert found[name] == np.quantile(values, share)
    assert found['mean'] == pytest.approx(values.mean()) and found['largest'] == values.max()
    assert np.isnan(list(spread([]).values())).all()


def test_rate():
    stamps = [1_700_000_000_000_000_000 + ms * 10**6 for ms in (0, 100, 200, 500)]
    found = rate(stamps)
    assert (found['messages'], found['seconds'], found['hz']) == (4, 0.5, 6.0)
    periods = found['period_s']
    assert periods['mean'] == pytest.approx(1 / 6) and periods['largest'] == 0.3
    assert periods['deviation'] == pytest.approx(np.std([0.1, 0.1, 0.3]))
    assert rate(stamps[:3])['period_s']['deviation'] == 0
    for few in ([], stamps[:1]):
        assert np.isnan(rate(few)['hz'])
    assert np.isnan(rate(stamps[:1] * 2)['hz'])
