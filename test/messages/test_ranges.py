# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Distances in the messages of range sensors, as drivers lay them out."""

import math
from types import SimpleNamespace

from jrn_perception.messages.ranges import BadRange, cloud_points, Cone, cone, scan_points
import numpy as np
import pytest


def cloud(points, dtype, height=1, padding=0, bigendian=False, names=None):
    """Return a PointCloud2 of points with these fields, ``padding`` bytes after each row."""
    codes = {'u1': 2, 'f4': 7, 'f8': 8}
    points = np.asarray(points).astype(dtype).reshape(height, -1)
    data = points.view(np.uint8).reshape(height, -1)
    data = np.pad(data, ((0, 0), (0, padding)), constant_values=171)
    fields = [SimpleNamespace(name=name, offset=offset, datatype=codes[kind.str[1:]], count=1)
              for name, (kind, offset) in dtype.fields.items() if names is None or name in names]
    return SimpleNamespace(
        height=height, width=points.shape[1], fields=fields, is_bigendian=bigendian,
        point_step=dtype.itemsize, row_step=data.shape[1], data=data.tobytes())


POINTS = [(1.0, 2.0, 3.0, 0.5, 1), (np.nan, 0, 0, 0, 2), (-1.5, 0.25, 7.0, 0.5, 3),
          (0, np.inf, 1, 0, 4)]


@pytest.mark.parametrize('kind', ['<f4', '<f8', '>f4'])
@pytest.mark.parametrize('height, padding', [(1, 0), (2, 5)])
def test_the_finite_points_of_a_cloud(kind, height, padding):
    size = int(kind[2])
    dtype = np.dtype({'names': ('x', 'y', 'z', 'intensity', 'ring'),
                      'formats': (kind, kind, kind, 'f4', 'u1'),
                      'offsets': (0, size, 2 * size, 3 * size, 3 * size + 4),
                      'itemsize': 3 * size + 8})
    msg = cloud(np.array(POINTS, dtype), dtype, height, padding, kind[0] == '>')
    found = cloud_points(msg)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [(1, 2, 3), (-1.5, 0.25, 7)])


def test_a_cloud_without_points_or_coordinates():
    dtype = np.dtype([('x', '<f4'), ('y', '<f4'), ('z', '<f4')])
    assert cloud_points(cloud(np.zeros(0, dtype), dtype)).shape == (0, 3)
    msg = cloud(np.zeros(2, dtype), dtype, names='xy')
    with pytest.raises(BadRange, match='the cloud has the fields x, y, not x, y and z'):
        cloud_points(msg)
    msg = cloud(np.zeros(2, dtype), dtype)
    msg.data = msg.data[:-1]
    with pytest.raises(BadRange, match='the data has 23 bytes'):
        cloud_points(msg)
    msg.point_step = 10
    with pytest.raises(BadRange, match='do not fit into points of 10 bytes'):
        cloud_points(msg)


def test_the_points_of_a_scan():
    msg = SimpleNamespace(
        angle_min=-math.pi / 2, angle_increment=math.pi / 4, range_min=0.5, range_max=4.0,
        ranges=np.array([2.0, 0.1, 3.0, np.inf, 4.0, np.nan, 5.0], np.float32))
    np.testing.assert_allclose(scan_points(msg), [(0, -2, 0), (3, 0, 0), (0, 4, 0)], atol=1e-6)


@pytest.mark.parametrize('distance, expected', [
    (1.5, Cone(1.5, 0.3)), (0.2, Cone(0.2, 0.3)), (math.inf, None), (-math.inf, None),
    (0.1, None), (4.0, None), (math.nan, None)])
def test_a_single_distance(distance, expected):
    assert cone(SimpleNamespace(field_of_view=0.3, min_range=0.2, max_range=4.0,
                                range=distance)) == expected
