# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The message that names the class ids; how late joiners get it is in test_node.py."""

from importlib import import_module

import pytest

pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
label_message = import_module('jrn_perception.ros.conversions.label_info')
Time = import_module('builtin_interfaces.msg').Time


@pytest.mark.skipif(label_message.LabelInfo is None, reason='vision_msgs is not installed')
def test_names_stand_under_their_ids():
    message = label_message.label_message(['wall', 'floor'], 0.25, Time(sec=7))
    assert [(entry.class_id, entry.class_name) for entry in message.class_map] == [
        (0, 'wall'), (1, 'floor')]
    assert (message.threshold, message.header.stamp.sec) == (0.25, 7)
