# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Measure what a node costs in each state of its lifecycle: CPU time and memory.

A process publishes 640x480 images all the time. A lifecycle manager takes the node through its
states; in each the script measures the node's share of one core and its memory (shared pages by
the node's share of them). CPU time hardly depends on the machine's other work.

    python benchmarks/lifecycle.py [--rate 10] [--seconds 10] [--architecture hydranet]
                                   [--backend auto]
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
import os
import subprocess
import sys
import time

from cameras import spin
from jrn_perception.ros.middleware.transport import use_large_segments
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from processes import child, cpu_s_of, pss_kb, use_own_domain
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool

# The first start of a backend may export the weights.
START_S, SETTLE_S = 600.0, 3.0
CAMERA = 'camera_1'


class Robot(Node):
    """A lifecycle manager and, now and then, a subscriber."""

    def __init__(self, process: subprocess.Popen):
        super().__init__('robot')
        self._process = process

    def call(self, service: str, kind: type, request: object) -> None:
        """Call a service of the node; end the script if the node refuses or dies."""
        client = self.create_client(kind, f'/jrn_perception/{service}')
        end = time.monotonic() + START_S
        while not client.wait_for_service(0.5):
            if self._process.poll() is not None or time.monotonic() > end:
                sys.exit('the node did not start')
        future = client.call_async(request)
        rclpy.spin_until_future_complete(self, future, timeout_sec=START_S)
        if future.result() is None or not future.result().success:
            sys.exit(f'{service}: {future.result()}')
        self.destroy_client(client)

    def change(self, transition: int) -> None:
        self.call('change_state', ChangeState, ChangeState.Request(
            transition=Transition(id=transition)))

    def measure(self, state: str, seconds: float) -> None:
        """Print a row of the table."""
        spin(self, SETTLE_S)
        cpu, begin = cpu_s_of(self._process.pid), time.monotonic()
        spin(self, seconds)
        share = (cpu_s_of(self._process.pid) - cpu) / (time.monotonic() - begin)
        print(f'| {state} | {100 * share:.1f} % | {pss_kb(self._process.pid) / 1024:.0f} MiB |',
              flush=True)


def visit_states(robot: Robot, seconds: float) -> None:
    """Take the node once through its states and print the table."""
    print('| state | CPU, of one core | memory |\n| --- | ---: | ---: |')
    robot.measure('unconfigured', seconds)
    robot.change(Transition.TRANSITION_CONFIGURE)
    robot.measure('inactive', seconds)
    robot.change(Transition.TRANSITION_ACTIVATE)
    robot.measure('active, no subscriber', seconds)
    subscription = robot.create_subscription(Image, 'depth', lambda message: None, 2)
    robot.measure('active, depth subscribed', seconds)
    robot.call('enable', SetBool, SetBool.Request(data=False))
    robot.measure('active, paused by enabled', seconds)
    robot.call('enable', SetBool, SetBool.Request(data=True))
    robot.change(Transition.TRANSITION_DEACTIVATE)
    robot.measure('inactive again', seconds)
    robot.change(Transition.TRANSITION_CLEANUP)
    robot.measure('unconfigured again', seconds)
    robot.destroy_subscription(subscription)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--rate', type=float, default=10.0, help='of the camera, hertz')
    parser.add_argument('--seconds', type=float, default=10.0, help='in each state')
    parser.add_argument('--architecture', default='hydranet', help='default: %(default)s')
    parser.add_argument('--backend', default='auto', help='default: %(default)s')
    options = parser.parse_args()
    use_own_domain()
    use_large_segments()
    with ExitStack() as stack:
        for words in ((os.path.join(os.path.dirname(__file__), 'cameras.py'), '--publish',
                       '--cameras', '1', '--rate', str(options.rate)),
                      ('-m', 'jrn_perception.cli.node', '--ros-args', '-r',
                       f'image:=/{CAMERA}/image', '-p', 'autostart:=false', '-p',
                       f'architecture:={options.architecture}', '-p',
                       f'backend:={options.backend}')):
            process = stack.enter_context(child(sys.executable, *words))
        rclpy.init()
        stack.callback(rclpy.try_shutdown)
        robot = Robot(process)
        visit_states(robot, options.seconds)
        robot.destroy_node()


if __name__ == '__main__':
    main()
