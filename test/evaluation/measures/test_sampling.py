# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Range points drawn from ground truth, and the depth of a data set that they correct."""

from jrn_perception.evaluation.measures.comparison import evaluate, Protocol
from jrn_perception.evaluation.measures.frames import SceneFrames
from jrn_perception.evaluation.measures.sampling import parse_sampling, sample, Sampling
from jrn_perception.evaluation.reports.documents import dataset_document
import numpy as np
import pytest

TRUTH = np.linspace(1, 5, 480 * 640).reshape(480, 640).astype(np.float32)
CROP = slice(45, 471), slice(41, 601)


def test_points_have_the_noise_and_the_outliers_that_are_asked_for():
    points = sample(TRUTH, Sampling('points', 4000, 0.02, 0.1), 0, CROP)
    assert len(points) == 4000
    errors = np.log(points.depth / TRUTH[points.row.astype(int), points.column.astype(int)])
    inliers = np.abs(errors) < 0.1
    assert 0.87 < inliers.mean() < 0.93
    assert errors[inliers].std() == pytest.approx(0.02, rel=0.1)
    assert points.column.min() >= 41 and points.row.max() <= 470
    assert (points.deviation == np.float32(0.02)).all()


def test_a_frame_always_gets_the_same_points_and_another_frame_others():
    first, again, other = (sample(TRUTH, Sampling(), index) for index in (3, 3, 4))
    np.testing.assert_array_equal(first.depth, again.depth)
    assert not np.array_equal(first.row, other.row)


def test_a_line_is_the_middle_row_of_the_crop():
    line = sample(TRUTH, parse_sampling('line', 0, 0), 0, CROP)
    assert set(line.row) == {258}
    assert len(line) == 280
    np.testing.assert_allclose(line.depth, TRUTH[258, line.column.astype(int)])


def test_pixels_without_depth_have_no_points():
    truth = np.full((40, 60), np.nan, np.float32)
    truth[5, 7] = 2
    for kind in ('points:50', 'image'):
        found = sample(truth, parse_sampling(kind, outliers=0.0), 0)
        assert (found.column.tolist(), found.row.tolist()) == ([7], [5])
    assert not len(sample(truth, parse_sampling('line'), 0))


@pytest.mark.parametrize('text', ['points', 'points:', 'points:0', 'line:3', 'lidar', 'points:-1'])
def test_another_sensor_is_refused(text):
    with pytest.raises(ValueError, match='choose from points:N, line, image'):
        parse_sampling(text)


@pytest.mark.parametrize('shares', [(-0.1, 0), (0, 1.0), (2, 0)])
def test_shares_out_of_range_are_refused(shares):
    with pytest.raises(ValueError, match='from 0 to 1'):
        parse_sampling('line', *shares)


def test_an_evaluation_has_depth_with_and_without_points(perception):
    protocol = Protocol(sampling=Sampling('points', 100))
    frames = SceneFrames(3)
    plain = dataset_document(evaluate(perception, frames), perception, Protocol(), {})
    found = dataset_document(evaluate(perception, frames, protocol), perception, protocol, {})
    ranged = found.pop('range')
    assert plain == found
    assert (ranged['kind'], ranged['count'], ranged['noise'], ranged['outliers']) == (
        'points', 100, 0.01, 0.05)
    # The depth of random weights is wrong, so that many points contradict it.
    assert 0 < ranged['used'] <= 300
    gain = ranged['gain']['rms']
    assert gain['value'] == pytest.approx(
        ranged['pooled']['rms']['value'] - found['output']['pooled']['rms']['value'])
    assert gain['interval'][0] <= gain['value'] <= gain['interval'][1]
