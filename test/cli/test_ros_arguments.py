# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What of a command line is ROS's."""

from jrn_perception.cli.ros_arguments import split
import pytest


@pytest.mark.parametrize('argv, own, ros', [
    ('', '', ''),
    ('bag --speed 2', 'bag --speed 2', ''),
    ('bag --ros-args -r image:=left', 'bag', '-r image:=left'),
    # As launch appends them to a command that has some of its own.
    ('bag --ros-args -p a:=1 --ros-args -p b:=2', 'bag', '-p a:=1 -p b:=2'),
    ('--ros-args -p a:=1 -- bag -- x --ros-args -r b:=c', 'bag -- x', '-p a:=1 -r b:=c'),
])
def test_our_arguments_and_those_of_ros(argv, own, ros):
    assert split(argv.split()) == (own.split(), ros.split())
