# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Anchors correct depth: how far, how robustly, and how steadily over time."""

import math

import cv2
from jrn_perception.perception.anchoring import Anchoring, AnchoringSettings, Anchors
import numpy as np
import pytest

SIZE = 480, 640
DOWN, ACROSS = np.meshgrid(np.linspace(0, 1, 480), np.linspace(0, 1, 640), indexing='ij')
# A wall that runs away to the right, and a chair in front of it.
CHAIR = slice(240, 440), slice(100, 260)
TRUTH = (2 + 3 * ACROSS).astype(np.float32)
TRUTH[CHAIR] = 1.5
LABELS = np.zeros(SIZE, np.uint8)
LABELS[CHAIR] = 4


def anchors(count, seed=0, truth=TRUTH, noise=0.01, outliers=0.0, region=None):
    """Return points drawn from the truth, ``outliers`` of them anywhere in depth."""
    rng = np.random.default_rng(seed)
    top, bottom, left, right = region or (0, 480, 0, 640)
    rows, columns = rng.integers(top, bottom, count), rng.integers(left, right, count)
    depth = truth[rows, columns] * np.exp(noise * rng.standard_normal(count))
    wrong = rng.random(count) < outliers
    depth[wrong] = rng.uniform(0.5, 10, wrong.sum())
    return Anchors(columns.astype(float), rows.astype(float), depth.astype(np.float32),
                   np.full(count, max(noise, 0.001), np.float32))


def error(depth, truth=TRUTH):
    """Return the root mean square of the log ratio."""
    return float(np.sqrt(np.mean(np.log(depth / truth) ** 2)))


def corrected(predicted, points, labels=LABELS, **settings):
    anchoring = Anchoring(AnchoringSettings(**settings))
    return anchoring(predicted, labels, points, 0.0), anchoring.last


def test_a_wrong_scale_is_corrected_by_few_points():
    # Two points could both be wrong: a scale three deviations off is believed in part.
    for count, limit in ((2, 0.2), (5, 0.15), (50, 0.025)):
        found, report = corrected(TRUTH * np.float32(0.75), anchors(count))
        assert found.dtype == np.float32
        assert error(found) < limit
        assert (report.used, report.rejected) == (count, 0)
        assert report.mode == ('scale' if count < 3 else 'field')
        assert 1.05 < report.scale < 1.37


def test_a_drift_across_the_picture_is_corrected_by_a_field():
    predicted = TRUTH * np.exp(0.25 * np.sin(3 * ACROSS) - 0.2 * DOWN).astype(np.float32)
    points = anchors(50)
    found, report = corrected(predicted, points)
    assert report.mode == 'field'
    assert error(found) < 0.3 * error(predicted)
    alone, report = corrected(predicted, points, mode='scale')
    assert report.mode == 'scale'
    assert 0.3 * error(predicted) < error(alone) < error(predicted)
    better, report = corrected(predicted, points, mode='scale_shift')
    assert report.mode == 'scale_shift'
    assert error(found) < error(better) < error(predicted)


def test_gross_outliers_are_rejected():
    points = anchors(200, outliers=0.1)
    predicted = TRUTH * np.exp(0.15 * np.sin(4 * DOWN)).astype(np.float32)
    found, report = corrected(predicted, points)
    assert error(found) < 0.03
    gross = np.abs(np.log(points.depth / TRUTH[points.row.astype(int),
                                               points.column.astype(int)])) > 0.4
    assert gross.sum() <= report.rejected <= 20


def test_an_arm_that_the_prediction_does_not_know_does_not_bend_the_field():
    arm = Anchors(*(np.concatenate(parts) for parts in zip(
        (np.full(8, 400.), np.linspace(300, 330, 8), np.full(8, 0.3, np.float32),
         np.full(8, 0.01, np.float32)), vars(anchors(60)).values())))
    found, report = corrected(TRUTH * np.float32(0.9), arm)
    assert report.rejected >= 8
    assert error(found) < 0.01


def test_points_on_the_chair_say_less_about_the_wall_behind():
    predicted = TRUTH.copy()
    predicted[CHAIR] *= 0.8
    wall = anchors(40, region=(0, 200, 0, 640))
    chair = anchors(40, region=(250, 430, 110, 250))
    found, _ = corrected(predicted, wall + chair)
    assert error(found[CHAIR], TRUTH[CHAIR]) < 0.05
    beside = found[260:420, 280:300] / TRUTH[260:420, 280:300]
    assert np.abs(np.log(beside)).max() < 0.06


def test_points_in_one_spot_give_a_scale_alone():
    found, report = corrected(TRUTH * np.float32(0.8), anchors(30, region=(100, 110, 300, 310)))
    assert report.mode == 'scale'
    ratio = found / (TRUTH * np.float32(0.8))
    assert np.ptp(ratio) < 1e-5


def test_exact_predictions_are_left_alone():
    for count in (1, 5, 50, 300):
        found, _ = corrected(TRUTH, anchors(count, outliers=0.05))
        assert error(found) < 0.02


def test_without_points_the_correction_decays_within_the_memory():
    predicted, anchoring = TRUTH * np.float32(0.8), Anchoring(AnchoringSettings(memory=2.0))
    first = anchoring(predicted, LABELS, anchors(50), 0.0)
    errors = [error(anchoring(predicted, LABELS, Anchors.none(), second))
              for second in (0.1, 0.5, 1.0, 1.5)]
    assert error(first) < 0.02
    assert errors == sorted(errors)
    assert errors[0] < 0.05
    assert anchoring.last.mode == 'scale_shift'
    plain = anchoring(predicted, LABELS, Anchors.none(), 2.0)
    np.testing.assert_array_equal(plain, predicted)
    assert anchoring.last.mode == 'none'
    assert anchoring.last.scale == 1


def test_a_still_camera_flickers_less_and_a_jump_is_followed_at_once():
    rng, anchoring = np.random.default_rng(0), Anchoring()
    plain, steady = [], []
    for frame in range(15):
        flicker = cv2.resize(rng.standard_normal((6, 8)), SIZE[::-1]) * 0.02
        predicted = (0.9 * TRUTH * np.exp(flicker + 0.01 * rng.standard_normal())).astype('f4')
        plain.append(predicted)
        steady.append(anchoring(predicted, LABELS, anchors(50, frame), frame / 10))

    def movement(depths):
        return np.mean([np.median(np.abs(np.log(new / old)))
                        for old, new in zip(depths[4:], depths[5:])])

    assert movement(steady) < 0.5 * movement(plain)
    farther = TRUTH * np.float32(1.4)
    jump = anchoring(farther * np.float32(0.9), LABELS, anchors(50, 99, farther), 1.5)
    assert error(jump, farther) < 0.02
    earlier = anchoring(TRUTH * np.float32(0.9), LABELS, Anchors.none(), 0.0)
    np.testing.assert_array_equal(earlier, TRUTH * np.float32(0.9))


def test_depth_that_is_not_known_stays_unknown_and_anchors_nothing():
    predicted = TRUTH * np.float32(0.8)
    predicted[:, :100] = np.nan
    points = anchors(50) + anchors(20, region=(0, 480, 0, 99), truth=9 * TRUTH)
    found, report = corrected(predicted, points, labels=None)
    assert np.isnan(found[:, :100]).all()
    assert error(found[:, 100:], TRUTH[:, 100:]) < 0.03
    assert report.used + report.rejected < 60
    empty = np.full(SIZE, np.nan, np.float32)
    assert corrected(empty, points)[0] is empty


def test_a_picture_of_another_size_and_shape_is_corrected():
    small = np.ascontiguousarray(TRUTH[:251:2, ::3])
    points = anchors(40, truth=TRUTH, region=(0, 250, 0, 640))
    points = Anchors(points.column / 3, points.row / 2, points.depth, points.deviation)
    found, _ = corrected(small * np.float32(0.8), points, labels=None)
    assert found.shape == small.shape
    assert error(found, small) < 0.05


@pytest.mark.parametrize('settings', [
    {'mode': 'shift'}, {'time_constant': -1.0}, {'memory': 0.0}, {'memory': math.nan}])
def test_settings_without_sense_are_refused(settings):
    with pytest.raises(ValueError, match='anchoring'):
        AnchoringSettings(**settings)


@pytest.mark.parametrize(('factor', 'limit'), [(2.0, 0.09), (0.55, 0.12)])
def test_one_wrong_point_of_five_spoils_little(factor, limit):
    # It is not as certain an outlier as one among many.
    for seed in range(4):
        points = anchors(5, seed)
        points.depth[0] *= factor
        found, _ = corrected(TRUTH, points)
        assert error(found) < limit
