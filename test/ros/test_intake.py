# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Which messages are processed; the node that refuses the others is in test_node.py."""

from importlib import import_module

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
intake = import_module('jrn_perception.ros.intake')
BadImage = import_module('jrn_perception.ros.conversions.images').BadImage
CompressedImage = import_module('sensor_msgs.msg').CompressedImage
Time = import_module('rclpy.time').Time


@pytest.fixture
def take(tools):
    """Return a function that offers a picture with a stamp (s) to one intake at `now` (s)."""
    desk = intake.Intake()

    def offer(stamp, now=1000, max_age=0.0, message=None):
        message = message or tools.image_message(tools.picture(seed=1), 'rgb8')
        message.header.stamp.sec = stamp
        return desk.picture(message, Time(seconds=now), max_age)
    return offer


def test_raw_and_compressed_pictures_are_decoded(take, tools):
    rgb = tools.picture(seed=1)
    np.testing.assert_array_equal(take(1), rgb)
    message = CompressedImage(format='png')
    message.data.frombytes(cv2.imencode('.png', rgb[..., ::-1])[1].tobytes())
    np.testing.assert_array_equal(take(2, message=message), rgb)


def test_time_goes_on_from_the_message_that_was_refused(take):
    take(10)
    take(10)
    with pytest.raises(BadImage, match='its stamp is 6.000 s before the one of the previous'):
        take(4)
    take(5)


def test_a_stamp_before_1970_does_not_count_as_the_last(take):
    take(10)
    with pytest.raises(BadImage, match=r'its stamp is before 1970 \(-5 s\)'):
        take(-5)
    with pytest.raises(BadImage, match='1.000 s before'):
        take(9)


def test_what_is_too_old_is_refused_if_there_is_a_limit(take):
    take(900, now=1000, max_age=100.0)
    with pytest.raises(BadImage, match='it is 101.000 s old, max_age is 100'):
        take(900, now=1001, max_age=100.0)
    take(900, now=10_000)
