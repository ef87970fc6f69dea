# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Where range sensors are, by parameter and by tf2."""

from importlib import import_module
import importlib.util
import sys
from types import SimpleNamespace

import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
extrinsics = import_module('jrn_perception.ros.range.extrinsics')
Header = import_module('std_msgs.msg').Header
Time = import_module('builtin_interfaces.msg').Time


@pytest.fixture
def node(ros_domain):
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('here', context=context)
    yield node
    node.destroy_node()
    rclpy.try_shutdown(context=context)


def test_the_parameter_is_the_pose_of_every_other_frame(node):
    found = extrinsics.Extrinsics(node, '1 2 3 0 0 0 1')
    np.testing.assert_array_equal(found.pose('lidar', Header(frame_id='eye')).translation,
                                  (1, 2, 3))
    np.testing.assert_array_equal(found.pose('eye', Header(frame_id='eye')).translation, 0)


@pytest.mark.skipif(importlib.util.find_spec('tf2_ros') is not None, reason='tf2_ros is there')
def test_without_tf2_a_frame_of_its_own_needs_the_parameter(node):
    found = extrinsics.Extrinsics(node, '')
    np.testing.assert_array_equal(found.pose('eye', Header(frame_id='eye')).rotation, np.eye(3))
    with pytest.raises(extrinsics.NoPoseError, match="its frame is 'lidar', that of the images is "
                                                     "'eye', and tf2_ros is not installed: set "):
        found.pose('lidar', Header(frame_id='eye'))


def test_tf2_is_asked_for_the_time_of_the_image_then_for_the_latest(node, monkeypatch):
    # With the interface of tf2_ros, which pip does not have.
    class TransformException(Exception):
        pass

    class ExtrapolationException(TransformException):
        pass

    class Buffer:
        times = []

        def lookup_transform(self, target, source, time):
            assert (target, source) == ('eye', 'lidar')
            self.times.append(time.nanoseconds)
            if time.nanoseconds:
                raise ExtrapolationException('into the future')
            if len(self.times) > 2:
                raise TransformException('two\ntrees')
            move, turn = (SimpleNamespace(x=x, y=0.0, z=0.0, w=w)
                          for x, w in ((5.0, 0.0), (0.0, 1.0)))
            return SimpleNamespace(transform=SimpleNamespace(translation=move, rotation=turn))

    class TransformListener:
        alive = 0

        def __init__(self, buffer, node):
            TransformListener.alive += 1

        def unregister(self):
            TransformListener.alive -= 1

    monkeypatch.setitem(sys.modules, 'tf2_ros', SimpleNamespace(
        Buffer=Buffer, TransformListener=TransformListener,
        ExtrapolationException=ExtrapolationException, TransformException=TransformException))
    found, image = extrinsics.Extrinsics(node, ''), Header(frame_id='eye', stamp=Time(sec=7))
    for wanted, alive in ((False, 0), (True, 1), (True, 1), (False, 0), (True, 1)):
        found.listen(wanted)
        assert TransformListener.alive == alive
    np.testing.assert_array_equal(found.pose('lidar', image).translation, (5, 0, 0))
    assert Buffer.times == [7 * 10 ** 9, 0]
    with pytest.raises(extrinsics.NoPoseError, match=r"frame 'lidar' .* 'eye' \(two trees\): pub"):
        found.pose('lidar', image)


def test_tf2_has_the_pose(node):
    tf2_ros = pytest.importorskip('tf2_ros', reason='tf2_ros is not installed')
    TransformStamped = import_module('geometry_msgs.msg').TransformStamped
    found = extrinsics.Extrinsics(node, '')
    found.listen(True)
    with pytest.raises(extrinsics.NoPoseError, match="no transform from its frame 'lidar'"):
        found.pose('lidar', Header(frame_id='eye'))
    transform = TransformStamped(header=Header(frame_id='eye'), child_frame_id='lidar')
    transform.transform.translation.y = 0.25
    transform.transform.rotation.w = 1.0
    broadcaster = tf2_ros.StaticTransformBroadcaster(node)
    broadcaster.sendTransform(transform)
    for _ in range(300):
        rclpy.spin_once(node, timeout_sec=0.1)
        try:
            pose = found.pose('lidar', Header(frame_id='eye'))
        except extrinsics.NoPoseError:
            continue
        np.testing.assert_array_equal(pose.translation, (0, 0.25, 0))
        return
    pytest.fail('the transform never came')
