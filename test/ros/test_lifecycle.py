# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The node driven by a lifecycle manager, through the services that Nav2's calls."""

from importlib import import_module
import weakref

from jrn_perception import weights
import pytest

pytest.importorskip('rclpy', reason='a node needs rclpy')

Transition = import_module('lifecycle_msgs.msg').Transition
ChangeState = import_module('lifecycle_msgs.srv').ChangeState
GetState = import_module('lifecycle_msgs.srv').GetState

CONFIGURE, ACTIVATE, DEACTIVATE, CLEANUP, SHUTDOWN = (
    Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE,
    Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP,
    Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)


class Manager:

    def __init__(self, robot):
        self.robot = robot

    def change(self, transition):
        return self.robot.call(ChangeState, 'change_state',
                               transition=Transition(id=transition)).success

    @property
    def state(self):
        return self.robot.call(GetState, 'get_state').current_state.label


@pytest.fixture
def manager(robot):
    return Manager(robot)


def names(node):
    return {publisher.topic_name for publisher in node.publishers}


def test_by_itself_the_node_is_active(robot, manager):
    robot.start()
    assert manager.state == 'active'


def test_a_manager_takes_the_node_through_all_states(robot, manager, tools):
    robot.start(autostart=False)
    robot.camera()
    depth = robot.listen('depth', match=False)
    assert manager.state == 'unconfigured'
    assert robot.status().values == {'state': 'unconfigured'}
    assert '/depth' not in names(robot.node)

    assert manager.change(CONFIGURE)
    assert manager.state == 'inactive'
    assert '/depth' in names(robot.node)
    robot.wait_for(lambda: robot.body.count_publishers('/depth'))
    status = robot.status(lambda status: status.values['state'] == 'inactive')
    assert status.level == 0
    assert status.values['architecture'] == 'hydranet'
    assert robot.node.cameras[0].subscription is None

    assert manager.change(ACTIVATE)
    assert manager.state == 'active'
    robot.ask(tools.picture(), depth)
    network = weakref.ref(robot.node._swap.latest.perception)

    assert manager.change(DEACTIVATE)
    robot.wait_for(lambda: not robot.body.count_subscribers('/image'))
    assert network() is robot.node._swap.latest.perception, 'it stays loaded'
    assert robot.status(lambda status: status.values['state'] == 'inactive')
    assert manager.change(ACTIVATE)
    robot.ask(tools.picture(), depth)

    assert manager.change(DEACTIVATE) and manager.change(CLEANUP)
    assert manager.state == 'unconfigured'
    robot.wait_for(lambda: network() is None)  # It is freed.
    robot.wait_for(lambda: not robot.body.count_publishers('/depth'))
    assert manager.change(CONFIGURE) and manager.change(ACTIVATE)
    robot.ask(tools.picture(), depth)
    assert manager.change(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert manager.state == 'finalized'
    assert robot.status().values == {'state': 'finalized'}


def test_the_frame_in_progress_is_finished_before_the_state_changes(robot, manager, tools,
                                                                    infer_gate):
    robot.start(autostart=False)
    assert manager.change(CONFIGURE) and manager.change(ACTIVATE)
    robot.camera()
    depth = robot.listen('depth')
    infer_gate.close()
    first = robot.send(tools.picture())
    assert infer_gate.started.acquire(timeout=20)
    robot.send(tools.picture())  # It waits in the slot, and is not processed any more.
    infer_gate.go_on.release(2)
    assert manager.change(DEACTIVATE)
    robot.answers(first, depth)
    robot.status(lambda status: status.values['state'] == 'inactive')
    assert len(depth) == 1


def test_what_cannot_be_configured_is_told_and_can_be_mended(robot, manager, tools, tmp_path):
    loaded = weights.load('hydranet', weights='random')
    file = tmp_path / 'damaged.safetensors'
    weights.save(loaded.network, loaded.card, file)
    file.write_bytes(file.read_bytes()[:-1])
    robot.start(autostart=False, weights=str(file))
    assert not manager.change(CONFIGURE)
    assert manager.state == 'unconfigured'
    robot.wait_for(lambda: robot.warnings(f'cannot be configured: {file}: '))
    assert robot.configure(weights='random').successful
    assert manager.change(CONFIGURE) and manager.change(ACTIVATE)
    robot.camera()
    robot.ask(tools.picture(), robot.listen('depth'))


def test_parameters_that_change_before_are_those_of_the_network(robot, manager):
    robot.start(autostart=False)
    assert robot.configure(architecture='jrn', variant='cat1', weights='random').successful
    refused = robot.configure(architecture='jrn', variant='nyu40')
    assert not refused.successful and "unknown variant 'nyu40' of jrn" in refused.reason
    assert robot.configure(min_depth=12.0).successful  # Whether it fits, the weights decide.
    assert not manager.change(CONFIGURE)
    robot.wait_for(lambda: robot.warnings('leave no valid depth'))
    assert robot.configure(min_depth=0.0).successful
    assert manager.change(CONFIGURE)
    status = robot.status(lambda status: status.values['state'] == 'inactive')
    assert (status.values['architecture'], status.values['variant']) == ('jrn', 'cat1')
    robot.wait_for(lambda: robot.get('labels') != [''])


def test_a_network_swaps_while_the_node_is_inactive(robot, manager, tools):
    robot.start(autostart=False)
    assert manager.change(CONFIGURE)
    assert robot.configure(architecture='jrn', variant='cat1', weights='random').successful
    assert manager.change(ACTIVATE)
    robot.camera()
    robot.ask(tools.picture(), robot.listen('depth'))
    assert robot.status().values['architecture'] == 'jrn'
