# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""One camera of the node: which frames it takes, and when it listens."""

from importlib import import_module
from itertools import count
import time

import pytest

pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
frame_checks = import_module('jrn_perception.ros.camera.frame_checks')
BadImage = import_module('jrn_perception.ros.conversions.images').BadImage
OUTPUTS = import_module('jrn_perception.ros.outputs').OUTPUTS
Image = import_module('sensor_msgs.msg').Image
Stamp = import_module('builtin_interfaces.msg').Time
Time = import_module('rclpy.time').Time


# Stamps.


@pytest.fixture
def take():
    """Return a function that checks a stamp (s) at `now` (s), after all the stamps before it."""
    stamps = frame_checks.StampCheck()

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


# Demand: the node reads the images only while somebody wants an output.


def reads(robot):
    """Return whether the node has a subscription to the images."""
    return any(subscription.topic_name == '/image' for subscription in robot.node.subscriptions)


@pytest.fixture(params=['events', 'polling'])
def demand(request, robot, monkeypatch):
    """Return how the node learns of its subscribers: by events, or as on Humble by polling."""
    qos = import_module('jrn_perception.ros.middleware.qos')
    if request.param == 'polling':
        monkeypatch.setattr(qos, 'PublisherEventCallbacks', None)
    elif qos.PublisherEventCallbacks is None:
        pytest.skip('rclpy has no event for subscribers that come or go')
    return request.param


def test_images_are_read_while_somebody_listens(robot, tools, demand):
    robot.start()
    camera = robot.camera()
    assert not reads(robot)
    depth = robot.listen('depth')
    assert reads(robot)
    robot.ask(tools.picture(), depth)
    overlay = robot.listen('overlay')
    # The first one leaves, one is left.
    subscriptions = {subscription.topic_name: subscription
                     for subscription in robot.body.subscriptions}
    robot.body.destroy_subscription(subscriptions['/depth'])
    robot.wait_for(lambda: not robot.node.count_subscribers('/depth'), 'the first has left')
    robot.ask(tools.picture(), overlay)
    robot.body.destroy_subscription(subscriptions['/overlay'])
    robot.wait_for(lambda: not reads(robot), 'nobody is left')
    robot.wait_for(lambda: not camera.get_subscription_count(), 'the camera is alone')
    assert robot.status(lambda status: status.values['state'] == 'idle').level == 0
    # And again.
    depth = robot.listen('depth')
    robot.ask(tools.picture(), depth)
    assert robot.status(lambda status: status.level == 0 and status.arrived).arrived == 3


def test_listeners_that_come_and_go_quickly(robot, tools, demand):
    robot.start()
    robot.camera()
    for _ in range(10):
        # Too quickly for the node to see each of them.
        for pause in (0, 0.01, 0.05):
            subscription = robot.body.create_subscription(Image, 'depth', lambda _: None, 10)
            time.sleep(pause)
            robot.body.destroy_subscription(subscription)
    robot.wait_for(lambda: not robot.node.count_subscribers('/depth'), 'all have left')
    robot.wait_for(lambda: not reads(robot), 'nobody is left')
    robot.ask(tools.picture(), robot.listen('depth'))
    assert robot.status(lambda status: status.count['frames_processed']).level == 0


def test_the_first_answer_comes_soon_after_the_first_listener(robot, tools, demand):
    robot.start()
    robot.camera(match=False)
    rgb = tools.picture()
    # The listener's wait on a robot, where the camera goes on publishing.
    robot.wait_for(lambda: robot.node.count_publishers('/image'), 'the camera is known')
    listening = time.monotonic()
    depth = robot.listen('depth', match=False)
    tries = count()

    def answered():
        if next(tries) % 2 == 0:
            robot.send(rgb)
        return depth
    robot.wait_for(answered, 'the first answer')
    assert time.monotonic() - listening < 1.0


def test_parameters_decide_on_the_subscription_too(robot, tools, demand):
    robot.start(lazy=False)
    assert reads(robot)
    for values, expected in (({'enabled': False}, False), ({'enabled': True}, True),
                             ({'lazy': True}, False), ({'lazy': False}, True)):
        assert robot.configure(**values).successful
        assert reads(robot) == expected
    assert robot.enable(False).success
    assert not reads(robot)
    # What the network cannot give is not wanted.
    assert robot.configure(lazy=True, enabled=True).successful
    influence = robot.listen('influence/depth')
    status = robot.status(lambda status: 'influence/* has subscribers' in status.message)
    assert (status.level, status.values['state']) == (0, 'idle')
    assert not reads(robot)
    assert robot.configure(architecture='jrn', variant='cat1').successful
    assert reads(robot)
    robot.camera()
    robot.ask(tools.picture(), influence)


# Outputs that fail.


def break_output(monkeypatch, name, error):
    """Have the making of an output fail."""
    output, = (output for output in OUTPUTS if output.name == name)

    def fail(result):
        raise error
    monkeypatch.setitem(vars(output), 'make', fail)


def test_an_output_that_fails_leaves_the_others(robot, tools, monkeypatch):
    robot.start()
    robot.camera()
    depth, overlay, semantics = map(robot.listen, ('depth', 'overlay', 'semantics'))
    break_output(monkeypatch, 'overlay', ValueError('no such colour'))
    for _ in range(3):
        robot.ask(tools.picture(), depth, semantics)
    assert not overlay
    status = robot.status(lambda status: status.count['frames_processed'] == 3)
    assert (status.level, status.values['state']) == (1, 'running')
    assert status.message == 'output overlay fails: ValueError: no such colour'
    assert (status.values['outputs_failed'], status.values['frames_failed']) == ('3', '0')
    # Said once, with the place.
    warning, = robot.wait_for(lambda: robot.warnings('overlay'))
    assert 'output overlay fails' in warning
    assert 'Traceback' in warning
    monkeypatch.undo()
    robot.ask(tools.picture(), depth, overlay)
    assert robot.status(lambda status: status.level == 0).values['outputs_failed'] == '3'


def test_a_publisher_that_fails_leaves_the_others(robot, tools, monkeypatch):
    node = robot.start()
    robot.camera()
    depth, semantics = map(robot.listen, ('depth', 'semantics'))
    publisher, = (other for other in node.publishers if other.topic_name == '/depth')

    def fail(message):
        raise RuntimeError('the middleware says no')
    monkeypatch.setattr(publisher, 'publish', fail, raising=False)
    robot.ask(tools.picture(), semantics)
    assert not depth
    status = robot.status(lambda status: status.count['frames_processed'])
    assert status.message == 'output depth fails: RuntimeError: the middleware says no'


def test_a_frame_without_any_output_has_failed(robot, tools, monkeypatch):
    robot.start()
    robot.camera()
    robot.listen('overlay')
    robot.calibrate()
    break_output(monkeypatch, 'overlay', ValueError('no such colour'))
    robot.send(tools.picture())
    status = robot.status(lambda status: status.level == 2)
    assert status.values['state'] == 'failing'
    assert status.count['frames_failed'] == 1
