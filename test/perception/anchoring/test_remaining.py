# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Anchors lower the deviation of depth, around them and for a while."""

from jrn_perception.labels import NYU5
from jrn_perception.perception import ArrayMaps, Prediction
from jrn_perception.perception.anchoring import Anchoring, AnchoringSettings, Anchors
from jrn_perception.perception.anchoring.field import Field, Places, Prior
from jrn_perception.perception.deviation import EXPONENT, lowered, SMOOTH
import numpy as np
import pytest

SIZE = 96, 128
DEPTH = np.full(SIZE, 2.5, np.float32)
LABELS = np.zeros(SIZE, np.uint8)
# The deviation is a tenth of depth.
COEFFICIENTS = np.log(0.1), 1, 0, 0, 0, 0


def anchors(columns, rows, factor=1.0):
    columns, rows = np.float64(columns), np.float64(rows)
    depth = DEPTH[rows.astype(int), columns.astype(int)] * np.float32(factor)
    return Anchors(columns, rows, depth, np.full(len(depth), 0.01, np.float32))


def left_by(points, **settings):
    anchoring = Anchoring(AnchoringSettings(**settings))
    anchoring(DEPTH, LABELS, points, 0.0)
    return anchoring.remaining()


def prediction():
    return Prediction(ArrayMaps(depth=DEPTH[None]), SIZE, NYU5, coefficients=COEFFICIENTS)


def test_fields_drawn_from_the_prior_have_the_variance_that_remains():
    rng = np.random.default_rng(0)
    count, prior = 300, Prior()
    column, row, log_depth = rng.uniform(-0.5, 0.5, (3, count))
    places = Places(column, 0.75 * row, log_depth, rng.integers(0, 3, count))
    known = Places(*(part[:30] for part in places))
    unknown = Places(*(part[30:] for part in places))
    # Without weights the field at a place is its covariance with an anchor: fields are drawn
    # from the parts that Prior documents, written out once more.
    u, v, z = (np.abs(np.subtract.outer(part, part)) for part in places[:3])
    same = places.label[:, None] == places.label
    covariance = (0.101 ** 2 + 0.139 ** 2 * np.outer(log_depth, log_depth)
                  + 0.266 ** 2 * np.outer(column, column)
                  + 0.109 ** 2 * np.outer(places.row, places.row)
                  + 0.035 ** 2 * np.exp(-0.5 * (z / 0.398) ** 2)
                  + 0.123 ** 2 * np.exp(-0.5 * ((u / 0.254) ** 2 + (v / 0.317) ** 2))
                  + 0.138 ** 2 * np.exp(-u / 0.181 - v / 0.311 - z / 0.439)
                  + 0.146 ** 2 * np.exp(-u / 0.142 - v / 0.249 - z / 0.406)
                  * np.where(same, 1, 0.642) + 0.015 ** 2 * same)
    np.testing.assert_allclose(prior.variance(places), covariance.diagonal(), rtol=1e-6)
    drawn = np.linalg.cholesky(covariance + 1e-9 * np.eye(count)) @ rng.standard_normal(
        (count, 4000))
    deviations = np.full(30, 0.01)
    measured = drawn[:30] + np.hypot(0.01, prior.rest) * rng.standard_normal((30, 4000))
    kept = covariance[30:, :30] @ np.linalg.inv(
        covariance[:30, :30] + (0.01 ** 2 + prior.rest ** 2) * np.eye(30))
    errors = (drawn[30:] - kept @ measured).var(1) / covariance.diagonal()[30:]
    # No anchor stands out, so that none is doubted.
    field = Field(known, np.zeros(30), deviations, prior)
    np.testing.assert_allclose(field.remaining(unknown, prior), errors, rtol=0.12)
    assert 0.1 < errors.min() < errors.max() < 1


def test_one_anchor_lowers_the_variance_of_the_scale_by_hand():
    places = Places(*(np.zeros(1, np.float32) for _ in range(3)), np.zeros(1, np.uint8))
    prior = Prior()
    alone = Field(places, np.zeros(1), np.full(1, 0.01), prior.only_scale())
    # 0.101^4 / (0.101^2 + 0.18^2 + 0.01^2) of a variance of 0.0671.
    expected = 1 - 0.101 ** 4 / (0.101 ** 2 + 0.18 ** 2 + 0.01 ** 2) / prior.variance(places)[0]
    assert prior.variance(places)[0] == pytest.approx(0.0671, abs=1e-4)
    assert alone.remaining(places, prior)[0] == pytest.approx(expected, abs=1e-5)


def test_little_remains_near_anchors_and_more_far_away():
    corner = left_by(anchors(*np.mgrid[4:32:9, 4:32:9].reshape(2, -1)))
    assert corner.shape == (24, 32)
    assert corner.dtype == np.float32
    assert corner[:6, :6].max() < 0.3
    assert corner[-6:, -6:].min() > 0.6
    assert corner.max() <= 1
    everywhere = left_by(anchors(*np.mgrid[4:124:12, 4:92:12].reshape(2, -1)))
    assert np.median(everywhere) < 0.25 and everywhere.max() < 0.5
    by_scale = left_by(anchors(*np.mgrid[4:124:12, 4:92:12].reshape(2, -1)), mode='scale')
    assert by_scale.min() > 0.8


def test_what_anchors_knew_is_forgotten_with_their_field():
    anchoring = Anchoring(AnchoringSettings(memory=2.0))
    assert anchoring.remaining is None
    anchoring(DEPTH, LABELS, anchors((20, 64, 100), (30, 70, 20), 1.1), 0.0)
    first = anchoring.remaining()
    anchoring(DEPTH, LABELS, Anchors.none(), 0.25)
    np.testing.assert_allclose(anchoring.remaining(), 1 - 0.5 * (1 - first), rtol=1e-5)
    anchoring(DEPTH, LABELS, Anchors.none(), 0.5)
    np.testing.assert_array_equal(anchoring.remaining(), 1)
    anchoring(DEPTH, LABELS, Anchors.none(), 2.0)
    assert anchoring.remaining is None


def test_the_deviation_is_lowered_by_the_part_that_anchors_can_correct():
    deviation = np.full(SIZE, 0.2, np.float32)
    np.testing.assert_allclose(lowered(deviation, np.ones((24, 32), np.float32)), 0.2, rtol=1e-6)
    np.testing.assert_allclose(lowered(deviation, np.zeros((24, 32), np.float32)),
                               0.2 * (1 - SMOOTH) ** EXPONENT, rtol=1e-5)


def test_the_deviation_follows_corrected_depth_and_its_anchors():
    plain = prediction()
    np.testing.assert_allclose(plain.depth_deviation, 0.25, rtol=1e-5)
    doubled = plain.with_depth(2 * DEPTH, 2.0)
    np.testing.assert_allclose(doubled.depth_deviation, 0.5, rtol=1e-5)
    remaining = np.full((24, 32), 0.2, np.float32)
    found = plain.with_depth(2 * DEPTH, 2.0, lambda: remaining)
    np.testing.assert_allclose(found.depth_deviation,
                               0.5 * (1 - 0.8 * SMOOTH) ** EXPONENT, rtol=1e-5)
    # The plain prediction stays, and a network without deviation has none.
    np.testing.assert_allclose(plain.depth_deviation, 0.25, rtol=1e-5)
    unfitted = Prediction(ArrayMaps(depth=DEPTH[None]), SIZE, NYU5)
    assert unfitted.with_depth(DEPTH, 1.0, lambda: remaining).depth_deviation is None
