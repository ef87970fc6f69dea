# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The node in a process of its own, as on a robot; the camera is in this one."""

import ctypes
import ctypes.util
from importlib import import_module
from itertools import count
from pathlib import Path
import re
import signal
import sys
import threading
import time

import cv2
from jrn_perception.perception import Perception
import numpy as np
import pytest

rclpy = pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
SetParameters = import_module('rcl_interfaces.srv').SetParameters
CompressedImage = import_module('sensor_msgs.msg').CompressedImage
SMALL = ('-p', 'weights:=random', '-p', 'architecture:=hydranet', '-p', 'inference_height:=64',
         '-p', 'inference_width:=96')
# A picture of 640x480 needs reliability or the profile in config/; a test may not depend on luck.
RELIABLE = ('-p', 'qos_overrides./image.subscription.reliability:=reliable',
            '-p', 'qos_overrides./image/compressed.subscription.reliability:=reliable')


def connect(robot, tools, child, *topics):
    """Return an inbox for each topic once small pictures come back on all of them."""
    child.wait_for('reading /image')
    inboxes = [robot.listen(topic, match=False) for topic in topics]
    tries = count()

    def answered():
        if next(tries) % 20 == 0:
            robot.send(tools.picture())
        return all(inboxes)
    robot.wait_for(answered, 'the first answer')
    return inboxes


def test_pictures_of_a_camera_come_back_from_another_process(robot, tools, spawn):
    child = spawn('node', '--ros-args', *SMALL, *RELIABLE[:2])
    robot.camera(match=False)
    depth, semantics = connect(robot, tools, child, 'depth', 'semantics')
    rgb = tools.picture(480, 640, seed=3)
    library = Perception.load('hydranet', weights_file='random', height=64, width=96)
    for encoding, sent, seen in (
            ('rgb8', rgb, rgb), ('bgr8', rgb[..., ::-1], rgb),
            ('mono8', rgb[..., 0], np.repeat(rgb[..., :1], 3, axis=2))):
        header = robot.send(np.ascontiguousarray(sent), encoding, frame_id='optical')
        answers = robot.answers(header, depth, semantics)
        expected = library(seen)
        for answer, array in zip(answers, (expected.depth, expected.labels)):
            assert answer.header == header
            assert (answer.height, answer.width) == (480, 640)
            # Another process may sum in another order.
            answer = tools.array_of(answer)
            wrong = ~np.isclose(answer, array, atol=1e-4)
            assert wrong.mean() < 0.001, (encoding, answer[::99, ::99], array[::99, ::99])
    assert child.stop() == 0


def mappings(process):
    """Return (bytes, permissions, path) of a process's memory, in the order of the addresses."""
    result = []
    for line in Path(f'/proc/{process.pid}/maps').read_text().splitlines():
        (addresses, permissions, *_), path = line.split()[:5], line[73:].strip()
        begin, end = (int(address, 16) for address in addresses.split('-'))
        result.append((end - begin, permissions, path))
    return result


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_the_program_prepares_its_process_itself(robot, tools, spawn, monkeypatch):
    # As on a robot: without what the tests have in their environment.
    for name in ('OMP_WAIT_POLICY', 'FASTDDS_DEFAULT_PROFILES_FILE',
                 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_BUILTIN_TRANSPORTS',
                 'MALLOC_ARENA_MAX', 'MALLOC_TOP_PAD_'):
        monkeypatch.delenv(name, raising=False)
    # GNU's OpenMP then prints at its start how long a thread spins while it waits.
    monkeypatch.setenv('OMP_DISPLAY_ENV', 'VERBOSE')
    of_others = {str(path) for path in Path('/dev/shm').iterdir()}
    child = spawn('node', '--ros-args', *SMALL)
    robot.camera(match=False)
    connect(robot, tools, child, 'depth')
    # OMP_WAIT_POLICY: not at all.
    counts = re.findall(r"GOMP_SPINCOUNT = '(\d+)'", child.output)
    assert counts and set(counts) == {'0'}
    memory = mappings(child.process)
    # use_large_segments: room for several images, where the default has 512 KiB. The node also
    # maps the segment of the camera, which it reads.
    segments = [size for size, _, path in memory
                if path.startswith('/dev/shm/fast') and path not in of_others]
    assert max(segments) >= 32 * 2 ** 20
    if ctypes.util.find_library('c') and hasattr(ctypes.CDLL(None), 'gnu_get_libc_version'):
        # keep_freed_memory: one heap with much to spare, and none of each thread's own, which
        # glibc reserves 64 MiB for.
        heap, = (size for size, _, path in memory if path == '[heap]')
        assert heap >= 2 ** 28
        arenas = [one for one, other in zip(memory, memory[1:]) if one[1:] == ('rw-p', '')
                  and other[1:] == ('---p', '') and one[0] + other[0] == 64 * 2 ** 20]
        assert not arenas
    assert child.stop() == 0


def flood(robot, tools, ended):
    rgb = tools.picture(120, 160)
    while not ended.wait(0.01):
        robot.send(rgb)


@pytest.mark.parametrize('presses', [pytest.param(1, marks=pytest.mark.slow), 2])
def test_ctrl_c_while_frames_are_processed(robot, tools, spawn, presses):
    # The network's own size keeps it busy nearly all the time.
    child = spawn('node', '--ros-args', *SMALL[:4])
    robot.camera(match=False)
    depth, = connect(robot, tools, child, 'depth')
    ended = threading.Event()
    camera = threading.Thread(target=flood, args=(robot, tools, ended))
    camera.start()
    try:
        robot.wait_for(lambda: len(depth) > 3)
        for _ in range(presses - 1):
            child.process.send_signal(signal.SIGINT)
        assert child.stop() == 0, child.output
    finally:
        ended.set()
        camera.join()
    assert 'Traceback' not in child.output
    assert 'jrn_node: ' not in child.output


@pytest.mark.slow
def test_ctrl_c_while_another_network_loads(robot, spawn):
    child = spawn('node', '--ros-args', *SMALL)
    child.wait_for('reading /image')
    client = robot.body.create_client(SetParameters, '/jrn_perception/set_parameters')
    assert client.wait_for_service(20)
    # Building this one takes about a second.
    client.call_async(SetParameters.Request(parameters=[
        rclpy.parameter.Parameter('variant', value='nyu40_resnet50').to_parameter_msg()]))
    time.sleep(0.3)
    assert child.stop() == 0, child.output
    assert 'swapped' not in child.output
    assert 'Traceback' not in child.output


@pytest.mark.slow
@pytest.mark.parametrize('encoding', ['rgb8', 'bgr8', 'mono8', 'compressed'])
def test_real_pictures_come_back_whole(robot, tools, spawn, data_dir, encoding):
    compressed = encoding == 'compressed'
    child = spawn('node', '--ros-args', *SMALL, *RELIABLE[2:] if compressed else RELIABLE[:2],
                  '-p', f'image_transport:={"compressed" if compressed else "raw"}')
    robot.camera('image/compressed' if compressed else 'image',
                 CompressedImage if compressed else None, match=False)
    child.wait_for('reading /image')
    depth, semantics = (robot.listen(topic, match=False) for topic in ('depth', 'semantics'))
    robot.wait_for(lambda: robot.body.count_subscribers(robot._publisher.topic_name)
                   and robot._publisher.get_subscription_count())
    files = sorted((data_dir / 'nyuv2' / 'rgb').iterdir())[:20]
    assert files
    for file in files:
        bgr = cv2.imread(str(file))
        sent = {'rgb8': bgr[..., ::-1], 'bgr8': bgr, 'compressed': None,
                'mono8': cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)}[encoding]
        if compressed:
            message = CompressedImage(format='bgr8; jpeg compressed bgr8')
            message.data.frombytes(cv2.imencode('.jpg', bgr)[1].tobytes())
        else:
            message = tools.image_message(np.ascontiguousarray(sent), encoding)
        header = robot.send(message, frame_id='kinect')
        for answer in robot.answers(header, depth, semantics):
            assert answer.header == header
            assert (answer.height, answer.width) == bgr.shape[:2]
            assert len(np.unique(tools.array_of(answer))) > 1
    assert child.stop() == 0
