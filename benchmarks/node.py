# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Compare the backends in the node, side by side in one run, as a robot uses them.

A process publishes 640x480 images at 30 Hz, a node for each backend waits in its own process, and
a third process takes `depth` and `semantics` of one node after the other. A node without
subscribers does nothing, so each backend has the machine to itself in turn, and the turns
alternate. With --busy each turn is repeated beside a program that takes one core, and the table
shows how much longer the network then takes. At the end the nodes' memory is compared with their
memory after the first turn. Times depend on the machine; ratios also hold on one that does other
work.

    python benchmarks/node.py [--backends torch onnxruntime openvino] [--threads 0 1] [--busy]
                              [--architecture hydranet] [--precision bf16] [--seconds 8]
                              [--rounds 2] [--frames N]
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import dataclass, field
import json
from pathlib import Path
import statistics
import subprocess
import sys
import tempfile
import time

from diagnostic_msgs.msg import DiagnosticArray
from jrn_perception.rooms.scenes import Scene
from jrn_perception.ros.conversions.images import image_message
from jrn_perception.ros.middleware.transport import use_large_segments
from processes import child, resident_mb, use_own_domain
import rclpy
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

START_S = 600.0  # The first start of a backend may export the weights.
ANSWER_S = 60.0
SETTLE_S = 1.5
# Diagnostics are means over five seconds.
SHORTEST_S = 6.0
BUSY = [sys.executable, '-c', 'while True: pass']
TOPICS = ('depth', 'semantics')


# --- the three kinds of processes ---------------------------------------------------------------

def publish_camera(rate: float) -> None:
    """Publish a drawn room at ``rate`` hertz until the process ends."""
    node = rclpy.create_node('camera')
    publisher = node.create_publisher(Image, '/image', 1)
    rgb = Scene(0).render(height=480, width=640).rgb
    due = time.monotonic()
    while rclpy.ok():
        header = Header(frame_id='camera', stamp=node.get_clock().now().to_msg())
        publisher.publish(image_message(rgb, header, 'rgb8'))
        due = max(due + 1 / rate, time.monotonic() - 1 / rate)
        time.sleep(max(0.0, due - time.monotonic()))


class Turn:
    """What a third process receives from one node."""

    def __init__(self, robot: Node, namespace: str):
        self._robot, self._name = robot, f'{namespace}/jrn_perception'
        self._arrived: dict[int, set[str]] = {}
        self.latencies_ms: list[float] = []
        self.status: dict[str, str] = {}
        self._subscriptions = [robot.create_subscription(
            Image, f'/{namespace}/{topic}',
            lambda message, topic=topic: self._take(topic, message), 2) for topic in TOPICS]
        self._subscriptions.append(robot.create_subscription(
            DiagnosticArray, '/diagnostics', self._read, 10))

    def _take(self, topic: str, message: Image) -> None:
        stamp = Time.from_msg(message.header.stamp).nanoseconds
        topics = self._arrived.setdefault(stamp, set())
        topics.add(topic)
        if len(topics) == len(TOPICS):
            del self._arrived[stamp]
            self.latencies_ms.append((self._robot.get_clock().now().nanoseconds - stamp) / 1e6)

    def _read(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if self._name in status.name:
                self.status = {pair.key: pair.value for pair in status.values}

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            rclpy.spin_once(self._robot, timeout_sec=0.1)

    def wait(self, seconds: float, frames: int) -> None:
        """Spin until the node has answered and has processed so many frames, or for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not (self.latencies_ms and int(
                self.status.get('frames_processed', 0)) >= frames):
            rclpy.spin_once(self._robot, timeout_sec=0.1)

    def end(self) -> None:
        for subscription in self._subscriptions:
            self._robot.destroy_subscription(subscription)


def take_results() -> None:
    """Take turns with the nodes that stdin names, one in a line; print results as json."""
    robot = rclpy.create_node('robot')
    for line in sys.stdin:
        namespace, seconds, frames = json.loads(line)
        turn = Turn(robot, namespace)
        turn.wait(ANSWER_S, frames=0)
        turn.spin(SETTLE_S)
        turn.latencies_ms.clear()
        if frames:
            turn.wait(frames * 5.0, frames)
        else:
            turn.spin(seconds)
        print(json.dumps([turn.latencies_ms, turn.status]), flush=True)
        turn.end()
    robot.destroy_node()


# --- a run --------------------------------------------------------------------------------------

@dataclass
class Row:
    """A node, and the results of its turns: idle and beside a busy program."""

    title: str
    namespace: str
    process: subprocess.Popen
    idle: list[dict[str, float]] = field(default_factory=list)
    busy: list[dict[str, float]] = field(default_factory=list)
    memory_mb: float = 0.0
    frames: int = 0

    def mean(self, turns: str, name: str) -> float:
        return statistics.mean(result[name] for result in getattr(self, turns))


def start(arguments: argparse.Namespace, stack: ExitStack, folder: Path) -> list[Row]:
    """Start a node for each backend and number of threads; return when all are ready."""
    rows = []
    for backend in arguments.backends:
        for threads in arguments.threads:
            namespace = f'{backend}_{threads}'
            log = stack.enter_context(open(folder / namespace, 'w'))
            values = {'backend': backend, 'threads': threads, 'device': arguments.device,
                      'architecture': arguments.architecture,
                      'precision': arguments.precision}
            process = stack.enter_context(child(
                sys.executable, '-m', 'jrn_perception.cli.node', '--ros-args', '-r',
                f'__ns:=/{namespace}', '-r', 'image:=/image',
                *(word for name, value in values.items() for word in ('-p', f'{name}:={value}')),
                stdout=log, stderr=log))
            title = backend if not threads else f'{backend}, threads {threads}'
            rows.append(Row(title, namespace, process))
            wait_for(process, folder / namespace)
    return rows


def wait_for(process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + START_S
    while 'reading /image' not in log.read_text():
        if process.poll() is not None or time.monotonic() > end:
            sys.exit(f'a node did not start:\n{log.read_text()}')
        time.sleep(0.2)


def ask(listener: subprocess.Popen, row: Row, seconds: float, frames: int = 0
        ) -> dict[str, float]:
    """Return the results of one turn."""
    listener.stdin.write(json.dumps([row.namespace, seconds, frames]) + '\n')
    listener.stdin.flush()
    latencies, status = json.loads(listener.stdout.readline())
    if not latencies or not status:
        sys.exit(f'{row.title}: no results came')
    row.frames = int(status['frames_processed'])
    network = float(status['inference_ms'])
    processing = float(status['processing_time_ms_mean'])
    latency = statistics.median(latencies)
    return {'rate': len(latencies) / seconds, 'latency': latency, 'network': network,
            'stages': processing - network, 'rest': latency - processing}


def take_turns(arguments: argparse.Namespace, rows: list[Row], listener: subprocess.Popen
               ) -> None:
    """Fill the rows."""
    for _ in range(arguments.rounds):
        for row in rows:
            row.idle.append(ask(listener, row, arguments.seconds))
            if arguments.busy:
                with child(*BUSY):
                    row.busy.append(ask(listener, row, arguments.seconds))
            row.memory_mb = row.memory_mb or resident_mb(row.process.pid)
    if arguments.frames:
        for row in rows:
            ask(listener, row, arguments.seconds, arguments.frames)


def print_tables(arguments: argparse.Namespace, rows: list[Row]) -> None:
    first = rows[0]
    print(f'{arguments.architecture}, 640x480 at {arguments.rate:g} Hz\n\n'
          f'| backend | Hz | latency ms | network ms | x {first.title} | other stages ms | '
          'transport, waiting ms |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |')
    for row in rows:
        rate, latency, network, stages, rest = (
            row.mean('idle', name) for name in ('rate', 'latency', 'network', 'stages', 'rest'))
        print(f'| {row.title} | {rate:.1f} | {latency:.1f} | {network:.1f} | '
              f'{network / first.mean("idle", "network"):.2f} | {stages:.1f} | {rest:.1f} |')
    if arguments.busy:
        print('\n| beside a busy program | Hz | network ms | x idle |\n'
              '| --- | ---: | ---: | ---: |')
        for row in rows:
            network = row.mean('busy', 'network')
            print(f'| {row.title} | {row.mean("busy", "rate"):.1f} | {network:.1f} | '
                  f'{network / row.mean("idle", "network"):.2f} |')
    print('\n| memory | frames | MiB after the first turn | MiB at the end |\n'
          '| --- | ---: | ---: | ---: |')
    for row in rows:
        print(f'| {row.title} | {row.frames} | {row.memory_mb:.0f} | '
              f'{resident_mb(row.process.pid):.0f} |')


def run(arguments: argparse.Namespace) -> None:
    script = (sys.executable, __file__)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        rows = start(arguments, stack, Path(folder))
        stack.enter_context(child(*script, '--camera', str(arguments.rate)))
        listener = stack.enter_context(child(
            *script, '--robot', stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        take_turns(arguments, rows, listener)
        print_tables(arguments, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--backends', nargs='+', default=['torch', 'onnxruntime', 'openvino'])
    parser.add_argument('--threads', type=int, nargs='+', default=[0],
                        help='a node for each number; 0 for the physical cores')
    parser.add_argument('--architecture', default='hydranet', help='default: %(default)s')
    parser.add_argument('--device', default='cpu', help='cpu, or cuda for torch alone; default: '
                        '%(default)s')
    parser.add_argument('--precision', default='auto', help='of all backends; default: '
                        '%(default)s')
    parser.add_argument('--busy', action='store_true', help='also beside a busy program')
    parser.add_argument('--rate', type=float, default=30.0, help='of the camera, hertz')
    parser.add_argument('--seconds', type=float, default=8.0,
                        help=f'of a turn, at least {SHORTEST_S:g}; default: %(default)s')
    parser.add_argument('--rounds', type=int, default=2, help='default: %(default)s')
    parser.add_argument('--frames', type=int, default=0,
                        help='go on until each node has processed so many, for its memory')
    parser.add_argument('--camera', type=float, help=argparse.SUPPRESS)
    parser.add_argument('--robot', action='store_true', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.seconds < SHORTEST_S:
        parser.error(f'--seconds: at least {SHORTEST_S:g}')
    use_own_domain()
    use_large_segments()
    if not arguments.camera and not arguments.robot:
        run(arguments)
        return
    rclpy.init()
    try:
        if arguments.camera:
            publish_camera(arguments.camera)
        else:
            take_results()
    finally:
        rclpy.try_shutdown()


if __name__ == '__main__':
    main()
