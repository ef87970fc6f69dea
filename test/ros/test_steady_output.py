# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The temporal filter in the node: for each camera on its own, and only while nothing changes."""

from importlib import import_module

from jrn_perception.perception import Perception
from jrn_perception.perception.temporal import TemporalFilter
import numpy as np
import pytest

pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
import_module('sensor_msgs.msg')
CONSTANT = 5.0
PERIOD_NS = 100_000_000


class Expected:
    """What a node with a filter makes of the pictures of one camera, by hand."""

    def __init__(self, architecture='hydranet', **options):
        self.network = Perception.load(architecture, weights_file='random', height=64, width=96,
                                       backend='torch', **options)
        self.filter = TemporalFilter()

    def __call__(self, rgb, stamp_ns):
        picture = self.network.preprocess(rgb)
        maps = self.filter(self.network.infer(picture[None]), picture, stamp_ns / 1e9, CONSTANT)
        return self.network.postprocess(maps, rgb.shape[:2])


def noisy(rgb, count):
    """Return the picture with the noise of a camera, several times."""
    random = np.random.default_rng(0)
    return [np.clip(rgb + random.integers(-3, 4, rgb.shape), 0, 255).astype(np.uint8)
            for _ in range(count)]


class Shown:
    """A running node with a filter; `ask` returns its depth and confidence."""

    def __init__(self, robot, tools, prefix='', **start):
        self.robot, self.tools = robot, tools
        if start:
            robot.start(temporal_filter=CONSTANT, **start)
        self.publisher = robot.camera(f'{prefix}image')
        self.inboxes = robot.listen(f'{prefix}depth'), robot.listen(f'{prefix}confidence')
        self.stamp_ns = robot.body.get_clock().now().nanoseconds

    def ask(self, rgb, after_ns=PERIOD_NS):
        self.stamp_ns += after_ns
        self.robot._publisher = self.publisher
        answers = self.robot.ask(rgb, *self.inboxes, stamp_ns=self.stamp_ns)
        return [self.tools.array_of(answer) for answer in answers]

    def check(self, rgb, expected, **options):
        depth, confidence = self.ask(rgb, **options)
        prediction = expected(rgb, self.stamp_ns)
        np.testing.assert_array_equal(depth, prediction.valid_depth())
        np.testing.assert_array_equal(confidence, prediction.confidence)


def test_the_outputs_are_those_of_the_filter(robot, tools):
    shown, expected = Shown(robot, tools, variant='nyu40'), Expected()
    first, *others = noisy(tools.picture(seed=3), 4)
    shown.check(first, expected)
    for rgb in others:
        shown.check(rgb, expected)
    # That was averaged, and a picture after a jump of the stamp is not.
    assert not np.array_equal(expected(first, shown.stamp_ns).confidence,
                              expected.network(first).confidence)
    depth, confidence = shown.ask(first, after_ns=10 ** 10)
    np.testing.assert_array_equal(confidence, expected.network(first).confidence)


def test_another_network_begins_anew(robot, tools):
    shown = Shown(robot, tools, variant='nyu40')
    for rgb in noisy(tools.picture(seed=3), 2):
        shown.ask(rgb)
    assert robot.configure(variant='kitti6').successful
    expected = Expected(variant='kitti6')
    for rgb in noisy(tools.picture(seed=3), 3):
        shown.check(rgb, expected)


def test_each_camera_has_an_average_of_its_own(robot, tools):
    robot.start(temporal_filter=CONSTANT, cameras='front,left')
    # The same view, but not the same colours.
    view = np.clip(tools.picture(seed=3), 0, 200)
    cameras = [(Shown(robot, tools, 'front/'), Expected(), view),
               (Shown(robot, tools, 'left/'), Expected(), view + np.uint8(3))]
    for index in range(3):
        for shown, expected, rgb in cameras:
            shown.check(noisy(rgb, 3)[index], expected)
