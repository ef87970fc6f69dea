# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Statistics of streams against those of numpy on the whole."""

from jrn_perception.evaluation.measures.drift import drift
from jrn_perception.evaluation.measures.streams import Mean, Quantiles, Rate, Trace, WorstFrames
import numpy as np
import pytest

NAN = float('nan')


def fill(statistic, values):
    for value in values:
        statistic.add(value)
    return statistic


def test_mean():
    found = fill(Mean(), [2.0, NAN, -1.0, 8.0])
    assert (found.count, found.mean, found.low, found.high) == (3, 3, -1, 8)
    assert np.isnan([Mean().mean, Mean().low]).all()


@pytest.mark.parametrize('count', [1, 7, 8, 9, 100, 1000])
def test_a_trace_of_any_length_keeps_its_capacity_and_its_mean(count):
    values = np.random.default_rng(count).random(count)
    trace = fill(Trace(capacity=8), values)
    assert len(trace.points) <= 8 and trace.stride * 8 >= count
    expected = [values[k:k + trace.stride].mean() for k in range(0, count, trace.stride)]
    np.testing.assert_allclose(trace.points, expected)


def test_a_trace_leaves_out_what_is_unknown():
    points = fill(Trace(capacity=4), [1.0, NAN, NAN, NAN, 5.0, 7.0]).points
    np.testing.assert_allclose(points, [1, NAN, 6])


@pytest.mark.parametrize('scale', [0.01, 20.0, 5000.0])
def test_quantiles_to_two_percent(scale):
    values = np.random.default_rng(2).gamma(2, scale, 5000)
    found = fill(Quantiles(), values)
    for share in (0.5, 0.95, 0.99):
        assert found.quantile(share) == pytest.approx(np.quantile(values, share), rel=0.03)
    assert np.isnan(Quantiles().quantile(0.5))
    fill(found, [0.0, 1e30])  # Beyond both ends counts at the end.


def test_rate():
    stamps = [1_700_000_000_000_000_000 + ms * 10**6 for ms in (0, 100, 200, 500)]
    found = fill(Rate(), stamps).document()
    assert (found['messages'], found['seconds'], found['hz']) == (4, 0.5, 6.0)
    periods = found['period_s']
    assert periods['mean'] == pytest.approx(1 / 6) and periods['largest'] == 0.3
    assert periods['deviation'] == pytest.approx(np.std([0.1, 0.1, 0.3]))
    assert fill(Rate(), stamps[:3]).document()['period_s']['deviation'] == 0
    for few in ([], stamps[:1]):
        assert np.isnan(fill(Rate(), few).document()['hz'])
    assert np.isnan(fill(Rate(), stamps[:1] * 2).document()['hz'])


def test_worst_frames():
    worst = WorstFrames(2)
    for order, badness in enumerate((3.0, NAN, 5.0, 5.0, 1.0)):
        worst.add(badness, order, f'frame{order}', -badness, object())
    assert [(frame.name, frame.score) for frame in worst.ranked()] == [
        ('frame2', -5.0), ('frame3', -5.0)]
    none = WorstFrames(0)
    none.add(1.0, 0, 'frame', 1.0, None)
    assert none.ranked() == []


def test_drift_by_hand():
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
