# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The evaluator beside a real node, over real DDS."""

import time

from jrn_perception.evaluation.recordings.pairing import stamp_of
from jrn_perception.recordings.reader import IMAGE
import pytest

rclpy = pytest.importorskip('rclpy')
evaluator_module = pytest.importorskip('jrn_perception.ros.playback.evaluator')
NODE = '/jrn_perception'


@pytest.fixture
def evaluator(robot):
    """Return an evaluator in the process of the robot's camera."""
    with evaluator_module.Evaluator(context=robot.body.context) as evaluator:
        yield evaluator


def nanoseconds(header):
    return header.stamp.sec * 10**9 + header.stamp.nanosec


def test_hears_pictures_and_results_in_order(robot, evaluator, tools):
    robot.start()
    for topic in ('/image', '/depth', '/semantics'):
        evaluator.listen(topic, IMAGE)
    camera = robot.camera('/image', match=False)
    robot.wait_for(lambda: camera.get_subscription_count() == 2, 'node and evaluator')
    results = [publisher for publisher in robot.node.publishers
               if publisher.topic_name in ('/depth', '/semantics')]
    robot.wait_for(lambda: all(publisher.get_subscription_count() for publisher in results),
                   'the results are listened to')
    before, stamps = time.monotonic(), []
    for _ in range(3):
        stamps.append(nanoseconds(robot.send(tools.picture())))
        # One after the other: the newest frame wins.
        heard = [evaluator.take(30) for _ in range(3)]
        assert {item.topic for item in heard} == {'/image', '/depth', '/semantics'}
        assert {stamp_of(item.data) for item in heard} == {stamps[-1]}
        seconds = [item.seconds for item in heard]
        assert before < seconds[0] <= seconds[1] <= seconds[2] < time.monotonic()
        before = seconds[2]
    assert evaluator.take(0) is None


def test_times_are_those_of_arrival_not_of_taking(robot, evaluator, tools):
    evaluator.listen('/image', IMAGE)
    camera = robot.camera('/image', match=False)
    robot.wait_for(camera.get_subscription_count, 'the evaluator')
    for _ in range(5):
        robot.send(tools.picture())
    first = evaluator.take(30)
    assert first is not None
    robot.wait_for(lambda: evaluator._received.qsize() == 4, 'all pictures')
    arrived = time.monotonic()
    assert all(evaluator.take(0).seconds < arrived for _ in range(4))


def test_parameters_of_the_node(robot, evaluator):
    assert not evaluator.is_there(NODE)
    robot.start()
    robot.wait_for(lambda: evaluator.is_there(NODE), 'the node')
    assert evaluator.get_parameters_of(NODE, ['architecture', 'inference_height', 'lazy']) == {
        'architecture': 'hydranet', 'inference_height': 64, 'lazy': True}
    evaluator.set_parameters_of(NODE, {'min_depth': 1e-6, 'max_depth': 1000.0})
    assert evaluator.get_parameters_of(NODE, ['max_depth', 'min_depth']) == {
        'max_depth': 1000.0, 'min_depth': 1e-6}
    with pytest.raises(RuntimeError, match='/jrn_perception refuses lazy, max_depth: max_depth'):
        evaluator.set_parameters_of(NODE, {'lazy': False, 'max_depth': 1e9})
    # All or none.
    assert evaluator.get_parameters_of(NODE, ['lazy']) == {'lazy': True}
    with pytest.raises(RuntimeError, match='does not have all of lazy, nonsense'):
        evaluator.get_parameters_of(NODE, ['lazy', 'nonsense'])


def test_who_is_not_there_is_named(evaluator, monkeypatch):
    monkeypatch.setattr(evaluator_module, 'ANSWER_S', 0.2)
    with pytest.raises(RuntimeError, match='/nobody/get_parameters does not answer'):
        evaluator.get_parameters_of('/nobody', ['lazy'])


def test_a_lost_answer_is_asked_for_again(robot, evaluator, monkeypatch):
    monkeypatch.setattr(evaluator_module, 'ASK_AGAIN_S', 0.3)
    robot.start()
    client = evaluator._client(evaluator_module.GetParameters, f'{NODE}/get_parameters')
    send, sent = client.call_async, []

    def lose_the_first(request):
        sent.append(request)
        return rclpy.task.Future() if len(sent) == 1 else send(request)

    monkeypatch.setattr(client, 'call_async', lose_the_first)
    assert evaluator.get_parameters_of(NODE, ['lazy']) == {'lazy': True}
    assert len(sent) == 2
