# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Rays and projections of cameras with distorting lenses, against the lens's own formulas."""

import math

from jrn_perception.messages.camera_info import Intrinsics
from jrn_perception.messages.lens import as_pinhole, project, rays
import numpy as np
import pytest

SIZE = (48, 64)
PINHOLE = Intrinsics(50.0, 55.0, 31.0, 22.0)
BARREL = PINHOLE._replace(distortion=(-0.25, 0.07, 0.002, -0.001, 0.0))
RATIONAL = PINHOLE._replace(distortion=(0.4, -0.2, 0.001, 0.002, 0.05, 0.6, -0.1, 0.02))
FISHEYE = PINHOLE._replace(distortion=(0.1, -0.02, 0.003, -0.001), fisheye=True)
LENSES = {'pinhole': PINHOLE, 'plumb_bob': BARREL, 'rational': RATIONAL, 'fisheye': FISHEYE}


def by_formula(camera, x, y):
    """Return the pixel of a ray by the formulas of OpenCV's documentation."""
    k = [*camera.distortion, *[0.0] * 8]
    r2 = x * x + y * y
    if camera.fisheye:
        angle = math.atan(math.sqrt(r2))
        bent = angle * (1 + sum(k[i] * angle ** (2 * i + 2) for i in range(4)))
        factor = bent / math.sqrt(r2)
        x, y = x * factor, y * factor
    else:
        factor = (1 + k[0] * r2 + k[1] * r2 ** 2 + k[4] * r2 ** 3) / (
            1 + k[5] * r2 + k[6] * r2 ** 2 + k[7] * r2 ** 3)
        x, y = (x * factor + 2 * k[2] * x * y + k[3] * (r2 + 2 * x * x),
                y * factor + k[2] * (r2 + 2 * y * y) + 2 * k[3] * x * y)
    return camera.fx * x + camera.cx, camera.fy * y + camera.cy


@pytest.mark.parametrize('lens', LENSES)
def test_a_projection_follows_the_lens(lens):
    points = np.array([(0.3, -0.2, 1.5), (-0.9, 0.4, 2.0), (0.02, 0.6, 3.0)])
    found = project(LENSES[lens], points)
    expected = [by_formula(LENSES[lens], x / z, y / z) for x, y, z in points]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize('lens', LENSES)
def test_the_rays_of_all_pixels_project_back_to_them(lens):
    x, y = np.broadcast_arrays(*rays(LENSES[lens], SIZE))
    assert x.shape == SIZE
    back = project(LENSES[lens], np.stack([x, y, np.ones_like(x)], -1).reshape(-1, 3))
    rows, columns = np.mgrid[:48, :64]
    np.testing.assert_allclose(back.reshape(48, 64, 2), np.stack([columns, rows], -1), atol=1e-3)


@pytest.mark.parametrize('lens', LENSES)
def test_a_stride_leaves_out_rays_and_moves_none(lens):
    full, some = (np.broadcast_arrays(*rays(LENSES[lens], SIZE, stride)) for stride in (1, 5))
    for axis, thin in zip(full, some):
        np.testing.assert_array_equal(axis[::5, ::5], thin)


@pytest.mark.parametrize('lens', LENSES)
def test_points_as_a_pinhole_camera_sees_them_keep_pixel_and_depth(lens):
    camera = LENSES[lens]
    points = np.random.default_rng(0).uniform((-1, -1, 2), (1, 1, 9), (20, 3))
    ideal = as_pinhole(camera, points)
    np.testing.assert_array_equal(ideal[:, 2], points[:, 2])
    np.testing.assert_allclose(project(PINHOLE, ideal), project(camera, points), atol=1e-9)


def test_points_that_the_camera_cannot_see_have_no_pixel():
    for camera in LENSES.values():
        found = project(camera, [(0, 0, -1), (0, 0, 0), (np.nan, 0, 1), (0.1, np.inf, 1)])
        assert np.isnan(found).all()
    # Beyond r = 1.15 this polynomial bends back into the picture.
    far = project(BARREL._replace(distortion=(-0.25, 0.0, 0.0, 0.0)), [(4, 0, 1), (1, 0, 1)])
    assert np.isnan(far[0]).all()
    assert far[1] == pytest.approx((31 + 50 * 0.75, 22))


def test_a_pixel_that_the_lens_cannot_see_has_no_ray():
    # The largest r (1 - 0.9 r^2) is 0.406 at r = 0.61.
    x, y = rays(Intrinsics(50.0, 50.0, 32.0, 24.0, (-0.9, 0.0, 0.0, 0.0)), SIZE)
    assert np.isnan(x[0, 0]) and np.isnan(y[0, 0])
    assert x[24, 32 + 15] * (1 - 0.9 * x[24, 32 + 15] ** 2) == pytest.approx(0.3, abs=1e-4)
