# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The organised cloud, against projections by hand."""

from importlib import import_module

import numpy as np
import pytest

pytest.importorskip('sensor_msgs', reason="needs ROS 2 (pip install '.[ros]')")
points = import_module('jrn_perception.ros.conversions.points')
Intrinsics = import_module('jrn_perception.messages.camera_info').Intrinsics
PointField = import_module('sensor_msgs.msg').PointField
Header = import_module('std_msgs.msg').Header
HEADER = Header(frame_id='camera_optical_frame')
CAMERA = Intrinsics(fx=4.0, fy=2.0, cx=1.0, cy=0.5)
NAN = float('nan')


def maps(height, width):
    """Return depth, labels and confidence in which no two pixels are the same."""
    index = np.arange(height * width).reshape(height, width)
    return (np.float32(1) + index.astype(np.float32) / 8, index.astype(np.uint8),
            (index / index.size).astype(np.float32))


def test_a_projection_by_hand(tools):
    depth = np.array([[2.0, 4.0, 8.0], [1.0, 4.0, 2.0]], np.float32)
    labels = np.array([[0, 1, 255], [39, 4, 5]], np.uint8)
    confidence = np.array([[0.0, 0.25, 0.5], [0.75, 1.0, 0.125]], np.float32)
    cloud = points.cloud_message(depth, labels, confidence, CAMERA, HEADER)
    found = tools.points_of(cloud)
    # x = (u - 1) z / 4, y = (v - 0.5) z / 2
    assert found['x'].tolist() == [[-0.5, 0.0, 2.0], [-0.25, 0.0, 0.5]]
    assert found['y'].tolist() == [[-0.5, -1.0, -2.0], [0.25, 1.0, 0.5]]
    assert found['z'].tolist() == depth.tolist()
    assert found['class'].tolist() == labels.tolist()
    assert found['confidence'].tolist() == confidence.tolist()


def test_the_layout_is_the_documented_one():
    cloud = points.cloud_message(*maps(3, 5), CAMERA, HEADER)
    assert [(field.name, field.offset, field.datatype, field.count) for field in cloud.fields] == [
        ('x', 0, PointField.FLOAT32, 1), ('y', 4, PointField.FLOAT32, 1),
        ('z', 8, PointField.FLOAT32, 1), ('confidence', 12, PointField.FLOAT32, 1),
        ('class', 16, PointField.UINT8, 1)]
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step) == (3, 5, 20, 100)
    assert cloud.header is HEADER
    assert cloud.is_dense is False
    # The three bytes behind each class are 0, whatever was in that memory.
    assert not np.frombuffer(cloud.data, np.uint8).reshape(15, 20)[:, 17:].any()
    # A message that is changed does not change the next.
    cloud.fields.clear()
    assert len(points.cloud_message(*maps(3, 5), CAMERA, HEADER).fields) == 5


@pytest.mark.parametrize('invalid', [NAN, np.inf, -np.inf, 0.0, -1.0])
def test_no_depth_is_no_point_but_a_class(tools, invalid):
    depth, labels, confidence = maps(4, 5)
    # Where the ray is straight ahead as well: 0 times infinity is NaN, 0 times 0 is not.
    depth[0, 1] = depth[2, 3] = invalid
    before = depth.copy()
    found = tools.points_of(points.cloud_message(depth, labels, confidence, CAMERA, HEADER))
    missing = np.zeros((4, 5), bool)
    missing[0, 1] = missing[2, 3] = True
    for axis in 'xyz':
        np.testing.assert_array_equal(np.isnan(found[axis]), missing)
    np.testing.assert_array_equal(found['class'], labels)
    np.testing.assert_array_equal(found['confidence'], confidence)
    np.testing.assert_array_equal(depth, before)


@pytest.mark.parametrize('size', [(8, 8), (9, 13), (1, 1), (2, 3)])
@pytest.mark.parametrize('stride', [1, 2, 3, 4])
def test_a_stride_leaves_out_points_and_moves_none(tools, size, stride):
    full = tools.points_of(points.cloud_message(*maps(*size), CAMERA, HEADER))
    cloud = points.cloud_message(*maps(*size), CAMERA, HEADER, stride)
    assert (cloud.height, cloud.width) == tuple(-(-length // stride) for length in size)
    np.testing.assert_array_equal(tools.points_of(cloud), full[::stride, ::stride])


def test_points_project_back_to_their_pixels(tools):
    height, width = 480, 640
    camera = Intrinsics(525.5, 519.25, 318.7, 241.3)
    rng = np.random.default_rng(1)
    depth = rng.uniform(0.1, 10, (height, width)).astype(np.float32)
    blank = np.zeros((height, width), np.float32)
    cloud = points.cloud_message(depth, blank.astype(np.uint8), blank, camera, HEADER)
    found = tools.points_of(cloud)
    v, u = np.mgrid[:height, :width]
    np.testing.assert_allclose(camera.fx * found['x'] / found['z'] + camera.cx, u, atol=1e-3)
    np.testing.assert_allclose(camera.fy * found['y'] / found['z'] + camera.cy, v, atol=1e-3)


def test_maps_of_different_sizes_and_a_wrong_stride_are_refused():
    depth, labels, confidence = maps(4, 6)
    for wrong in ((depth, labels[:1], confidence), (depth, labels, confidence[:, :1]),
                  (depth[..., None], labels[..., None], confidence[..., None])):
        with pytest.raises(ValueError, match='maps of one size'):
            points.cloud_message(*wrong, CAMERA, HEADER)
    for stride in (0, -1):
        with pytest.raises(ValueError, match=f'stride {stride}'):
            points.cloud_message(depth, labels, confidence, CAMERA, HEADER, stride)
