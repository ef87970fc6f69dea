# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Run a camera, the node and a listening robot as three processes with real DDS.

    python demo/demo.py [--images FOLDER] [--architecture hydranet] [--frames 20]

The demo writes ``demo/output.png`` with the last result and prints the measured rate and latency.
"""

from __future__ import annotations

import argparse
from contextlib import contextmanager
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import cv2
from jrn_perception import networks
from jrn_perception.drawing import panel
from jrn_perception.ros.conversions.images import to_rgb
from jrn_perception.ros.middleware.transport import use_large_segments
from jrn_perception.weights import network_of
import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import Image

HERE = Path(__file__).resolve().parent
TOPICS = ('image', 'depth', 'semantics')
TIMEOUT_S = 120.0


class Robot(Node):
    """Subscribes to the camera and to both results, and matches them by stamp."""

    def __init__(self):
        super().__init__('robot')
        self.frames: dict[int, dict[str, Image]] = {}
        self.complete: list[tuple[float, float]] = []
        self.latest: dict[str, Image] | None = None
        for topic in TOPICS:
            self.create_subscription(
                Image, topic, lambda message, topic=topic: self.receive(topic, message), 5)

    def receive(self, topic: str, message: Image) -> None:
        stamp = Time.from_msg(message.header.stamp)
        frame = self.frames.setdefault(stamp.nanoseconds, {})
        frame[topic] = message
        if len(frame) == len(TOPICS):
            latency = (self.get_clock().now() - stamp).nanoseconds / 1e9
            self.complete.append((time.monotonic(), latency))
            self.latest = frame
            # Older frames with a missing part were dropped on the way: forget them.
            self.frames = {key: value for key, value in self.frames.items()
                           if key > stamp.nanoseconds}


@contextmanager
def process(name: str, *arguments: str):
    """Run an executable of the package; end it with Ctrl-C."""
    command = [sys.executable, '-m', f'jrn_perception.cli.{name}', *arguments]
    child = subprocess.Popen(command)
    try:
        yield child
    finally:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(20)
        except subprocess.TimeoutExpired:
            child.kill()


def isolate() -> None:
    """Choose a separate ROS domain on this machine only, so that no robot in the network joins."""
    os.environ['ROS_DOMAIN_ID'] = str(os.getpid() % 100 + 1)
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    if os.environ.get('ROS_DISTRO') == 'humble':  # Humble knows only this variable.
        os.environ['ROS_LOCALHOST_ONLY'] = '1'


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0].strip())
    parser.add_argument('--images',
                        help='folder of pictures (default: rooms that our renderer draws)')
    parser.add_argument('--architecture', default='',
                        choices=networks.architectures_with('depth', 'semantics'),
                        help='default: the one of the variant or of the weights, else '
                        f'{networks.DEFAULT}')
    parser.add_argument('--variant', default='',
                        help='variant of the architecture (default: its first)')
    parser.add_argument('--weights', default='',
                        help='weights of the node (default: the shipped ones)')
    parser.add_argument('--frames', type=int, default=20,
                        help='number of results to wait for (default: %(default)s)')
    parser.add_argument('--rate', type=float, default=5.0,
                        help='frames per second of the camera (default: %(default)s)')
    parser.add_argument('--output', type=Path, default=HERE / 'output.png')
    arguments = parser.parse_args()
    spec = networks.find(*network_of(arguments.architecture, arguments.variant,
                                     arguments.weights))

    parameters = ['--ros-args', '-p', f'architecture:={spec.architecture}',
                  '-p', f'variant:={spec.variant}', '-p', f'weights:={arguments.weights!r}']
    isolate()
    use_large_segments()
    rclpy.init()
    robot = Robot()
    try:
        with process('node', *parameters) as node, process(
                'play', arguments.images or 'scenes:0', '--rate', str(arguments.rate),
                '--loop') as camera:
            deadline = time.monotonic() + TIMEOUT_S
            while len(robot.complete) < arguments.frames:
                rclpy.spin_once(robot, timeout_sec=0.5)
                for child, name in ((node, 'jrn_node'), (camera, 'jrn_play')):
                    if child.poll() is not None:
                        print(f'demo: {name} ended with {child.returncode}', file=sys.stderr)
                        return 1
                if time.monotonic() > deadline:
                    print(f'demo: {len(robot.complete)} of {arguments.frames} results in '
                          f'{TIMEOUT_S:.0f} s', file=sys.stderr)
                    return 1
    finally:
        robot.destroy_node()
        rclpy.try_shutdown()
    report(robot, spec, arguments)
    return 0


def report(robot: Robot, spec: networks.Spec, arguments: argparse.Namespace) -> None:
    """Write the picture of the last frame; print rate and latency."""
    image, depth, semantics = (robot.latest[topic] for topic in TOPICS)
    shape = depth.height, depth.width
    result = SimpleNamespace(
        depth=np.frombuffer(depth.data, np.float32).reshape(shape),
        labels=np.frombuffer(semantics.data, np.uint8).reshape(shape), label_set=spec.labels)
    cv2.imwrite(str(arguments.output), panel(to_rgb(image), result)[..., ::-1])
    times, latencies = zip(*robot.complete)
    rate = (len(times) - 1) / (times[-1] - times[0])
    print(f'{spec.architecture} {spec.variant}: {len(times)} frames of {shape[1]}x{shape[0]} came '
          f'back on /depth and /semantics at {rate:.1f} Hz (camera: {arguments.rate:g} Hz), '
          f'{1e3 * np.median(latencies):.0f} ms after their stamp (median)')
    print(f'picture: {arguments.output}')


if __name__ == '__main__':
    sys.exit(main())
