# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Points and depth images of other sensors become anchors in the camera's picture."""

import cv2
from jrn_perception.messages.camera_info import Intrinsics
from jrn_perception.messages.lens import as_pinhole
from jrn_perception.perception.anchoring import Anchors, anchors_from_image, anchors_from_points
import numpy as np
import pytest

SIZE = 480, 640
CAMERA = np.array(((500., 0, 320), (0, 500, 240), (0, 0, 1)))
IDEAL = Intrinsics(500., 500., 320., 240.)


def test_points_land_on_the_pixels_that_they_project_to():
    points = np.array(((0., 0, 2), (1, -0.5, 4), (0, 0, -2), (9, 0, 1), (np.nan, 0, 1)))
    found = anchors_from_points(points, CAMERA, SIZE, deviation=np.arange(5) / 100)
    np.testing.assert_allclose(np.column_stack((found.column, found.row)),
                               ((320, 240), (445, 177.5)))
    np.testing.assert_allclose(found.depth, (2, 4))
    np.testing.assert_allclose(found.deviation, (0, 0.01))


def test_a_raw_picture_is_distorted():
    points, distortion = np.array(((1., 0.5, 2),)), np.array((-0.3, 0.1, 0, 0, 0))
    raw = IDEAL._replace(distortion=tuple(distortion))
    found = anchors_from_points(as_pinhole(raw, points), CAMERA, SIZE)
    pixel, _ = cv2.projectPoints(points, np.zeros(3), np.zeros(3), CAMERA, distortion)
    assert (found.column[0], found.row[0]) == pytest.approx(tuple(pixel[0, 0]))
    assert found.column[0] < 320 + 250 - 10
    # Far outside the view this polynomial returns into the picture.
    assert not len(anchors_from_points(as_pinhole(raw, np.array(((4., 0, 2),))), CAMERA, SIZE))


def test_a_fisheye_picture_follows_the_equidistant_model():
    fisheye = IDEAL._replace(distortion=(1e-9, 0, 0, 0), fisheye=True)
    found = anchors_from_points(as_pinhole(fisheye, np.array(((1., 0, 2),))), CAMERA, SIZE)
    assert found.column[0] == pytest.approx(320 + 500 * np.arctan(0.5), abs=1e-3)


def test_a_point_behind_a_nearer_one_is_hidden():
    points = np.array(((0., 0, 1), (0.01, 0, 3), (1, 0, 3)))
    found = anchors_from_points(points, CAMERA, SIZE)
    np.testing.assert_allclose(found.depth, (1, 3))
    assert found.column[1] > 400


def test_a_floor_hides_nothing_of_itself():
    x, z = np.meshgrid(np.linspace(-1, 1, 12), np.linspace(2.5, 5, 20))
    floor = np.column_stack((x.ravel(), np.full(x.size, 1.), z.ravel()))
    assert len(anchors_from_points(floor, CAMERA, SIZE)) == x.size


def test_a_dense_cloud_is_thinned_over_the_whole_picture():
    drawn = np.random.default_rng(1).uniform((-1, -1, 3), (1, 1, 3.2), (50_000, 3))
    found = anchors_from_points(drawn, CAMERA, SIZE)
    assert len(found) == 500
    again = anchors_from_points(drawn, CAMERA, SIZE)
    np.testing.assert_array_equal(found.column, again.column)
    counts, _, _ = np.histogram2d(found.column, found.row, (4, 4))
    assert counts.min() > 15


def test_a_depth_image_of_another_size_is_registered_by_its_pixels():
    depth = np.full((240, 320), np.nan, np.float32)
    depth[10, 20], depth[100, 200] = 2, 5
    depth[5, 5] = 0
    found = anchors_from_image(depth, SIZE)
    np.testing.assert_allclose(found.column, (40.5, 400.5))
    np.testing.assert_allclose(found.row, (20.5, 200.5))
    np.testing.assert_allclose(found.depth, (2, 5))


def test_a_dense_depth_image_gives_spread_points_away_from_edges():
    depth = np.full(SIZE, 2, np.float32)
    depth[:, 320:] = 4
    found = anchors_from_image(depth, SIZE, 200, 0.02)
    assert len(found) == 200
    assert np.abs(found.column - 319.5).min() > 1
    assert set(np.unique(found.depth)) == {2, 4}
    assert found.deviation.max() == np.float32(0.02)


def test_points_of_several_sensors_add_up():
    one = Anchors(*(np.ones(2, np.float32) for _ in range(4)))
    assert len(one + Anchors.none()) == 2
    assert len(one + one) == 4


@pytest.mark.parametrize('points', [np.zeros(3), np.zeros((2, 2))])
def test_points_of_another_shape_are_refused(points):
    with pytest.raises(ValueError, match=r'points are \(n, 3\)'):
        anchors_from_points(points, CAMERA, SIZE)


def test_no_points_give_no_anchors():
    assert not len(anchors_from_points(np.zeros((0, 3)), CAMERA, SIZE))
    assert not len(anchors_from_image(np.full((4, 4), np.nan), SIZE))
