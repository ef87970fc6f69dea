# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The camera's height, and how it shares the work with range sensors."""

from importlib import import_module

from jrn_perception import labels
from jrn_perception.messages.camera_info import Intrinsics
from jrn_perception.perception import Prediction
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
correction = import_module('jrn_perception.ros.range.correction')
parameters = import_module('jrn_perception.ros.parameters.settings')
Header = import_module('std_msgs.msg').Header
Time = import_module('builtin_interfaces.msg').Time
HEIGHT, WIDTH = 96, 128
CAMERA = Intrinsics(100.0, 100.0, 63.5, 30.0)


@pytest.fixture
def node(ros_domain):
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('here', context=context)
    yield node
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def settings(**changes):
    return parameters.Settings(
        **{row.name: row.default for row in parameters.PARAMETERS} | changes)


def hall(height, label_set=labels.NYU40, floor='floor', wall='wall', distance=6.0):
    """Return the prediction of a level camera ``height`` metres above a floor, before a wall."""
    rows = np.arange(HEIGHT)[:, None] - CAMERA.cy
    with np.errstate(divide='ignore'):
        ground = np.where(rows > 0, height * CAMERA.fy / rows, np.inf)
    depth = np.broadcast_to(np.minimum(ground, distance), (HEIGHT, WIDTH)).astype(np.float32)
    names = label_set.names
    ids = np.where(depth < distance, names.index(floor), names.index(wall)).astype(np.uint8)
    return Prediction.of_arrays(depth, ids, np.ones_like(depth), label_set, 1.0, (0.1, 10.0))


def header(seconds):
    return Header(stamp=Time(sec=seconds), frame_id='camera')


@pytest.mark.parametrize('names', [
    (labels.NYU40, 'floor', 'wall'), (labels.NYU40, 'floor mat', 'wall'),
    (labels.NYU5, 'ground', 'vertical'), (labels.KITTI6, 'road', 'building')])
def test_depth_is_scaled_so_that_the_floor_is_as_far_below_as_it_is(node, names):
    plain, setting = hall(1.0, *names), settings(camera_height=1.3)
    corrector = correction.DepthCorrection(node, setting)
    found = corrector.apply(plain, header(10), CAMERA, setting)
    np.testing.assert_allclose(found.depth, 1.3 * plain.depth, rtol=0.03)
    assert found.depth_limits() == pytest.approx((0.13, 13.0), rel=0.03)
    np.testing.assert_array_equal(found.labels, plain.labels)
    report = corrector.report()
    assert (report.mode, report.fault, report.floor) == ('floor', '', '')
    assert report.scale == pytest.approx(1.3, rel=0.03)
    assert report.floor_tilt == pytest.approx(0, abs=1)


def test_the_height_does_not_apply_without_floor_or_calibration(node):
    setting = settings(camera_height=1.3)
    corrector = correction.DepthCorrection(node, setting)
    blank = hall(1.0, floor='wall')
    assert corrector.apply(blank, header(10), CAMERA, setting) is blank
    report = corrector.report()
    assert (report.mode, report.fault, report.floor) == ('none', '', 'no floor is seen')
    plain = hall(1.0)
    assert corrector.apply(plain, header(11), None, setting) is plain
    assert corrector.report().fault == ('camera_height is not used: the camera is not calibrated')
    other = hall(1.0, labels.custom(('desk', 'shelf')), 'desk', 'shelf')
    assert corrector.apply(other, header(12), CAMERA, setting) is other
    assert corrector.report().fault == (
        'camera_height is not used: no class of the network is floor')


def test_without_range_sensors_and_height_the_prediction_stays_as_it_is(node):
    plain = hall(1.0)
    corrector = correction.DepthCorrection(node, settings())
    assert corrector.apply(plain, header(10), CAMERA, settings()) is plain
    assert corrector.report() == correction.CorrectionReport()


def test_the_height_steps_in_only_where_range_sensors_say_nothing(node):
    setting = settings(camera_height=1.3, range_inputs='points')
    corrector = correction.DepthCorrection(node, setting)
    plain = hall(1.0)
    found = corrector.apply(plain, header(10), CAMERA, setting)
    np.testing.assert_allclose(found.depth, 1.3 * plain.depth, rtol=0.03)
    assert corrector.report().mode == 'floor'
