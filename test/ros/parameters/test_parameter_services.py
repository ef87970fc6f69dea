# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Parameters as `ros2 param` and rqt see them, and the services that set them."""

import gc
from importlib import import_module
import threading
import time
import weakref

from jrn_perception.perception import Perception
from jrn_perception.perception.backends.torch import TorchBackend
import pytest

rclpy = pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
DescribeParameters = import_module('rcl_interfaces.srv').DescribeParameters
ListParameters = import_module('rcl_interfaces.srv').ListParameters
SetParameters = import_module('rcl_interfaces.srv').SetParameters
SetParametersAtomically = import_module('rcl_interfaces.srv').SetParametersAtomically
Parameter = import_module('rclpy.parameter').Parameter
PARAMETERS = import_module('jrn_perception.ros.parameters.settings').PARAMETERS
TIMEOUT_S = 20


def set_each(robot, **values):
    """Set parameters as `ros2 param load` does, one by one in one request; return the results."""
    return robot.call(SetParameters, 'set_parameters', parameters=[
        Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]).results


# What is shown.


def test_descriptors_tell_ranges_choices_and_what_is_read_only(robot):
    robot.start()
    names = [row.name for row in PARAMETERS]
    descriptors = robot.call(DescribeParameters, 'describe_parameters', names=names).descriptors
    assert [descriptor.name for descriptor in descriptors] == names
    for row, descriptor in zip(PARAMETERS, descriptors):
        assert descriptor.description == row.meaning
        floats = [(limits.from_value, limits.to_value)
                  for limits in descriptor.floating_point_range]
        integers = [(limits.from_value, limits.to_value) for limits in descriptor.integer_range]
        kind = type(row.default)
        assert floats == ([(row.low, row.high)] if kind is float else []), row.name
        assert integers == ([(row.low, row.high)] if kind is int else []), row.name
        if row.choices:
            assert descriptor.additional_constraints == ', '.join(row.choices)
    assert {descriptor.name for descriptor in descriptors if descriptor.read_only} == {
        'device', 'precision', 'backend', 'threads', 'inference_height', 'inference_width',
        'image_transport', 'depth_encoding', 'confidence_encoding', 'rectified', 'range_inputs',
        'range_extrinsics', 'autostart', 'cameras'}


# What is refused, by whom, in whose words.


@pytest.mark.parametrize(('values', 'reason'), [
    ({'max_rate': -1.0}, 'max_rate: -1.0 is outside 0..1000'),
    ({'max_rate': 2000}, 'max_rate: 2000.0 is outside 0..1000'),
    ({'points_stride': 65}, 'points_stride: 65 is outside 1..64'),
    ({'device': 'cuda'}, 'device: cannot change while the node runs; set it at start'),
    ({'labels': ['wall']}, 'labels: is set by the node, not from outside'),
    ({'max_rat': 1.0}, 'max_rat: undeclared; see `ros2 param list`'),
])
def test_the_reason_of_a_refusal_is_ours(robot, values, reason):
    robot.start()
    assert robot.configure(**values).reason == reason
    result, = set_each(robot, **values)
    assert (result.successful, result.reason) == (False, reason)


@pytest.mark.parametrize(('values', 'reason'), [
    ({'max_rate': -1.0}, 'max_rate: -1.0 is outside 0..1000'),
    ({'inference_height': -1}, 'inference_height: -1 is outside 0..4096')])
def test_the_reason_of_a_refusal_at_start_is_ours(robot, values, reason):
    with pytest.raises(ValueError) as caught:
        robot.start(**values)
    assert str(caught.value) == reason


def test_rclpy_itself_keeps_code_of_this_process_from_a_bad_value(robot):
    node = robot.start()
    for name, value in (('max_rate', -1.0), ('points_stride', 65), ('device', 'cuda')):
        result, = node.set_parameters([Parameter(name, value=value)])
        assert not result.successful
        assert name in result.reason
    # Of no range: an integer that stands for a float.
    for value, expected in ((2000, False), (5, True)):
        result, = node.set_parameters([Parameter('max_rate', value=value)])
        assert result.successful == expected, result.reason


def test_a_dump_can_be_loaded_into_the_running_node(robot):
    robot.start(device='cpu')
    # As `ros2 param dump` writes it: with the parameters that rclpy has declared.
    names = robot.call(ListParameters, 'list_parameters').result.names
    assert {row.name for row in PARAMETERS} < set(names)
    assert 'qos_overrides./depth.publisher.depth' in names
    values = {name: robot.get(name) for name in names}
    results = set_each(robot, **values)
    assert [result.reason for result in results if not result.successful] == []
    results = set_each(robot, device='cpu', max_rate=7, depth_encoding='16UC1')
    assert [result.successful for result in results] == [True, True, False]
    assert robot.get('max_rate') == 7


def test_a_refused_change_of_a_qos_parameter_loads_no_network(robot):
    node = robot.start()
    name = 'qos_overrides./depth.publisher.depth'
    result = robot.configure(architecture='jrn', **{name: 7})
    assert (result.successful, result.reason) == (
        False, f'{name}: cannot change while the node runs; set it at start')
    assert (robot.get('architecture'), robot.get(name)) == ('hydranet', 2)
    assert node._swap.prepared is None


def test_a_parameter_of_an_unknown_type_is_refused(robot):
    robot.start()
    message = Parameter('max_rate', value=1.0).to_parameter_msg()
    message.value.type = 99
    result, = robot.call(SetParameters, 'set_parameters', parameters=[message]).results
    assert not result.successful
    assert '99' in result.reason
    assert robot.configure(max_rate=2.0).successful


def test_a_home_that_does_not_exist_is_refused(robot):
    robot.start()
    result = robot.configure(weights='~nobody_of_that_name/mine.safetensors')
    assert (result.successful, result.reason) == (
        False, '~nobody_of_that_name/mine.safetensors: no such weights file')
    assert robot.configure(max_rate=2.0).successful


# A load takes its time.


def test_all_else_goes_on_while_a_network_loads(robot, tools, slow_load):
    robot.start()
    robot.camera()
    depth = robot.listen('depth')
    loading, go_on = slow_load()
    results = []
    setting = threading.Thread(
        target=lambda: results.append(robot.configure(architecture='jrn', max_rate=500.0)))
    setting.start()
    assert loading.acquire(timeout=TIMEOUT_S)
    try:
        robot.ask(tools.picture(), depth)
        assert robot.get('architecture') == 'hydranet'
        assert robot.status().values['architecture'] == 'hydranet'
        assert robot.enable(False).success
        assert robot.status(lambda status: status.values['state'] == 'disabled')
        assert not results
    finally:
        go_on.release()
        setting.join(TIMEOUT_S)
    assert results[0].successful
    # What was set in between holds.
    assert [robot.get(name) for name in ('enabled', 'architecture', 'max_rate')] == [
        False, 'jrn', 500.0]
    assert robot.enable(True).success
    robot.ask(tools.picture(), depth)
    assert robot.status().values['architecture'] == 'jrn'


def test_a_request_that_comes_while_the_node_starts_is_answered(robot, slow_load):
    loading, go_on = slow_load()
    starting = threading.Thread(target=robot.start)
    starting.start()
    assert loading.acquire(timeout=TIMEOUT_S)
    clients = [robot.body.create_client(kind, f'/jrn_perception/{name}') for kind, name in (
        (SetParameters, 'set_parameters'), (SetParametersAtomically, 'set_parameters_atomically'))]
    try:
        assert all(client.wait_for_service(TIMEOUT_S) for client in clients)
        # Requests are reliable, but the service has to know its client to answer.
        time.sleep(0.5)
        answers = [client.call_async(client.srv_type.Request(parameters=[
            Parameter('max_rate', value=5.0).to_parameter_msg()])) for client in clients]
        time.sleep(0.5)
    finally:
        go_on.release()
        starting.join(TIMEOUT_S)
    robot.wait_for(lambda: all(answer.done() for answer in answers), 'both answers')
    assert answers[0].result().results[0].successful
    assert answers[1].result().result.successful


def test_one_change_waits_for_the_other(robot, slow_load):
    robot.start()
    loading, go_on = slow_load()
    results = {}

    def configure(name, **values):
        results[name] = robot.configure(**values)
    threads = [threading.Thread(target=configure, args=('first',),
                                kwargs={'architecture': 'jrn'}),
               threading.Thread(target=configure, args=('second',),
                                kwargs={'mute': 'depth'})]
    threads[0].start()
    assert loading.acquire(timeout=TIMEOUT_S)
    threads[1].start()
    time.sleep(0.5)
    assert not results
    go_on.release()
    for thread in threads:
        thread.join(TIMEOUT_S)
    # A HydraNet could not be muted.
    assert results['first'].successful
    assert results['second'].successful, results['second'].reason


def test_a_node_that_ends_while_a_network_loads_waits_for_it(robot, slow_load):
    node = robot.start()
    loading, go_on = slow_load()
    robot.body.create_client(SetParameters, '/jrn_perception/set_parameters').call_async(
        SetParameters.Request(parameters=[
            Parameter('architecture', value='jrn').to_parameter_msg()]))
    assert loading.acquire(timeout=TIMEOUT_S)
    threading.Timer(0.3, go_on.release).start()
    robot.stop()
    assert not [thread for thread in threading.enumerate() if thread.name == 'load']
    assert node is not robot.node


@pytest.mark.parametrize('release', ['since Jazzy', 'Humble'])
def test_code_of_this_process_can_swap_and_is_refused_too(robot, tools, monkeypatch, release):
    if release == 'Humble':
        for name in ('add_pre_set_parameters_callback', 'add_post_set_parameters_callback'):
            monkeypatch.delattr(rclpy.node.Node, name, raising=False)
    node = robot.start()
    robot.camera()
    depth = robot.listen('depth')
    # In the executor's thread, as every callback of a composed node is.
    results = []
    executor = node.executor
    for values in ({'variant': 'kitti6'}, {'weights': 'nowhere.safetensors'}):
        task = executor.create_task(node.set_parameters_atomically, [
            Parameter(name, value=value) for name, value in values.items()])
        robot.wait_for(task.done, 'the answer')
        results.append(task.result())
    assert [result.successful for result in results] == [True, False]
    assert 'no such weights file' in results[1].reason
    robot.ask(tools.picture(), depth)
    assert robot.status().values['variant'] == 'kitti6'
    robot.wait_for(lambda: len(robot.get('labels')) == 6, 'the labels')
    assert robot.configure(architecture='jrn', use_sim_time='yes').reason == (
        'use_sim_time: expected true or false')
    robot.ask(tools.picture(), depth)
    assert robot.status().values['architecture'] == 'hydranet'


# The first run.


def test_a_network_that_cannot_run_is_freed_at_once(robot, monkeypatch):
    robot.start()
    networks = []

    def fail(perception):
        networks.append(weakref.ref(perception.backend.network))
        raise RuntimeError('CUDA out of memory')
    monkeypatch.setattr(Perception, 'warm_up', fail)
    gc.collect()
    gc.disable()
    try:
        assert robot.configure(architecture='jrn').reason == 'CUDA out of memory'
        network, = networks
        robot.wait_for(lambda: network() is None, 'memory for the next try')
    finally:
        gc.enable()


def test_a_network_that_cannot_run_here_is_refused_before_a_frame_comes(robot, tools, monkeypatch):
    run = TorchBackend.run

    def fail(self, *arguments):
        raise RuntimeError('CUDA out of memory')
    monkeypatch.setattr(TorchBackend, 'run', fail)
    with pytest.raises(RuntimeError, match='CUDA out of memory'):
        robot.start()
    monkeypatch.setattr(TorchBackend, 'run', run)
    robot.start()
    robot.camera()
    depth = robot.listen('depth')
    monkeypatch.setattr(TorchBackend, 'run', lambda self, *arguments: (
        fail(self) if self.can_mute else run(self, *arguments)))
    result = robot.configure(architecture='jrn')
    assert (result.successful, result.reason) == (False, 'CUDA out of memory')
    robot.ask(tools.picture(), depth)
    assert robot.status().values['architecture'] == 'hydranet'
