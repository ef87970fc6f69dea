# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Anchors on one line, as a planar lidar has them, and the upright room above them."""

from jrn_perception.perception.anchoring import Anchoring, Anchors
from jrn_perception.perception.anchoring.field import Field, Places, Prior
from jrn_perception.perception.anchoring.line import is_line, LARGEST_FALL, prior_of, upright
import numpy as np
import pytest

SIZE = 480, 640
COLUMNS, ROWS = np.linspace(-0.45, 0.45, 10), np.linspace(-0.35, 0.35, 8)


def places(column, row):
    column, row = np.broadcast_arrays(column, row)
    return Places(np.float32(column), np.float32(row), np.zeros(column.shape, np.float32),
                  np.zeros(column.shape, np.uint8))


def test_a_lidar_line_is_told_from_points_and_from_many_rings():
    rng, across = np.random.default_rng(0), np.linspace(-0.4, 0.4, 60)
    assert is_line(places(across, 0.02))
    assert is_line(places(rng.permutation(across), 0.02))
    # A lidar below the camera sees near things lower in the picture.
    assert is_line(places(across, np.where(np.abs(across) < 0.15, 0.2, 0.05)))
    assert not is_line(places(*rng.uniform(-0.4, 0.4, (2, 60))))
    assert not is_line(places(np.tile(across, 4), np.repeat([-0.1, 0.0, 0.1, 0.2], 60)))
    assert not is_line(places(0.1 * across, 0.02))
    assert not is_line(places(across[::4], 0.02))


def test_a_line_tells_more_of_the_scale_and_little_of_the_power():
    found = prior_of(Prior())
    assert (found.scale, found.power) == (0.15, 0.03)
    assert found.surface == Prior().surface


def test_half_of_a_fall_above_the_line_is_taken_back():
    log_depth = np.zeros((8, 10), np.float32)
    log_depth[4] = 0.5
    log_depth[3] = 0.7
    log_depth[2] = 0.5
    log_depth[1] = 0.7
    log_depth[0] = -1.0
    found = upright(log_depth, COLUMNS, ROWS, places(np.linspace(-0.24, 0.45, 30), ROWS[4]))
    assert found.dtype == np.float32
    # Beside the line, at the line and below nothing changes, nor where depth rises.
    np.testing.assert_array_equal(found[:, :2], log_depth[:, :2])
    np.testing.assert_array_equal(found[[7, 6, 5, 4, 3, 1]], log_depth[[7, 6, 5, 4, 3, 1]])
    np.testing.assert_allclose(found[2, 2:], 0.6, rtol=1e-6)
    np.testing.assert_allclose(found[0, 2:], -1 + 0.5 * LARGEST_FALL, rtol=1e-6)


def test_the_line_may_be_at_another_height_in_each_column():
    log_depth = np.tile(np.arange(8, dtype=np.float32)[:, None], (1, 10))
    line = places(COLUMNS, np.where(COLUMNS < 0, ROWS[2], ROWS[5]))
    change = upright(log_depth, COLUMNS, ROWS, line) - log_depth
    assert [np.flatnonzero(column).max() for column in change.T] == [1] * 5 + [4] * 5


@pytest.mark.parametrize('tilt', [0, 60])
def test_a_wall_that_is_predicted_to_lean_over_stands_straighter(tilt):
    truth = np.full(SIZE, 3, np.float32)
    down = np.linspace(0, 1, SIZE[0])[:, None].astype(np.float32)
    predicted = truth * (0.8 + 0.2 * np.minimum(2 * down, 1))
    column = np.arange(20., 620, 3)
    row = np.round(280 + tilt * (column - 320) / 640)
    points = Anchors(column, row, truth[row.astype(int), column.astype(int)],
                     np.full(len(column), 0.01, np.float32))
    found = Anchoring()(predicted, None, points, 0.0)
    assert np.abs(np.log(found[200:, 60:580] / 3)).max() < 0.04
    middle = np.s_[20:100, 60:580]
    # Half of what the prediction falls over the line, and what the anchors say besides.
    assert np.abs(np.log(found[middle] / 3)).mean() < 0.55 * np.abs(
        np.log(predicted[middle] / 3)).mean()


def test_a_line_lowers_the_deviation_no_more_than_other_anchors():
    predicted = np.full(SIZE, 2.5, np.float32)
    column = np.arange(20, 620, 10)
    points = Anchors(column, np.full(60, 240), np.full(60, 2.5, np.float32),
                     np.full(60, 0.01, np.float32))
    anchoring = Anchoring()
    anchoring(predicted, None, points, 0.0)
    found = anchoring.remaining()
    assert found.shape == (24, 32)
    # As the usual prior says, which knows less of the scale than that of a line.
    prior = Prior()
    at = places((column + 0.5) / 640 - 0.5, np.full(60, 0.5 / 640))
    at = at._replace(log_depth=np.full(60, np.log(2.5) - 0.9, np.float32))
    usual = Field(at, np.zeros(60), np.full(60, 0.01), prior)
    corner = places(np.float32([-0.4921875]), np.float32([-0.3671875]))
    corner = corner._replace(log_depth=np.full(1, np.log(2.5) - 0.9, np.float32))
    assert found[0, 0] == pytest.approx(usual.remaining(corner, prior)[0], abs=0.01)
    of_line = Field(at, np.zeros(60), np.full(60, 0.01), prior_of(prior))
    assert found[0, 0] > of_line.remaining(corner, prior)[0] + 0.1
