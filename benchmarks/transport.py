# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Measure the effect of config/fastdds.xml on `depth` between two processes.

A child process publishes 640x480 32FC1 frames (1.2 MB) at 30 Hz as the node does; this process
receives them. Each reliability is measured with the profile and without it, alternately in one
run, so that the ratio holds on a machine that also does other work. Only the writing process gets
the profile, because the setting of the reader does not count.

    python benchmarks/transport.py [--frames 150] [--rounds 3]
"""

import argparse
from dataclasses import dataclass
import importlib.metadata
import os
from pathlib import Path
import statistics
import subprocess
import sys
import time

import numpy as np
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image

PROFILE = Path(__file__).resolve().parent.parent / 'config' / 'fastdds.xml'
VARIABLES = ('FASTDDS_DEFAULT_PROFILES_FILE', 'FASTRTPS_DEFAULT_PROFILES_FILE')
HEIGHT, WIDTH, RATE_HZ = 480, 640, 30


@dataclass
class Measurement:
    """The number of frames sent, and the latency in seconds of each frame that arrived."""

    sent: int
    latencies: list

    @property
    def arrived(self):
        """Return the share of the frames that arrived, 0 to 1."""
        return len(self.latencies) / self.sent

    @property
    def median_ms(self):
        """Return the median latency in milliseconds; NaN if nothing arrived."""
        return 1e3 * statistics.median(self.latencies) if self.latencies else float('nan')


def qos(reliable):
    """Return the QoS of the node's outputs, or its best-effort counterpart."""
    return QoSProfile(depth=2, reliability=(
        ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT))


def write(topic, reliable, frames):
    """Wait for a reader, then publish `frames` frames."""
    rclpy.init()
    node = rclpy.create_node('writer')
    publisher = node.create_publisher(Image, topic, qos(reliable))
    depth = np.random.default_rng(0).uniform(0.5, 10, (HEIGHT, WIDTH)).astype(np.float32)
    message = Image(height=HEIGHT, width=WIDTH, encoding='32FC1', step=4 * WIDTH)
    message.data.frombytes(depth.tobytes())
    while publisher.get_subscription_count() == 0:
        time.sleep(0.02)
    time.sleep(0.5)  # Discovery must finish on both sides.
    start = time.monotonic()
    for i in range(frames):
        time.sleep(max(0.0, start + i / RATE_HZ - time.monotonic()))
        nanoseconds = time.time_ns()
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(nanoseconds, 10**9)
        publisher.publish(message)
    time.sleep(1.0)  # The last frames are still on their way.
    node.destroy_node()
    rclpy.try_shutdown()


def read(node, topic, reliable, frames, with_profile):
    """Start a writer, and return what arrives from it here."""
    latencies = []

    def received(message):
        stamp = message.header.stamp
        latencies.append(time.time() - stamp.sec - 1e-9 * stamp.nanosec)

    environment = {key: text for key, text in os.environ.items() if key not in VARIABLES}
    if with_profile:
        old = int(importlib.metadata.version('rclpy').split('.')[0]) < 8
        environment[VARIABLES[old]] = str(PROFILE)
    subscription = node.create_subscription(Image, topic, received, qos(reliable))
    arguments = ['--write', topic, '--frames', str(frames)] + ['--reliable'] * reliable
    writer = subprocess.Popen([sys.executable, __file__, *arguments], env=environment)
    try:
        while writer.poll() is None:
            rclpy.spin_once(node, timeout_sec=0.1)
    finally:
        writer.kill()
        writer.wait()
    if writer.returncode != 0:
        raise RuntimeError(f'the writer ended with exit code {writer.returncode}')
    node.destroy_subscription(subscription)
    return Measurement(frames, latencies)


def measure(frames, rounds):
    """Print the table."""
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    rclpy.init()
    node = rclpy.create_node('reader')
    print(f'{"":12} {"without":>20} {"with fastdds.xml":>20} {"ratio":>20}')
    try:
        for reliable in (False, True):
            pooled = {False: Measurement(0, []), True: Measurement(0, [])}
            for turn in range(rounds):
                for with_profile in (False, True):
                    topic = f'depth_{int(reliable)}{turn}{int(with_profile)}'
                    measured = read(node, topic, reliable, frames, with_profile)
                    pooled[with_profile].sent += measured.sent
                    pooled[with_profile].latencies += measured.latencies
            without, cured = pooled[False], pooled[True]
            share = f'{cured.arrived / without.arrived:.2f}' if without.arrived else 'inf'
            print(
                f'{"reliable" if reliable else "best effort":12}'
                f'{without.arrived:14.1%} {without.median_ms:4.1f} ms'
                f'{cured.arrived:14.1%} {cured.median_ms:4.1f} ms'
                f'   {share:>6} x frames, {cured.median_ms / without.median_ms:4.2f} x latency',
                flush=True)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def main():
    """Run as the reader, or in a child process as the writer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--frames', type=int, default=150,
                        help='frames of each measurement (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=3,
                        help='measurements of each kind (default: %(default)s)')
    parser.add_argument('--write', metavar='TOPIC', help=argparse.SUPPRESS)
    parser.add_argument('--reliable', action='store_true', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    try:
        if arguments.write:
            write(arguments.write, arguments.reliable, arguments.frames)
        else:
            measure(arguments.frames, arguments.rounds)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == '__main__':
    main()
