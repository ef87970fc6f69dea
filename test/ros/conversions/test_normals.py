# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Surface normals of planes, which are known exactly."""

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='the conversions of the node need ROS')

from jrn_perception.messages.camera_info import Intrinsics
from jrn_perception.messages.lens import rays
from jrn_perception.ros.conversions.normals import surface_normals
# flake8: noqa (the skip comes before the imports that it spares)

PINHOLE = Intrinsics(80.0, 90.0, 40.0, 30.0)
LENS = PINHOLE._replace(distortion=(-0.1, 0.02, 0.001, -0.001, 0.0))
SIZE = (60, 80)


def plane(camera, normal, distance):
    """Return the depth of the plane ``normal`` . p = ``distance``."""
    x, y = rays(camera, SIZE)
    return (distance / (normal[0] * x + normal[1] * y + normal[2])).astype(np.float32)


@pytest.mark.parametrize('camera', [PINHOLE, LENS])
@pytest.mark.parametrize('normal', [(0, 0, -1), (0, -1, -0.4), (0.6, 0, -0.8), (-0.5, 0.3, -0.9)])
def test_normals_of_planes_are_exact_and_face_the_camera(camera, normal):
    normal = np.array(normal) / np.linalg.norm(normal)
    found = surface_normals(plane(camera, normal, -2.0), camera)
    assert found.shape == (*SIZE, 3) and found.dtype == np.float32
    # Within a window of the border the picture is continued by its last row.
    np.testing.assert_allclose(found[3:-3, 3:-3], np.broadcast_to(normal, (54, 74, 3)), atol=2e-4)
    np.testing.assert_allclose(np.linalg.norm(found, axis=2), 1, atol=1e-5)


def test_where_depth_is_unknown_normals_are_unknown():
    depth = plane(PINHOLE, (0, 0, -1), -2.0)
    depth[20, 30], depth[40, 50] = np.nan, np.inf
    unknown = np.isnan(surface_normals(depth, PINHOLE)).all(2)
    expected = np.zeros(SIZE, bool)
    expected[17:24, 27:34] = expected[37:44, 47:54] = True
    np.testing.assert_array_equal(unknown, expected)
