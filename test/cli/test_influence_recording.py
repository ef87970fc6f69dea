# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The influence that a node shows over a recording is what ``jrn_evaluate influence`` reports."""

from importlib import import_module
import json
import time
from typing import NamedTuple

import cv2
from jrn_perception.cli.evaluate import main
from jrn_perception.evaluation.measures.frames import open_frames
from jrn_perception.recordings.reader import COMPRESSED, Recording
import numpy as np
import pytest

for needed in ('matplotlib', 'rich', 'rosbags'):
    pytest.importorskip(needed, reason="pip install '.[evaluate]'")
rclpy = pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
DiagnosticArray = import_module('diagnostic_msgs.msg').DiagnosticArray
Image = import_module('sensor_msgs.msg').Image
Replay = import_module('jrn_perception.ros.playback.player').Replay
Writer = import_module('jrn_perception.recordings.writer').Writer

TOPIC = '/image/compressed'
START, PERIOD = 1_700_000_000_000_000_000, 10**8
# Node and evaluation may sum in another order: the last bit of ten metres.
FLOAT32 = 10 * float(np.finfo(np.float32).eps)


class Live(NamedTuple):
    """Of each picture, in order: both maps, and the numbers of the diagnostics."""

    depth: list
    semantics: list
    diagnosed: list


class Listener:
    """Another process's view of the node: what it publishes, by stamp."""

    def __init__(self):
        self.body = rclpy.create_node('listener')
        self.maps = {name: {} for name in ('influence/depth', 'influence/semantics')}
        self.status = {'state': 'idle', 'frames_processed': '0'}
        for name, store in self.maps.items():
            self.body.create_subscription(
                Image, name, lambda msg, store=store: store.__setitem__(
                    msg.header.stamp.sec * 10**9 + msg.header.stamp.nanosec, msg), 10)
        self.body.create_subscription(DiagnosticArray, '/diagnostics', self._on_diagnostics, 10)

    def _on_diagnostics(self, array):
        self.status = {pair.key: pair.value for pair in array.status[0].values}

    def wait_for(self, condition, node):
        deadline = time.monotonic() + 120
        while not condition():
            assert time.monotonic() < deadline, (self.status, node.output)
            rclpy.spin_once(self.body, timeout_sec=0.1)

    def array(self, name, stamp):
        msg = self.maps[name][stamp]
        assert msg.encoding == '32FC1' and msg.step == 4 * msg.width
        return np.frombuffer(msg.data, '<f4').reshape(msg.height, msg.width)


def record(path, frames):
    """Write the pictures as a recording, without loss."""
    with Writer(path) as writer:
        writer.add(TOPIC, COMPRESSED)
        for index, frame in enumerate(frames):
            stamp = START + index * PERIOD
            png = cv2.imencode('.png', frame.rgb[..., ::-1])[1].tobytes()
            writer.write(TOPIC, stamp, writer.compressed(
                writer.header(stamp, 'optical'), png, 'rgb8; png compressed bgr8'))
    return path


def play(path, spawn):
    """Play a recording to a node of its own, each picture when the one before has its maps."""
    node = spawn('node', '--ros-args', '-p', 'architecture:=jrn', '-p', 'variant:=sum60',
                 '-p', 'device:=cpu', '-p', 'image_transport:=compressed',
                 '-p', 'use_sim_time:=true',
                 '-p', f'qos_overrides.{TOPIC}.subscription.reliability:=reliable')
    node.wait_for(f'reading {TOPIC}', 120)
    rclpy.init()
    listener = Listener()
    live = Live([], [], [])
    try:
        with Recording(path) as recording, Replay(recording.topics.values(), clock=True) as player:
            player.wait_for_subscribers(1)
            listener.wait_for(lambda: listener.status['state'] != 'idle', node)
            for count, message in enumerate(recording.records([TOPIC]), 1):
                stamp = message.stamp_ns
                player.pause(stamp)
                player.publish(message, stamp)
                listener.wait_for(
                    lambda n=count, stamp=stamp: all(stamp in maps for maps in
                                                     listener.maps.values())
                    and int(listener.status['frames_processed']) == n, node)
                live.depth.append(listener.array('influence/depth', stamp))
                live.semantics.append(listener.array('influence/semantics', stamp))
                live.diagnosed.append([float(listener.status[name]) for name in (
                    'influence_depth_m', 'influence_semantics')])
        assert listener.status['frames_dropped'] == listener.status['frames_rejected'] == '0'
    finally:
        listener.body.destroy_node()
        rclpy.try_shutdown()
    assert node.stop() == 0
    return live


@pytest.mark.parametrize('reader, count', [
    ('scenes', 3), pytest.param('nyuv2', 20, marks=pytest.mark.slow)])
def test_the_topics_over_a_recording(ros_domain, spawn, tmp_path, request, reader, count):
    data = str(request.getfixturevalue('data_dir') / reader) if reader == 'nyuv2' else ''
    assert main(['influence', '--reader', reader, '--limit', str(count), '--variants', 'sum60',
                 '--device', 'cpu', '--output', str(tmp_path), *(['--data', data] * bool(data))
                 ]) == 0
    document = json.loads((tmp_path / 'influence.json').read_text())
    assert document['source']['frames'] == count
    expected = document['variants']['sum60']['shifts']['zero']
    live = play(record(tmp_path / 'bag', open_frames(reader, data, limit=count)), spawn)
    for name, maps in (('depth', live.depth), ('semantics', live.semantics)):
        maps = np.array(maps, np.float64)
        assert maps.shape == (count, 480, 640)
        for key, found in ((name, maps), (f'{name}_absolute', abs(maps))):
            assert found.mean() == pytest.approx(expected[key]['value'], abs=FLOAT32), key
        assert expected[f'{name}_absolute']['value'] > 100 * FLOAT32
    for column, name in enumerate(('depth', 'semantics')):
        # Three figures a frame.
        assert np.mean(live.diagnosed, 0)[column] == pytest.approx(
            expected[f'{name}_absolute']['value'], rel=5e-3)
