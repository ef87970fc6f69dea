# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Other sources of a JRN's inputs in the node, over real DDS."""

from importlib import import_module
import re

from jrn_perception.perception import Perception
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
Image = import_module('sensor_msgs.msg').Image
SMALL = {'height': 64, 'width': 96}
JRN = {'architecture': 'jrn', 'variant': 'cat1', 'weights': ''}


class DepthCamera:
    """A depth camera beside the robot's camera."""

    def __init__(self, robot, tools):
        self._robot, self._tools = robot, tools
        self._publisher = robot.body.create_publisher(Image, 'sensor_depth', 10)

    def ask(self, rgb, depth, *inboxes, encoding='32FC1', apart_ns=0):
        """Publish a depth image, then the picture of the same moment; return the answers."""
        self._robot.meet(self._publisher)
        header = self._robot.header()
        stamp = rclpy.time.Time.from_msg(header.stamp).nanoseconds
        message = self._tools.image_message(depth, encoding)
        message.header = self._robot.header(stamp_ns=stamp + apart_ns)
        self._publisher.publish(message)
        self._robot.send(rgb, stamp_ns=stamp)
        return self._robot.answers(header, *inboxes)


def test_a_hugging_face_source_and_an_onnx_source(robot, tools, tmp_path, external):
    depth_model = external.onnx_depth(tmp_path / 'depth.onnx', licence='MIT')
    classes = external.segformer(tmp_path / 'classes')
    # Random weights run in torch under auto, and models of others choose their runtime.
    robot.start(**{**JRN, 'weights': 'random', 'backend': 'auto'}, depth_source=depth_model,
                semantics_source=classes)
    robot.camera()
    depth, semantics = robot.listen('depth'), robot.listen('semantics')
    rgb = tools.picture()
    answers = robot.ask(rgb, depth, semantics)
    expected = Perception.load('jrn', 'cat1', weights_file='random', depth_source=depth_model,
                               semantics_source=classes, **SMALL)(rgb)
    np.testing.assert_array_equal(tools.array_of(answers[0]), expected.valid_depth())
    np.testing.assert_array_equal(tools.array_of(answers[1]), expected.labels)
    values = robot.status(lambda status: status.values['depth_source'] != 'network').values
    assert values['depth_source'].startswith('depth.onnx (licence MIT, sha256 ')
    assert values['semantics_source'].startswith(f'{classes} (licence apache-2.0, sha256 ')
    # And alone, after a change at run time.
    result = robot.configure(architecture='external', variant='nyu40', weights='')
    assert result.successful, result.reason
    # The log of the start may be over before anybody reads it.
    robot.wait_for(lambda: any(
        'swapped to external' in log.msg and 'depth from depth.onnx (licence MIT' in log.msg
        for log in robot.logs), 'the licence in the log')
    alone = Perception.load('external', 'nyu40', depth_source=depth_model,
                            semantics_source=classes, **SMALL)(rgb)
    labels = robot.ask(rgb, semantics)
    np.testing.assert_array_equal(tools.array_of(labels), alone.labels)
    assert robot.get('labels')[:2] == ['wall', 'floor']


@pytest.mark.parametrize('encoding', ['32FC1', '16UC1'])
def test_a_depth_camera(robot, tools, encoding):
    robot.start(**JRN, depth_source='sensor')
    robot.camera()
    depth, camera = robot.listen('depth'), DepthCamera(robot, tools)
    rgb = tools.picture()
    metres = np.full((48, 64), 2.0, np.float32)
    metres[10:20, 30:50] = np.nan
    sent = metres if encoding == '32FC1' else np.nan_to_num(1000 * metres).astype(np.uint16)
    answer, = camera.ask(rgb, sent, depth, encoding=encoding)
    library = Perception.load('jrn', 'cat1', depth_source='sensor', backend='torch', **SMALL)
    expected = library(rgb, measured=metres)
    np.testing.assert_allclose(tools.array_of(answer), expected.valid_depth(), rtol=1e-5)
    status = robot.status()
    assert status.values['depth_source'] == 'sensor' and 'sensor_depth' not in status.message
    # A picture of another moment is refined without it, and the diagnostics say why.
    answer, = camera.ask(rgb, sent, depth, encoding=encoding, apart_ns=500_000_000)
    np.testing.assert_allclose(tools.array_of(answer), library(rgb).valid_depth(), rtol=1e-5)
    status = robot.status(lambda status: 'sensor_depth' in status.message)
    assert status.level == 1
    # This depth image, or the one before if it is nearer.
    apart = re.search(r'/sensor_depth: the nearest depth image is (\S+) s apart from the picture',
                      status.message)
    assert 0 < float(apart[1]) <= 0.5


def test_depth_images_that_cannot_be_used_are_rejected(robot, tools):
    robot.start(**JRN, depth_source='sensor')
    robot.camera()
    depth, camera = robot.listen('depth'), DepthCamera(robot, tools)
    rgb = tools.picture()
    answer, = camera.ask(rgb, np.full((48, 64), 2, np.float32), depth)
    camera.ask(rgb, np.zeros((48, 64, 3), np.uint8), encoding='rgb8')
    robot.wait_for(lambda: robot.warnings('/sensor_depth: '), 'the reason')
    camera.ask(rgb, np.full((20, 64), 2, np.float32))
    robot.wait_for(lambda: robot.status().count['frames_rejected'] == 2, 'both rejected')
    assert len(depth) == 1 and answer is depth[0]


def test_relative_depth_without_a_measurement_is_rejected(robot, tools, tmp_path, external):
    robot.start(**JRN, depth_source=external.depth_anything(tmp_path / 'relative', 'relative'))
    robot.camera()
    depth = robot.listen('depth')
    assert robot.node.cameras[0]._sensor.subscription is not None
    robot.send(tools.picture())
    robot.wait_for(lambda: robot.warnings('depth in the unit disparity has no scale: it needs '
                                          'measured depth'), 'the reason')
    status = robot.status(lambda status: status.count['frames_rejected'])
    assert status.level == 2 and not depth


def test_the_depth_camera_is_read_only_while_it_is_used(robot, tools):
    robot.start(**JRN)
    robot.camera()
    depth = robot.listen('depth')
    robot.ask(tools.picture(), depth)
    stream, = robot.node.cameras
    assert stream._sensor.subscription is None
    assert robot.configure(depth_source='sensor').successful
    robot.wait_for(lambda: stream._sensor.subscription is not None, 'the subscription')
    assert robot.get('depth_source') == 'sensor'
    refused = robot.configure(architecture='hydranet')
    assert not refused.successful
    assert 'hydranet sees pictures alone' in refused.reason


def test_muting_says_what_it_does(robot, tools):
    robot.start(**JRN)
    robot.camera()
    depth = robot.listen('depth')
    robot.ask(tools.picture(), depth)
    assert robot.status().values['mute_effect'] == ''
    robot.configure(mute='depth')
    text = ('mute is depth: the JRN gets zeros in place of depth; semantics shows what is left '
            'without it, depth itself means nothing, and most of it is invalid, because these '
            'weights add their correction to 0 m: mute_value mean keeps it finite')
    robot.wait_for(lambda: robot.warnings(text), 'the warning')
    robot.ask(tools.picture(), depth)
    status = robot.status(lambda status: status.values['mute_effect'])
    assert status.values['mute_effect'] == text and text in status.message
    robot.configure(mute_value='mean')
    answer = robot.ask(tools.picture(), depth)
    assert np.isfinite(tools.array_of(answer)).mean() > 0.9
    status = robot.status(lambda status: 'invalid' not in status.message)
    assert "gets the training frames' mean in place of depth" in status.message
    robot.configure(mute='none')
    robot.wait_for(lambda: robot.warnings('mute is none: the JRN gets both inputs again'),
                   'the end')


def test_muted_depth_that_is_nowhere_valid_is_a_warning(robot, tools):
    robot.start(**JRN, mute='depth', min_depth=2.3)
    robot.camera()
    depth = robot.listen('depth')
    assert np.isnan(tools.array_of(robot.ask(tools.picture(), depth))).all()
    robot.wait_for(lambda: robot.warnings('no depth is valid: mute is depth: '), 'the warning')
    status = robot.status(lambda status: 'no depth is valid' in status.message)
    assert status.level == 1
    assert 'no depth is valid: mute is depth: the JRN gets zeros' in status.message
    assert status.message.count('the JRN gets zeros') == 1
