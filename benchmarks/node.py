# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Measure the time that the node adds to its network, its latency under a flood, and its memory.

All numbers are from one run. On a machine that also does other work, only their ratios count:

    python benchmarks/node.py [--frames N] [--weights random] [--architecture jrn]
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
import statistics
import subprocess
import sys
import threading
import time

import cv2
from jrn_perception.rooms.scenes import Scene
from jrn_perception.ros.conversions.images import image_message
from jrn_perception.ros.diagnostics import STAGES, Statistics
from jrn_perception.ros.node import PerceptionNode
from jrn_perception.ros.transport import use_large_segments
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header
import torch


def make_node(arguments: argparse.Namespace, **overrides) -> PerceptionNode:
    values = {'architecture': arguments.architecture, 'weights': arguments.weights, **overrides}
    return PerceptionNode(parameter_overrides=[
        Parameter(name, value=value) for name, value in values.items()])


def image(node: Node, rgb: np.ndarray) -> Image:
    header = Header(frame_id='camera', stamp=node.get_clock().now().to_msg())
    return image_message(rgb, header, 'rgb8')


def overhead(arguments: argparse.Namespace, rgb: np.ndarray) -> None:
    """Print the times of a frame's stages on one core, with subscribers for both results."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    node = make_node(arguments)
    robot = rclpy.create_node('robot')
    for topic in ('depth', 'semantics'):
        robot.create_subscription(Image, topic, lambda _: None, 10)
    while not node._is_wanted():
        time.sleep(0.1)
    serialized = serialize_message(image(node, rgb))
    took = []
    for _ in range(30):
        start = time.perf_counter()
        deserialize_message(serialized, Image)
        took.append(1e3 * (time.perf_counter() - start))
        node._process(image(node, rgb))
    timings = [timing for _, timing in node._statistics._timings][5:]
    median = {stage: statistics.median(getattr(t, stage) for t in timings) for stage in STAGES}
    beside = statistics.median(took) + sum(median.values()) - median['inference_ms']
    print(f'one core, {rgb.shape[1]}x{rgb.shape[0]}, {arguments.architecture}:')
    print(f'  message in {statistics.median(took):6.2f} ms')
    for stage, value in median.items():
        print(f'  {stage[:-3]:10} {value:6.2f} ms')
    print(f'  node beside the network: {beside:.2f} ms = '
          f'{100 * beside / median["inference_ms"]:.1f} % of the network\n')
    robot.destroy_node()
    node.destroy_node()
    torch.set_num_threads(os.cpu_count() or 1)


class Spin:
    """Nodes that spin, each in its own thread."""

    def __init__(self, *nodes: Node):
        self.executors = []
        for node in nodes:
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            threading.Thread(target=executor.spin, daemon=True).start()
            self.executors.append(executor)

    def stop(self) -> None:
        for executor in self.executors:
            executor.shutdown()


def flood(arguments: argparse.Namespace, rgb: np.ndarray) -> None:
    """Print latency / frame time while images come ten times as fast as the node can process."""
    node = make_node(arguments)
    robot = rclpy.create_node('robot')
    received = []
    robot.create_subscription(
        Image, 'depth', lambda message: received.append(
            message.header.stamp.sec * 10 ** 9 + message.header.stamp.nanosec), 10)
    spin = Spin(node, robot)
    while not node._is_wanted():
        time.sleep(0.1)
    node._process(image(node, rgb))
    frame_time = statistics.median(
        timing.processing_ms for _, timing in list(node._statistics._timings)) / 1e3
    camera = subprocess.Popen([sys.executable, __file__, '--camera', str(10 / frame_time)])
    time.sleep(4)
    node._statistics = Statistics()
    time.sleep(max(5., 20 * frame_time))
    recent = node._statistics.recent()
    camera.terminate()
    camera.wait()
    latency, frame = recent.mean('latency_ms'), recent.processing()[0]
    print(f'flood at {recent.arrivals / max(1, len(recent.timings)):.1f} images a result: latency '
          f'{latency:.0f} ms = {latency / frame:.2f} frame times; '
          f'{"in order" if received == sorted(received) else "OUT OF ORDER"}\n')
    spin.stop()
    robot.destroy_node()
    node.destroy_node()


def camera(rate: float, rgb: np.ndarray) -> None:
    """Publish ``rgb`` at ``rate`` hertz until the process ends: the flood."""
    node = rclpy.create_node('camera')
    publisher = node.create_publisher(Image, 'image', 1)
    while rclpy.ok():
        publisher.publish(image(node, rgb))
        time.sleep(1 / rate)


def memory(arguments: argparse.Namespace, rgb: np.ndarray) -> None:
    """Print resident memory after a tenth of the frames and after all of them."""
    node = make_node(arguments, inference_height=64, inference_width=96, lazy=False)
    small = cv2.resize(rgb, (320, 240))
    sizes = []
    for index in range(arguments.frames):
        node._process(image(node, small))
        if index + 1 in (arguments.frames // 10, arguments.frames):
            pages = int(Path('/proc/self/statm').read_text().split()[1])
            sizes.append(pages * os.sysconf('SC_PAGE_SIZE') / 2 ** 20)
    print(f'resident after {arguments.frames // 10} frames {sizes[0]:.0f} MiB, after '
          f'{arguments.frames} frames {sizes[1]:.0f} MiB: ratio {sizes[1] / sizes[0]:.3f}')
    node.destroy_node()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--frames', type=int, default=10_000,
                        help='frames for the measurement of memory (default: %(default)s)')
    parser.add_argument('--weights', default='random',
                        help="random, a file, or '' for the shipped ones (default: %(default)s)")
    parser.add_argument('--architecture', default='jrn', help='(default: %(default)s)')
    parser.add_argument('--camera', type=float, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    rgb = Scene(0).render().rgb
    os.environ.setdefault('ROS_DOMAIN_ID', str(os.getpid() % 100 + 1))
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    use_large_segments()
    rclpy.init()
    try:
        if arguments.camera:
            camera(arguments.camera, rgb)
        else:
            for part in (overhead, flood, memory):
                part(arguments, rgb)
    finally:
        rclpy.try_shutdown()


if __name__ == '__main__':
    main()
