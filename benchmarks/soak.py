#!/usr/bin/env python3
# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Send very many small images through a node, or swap its network for minutes; count what is lost.

A node with a small random network runs in a process of its own, and this process is camera and
subscriber: it sends an image as soon as the last one is answered on both /depth and /semantics.
The script ends with exit code 1 at the first image that is not answered. With ``--frames`` it
prints the node's memory at each tenth, and the growth over the last nine; with ``--swap-minutes``
the variant changes every ``--swap-seconds``.

    python benchmarks/soak.py --frames 1000000 [--backend onnxruntime]
    python benchmarks/soak.py --swap-minutes 10 [--swap-seconds 1]
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
import itertools
import subprocess
import sys
import time

import numpy as np
from processes import child, resident_mb, use_own_domain
from rcl_interfaces.srv import SetParameters
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

START_S, ANSWER_S = 120.0, 30.0
TOPICS = ('depth', 'semantics')
WIDTH, HEIGHT = 64, 48
PARAMETERS = {
    'weights': 'random', 'architecture': 'hydranet', 'inference_height': 32,
    'inference_width': 64, 'threads': 1,
    'qos_overrides./image.subscription.reliability': 'reliable'}
VARIANTS = ('kitti6', 'nyu40')


class Robot(Node):
    """A camera, and a subscriber to the answers."""

    def __init__(self, process: subprocess.Popen):
        super().__init__('robot')
        self._process = process
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self)
        self._image = Image(height=HEIGHT, width=WIDTH, encoding='rgb8', step=3 * WIDTH)
        self._image.data.frombytes(np.random.default_rng(0).bytes(3 * WIDTH * HEIGHT))
        self._publisher = self.create_publisher(Image, 'image', QoSProfile(depth=10))
        # The topics on which the last image has not been answered.
        self._waiting: set[str] = set()
        self.sent = 0
        for topic in TOPICS:
            self.create_subscription(
                Image, topic, lambda message, topic=topic: self._answer(message, topic),
                QoSProfile(depth=10))
        self._parameters = self.create_client(SetParameters, 'jrn_perception/set_parameters')
        self._answered = time.monotonic()

    def _answer(self, message: Image, topic: str) -> None:
        if topic not in self._waiting or message.header.stamp != self._image.header.stamp:
            sys.exit(f'after {self.sent} images: an answer to another image came, one is lost')
        self._waiting.remove(topic)
        self._answered = time.monotonic()

    def _spin(self) -> None:
        self._executor.spin_once(timeout_sec=0.1)
        if self._process.poll() is not None:
            sys.exit(f'after {self.sent} images: the node ended with {self._process.returncode}')

    def connect(self) -> None:
        """Wait until the node reads images and its answers can arrive."""
        end = time.monotonic() + START_S
        while not (self._publisher.get_subscription_count()
                   and all(map(self.count_publishers, TOPICS))
                   and self._parameters.service_is_ready()):
            self._spin()
            if time.monotonic() > end:
                sys.exit('the node did not start')
        self._answered = time.monotonic()

    def send(self) -> None:
        """Send one image when the last one is answered."""
        self.finish()
        self._image.header.stamp = self.get_clock().now().to_msg()
        self._waiting = set(TOPICS)
        self._publisher.publish(self._image)
        self.sent += 1

    def finish(self) -> None:
        """Wait for the answers to the last image."""
        while self._waiting:
            self._spin()
            if time.monotonic() - self._answered > ANSWER_S:
                sys.exit(f'after {self.sent} images: no answer in {ANSWER_S:g} s')

    def swap(self, variant: str) -> None:
        """Change the network while images are sent; end the script if the node refuses."""
        future = self._parameters.call_async(SetParameters.Request(
            parameters=[Parameter('variant', value=variant).to_parameter_msg()]))
        while not future.done():
            self.send()
        result = future.result().results[0]
        if not result.successful:
            sys.exit(f'after {self.sent} images: {variant} was refused: {result.reason}')


def soak(robot: Robot, frames: int, process: subprocess.Popen) -> None:
    """Print the node's memory at each tenth of the frames, and the median growth of a tenth."""
    print('| images | images/s | resident memory of the node (MiB) |\n| ---: | ---: | ---: |')
    memory, begin = [], time.monotonic()
    for tenth in range(1, 11):
        end = frames * tenth // 10
        count = end - robot.sent
        while robot.sent < end:
            robot.send()
        robot.finish()
        memory.append(resident_mb(process.pid))
        rate = count / (time.monotonic() - begin)
        begin = time.monotonic()
        print(f'| {end} | {rate:.0f} | {memory[-1]:.1f} |', flush=True)
    steps = np.diff(memory)
    print(f'\n{robot.sent} images answered on both topics; memory after the first tenth '
          f'{memory[-1] - memory[0]:+.2f} MiB, {9 * np.median(steps):+.2f} MiB if each tenth were '
          'as the median tenth')


def swap(robot: Robot, minutes: float, period: float) -> None:
    """Swap the network every ``period`` seconds for ``minutes``."""
    longest, swaps = 0.0, 0
    begin = due = time.monotonic()
    for variant in itertools.cycle(VARIANTS):
        if due - begin >= 60 * minutes:
            break
        while time.monotonic() < due:
            robot.send()
        asked = time.monotonic()
        robot.swap(variant)
        longest = max(longest, time.monotonic() - asked)
        swaps += 1
        due = max(due + period, time.monotonic())
    robot.finish()
    print(f'{swaps} swaps in {(time.monotonic() - begin) / 60:.1f} minutes, the longest '
          f'{longest:.2f} s; {robot.sent} images, each answered on both topics')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--frames', type=int, default=0)
    parser.add_argument('--swap-minutes', type=float, default=0.0)
    parser.add_argument('--swap-seconds', type=float, default=1.0, help='default: %(default)s')
    parser.add_argument('--backend', default='torch', help='default: %(default)s')
    options = parser.parse_args()
    if bool(options.frames) == bool(options.swap_minutes):
        parser.error('give either --frames or --swap-minutes')
    use_own_domain()
    values = {**PARAMETERS, 'backend': options.backend}
    with ExitStack() as stack:
        process = stack.enter_context(child(
            sys.executable, '-m', 'jrn_perception.cli.node', '--ros-args',
            *(word for name, value in values.items() for word in ('-p', f'{name}:={value}'))))
        rclpy.init()
        stack.callback(rclpy.try_shutdown)
        robot = Robot(process)
        robot.connect()
        if options.frames:
            soak(robot, options.frames, process)
        else:
            swap(robot, options.swap_minutes, options.swap_seconds)
        robot.destroy_node()


if __name__ == '__main__':
    main()
