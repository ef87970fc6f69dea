# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Damaged messages of all input types: readers refuse them in one line, the node goes on."""

from importlib import import_module

from jrn_perception.messages import camera_info, maps, ranges
from jrn_perception.messages.images import BadImage, compressed_to_rgb
from jrn_perception.messages.lens import rays
from jrn_perception.messages.poses import from_text
from jrn_perception.ros.conversions.normals import surface_normals
from jrn_perception.ros.range import anchors
import numpy as np
import pytest

pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
hypothesis = pytest.importorskip('hypothesis', reason="needs pip install '.[test]'")
strategies, Phase = hypothesis.strategies, hypothesis.Phase
messages = import_module('damaged_messages')
to_rgb = import_module('jrn_perception.ros.conversions.images').to_rgb
cloud_message = import_module('jrn_perception.ros.conversions.points').cloud_message
PointCloud2 = import_module('sensor_msgs.msg').PointCloud2

SIZE = messages.HEIGHT, messages.WIDTH
DEPTH = np.full(SIZE, 2.0, np.float32)
CAMERA = camera_info.Intrinsics(50.0, 50.0, 8.0, 6.0)
POSE = from_text('0.1 0 0 0.5 -0.5 0.5 -0.5')
VIEW = anchors.View(CAMERA, DEPTH)
# A node that has failed would be waited for again and again while an example is made smaller.
ONCE = (Phase.generate,)


def rgb(message):
    found = to_rgb(message)
    assert (found.dtype, found.shape) == (np.uint8, (message.height, message.width, 3))


def compressed(message):
    found = compressed_to_rgb(message)
    assert (found.dtype, found.shape[2:]) == (np.uint8, (3,))


def depth(message):
    found = maps.to_depth(message)
    assert (found.dtype, found.ndim) == (np.float32, 2)
    assert not (found <= 0).any()
    assert not np.isinf(found).any()


def labels(message):
    assert maps.to_labels(message).dtype == np.uint8


def calibrated(message):
    for rectified in (False, True):
        found = camera_info.match(message, SIZE, rectified)
        assert '\n' not in found.fault
        if found.intrinsics is not None:
            rays(found.intrinsics, SIZE)
            surface_normals(DEPTH, found.intrinsics)
            cloud_message(DEPTH, np.zeros(SIZE, np.uint8), DEPTH, found.intrinsics,
                          message.header)
            view = anchors.View(found.intrinsics, DEPTH)
            anchors.of_points(np.ones((2, 3)), POSE, view)
            anchors.of_cone(ranges.Cone(2.0, 0.4), POSE, view)


def points(message):
    anchors.of_points(ranges.cloud_points(message), POSE, VIEW)


def scan(message):
    anchors.of_points(ranges.scan_points(message), POSE, VIEW)


def cone(message):
    found = ranges.cone(message)
    if found is not None:
        anchors.of_cone(found, POSE, VIEW)


READERS = {
    'Image': (messages.images(), (rgb, depth, labels)),
    'CompressedImage': (messages.compressed_images(), (compressed, depth, labels)),
    'depth image': (messages.depth_images(), (depth, rgb)),
    'CameraInfo': (messages.camera_infos(), (calibrated,)),
    'PointCloud2': (messages.clouds(), (points,)),
    'LaserScan': (messages.scans(), (scan,)),
    'Range': (messages.ranges(), (cone,))}


def with_each(strategy, count, check, phases=tuple(Phase)):
    """Call ``check`` with ``count`` examples, the same in each run."""
    limits = hypothesis.settings(max_examples=count, deadline=None, database=None, phases=phases,
                                 suppress_health_check=list(hypothesis.HealthCheck))
    limits(hypothesis.seed(0)(hypothesis.given(strategy)(check)))()


def fuzz(kind, count):
    """Give ``count`` damaged messages of a kind to its readers; return what became of them."""
    whole, readers = READERS[kind]
    results = {'read': 0, 'refused': 0}

    def check(message):
        for reader in readers:
            try:
                with np.errstate(all='ignore'):
                    reader(message)
            except (BadImage, ranges.BadRange) as error:
                assert str(error)
                assert '\n' not in str(error)
                results['refused'] += 1
            else:
                results['read'] += 1
    with_each(messages.damaged(whole), count, check)
    assert sum(results.values()) >= count * len(readers)
    return results


@pytest.mark.parametrize('kind', READERS)
def test_readers_read_or_refuse_damaged_messages(kind):
    results = fuzz(kind, 60)
    assert results['read'] > 5


@pytest.mark.slow
@pytest.mark.parametrize('kind', READERS)
def test_readers_read_or_refuse_ten_thousand_damaged_messages(kind):
    fuzz(kind, 10_000 // len(READERS) + 1)


def expect_health(robot, depth, picture):
    """Expect an answer to a picture, no failed frame, and warnings in one line each."""
    robot.ask(picture, depth)
    values = robot.status().values
    assert (values['frames_failed'], values['outputs_failed']) == ('0', '0')
    assert not [line for line in robot.warnings() if '\n' in line]


def fuzz_pictures(robot, tools, topic, whole, count):
    """Send ``count`` damaged pictures to a running node, each when the last is done with."""
    robot.camera(topic, type(whole[0]))
    depth = robot.listen('depth')
    robot.listen('points', PointCloud2)
    robot.listen('overlay')
    good = whole[0] if topic != 'image' else tools.picture()
    robot.calibrate(*SIZE)
    statistics = robot.node.cameras[0].statistics
    first = statistics.processed + statistics.rejected

    def check(message):
        before = statistics.processed + statistics.rejected
        robot.send(message)
        robot.wait_for(lambda: statistics.failed or
                       statistics.processed + statistics.rejected > before, 'an end of it')
        assert not statistics.last_failure, statistics.last_failure
    with_each(messages.damaged(whole), count, check, ONCE)
    assert statistics.processed + statistics.rejected >= first + count
    assert statistics.processed
    assert statistics.rejected
    expect_health(robot, depth, good)


def fuzz_sensors(robot, tools, count):
    """Send ``count`` damaged messages of range sensors and camera_info, a picture after each."""
    robot.start(range_inputs='points,scan,image,range', range_max_age=3600.0,
                range_extrinsics='0.1 0 0 0.5 -0.5 0.5 -0.5')
    robot.camera()
    depth, picture = robot.listen('depth'), tools.picture(*SIZE)
    robot.listen('points', PointCloud2)
    robot.listen('normals')
    robot.calibrate(*SIZE)
    robot.ask(picture, depth)
    kinds = {'range/points': messages.clouds(), 'range/scan': messages.scans(),
             'range/image': messages.depth_images(), 'range/range': messages.ranges(),
             'image_camera_info': messages.camera_infos(),
             'range/camera_info': messages.camera_infos()}
    publishers = {}
    for topic, whole in kinds.items():
        publishers[topic] = robot.body.create_publisher(type(whole[0]), topic, 10)
        robot.meet(publishers[topic])
    inputs = robot.node.cameras[0].correction.inputs
    readers = {**{f'range/{sensor.kind}': lambda sensor=sensor: [
        reading.message for reading in sensor.recent()] for sensor in inputs.sensors},
        'image_camera_info': robot.node.cameras[0].infos.recent,
        'range/camera_info': inputs.infos.recent}
    examples = strategies.sampled_from(sorted(kinds)).flatmap(lambda topic: strategies.tuples(
        strategies.just(topic), messages.damaged(kinds[topic]), strategies.sampled_from(
            ('', 'camera_optical_frame', 'lidar')), strategies.sampled_from((0, 0, 0, -5))))

    def check(example):
        topic, message, frame_id, seconds = example
        header = robot.header(frame_id=frame_id)
        if seconds:
            header.stamp.sec = seconds
        message.header = header
        publishers[topic].publish(message)
        robot.wait_for(lambda: header in [other.header for other in readers[topic]()],
                       f'{topic} at the node')
        robot.ask(picture, depth)
    with_each(examples, count, check, ONCE)
    expect_health(robot, depth, picture)


def test_a_node_survives_damaged_pictures(robot, tools):
    robot.start()
    fuzz_pictures(robot, tools, 'image', messages.images(), 60)


def test_a_node_survives_damaged_files(robot, tools):
    robot.start(image_transport='compressed')
    fuzz_pictures(robot, tools, 'image/compressed', messages.compressed_images(), 60)


def test_a_node_survives_damaged_measurements_and_calibrations(robot, tools):
    fuzz_sensors(robot, tools, 60)


@pytest.mark.slow
def test_a_node_survives_a_thousand_damaged_pictures(robot, tools):
    robot.start()
    fuzz_pictures(robot, tools, 'image', messages.images(), 1000)


@pytest.mark.slow
def test_a_node_survives_a_thousand_damaged_measurements(robot, tools):
    fuzz_sensors(robot, tools, 1000)
