# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Pictures that cannot be used and a network that fails: told once, and the node goes on."""

from importlib import import_module

import cv2
from jrn_perception.perception import Perception
import pytest

rclpy = pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
CompressedImage = import_module('sensor_msgs.msg').CompressedImage


def cut(message, count):
    del message.data[count:]
    return message


def jpeg(rgb):
    message = CompressedImage(format='jpeg')
    message.data.frombytes(cv2.imencode('.jpg', rgb)[1].tobytes())
    return message


def renamed(message, encoding):
    message.encoding = encoding
    return message


def empty(message):
    message.height = message.width = message.step = 0
    return cut(message, 0)


RAW = {
    'short data': (lambda tools: cut(tools.image_message(tools.picture(), 'rgb8'), 9000),
                   'the data has 9000 bytes; rgb8 with step 192 and height 48 has 9216'),
    'zero size': (lambda tools: empty(tools.image_message(tools.picture(), 'rgb8')),
                  'the size is 0x0'),
    'unknown encoding': (lambda tools: renamed(tools.image_message(tools.picture(), 'rgb8'),
                                               'rgb7'), "encoding 'rgb7'"),
    'short step': (lambda tools: renamed(tools.image_message(tools.picture(), 'rgb8'), 'rgba8'),
                   'step 192 is shorter than a row'),
}


def expect_rejections(robot, good, depth, bad, reason, topic):
    """Send good, bad, bad, good and expect two counted rejections and one line."""
    robot.ask(good(), depth)
    before = robot.status(lambda status: status.count['frames_processed'] == 1)
    assert before.count['frames_rejected'] == 0
    for expected in (1, 2):
        robot.send(bad())
        robot.status(lambda status, expected=expected:
                     status.count['frames_rejected'] == expected)
    robot.ask(good(), depth)
    status = robot.status(lambda status: status.count['frames_processed'] == 2)
    assert (status.level, status.count['frames_rejected']) == (0, 2)
    assert len(depth) == 2
    warning, = robot.warnings('rejected')
    assert topic in warning
    assert reason in warning
    assert '\n' not in warning


@pytest.mark.parametrize('fault', RAW)
def test_a_bad_picture_is_counted_named_once_and_skipped(robot, tools, fault):
    make, reason = RAW[fault]
    robot.start()
    robot.camera()
    depth = robot.listen('depth')
    expect_rejections(robot, lambda: tools.image_message(tools.picture(), 'rgb8'), depth,
                      lambda: make(tools), reason, ' /image: ')


def test_a_truncated_jpeg_is_rejected(robot, tools):
    robot.start(image_transport='compressed')
    robot.camera('image/compressed', CompressedImage)
    depth = robot.listen('depth')
    expect_rejections(robot, lambda: jpeg(tools.picture()), depth,
                      lambda: cut(jpeg(tools.picture()), 500), 'cut off after 500 bytes',
                      ' /image/compressed: ')


def test_a_stamp_before_the_last_is_rejected_once_and_time_goes_on_from_there(robot, tools):
    robot.start()
    robot.camera()
    depth = robot.listen('depth')
    second = 1_000_000_000
    for stamp in (10, 11):
        robot.ask(tools.picture(), depth, stamp_ns=stamp * second)
    robot.send(tools.picture(), stamp_ns=4 * second)
    robot.status(lambda status: status.count['frames_rejected'] == 1)
    for stamp in (4, 5, 6):
        robot.ask(tools.picture(), depth, stamp_ns=stamp * second)
    assert [message.header.stamp.sec for message in depth] == [10, 11, 4, 5, 6]
    warning, = robot.warnings('rejected')
    assert '/image: its stamp is 7.000 s before' in warning


def test_a_stamp_before_1970_is_rejected(robot, tools):
    robot.start()
    publisher = robot.camera()
    depth = robot.listen('depth')
    robot.ask(tools.picture(), depth)
    message = tools.image_message(tools.picture(), 'rgb8')
    message.header.stamp.sec = -5
    publisher.publish(message)
    status = robot.status(lambda status: status.count['frames_rejected'] == 1)
    assert status.count['frames_failed'] == 0
    robot.ask(tools.picture(), depth)
    assert 'its stamp is before 1970' in robot.warnings('rejected')[0]


def test_a_stream_of_bad_pictures_is_an_error_with_the_reason(robot, tools):
    robot.start()
    robot.camera()
    robot.listen('depth')
    for _ in range(3):
        robot.send(empty(tools.image_message(tools.picture(), 'rgb8')))
    status = robot.status(lambda status: status.values['state'] == 'rejecting')
    assert status.level == 2
    assert '/image: the size is 0x0' in status.message


def test_a_network_that_fails_is_reported_and_the_next_frame_processed(robot, tools, monkeypatch):
    robot.start()
    robot.camera()
    depth = robot.listen('depth')
    robot.ask(tools.picture(), depth)
    infer = Perception.infer

    def fail(self, *arguments):
        monkeypatch.setattr(Perception, 'infer', infer)
        raise RuntimeError('CUDA out of memory')
    monkeypatch.setattr(Perception, 'infer', fail)
    lost = robot.send(tools.picture())
    status = robot.status(lambda status: status.level == 2)
    assert status.values['state'] == 'failing'
    assert 'RuntimeError: CUDA out of memory' in status.message
    assert status.count['frames_failed'] == 1
    robot.ask(tools.picture(), depth)
    assert lost.stamp not in [message.header.stamp for message in depth]
    assert robot.status(lambda status: status.level == 0).values['state'] == 'running'
    assert len(robot.warnings('CUDA out of memory')) == 1
