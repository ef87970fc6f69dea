# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Range sensors beside the camera over real DDS: depth becomes the depth that they measure."""

from importlib import import_module
import math

from jrn_perception.messages import poses
from jrn_perception.perception import Perception
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
sensor_msgs = import_module('sensor_msgs.msg')
# In the optical frame: on the camera, its x axis along the optical axis.
FORWARD = '0 0 0 0.5 -0.5 0.5 0.5'
FACTOR = 1.5
X, Y = ((np.arange(64) - 31) / 50)[None], ((np.arange(48) - 22) / 55)[:, None]


class Scene:
    """A node, a camera, and range sensors that see everything at ``FACTOR`` of the prediction."""

    def __init__(self, robot, tools, kind, frame='lidar', extrinsics=FORWARD, **parameters):
        self.robot, self.tools, self.kind, self.frame = robot, tools, kind, frame
        self.rgb = tools.picture(seed=3)
        self.plain = Perception.load('hydranet', weights_file='random', height=64,
                                     width=96)(self.rgb).depth
        robot.start(**{'range_inputs': kind, 'range_extrinsics': extrinsics,
                       'anchoring': 'scale', 'max_depth': 1000.0, **parameters})
        robot.camera()
        robot.calibrate()
        self.depth = robot.listen('depth')

    def points(self, factor=FACTOR):
        """Return every third pixel of every third row, in the sensor's frame."""
        z = factor * self.plain
        points = np.stack([X * z, Y * z, z], -1)[::3, ::3].reshape(-1, 3)
        pose = poses.from_text(FORWARD)
        return (points - pose.translation) @ pose.rotation

    def message(self, factor=FACTOR):
        if self.kind == 'points':
            return self.tools.cloud_of(self.points(factor))
        if self.kind == 'image':
            return self.tools.image_message((factor * self.plain).astype(np.float32), '32FC1')
        if self.kind == 'range':
            # The optical axis is at column 31, row 22.
            return sensor_msgs.Range(range=factor * float(self.plain[22, 31]), min_range=0.01,
                                     max_range=100.0, field_of_view=0.0)
        # The line through row 22, from right to left.
        angles = np.linspace(-0.4, 0.4, 41)
        columns = np.rint(31 - 50 * np.tan(angles)).astype(int)
        distances = factor * self.plain[22, columns] / np.cos(angles)
        return sensor_msgs.LaserScan(
            angle_min=-0.4, angle_max=0.4, angle_increment=0.02, range_min=0.01, range_max=100.0,
            ranges=distances.astype(np.float32).tolist())

    def look(self, *ages, factors=(FACTOR,)):
        """Measure at ``ages`` seconds before (below 0: after) a picture; return its depth."""
        header = self.robot.header()
        stamp_ns = header.stamp.sec * 10 ** 9 + header.stamp.nanosec
        for age, factor in zip(ages, factors):
            self.robot.sense(self.kind, self.message(factor), self.robot.header(
                stamp_ns - round(age * 1e9), self.frame))
        return self.tools.array_of(self.robot.ask(self.rgb, self.depth, stamp_ns=stamp_ns))

    def values(self, mode):
        return self.robot.status(lambda status: status.values['range_mode'] == mode).values


@pytest.mark.parametrize('kind', ['points', 'scan', 'image'])
def test_depth_has_the_scale_of_the_sensor(robot, tools, kind):
    scene = Scene(robot, tools, kind)
    if kind == 'image':  # Registered: size and frame are those of the picture.
        scene.frame = 'camera_optical_frame'
    np.testing.assert_allclose(scene.look(0.0), FACTOR * scene.plain, rtol=0.03)
    values = scene.values('scale')
    assert float(values['range_scale']) == pytest.approx(FACTOR, rel=0.03)
    assert int(values['range_points_used']) >= 20
    assert float(values['range_age_s']) == 0
    assert robot.status().message == 'frames flow'


def test_a_single_distance_moves_depth_towards_it(robot, tools):
    scene = Scene(robot, tools, 'range', anchoring='field')
    ratio = scene.look(0.0) / scene.plain
    assert np.ptp(ratio) < 1e-4
    # One measurement against all that the network has learned.
    assert 1.05 < ratio[0, 0] < FACTOR
    values = scene.values('scale')
    assert (values['range_points_used'], values['range_points_rejected']) == ('1', '0')
    assert float(values['range_scale']) == pytest.approx(ratio[0, 0], abs=0.001)


def test_the_cloud_and_the_limits_follow_the_corrected_depth(robot, tools):
    scene = Scene(robot, tools, 'points', max_depth=0.0)
    clouds = robot.listen('points', sensor_msgs.PointCloud2)
    depth = scene.look(0.0)
    points = tools.points_of(robot.wait_for(lambda: clouds)[-1])
    np.testing.assert_array_equal(points['z'], depth)
    high = Perception.load('hydranet', weights_file='random', height=64, width=96)(
        scene.rgb).depth_limits()[1]
    finite = depth[np.isfinite(depth)]
    assert finite.max() <= high * FACTOR * 1.03


def test_an_image_of_another_camera_is_projected(robot, tools):
    scene = Scene(robot, tools, 'image')
    # Half the size, in a frame of its own at the same place.
    scene.frame = 'depth_camera'
    scene.robot.start(range_inputs='image', range_extrinsics='0 0 0 0 0 0 1', anchoring='scale',
                      max_depth=1000.0)
    robot.camera()
    robot.calibrate()
    scene.depth = robot.listen('depth')
    half = tools.image_message((FACTOR * scene.plain[::2, ::2]).astype(np.float32), '32FC1')
    scene.message = lambda factor: half
    np.testing.assert_array_equal(scene.look(0.0), scene.plain)
    status = robot.status(lambda status: status.level == 1)
    assert ('/range/image: is not registered to the image, and about range/camera_info: no '
            'camera_info has come') in status.message
    info = sensor_msgs.CameraInfo(height=24, width=32, k=[25.0, 0, 15.5, 0, 27.5, 11, 0, 0, 1])
    publisher = robot.body.create_publisher(sensor_msgs.CameraInfo, 'range/camera_info', 10)
    robot.meet(publisher)
    publisher.publish(info)
    robot.wait_for(lambda: robot.node.cameras[0].correction.inputs.infos.recent())
    np.testing.assert_allclose(scene.look(0.0), FACTOR * scene.plain, rtol=0.03)


def test_the_nearest_measurement_counts_until_it_is_too_old(robot, tools):
    scene = Scene(robot, tools, 'points', range_max_age=0.3)
    found = scene.look(0.25, 0.05, -0.1, factors=(3.0, FACTOR, 2.5))
    np.testing.assert_allclose(found, FACTOR * scene.plain, rtol=0.03)
    assert float(scene.values('scale')['range_age_s']) == pytest.approx(0.05)


def test_a_measurement_that_is_too_old_is_told_and_not_used(robot, tools):
    scene = Scene(robot, tools, 'points')
    np.testing.assert_array_equal(scene.look(0.5), scene.plain)
    status = robot.status(lambda status: status.level == 1)
    assert status.message == ('/range/points: no message has a stamp within range_max_age '
                              '(0.2 s) of the image')
    assert status.values['range_mode'] == 'none'
    robot.wait_for(lambda: robot.warnings('range_max_age'))
    assert robot.configure(range_max_age=1.0).successful
    np.testing.assert_allclose(scene.look(0.5), FACTOR * scene.plain, rtol=0.03)
    assert robot.status(lambda status: status.level == 0).message == 'frames flow'


@pytest.mark.skipif(import_module('importlib.util').find_spec('tf2_ros') is not None,
                    reason='tf2_ros is there')
def test_a_sensor_whose_place_is_unknown_is_told_and_not_used(robot, tools):
    scene = Scene(robot, tools, 'points', extrinsics='')
    np.testing.assert_array_equal(scene.look(0.0), scene.plain)
    status = robot.status(lambda status: status.level == 1)
    assert status.message == (
        "/range/points: its frame is 'lidar', that of the images is 'camera_optical_frame', and "
        'tf2_ros is not installed: set range_extrinsics')


def test_messages_without_points_and_cameras_without_calibration_are_told(robot, tools):
    scene = Scene(robot, tools, 'points')
    scene.message = lambda factor: sensor_msgs.PointCloud2()
    np.testing.assert_array_equal(scene.look(0.0), scene.plain)
    assert ('/range/points: the cloud has the fields none, not x, y and z'
            in robot.status(lambda status: status.level == 1).message)
    del scene.message
    robot.calibrate(k=[0.0] * 9)
    np.testing.assert_array_equal(scene.look(0.0), scene.plain)
    robot.status(lambda status: '/range/points: is not used: the camera is not calibrated'
                 in status.message)


def test_an_echo_that_saw_nothing_is_no_fault(robot, tools):
    scene = Scene(robot, tools, 'range')
    scene.message = lambda factor: sensor_msgs.Range(range=math.inf, min_range=0.1, max_range=4.0)
    np.testing.assert_array_equal(scene.look(0.0), scene.plain)
    assert robot.status(lambda status: status.count['frames_processed']).message == 'frames flow'


def test_sensors_are_read_only_while_frames_are_wanted(robot, tools):
    scene = Scene(robot, tools, 'points', range_inputs='points, scan')
    topics = ('/range/points', '/range/scan')
    assert all(robot.node.count_subscribers(topic) == 1 for topic in topics)
    robot.enable(False)
    robot.wait_for(lambda: not any(map(robot.node.count_subscribers, topics)))
    robot.enable(True)
    robot.wait_for(lambda: all(map(robot.node.count_subscribers, topics)))
    # One of both is enough.
    np.testing.assert_allclose(scene.look(0.0), FACTOR * scene.plain, rtol=0.03)
    assert '/range/scan: nobody publishes it' in robot.status(
        lambda status: status.level == 1).message


def test_a_manager_that_cleans_up_ends_the_subscriptions(robot):
    lifecycle = import_module('lifecycle_msgs.srv')
    transition = import_module('lifecycle_msgs.msg').Transition

    def change(number):
        return robot.call(lifecycle.ChangeState, 'change_state',
                          transition=transition(id=number)).success

    def topics():
        return [subscription.topic_name for subscription in robot.node.subscriptions
                if subscription.topic_name.startswith('/range/')]
    robot.start(autostart=False, lazy=False, range_inputs='image, points')
    for _ in range(2):
        assert change(transition.TRANSITION_CONFIGURE)
        assert change(transition.TRANSITION_ACTIVATE)
        assert sorted(topics()) == ['/range/camera_info', '/range/image', '/range/points']
        assert change(transition.TRANSITION_DEACTIVATE)
        assert topics() == ['/range/camera_info']
        assert change(transition.TRANSITION_CLEANUP)
        assert topics() == []
