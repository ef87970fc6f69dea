# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The governor in the node: the stamps of the pictures are the load, which the test controls."""

from importlib import import_module

from jrn_perception import labels
from jrn_perception.labels import NYU5
from jrn_perception.perception import Perception
import numpy as np
import pytest

pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
import_module('sensor_msgs.msg')
# Longer than a picture takes on the busiest machine, shorter than the age of late pictures.
LIMIT_MS, LATE_S = 30_000.0, 50.0
JRN = {'architecture': 'jrn', 'variant': 'cat1', 'inference_height': 96, 'inference_width': 128}
# Two frames settle on a new rung, and the third late frame changes it.
TO_CHANGE = 5


class Camera:
    """A camera whose pictures are `late`, or fresh; each is answered before the next is sent."""

    def __init__(self, robot, rgb, *inboxes):
        self.robot, self.rgb, self.inboxes = robot, rgb, inboxes
        self.sent = []
        self._late = robot.body.get_clock().now().nanoseconds - round(LATE_S * 1e9)

    def send(self, count, late=True):
        for _ in range(count):
            stamp = None
            if late:
                self._late += 1_000_000
                stamp = self._late
            header = self.robot.send(self.rgb, stamp_ns=stamp)
            self.robot.answers(header, *self.inboxes)
            self.sent.append(header.stamp)


def rung(number):
    return lambda status: status.values['latency_rung'].startswith(f'{number} of 4')


def changes(robot):
    return [log.msg for log in robot.logs if log.msg.startswith('max_latency_ms 30000: ')]


def test_late_frames_go_down_the_ladder_and_fresh_ones_up_again(robot, tools, monkeypatch):
    monkeypatch.setattr('jrn_perception.perception.governor.HOLD_S', 0.0)
    rgb = tools.picture(seed=3)
    robot.start(**JRN, max_latency_ms=LIMIT_MS)
    robot.camera()
    names = robot.node.get_parameter('labels').value
    semantics, depth = robot.listen('semantics'), robot.listen('depth')
    camera = Camera(robot, rgb, semantics, depth)

    def load(architecture, **size):
        return Perception.load(architecture, weights_file='random', backend='torch', **{
            'height': 96, 'width': 128, **size})
    jrn, hydranet = load('jrn', variant='cat1'), load('hydranet')
    fold = labels.fold_matrix(labels.NYU40, NYU5)
    smaller = load('hydranet', height=64, width=96)
    expected = [jrn(rgb), *(network(rgb).folded(fold, NYU5) for network in (hydranet, smaller))]

    camera.send(TO_CHANGE)
    assert robot.status(rung(2)).values['architecture'] == 'hydranet'
    camera.send(TO_CHANGE)
    status = robot.status(rung(3))
    assert 'max_latency_ms (30000) has chosen the setting 3 of 4: hydranet nyu40 at 64x96 in ' \
        'the 5 classes of nyu5' in status.message
    # Each frame was answered by one network, in the same classes.
    order = [0] * TO_CHANGE + [1] * TO_CHANGE
    for index, answers in zip(order, zip(semantics, depth)):
        assert np.array_equal(tools.array_of(answers[0]), expected[index].labels)
        assert np.array_equal(tools.array_of(answers[1]), expected[index].valid_depth(),
                              equal_nan=True)
    camera.send(1)
    assert np.array_equal(tools.array_of(semantics[-1]), expected[2].labels)
    assert robot.node.get_parameter('labels').value == names == list(NYU5.names)
    camera.send(2 * TO_CHANGE)
    status = robot.status(lambda status: 'no faster setting is left' in status.message)
    assert (status.level, status.values['latency_rung'][0]) == (1, '4')
    # Up again: two frames settle, and eight are needed to trust a rung. A late frame is never
    # followed by an earlier stamp, so these are the last.
    camera.send(8 + 2 * 10, late=False)
    robot.wait_for(lambda: len(changes(robot)) >= 6)
    status = robot.status(rung(1))
    assert status.values['architecture'] == 'jrn'
    camera.send(1, late=False)
    assert np.array_equal(tools.array_of(semantics[-1]), expected[0].labels)

    # No frame is lost, and each change is one line.
    assert [message.header.stamp for message in semantics] == camera.sent
    status = robot.status(lambda status: status.count['frames_processed'] == len(camera.sent))
    assert (status.count['frames_dropped'], status.count['frames_failed']) == (0, 0)
    assert status.values['latency_rung_changes'] == '6'
    assert [line.partition('; now ')[2][:6] for line in changes(robot)] == [
        '2 of 4', '3 of 4', '4 of 4', '3 of 4', '2 of 4', '1 of 4']
    assert '3 of the last 8 frames took 5' in changes(robot)[0]
    assert 'back to the better setting' in changes(robot)[-1]


def test_an_output_that_only_the_jrn_has_brings_the_jrn_back(robot, tools):
    robot.start(**JRN, max_latency_ms=LIMIT_MS)
    robot.camera()
    depth = robot.listen('depth')
    camera = Camera(robot, tools.picture(), depth)
    camera.send(TO_CHANGE)
    robot.status(rung(2))
    influence = robot.listen('influence/depth')
    camera.inboxes = depth, influence
    camera.send(TO_CHANGE + 3)
    assert robot.status(rung(1)).level == 1
    assert len(influence) == TO_CHANGE + 3
    assert 'an output or a parameter needs it' in changes(robot)[-1]


def test_the_limit_is_set_and_taken_away_while_frames_flow(robot, tools):
    robot.start(architecture='hydranet', inference_height=96, inference_width=128)
    robot.camera()
    depth = robot.listen('depth')
    camera = Camera(robot, tools.picture(), depth)
    camera.send(TO_CHANGE)
    assert robot.status().values['latency_rung'] == 'off'
    assert robot.configure(max_latency_ms=LIMIT_MS).successful
    camera.send(TO_CHANGE)
    assert robot.status().values['latency_rung'].startswith('2 of 3: hydranet nyu40 at 64x96')
    # A parameter that loads no network keeps the rung.
    assert robot.configure(max_depth=4.0).successful
    camera.send(1)
    assert robot.status().values['latency_rung'].startswith('2 of 3')
    assert robot.configure(max_latency_ms=0.0).successful
    camera.send(1)
    assert robot.status().values['latency_rung'] == 'off'
    assert [message.header.stamp for message in depth] == camera.sent


def test_a_ladder_without_the_hydranet_says_why(robot):
    robot.start(**JRN, depth_source='sensor', max_latency_ms=LIMIT_MS)
    robot.wait_for(lambda: robot.warnings('goes without the HydraNet, which has no depth_source'))
    assert robot.status().values['latency_rung'].startswith('1 of 3: jrn cat1')


def test_models_of_one_size_have_no_ladder(robot):
    with pytest.raises(ValueError, match='max_latency_ms: has nothing to choose from with'):
        robot.start(architecture='external', depth_source='a.onnx', semantics_source='b.onnx',
                    max_latency_ms=100.0)


def test_what_is_wanted_is_listed_once_a_frame_to_choose_a_rung(robot, tools, monkeypatch):
    robot.start(**JRN, max_latency_ms=LIMIT_MS)
    robot.camera()
    camera = Camera(robot, tools.picture(), robot.listen('depth'))
    camera.send(TO_CHANGE)
    robot.status(rung(2))
    outputs, listed = robot.node.cameras[0].outputs, []
    wanted = outputs.wanted
    monkeypatch.setattr(outputs, 'wanted', lambda *configuration: (
        listed.append(configuration), wanted(*configuration))[1])
    camera.send(3, late=False)
    # And once to make the outputs.
    robot.status(lambda status: status.count['frames_processed'] == len(camera.sent))
    assert len(listed) == 2 * 3
