# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The node under load for long: flat memory, no lost frame, and neighbours that are killed."""

from importlib import import_module
import subprocess
import sys
import time

from memory_use import growth, resident_mb
import pytest

pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
process_tests = import_module('test_node_process')
swap_tests = import_module('test_node_swap')
connect, SMALL = process_tests.connect, process_tests.SMALL
RELIABLE = process_tests.RELIABLE[:2]
Stream, stamps = swap_tests.Stream, swap_tests.stamps
pytestmark = pytest.mark.slow

FRAMES, WARM_UP, SAMPLE = 4000, 1000, 100
# A leak of one depth map of 48x64 a frame would be 37 MB in all frames after the warm-up.
FLAT_MB = 3.0
SWAP_S, SWAPPING_S = 0.2, 20.0
CAMERA = """
import rclpy, time
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('camera')
publisher = node.create_publisher(Image, 'image', 10)
message = Image(height=48, width=64, encoding='rgb8', step=192)
message.data.frombytes(bytes(range(192)) * 48)
while True:
    message.header.stamp = node.get_clock().now().to_msg()
    publisher.publish(message)
    time.sleep(0.05)
"""
# The frame_id counts the images of a camera.
FLOOD = """
import itertools, rclpy, sys, time
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('flood')
publishers = [node.create_publisher(Image, f'{name}/image', 1) for name in sys.argv[2:]]
message = Image(height=48, width=64, encoding='rgb8', step=192)
message.data.frombytes(bytes(range(192)) * 48)
for count in itertools.count():
    message.header.frame_id = str(count)
    for publisher in publishers:
        message.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(message)
    time.sleep(1 / float(sys.argv[1]))
"""
CAMERAS, FLOOD_HZ, FLOOD_S = ('front', 'left', 'right'), 200, 10.0
SUBSCRIBER = """
import pathlib, rclpy, sys
from sensor_msgs.msg import Image
rclpy.init()
node = rclpy.create_node('subscriber')
node.create_subscription(Image, 'depth', lambda _: pathlib.Path(sys.argv[1]).touch(), 10)
rclpy.spin(node)
"""


@pytest.fixture
def neighbour():
    """Return a function that starts a program in a process; all are killed at the end."""
    started = []

    def start(program, *arguments):
        started.append(subprocess.Popen([sys.executable, '-c', program, *map(str, arguments)]))
        return started[-1]
    yield start
    for process in started:
        process.kill()
        process.wait()


def kill(process):
    """End a process as `kill -9` does."""
    process.kill()
    process.wait()


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_memory_is_flat_over_thousands_of_frames(robot, tools, spawn):
    child = spawn('node', '--ros-args', *SMALL, *RELIABLE)
    robot.camera(match=False)
    depth, labels = connect(robot, tools, child, 'depth', 'semantics')
    rgb, memory = tools.picture(), []
    for frame in range(FRAMES):
        header = robot.send(rgb)
        robot.answers(header, depth, labels)
        del depth[:-10], labels[:-10]
        if frame >= WARM_UP and frame % SAMPLE == 0:
            memory.append(resident_mb(child.process.pid))
    assert growth(memory) < FLAT_MB, memory
    status = robot.status()
    assert (status.count['frames_failed'], status.count['frames_rejected']) == (0, 0)


def test_a_swap_five_times_a_second_loses_no_frame(robot, tools):
    robot.start()
    robot.camera()
    depth, labels = robot.listen('depth'), robot.listen('semantics')
    swaps, ends = 0, time.monotonic() + SWAPPING_S
    with Stream(robot, tools.picture(), depth, labels) as stream:
        stream.more()
        while time.monotonic() < ends:
            due = time.monotonic() + SWAP_S
            swaps += 1
            assert robot.configure(variant=('nyu40', 'kitti6')[swaps % 2]).successful
            time.sleep(max(0.0, due - time.monotonic()))
        stream.more()
    # A busy machine loads slowly.
    assert swaps > 10
    assert len(stream.sent) > swaps
    assert stamps(depth) == stamps(labels) == stream.sent
    status = robot.status(lambda status: status.count['frames_processed'] == len(stream.sent))
    assert (status.count['frames_dropped'], status.count['frames_failed']) == (0, 0)


def test_the_node_goes_on_when_its_camera_and_a_subscriber_are_killed(robot, spawn, neighbour,
                                                                      tmp_path):
    child = spawn('node', '--ros-args', *SMALL, *RELIABLE)
    child.wait_for('reading /image')
    depth = robot.listen('depth', match=False)
    camera = neighbour(CAMERA)
    subscriber = neighbour(SUBSCRIBER, tmp_path / 'heard')
    robot.wait_for(lambda: depth and (tmp_path / 'heard').exists(), 'both are served')

    def more(count):
        start = len(depth)
        robot.wait_for(lambda: len(depth) >= start + count, f'{count} more answers')
    kill(subscriber)
    more(30)
    kill(camera)
    time.sleep(0.5)
    heard = len(depth)
    time.sleep(0.5)
    assert len(depth) == heard
    neighbour(CAMERA)
    more(30)
    status = robot.status()
    assert (status.count['frames_failed'], status.level) == (0, 0)
    # And the others go on without the node, until the next one comes.
    kill(child.process)
    successor = spawn('node', '--ros-args', *SMALL, *RELIABLE)
    successor.wait_for('reading /image')
    more(30)


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_three_cameras_of_ten_times_the_capacity_share_the_node(robot, spawn, neighbour):
    child = spawn('node', '--ros-args', '-p', 'weights:=random', '-p', 'architecture:=hydranet',
                  '-p', 'inference_height:=144', '-p', 'inference_width:=192', '-p',
                  f'cameras:={",".join(CAMERAS)}')
    robot._cameras = len(CAMERAS)
    child.wait_for('reading /front/image')
    inboxes = {name: robot.listen(f'{name}/depth', match=False) for name in CAMERAS}
    neighbour(FLOOD, FLOOD_HZ, *CAMERAS)
    robot.wait_for(lambda: all(len(inbox) > 10 for inbox in inboxes.values()), 'all are served')
    time.sleep(FLOOD_S)  # The allocator reaches its size.
    begin = {name: len(inbox) for name, inbox in inboxes.items()}
    before = resident_mb(child.process.pid)
    time.sleep(FLOOD_S)
    answers = {name: inbox[begin[name]:] for name, inbox in inboxes.items()}
    now = robot.body.get_clock().now().nanoseconds
    # All images that come in this time are 55 MB.
    assert resident_mb(child.process.pid) - before < 15
    sent = 0
    for name, part in answers.items():
        assert len(part) > 0.25 * sum(map(len, answers.values())), f'{name} starves'
        numbers = [int(answer.header.frame_id) for answer in part]
        assert numbers == sorted(set(numbers))
        sent += numbers[-1] - numbers[0]
        # The newest image is processed, not the oldest that waits.
        stamp = part[-1].header.stamp
        assert now - (stamp.sec * 10 ** 9 + stamp.nanosec) < 5e9
    assert sent > 10 * sum(map(len, answers.values()))
    for name in CAMERAS:
        status = robot.status(lambda status: status.count['frames_processed'] > 10, camera=name)
        assert (status.count['frames_failed'], status.count['frames_rejected']) == (0, 0)
