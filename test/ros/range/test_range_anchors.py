# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Anchors from measurements, against geometry by hand."""

from importlib import import_module
import math

from jrn_perception.messages import poses
from jrn_perception.messages.camera_info import Intrinsics
from jrn_perception.messages.ranges import Cone
import numpy as np
import pytest

pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
anchors = import_module('jrn_perception.ros.range.anchors')
CAMERA = Intrinsics(50.0, 55.0, 31.0, 22.0)
# A sensor 0.1 m above the camera that looks where the camera looks.
ABOVE = poses.from_text('0 -0.1 0 0.5 -0.5 0.5 0.5')


def view(depth=3.0, camera=CAMERA):
    return anchors.View(camera, np.full((48, 64), depth, np.float32))


@pytest.mark.parametrize('camera', [
    CAMERA, CAMERA._replace(distortion=(-0.3, 0.1, 0.001, 0.002, 0.0))])
def test_a_point_is_at_the_pixel_that_sees_it(camera):
    # In the sensor's frame: 2 m ahead, 0.4 m to the left, 0.3 m down. And one behind.
    found = anchors.of_points(np.array([(2.0, 0.4, -0.3), (-2.0, 0, 0)]), ABOVE, view(3, camera))
    x, y = -0.4 / 2, (0.3 - 0.1) / 2
    if camera.distortion:
        k1, k2, p1, p2, _ = camera.distortion
        r2 = x * x + y * y
        bend = 1 + k1 * r2 + k2 * r2 * r2
        x, y = (x * bend + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
                y * bend + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y)
    assert len(found) == 1
    np.testing.assert_allclose(found.column, 50 * x + 31, atol=1e-4)
    np.testing.assert_allclose(found.row, 55 * y + 22, atol=1e-4)
    assert found.depth == pytest.approx(2.0)


def test_the_points_of_a_depth_image_are_its_pixels():
    depth = np.full((48, 64), np.nan, np.float32)
    depth[10, 20], depth[40, 5] = 2.0, 4.0
    np.testing.assert_allclose(anchors.points_of_image(depth, CAMERA), [
        (2 * (20 - 31) / 50, 2 * (10 - 22) / 55, 2), (4 * (5 - 31) / 50, 4 * (40 - 22) / 55, 4)],
        rtol=1e-6)
    dense = anchors.points_of_image(np.ones((480, 640), np.float32), CAMERA)
    assert anchors.IMAGE_POINTS / 2 < len(dense) < 2 * anchors.IMAGE_POINTS


def test_a_single_distance_belongs_to_the_nearest_thing_in_the_cone():
    near = view()
    near.depth[18:27, 34:40] = 1.0
    found = anchors.of_cone(Cone(1.2, 0.5), ABOVE, near)
    assert len(found) == 1
    column, row, depth = (int(found.column[0]), int(found.row[0]), float(found.depth[0]))
    assert 34 <= column < 40 and 18 <= row < 27
    # This far from the sensor, whatever was predicted.
    point = np.array((depth * (column - 31) / 50, depth * (row - 22) / 55 + 0.1, depth))
    assert np.linalg.norm(point) == pytest.approx(1.2, rel=1e-5)
    assert found.deviation == pytest.approx(anchors.CONE_DEVIATION)
    # Outside of a thinner cone.
    found = anchors.of_cone(Cone(1.2, 0.1), ABOVE, near)
    assert not 34 <= found.column[0] < 40


def test_a_beam_without_width_is_a_point():
    found = anchors.of_cone(Cone(2.0, 0.0), ABOVE, view())
    assert (found.column[0], found.depth[0]) == pytest.approx((31, 2.0))
    assert found.row[0] == pytest.approx(22 - 55 * 0.1 / 2, abs=1e-4)


def test_a_cone_that_the_camera_does_not_see_is_no_anchor():
    backwards = poses.from_numbers((0, 0, 0, 0, math.sqrt(0.5), 0, math.sqrt(0.5)))
    assert len(anchors.of_cone(Cone(1.0, 0.2), backwards, view())) == 0
