# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""One camera of the node: which frames it takes, and when it listens."""

from importlib import import_module

import pytest

pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
camera_stream = import_module('jrn_perception.ros.camera_stream')
BadImage = import_module('jrn_perception.ros.conversions.images').BadImage
Stamp = import_module('builtin_interfaces.msg').Time
Time = import_module('rclpy.time').Time


# Stamps.


@pytest.fixture
def take():
    """Return a function that checks a stamp (s) at `now` (s), after all the stamps before it."""
    stamps = camera_stream.StampCheck()

    def check(stamp, now=1000, max_age=0.0):
        stamps.check(Stamp(sec=stamp), Time(seconds=now), max_age)
    return check


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
