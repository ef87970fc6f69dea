# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Values that are refused, at start and on a running node: refusals disturb nothing."""

from importlib import import_module

import numpy as np
import pytest

pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
BY_NAME = import_module('jrn_perception.ros.parameters.table').BY_NAME
Shown = import_module('test_parameter_effects').Shown

REFUSED_LATER = {
    'wrong type': ({'max_rate': 'fast'}, 'max_rate: expected a number'),
    'out of range': ({'confidence_threshold': 1.5}, 'confidence_threshold: 1.5 is outside 0..1'),
    'unknown name': ({'max_rat': 5.0}, 'undeclared'),
    'no depth left': ({'min_depth': 12.0}, 'leave no valid depth: 12 to 10 m'),
    'no choice': ({'depth_colormap': 'grey-ish'}, 'turbo'),
    'only at start': ({'depth_encoding': '16UC1'}, 'set it at start'),
    'device': ({'device': 'cuda:7'}, 'set it at start'),
    'no such variant': ({'variant': 'cat7'}, 'choose from nyu40'),
    'no such weights': ({'weights': 'nowhere.safetensors'}, 'nowhere.safetensors'),
    'one of two': ({'max_rate': 1.0, 'min_depth': -1.0}, 'min_depth'),
}


@pytest.mark.parametrize('case', REFUSED_LATER)
def test_a_refusal_disturbs_nothing(robot, tools, case):
    values, reason = REFUSED_LATER[case]
    shown = Shown(robot, tools, 'confidence')
    before = shown.array()
    known = {name: robot.get(name) for name in values if name in BY_NAME}
    result = robot.configure(**values)
    assert not result.successful
    assert reason in result.reason
    assert '\n' not in result.reason
    assert {name: robot.get(name) for name in known} == known
    assert np.array_equal(shown.array(), before)
    assert len(shown.inbox) == 2


REFUSED_AT_START = {
    'wrong type': ({'enabled': 'maybe'}, 'enabled: expected true or false'),
    'out of range': ({'overlay_alpha': 2}, 'overlay_alpha: 2.0 is outside 0..1'),
    'unknown name': ({'max_rat': 5, 'lasy': True}, 'unknown parameters: lasy, max_rat; there are'),
    'no such architecture': ({'architecture': 'segnet'}, 'none of jrn, hydranet, symbiosis'),
    'no such variant': ({'variant': 'cat7'}, 'choose from nyu40'),
    'no such weights': ({'weights': 'nowhere.safetensors'}, 'no such weights file'),
    'cannot be muted': ({'mute': 'depth'}, 'only the jrn has'),
}


@pytest.mark.parametrize('case', REFUSED_AT_START)
def test_a_wrong_start_is_refused_in_one_line(robot, case):
    values, reason = REFUSED_AT_START[case]
    with pytest.raises(ValueError) as caught:
        robot.start(**values)
    assert reason in str(caught.value)
    assert '\n' not in str(caught.value)


def test_an_integer_sets_a_float_at_start_and_later(robot):
    robot.start(max_rate=5)
    assert robot.configure(max_age=3).successful
    assert robot.node.get_parameter('max_rate').value == 5
