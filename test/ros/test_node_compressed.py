# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Compressed topics over real DDS, as image_transport's plug-ins find and read them."""

from importlib import import_module

import cv2
from jrn_perception.messages.maps import to_depth, to_labels
from jrn_perception.perception import Perception
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
CompressedImage = import_module('sensor_msgs.msg').CompressedImage
OUTPUTS = import_module('jrn_perception.ros.outputs').OUTPUTS
COMPRESSED = [output.name for output in OUTPUTS if output.transport]


@pytest.fixture
def encoded(monkeypatch):
    """Return the list of all pictures that are encoded from now on."""
    calls, encode = [], cv2.imencode
    monkeypatch.setattr(cv2, 'imencode', lambda *arguments: (
        calls.append(arguments[0]), encode(*arguments))[1])
    return calls


@pytest.mark.parametrize('encoding', ['32FC1', '16UC1'])
def test_depth_and_classes_come_through_a_thin_link(robot, tools, encoding):
    rgb = tools.picture(seed=3)
    expected = Perception.load('hydranet', weights_file='random', height=64, width=96)(rgb)
    threshold = float(np.median(expected.confidence))
    robot.start(depth_encoding=encoding, confidence_threshold=threshold)
    robot.camera()
    robot.calibrate()
    topics = ('depth', None), ('depth/compressedDepth', CompressedImage), (
        'semantics', None), ('semantics/compressed', CompressedImage)
    inboxes = [robot.listen(*topic) for topic in topics]
    header = robot.send(rgb)
    depth, thin_depth, semantics, thin_semantics = robot.answers(header, *inboxes)
    assert thin_depth.header == thin_semantics.header == header
    assert thin_depth.format == f'{encoding}; compressedDepth png'
    assert thin_semantics.format == 'mono8; png compressed '
    # By our own decoder, and by the plug-in's.
    np.testing.assert_array_equal(to_labels(thin_semantics), tools.array_of(semantics))
    np.testing.assert_array_equal(tools.array_of(thin_semantics), tools.array_of(semantics))
    assert 255 in tools.array_of(thin_semantics)
    metres, found = to_depth(depth), to_depth(thin_depth)
    if encoding == '16UC1':
        np.testing.assert_array_equal(found, metres)
        np.testing.assert_array_equal(tools.array_of(thin_depth), tools.array_of(depth))
    else:
        # 16 bits hold inverse depth from 10 m down to 10100 / (65536 + 1009) m.
        held = (metres < 10) & (metres > 0.1518)
        assert held.mean() > 0.9
        np.testing.assert_array_equal(np.isfinite(found), held)
        np.testing.assert_allclose(found[held], metres[held], atol=0.011)
        np.testing.assert_array_equal(found, tools.array_of(thin_depth))


def test_transports_follow_a_topic_that_is_remapped(robot, tools):
    robot.start('-r', '__ns:=/front', '-r', 'depth:=/robot/metres')
    robot.camera('/front/image')
    thin = robot.listen('/robot/metres/compressedDepth', CompressedImage)
    overlay = robot.listen('/front/overlay/compressed', CompressedImage)
    for answer in robot.answers(robot.send(tools.picture()), thin, overlay):
        assert tools.array_of(answer).shape[:2] == (48, 64)


def test_nothing_is_encoded_unless_somebody_listens_to_it(robot, tools, encoded):
    robot.start(lazy=False)
    robot.camera()
    depth = robot.listen('depth')
    overlay = robot.listen('overlay')
    robot.ask(tools.picture(), depth, overlay)
    assert not encoded


@pytest.mark.parametrize('name', COMPRESSED)
def test_a_frame_is_encoded_once_for_all_that_listen(robot, tools, encoded, name):
    robot.start()
    robot.camera()
    inboxes = [robot.listen(name, CompressedImage) for _ in range(2)]
    inboxes.append(robot.listen(name.rpartition('/')[0]))
    for _ in range(2):
        encoded.clear()
        first, second, _ = robot.ask(tools.picture(), *inboxes)
        assert bytes(first.data) == bytes(second.data)
        assert len(encoded) == 1
