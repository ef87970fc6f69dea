# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Compare one node that serves several cameras with a node for each camera, in one run.

First, without ROS: the time of a batch of one picture per camera divided by the time of the same
pictures one by one, in alternation, for each backend. Then a process publishes 640x480 images of
all cameras, and both set-ups wait in processes of their own. Nodes without subscribers do nothing;
so the set-ups take turns, and each has the machine to itself. The tables show frames per second of
all cameras together, latency, CPU time per frame and memory (shared pages counted once). Times
depend on the machine; ratios also hold on one that does other work.

    python benchmarks/cameras.py [--cameras 3] [--backends torch onnxruntime openvino]
                                 [--backend openvino] [--architecture hydranet] [--rate 30]
                                 [--seconds 8] [--rounds 3]
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
import statistics
import subprocess
import sys
import tempfile
import time

from jrn_perception.perception import Perception, SetUp
from jrn_perception.rooms.scenes import Scene
from jrn_perception.ros.conversions.images import image_message
from jrn_perception.ros.middleware.transport import use_large_segments
import numpy as np
from processes import cpu_s_of, pss_kb, use_own_domain
import rclpy
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

START_S = 600.0  # The first start of a backend may export the weights.
SETTLE_S = 3.0
REPEATS = 15


def batch_ratio(backend: str, architecture: str, count: int) -> float:
    """Return the time of a batch of ``count`` pictures as a multiple of the time one by one."""
    perception = Perception.load(architecture, backend=backend, device='cpu')
    picture = perception.preprocess(Scene(0).render(height=480, width=640).rgb)
    one, batch, set_up = picture[None], np.stack([picture] * count), SetUp()
    ratios = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for _ in range(count):
            perception.infer(one, set_up)
        middle = time.perf_counter()
        perception.infer(batch, set_up)
        ratios.append((time.perf_counter() - middle) / (middle - start))
    return statistics.median(ratios[1:])


def publish_cameras(names: list[str], rate: float) -> None:
    """Publish a drawn room for each camera at ``rate`` hertz until the process ends."""
    node = rclpy.create_node('cameras')
    publishers = [node.create_publisher(Image, f'/{name}/image', 1) for name in names]
    rgb = Scene(0).render(height=480, width=640).rgb
    due = time.monotonic()
    while rclpy.ok():
        for publisher in publishers:
            header = Header(frame_id='camera', stamp=node.get_clock().now().to_msg())
            publisher.publish(image_message(rgb, header, 'rgb8'))
        due = max(due + 1 / rate, time.monotonic() - 1 / rate)
        time.sleep(max(0.0, due - time.monotonic()))


@dataclass
class SetUpOfNodes:
    """Processes that serve all cameras, and the results of their turns."""

    title: str
    topics: list[str]
    processes: list[subprocess.Popen]
    rates: list[float] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)

    def memory_mb(self) -> float:
        return sum(pss_kb(process.pid) for process in self.processes) / 1024

    def cpu_s(self) -> float:
        return sum(cpu_s_of(process.pid) for process in self.processes)


def start(options: argparse.Namespace, names: list[str], stack: ExitStack, folder: Path
          ) -> list[SetUpOfNodes]:
    """Start both set-ups; return when all nodes are ready."""
    def node(namespace: str, *words: str) -> subprocess.Popen:
        log = folder / namespace.replace('/', '_')
        out = stack.enter_context(open(log, 'w'))
        process = subprocess.Popen(
            [sys.executable, '-m', 'jrn_perception.cli.node', '--ros-args', '-r',
             f'__ns:={namespace}', '-p', f'backend:={options.backend}', '-p',
             f'architecture:={options.architecture}', '-p', 'device:=cpu', *words],
            stdout=out, stderr=out)
        stack.callback(process.wait)
        stack.callback(process.terminate)
        end = time.monotonic() + START_S
        while 'reading /' not in log.read_text():
            if process.poll() is not None or time.monotonic() > end:
                sys.exit(f'a node did not start:\n{log.read_text()}')
            time.sleep(0.2)
        return process

    remaps = [word for name in names for word in ('-r', f'{name}/image:=/{name}/image')]
    one = node('/one', '-p', f'cameras:={",".join(names)}', *remaps)
    many = [node(f'/many/{name}', '-r', f'image:=/{name}/image') for name in names]
    return [SetUpOfNodes('one node', [f'/one/{name}/depth' for name in names], [one]),
            SetUpOfNodes(f'{len(names)} nodes', [f'/many/{name}/depth' for name in names], many)]


def take_turn(robot: Node, nodes: SetUpOfNodes, seconds: float) -> None:
    """Subscribe to the depth of all cameras for so long, and add what comes to the results."""
    latencies: list[float] = []

    def take(message: Image) -> None:
        stamp = Time.from_msg(message.header.stamp).nanoseconds
        latencies.append((robot.get_clock().now().nanoseconds - stamp) / 1e6)
    subscriptions = [robot.create_subscription(Image, topic, take, 2) for topic in nodes.topics]
    spin(robot, SETTLE_S)
    latencies.clear()
    cpu, begin = nodes.cpu_s(), time.monotonic()
    spin(robot, seconds)
    if not latencies:
        sys.exit(f'{nodes.title}: no results came')
    nodes.rates.append(len(latencies) / (time.monotonic() - begin))
    nodes.cpu_ms.append(1000 * (nodes.cpu_s() - cpu) / len(latencies))
    nodes.latencies_ms.append(statistics.median(latencies))
    for subscription in subscriptions:
        robot.destroy_subscription(subscription)
    spin(robot, SETTLE_S)


def spin(robot: Node, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        rclpy.spin_once(robot, timeout_sec=0.05)


def compare(options: argparse.Namespace, names: list[str]) -> None:
    print(f'{options.architecture}, {len(names)} cameras of 640x480 at {options.rate:g} Hz\n\n'
          '| backend | batch / one by one |\n| --- | ---: |', flush=True)
    for backend in options.backends:
        ratio = batch_ratio(backend, options.architecture, len(names))
        print(f'| {backend} | {ratio:.2f} |', flush=True)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        set_ups = start(options, names, stack, Path(folder))
        cameras = subprocess.Popen([sys.executable, __file__, '--publish', '--cameras',
                                    str(len(names)), '--rate', str(options.rate)])
        stack.callback(cameras.wait)
        stack.callback(cameras.terminate)
        robot = rclpy.create_node('robot')
        for _ in range(options.rounds):
            for nodes in set_ups:
                take_turn(robot, nodes, options.seconds)
        print('\n| | frames/s in all | latency ms | CPU ms per frame | MiB |\n'
              '| --- | ---: | ---: | ---: | ---: |')
        rows = [[*map(statistics.mean, (nodes.rates, nodes.latencies_ms, nodes.cpu_ms)),
                 nodes.memory_mb()] for nodes in set_ups]
        for nodes, row in zip(set_ups, rows):
            print(f'| {nodes.title} | {" | ".join(f"{value:.0f}" for value in row)} |')
        ratios = [first / second for first, second in zip(*rows)]
        print(f'| ratio | {" | ".join(f"{ratio:.2f}" for ratio in ratios)} |')
        robot.destroy_node()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--cameras', type=int, default=3, help='default: %(default)s')
    parser.add_argument('--backends', nargs='*', default=['torch', 'onnxruntime', 'openvino'],
                        help='that run batches')
    parser.add_argument('--backend', default='openvino', help='of the nodes; default: %(default)s')
    parser.add_argument('--architecture', default='hydranet', help='default: %(default)s')
    parser.add_argument('--rate', type=float, default=30.0, help='of each camera, hertz')
    parser.add_argument('--seconds', type=float, default=8.0, help='of a turn')
    parser.add_argument('--rounds', type=int, default=3, help='default: %(default)s')
    parser.add_argument('--publish', action='store_true', help=argparse.SUPPRESS)
    options = parser.parse_args()
    names = [f'camera_{index}' for index in range(1, options.cameras + 1)]
    use_own_domain()
    use_large_segments()
    rclpy.init()
    try:
        if options.publish:
            publish_cameras(names, options.rate)
        else:
            compare(options, names)
    finally:
        rclpy.try_shutdown()


if __name__ == '__main__':
    main()
