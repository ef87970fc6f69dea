# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Mask, confidence and cloud of one frame over real DDS, as Nav2's semantic layer reads them."""

from importlib import import_module
import importlib.util

import cv2
from jrn_perception.perception import Perception
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
CompressedImage = import_module('sensor_msgs.msg').CompressedImage
PointCloud2 = import_module('sensor_msgs.msg').PointCloud2
RegionOfInterest = import_module('sensor_msgs.msg').RegionOfInterest
QoSProfile = rclpy.qos.QoSProfile
# What the layer subscribes with.
SENSOR_DATA = QoSProfile(depth=10, reliability=rclpy.qos.ReliabilityPolicy.BEST_EFFORT)
LATCHED = QoSProfile(depth=5, reliability=rclpy.qos.ReliabilityPolicy.RELIABLE,
                     durability=rclpy.qos.DurabilityPolicy.TRANSIENT_LOCAL)


def listen(robot):
    """Return the inboxes of cloud, mask and confidence."""
    return (robot.listen('points', PointCloud2, SENSOR_DATA),
            robot.listen('points/semantics', qos=SENSOR_DATA),
            robot.listen('points/confidence', qos=SENSOR_DATA))


@pytest.mark.parametrize('stride', [1, 4])
def test_the_layer_gets_stamps_and_pixel_counts_that_are_equal(robot, tools, stride):
    rgb = tools.picture(seed=3)
    expected = Perception.load('hydranet', weights_file='random', height=64, width=96)(rgb)
    # Half of the pixels without depth, half without a class.
    robot.start(points_stride=stride, max_depth=float(np.median(expected.depth)),
                confidence_threshold=float(np.median(expected.confidence)))
    robot.camera()
    fx, _, cx, _, fy, cy, *_ = robot.calibrate().k
    inboxes = listen(robot)
    full = robot.listen('semantics'), robot.listen('depth')
    header = robot.send(rgb)
    cloud, mask, confidence = robot.answers(header, *inboxes)
    for message in (cloud, mask, confidence):
        assert message.header == header
        assert (message.height, message.width) == (48 // stride, 64 // stride)
    assert (mask.encoding, confidence.encoding) == ('mono8', 'mono8')

    semantics, depth = map(tools.array_of, robot.answers(header, *full))
    points = tools.points_of(cloud)
    np.testing.assert_array_equal(tools.array_of(mask), semantics[::stride, ::stride])
    np.testing.assert_array_equal(points['class'], tools.array_of(mask))
    np.testing.assert_array_equal(points['z'], depth[::stride, ::stride])
    np.testing.assert_array_equal(points['confidence'], expected.confidence[::stride, ::stride])
    np.testing.assert_array_equal(
        tools.array_of(confidence), np.rint(255 * points['confidence']))

    v, u = stride * np.mgrid[:points.shape[0], :points.shape[1]]
    valid = np.isfinite(points['z'])
    assert 0 < valid.sum() < valid.size
    np.testing.assert_array_equal(valid, np.isfinite(points['x']))
    np.testing.assert_array_equal(valid, np.isfinite(points['y']))
    back = fx * points['x'] / points['z'] + cx, fy * points['y'] / points['z'] + cy
    np.testing.assert_allclose(back[0][valid], u[valid], atol=1e-4)
    np.testing.assert_allclose(back[1][valid], v[valid], atol=1e-4)

    # Every id that is not "unlabelled" has a name, from before the mask.
    ids = np.unique(points['class'])
    assert 255 in ids
    assert len(robot.get('labels')) > ids[ids < 255].max() > 0
    if importlib.util.find_spec('vision_msgs') is not None:
        kind = import_module('vision_msgs.msg').LabelInfo
        inbox = robot.listen('label_info', kind, LATCHED)
        info = robot.wait_for(lambda: inbox)[-1]
        assert set(ids) - {255} <= {entry.class_id for entry in info.class_map}
        assert rclpy.time.Time.from_msg(info.header.stamp) <= rclpy.time.Time.from_msg(
            header.stamp)


def test_a_binned_region_of_the_sensor_is_projected_as_such(robot, tools):
    robot.start()
    robot.camera()
    robot.calibrate(480, 640, k=(500, 0, 320, 0, 510, 240, 0, 0, 1), binning_x=2, binning_y=4,
                    roi=RegionOfInterest(x_offset=100, y_offset=40, width=128, height=192))
    points = tools.points_of(robot.ask(tools.picture(), robot.listen('points', PointCloud2)))
    assert points.shape == (48, 64)
    at = points[10, 20]
    assert at['x'] == pytest.approx(at['z'] * (20 - (320 - 100) / 2) / (500 / 2), rel=1e-5)
    assert at['y'] == pytest.approx(at['z'] * (10 - (240 - 40) / 4) / (510 / 4), rel=1e-5)


DISTORTION = {'distortion_model': 'plumb_bob', 'd': [-0.3, 0.1, 0.001, 0.002, 0.0],
              'p': [40.0, 0, 30, 0, 0, 41.0, 20, 0, 0, 0, 1, 0]}


def test_the_points_of_a_raw_picture_follow_the_lens(robot, tools):
    robot.start()
    robot.camera()
    info = robot.calibrate(**DISTORTION)
    points = tools.points_of(robot.ask(tools.picture(), robot.listen('points', PointCloud2)))
    pixels, _ = cv2.projectPoints(
        np.stack([points[axis] for axis in 'xyz'], -1).reshape(-1, 1, 3).astype(np.float64),
        np.zeros(3), np.zeros(3), info.k.reshape(3, 3), np.array(info.d))
    rows, columns = np.mgrid[:48, :64]
    np.testing.assert_allclose(pixels.reshape(48, 64, 2), np.stack([columns, rows], -1), atol=0.01)


@pytest.mark.parametrize('transport', ['raw', 'compressed'])
def test_the_points_of_a_rectified_picture_follow_p(robot, tools, transport):
    suffix = '/compressed' if transport == 'compressed' else ''
    robot.start('-r', f'image{suffix}:=/front/image_rect_color{suffix}', image_transport=transport)
    robot.camera(f'/front/image_rect_color{suffix}', CompressedImage if suffix else None)
    robot.calibrate(**DISTORTION)
    picture = tools.picture()
    if suffix:
        message = CompressedImage(format='png')
        message.data.frombytes(cv2.imencode('.png', picture)[1].tobytes())
        picture = message
    points = tools.points_of(robot.ask(picture, robot.listen('points', PointCloud2)))
    rows, columns = np.mgrid[:48, :64]
    np.testing.assert_allclose(points['x'] / points['z'], (columns - 30) / 40, atol=1e-6)
    np.testing.assert_allclose(points['y'] / points['z'], (rows - 20) / 41, atol=1e-6)


def test_without_camera_info_there_are_no_points_and_one_warning(robot, tools):
    robot.start()
    robot.camera()
    depth, inboxes = robot.listen('depth'), listen(robot)
    for _ in range(3):
        robot.ask(tools.picture(), depth)
    status = robot.status(lambda status: status.level == 1)
    assert status.message == ('/image_camera_info: no camera_info has come; nothing is published '
                              "on /points: remap image_camera_info to the camera's topic")
    robot.wait_for(lambda: robot.warnings('no camera_info'))
    for _ in range(2):
        robot.status()
    assert robot.warnings('no camera_info') == [status.message]
    assert inboxes == ([], [], [])
    # It mends itself.
    robot.calibrate()
    robot.ask(tools.picture(), *inboxes)
    assert robot.status(lambda status: status.level == 0).message == 'frames flow'


@pytest.mark.parametrize('corrected', [True, False])
def test_an_uncalibrated_camera_has_no_points_and_one_warning(robot, tools, corrected):
    robot.start(focal_correction=corrected)
    robot.camera()
    robot.calibrate(k=[0.0] * 9)
    depth, inboxes = robot.listen('depth'), listen(robot)
    for _ in range(3):
        robot.ask(tools.picture(), depth)
    assert 'K is 0' in robot.status(lambda status: status.level == 1).message
    robot.wait_for(lambda: robot.warnings('K is 0'))
    for _ in range(2):
        robot.status()
    warning, = robot.warnings('K is 0')
    assert 'nothing is published on /points' in warning
    assert inboxes == ([], [], [])
    assert len(depth) == 3


def test_a_camera_info_of_another_size_makes_no_points(robot, tools):
    robot.start()
    robot.camera()
    robot.calibrate(480, 640)
    depth, inboxes = robot.listen('depth'), listen(robot)
    for _ in range(3):
        robot.ask(tools.picture(), depth)
    robot.wait_for(lambda: robot.warnings('camera_info is for 640x480, the image is 64x48'))
    for _ in range(2):
        robot.status()
    assert len(robot.warnings('camera_info')) == 1
    assert inboxes == ([], [], [])


def test_without_a_listener_no_points_are_missed(robot, tools):
    robot.start(lazy=False)
    robot.camera()
    depth = robot.listen('depth')
    for _ in range(3):
        robot.ask(tools.picture(), depth)
    assert robot.status(lambda status: status.count['frames_processed'] == 3).level == 0
    assert not robot.warnings('camera_info')
