# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A launch says by its exit code whether the node failed, and starts the node again if asked."""
# flake8: noqa: E402 (the skip comes before the imports that it spares)

import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip('launch_ros', reason='launch_ros is not installed (it comes with ROS)')

from ament_index_python.packages import get_package_share_directory, PackageNotFoundError
from jrn_perception.sources import sample

try:
    SHARE = Path(get_package_share_directory('jrn_perception'))
except PackageNotFoundError:
    pytest.skip(
        'jrn_perception is not in the ament index: colcon build and source install/setup.bash',
        allow_module_level=True)

RUN = Path(__file__).with_name('run_launch.py')
SMALL = {'architecture': 'hydranet', 'weights': 'random', 'device': 'cpu',
         'inference_height': 32, 'inference_width': 32}
TIMEOUT_S = 60


class Launch:
    """A launch in a process of its own; ``wait_for`` reads its output up to a line."""

    def __init__(self, file, **arguments):
        self.text = ''
        self._process = subprocess.Popen(
            [sys.executable, str(RUN), str(SHARE / 'launch' / file),
             *(f'{name}:={value}' for name, value in arguments.items())],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def wait_for(self, pattern):
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            line = self._process.stdout.readline()
            self.text += line
            if match := re.search(pattern, line):
                return match
            if not line:
                break
        raise AssertionError(f'no {pattern!r} in:\n{self.text}')

    def end(self):
        """Return the exit code; Ctrl-C first if the launch goes on."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        return self.code()

    def code(self):
        rest, _ = self._process.communicate(timeout=TIMEOUT_S)
        self.text += rest
        return self._process.returncode

    def kill(self):
        if self._process.poll() is None:
            self._process.kill()


@pytest.fixture
def launch(ros_domain):
    launches = []

    def start(file='jrn.launch.py', **arguments):
        launches.append(Launch(file, **arguments))
        return launches[-1]
    yield start
    for each in launches:
        each.kill()


@pytest.mark.parametrize('fault', [
    {'weights': '/nowhere.safetensors'}, {'device': 'cuda:99'}, {'max_rate': -1}])
def test_a_node_that_cannot_start_ends_the_launch_with_a_failure(launch, fault):
    ended = launch(**{**SMALL, **fault})
    assert ended.code() == 1, ended.text


def test_a_text_that_is_no_number_is_refused_by_its_name(launch):
    ended = launch(**SMALL, max_rate='fast')
    assert ended.code() == 1
    assert "max_rate: expected a number, got 'fast'" in ended.text


def test_a_killed_node_ends_the_launch_with_a_failure(launch):
    running = launch(**SMALL)
    pid = int(running.wait_for(r'started (\d+)')[1])
    running.wait_for('hydranet nyu40')
    os.kill(pid, signal.SIGKILL)
    assert running.code() == 1, running.text
    assert 'jrn_node ended with exit code -9' in running.text


def test_ctrl_c_is_no_failure(launch):
    running = launch(**SMALL)
    running.wait_for('hydranet nyu40')
    assert running.end() == 0, running.text


def test_a_killed_node_comes_back_if_it_should(launch):
    running = launch(**SMALL, respawn='true', name='eye')
    first = int(running.wait_for(r'started (\d+)')[1])
    running.wait_for(r'\[eye\]: hydranet nyu40')
    os.kill(first, signal.SIGKILL)
    assert int(running.wait_for(r'started (\d+)')[1]) != first
    running.wait_for(r'\[eye\]: hydranet nyu40')
    assert running.end() == 0, running.text


def test_what_is_not_installed_is_told_and_the_node_starts(launch):
    from ament_index_python.packages import get_packages_with_prefixes
    missing = {'rviz2', 'rclcpp_components'} - set(get_packages_with_prefixes())
    if len(missing) < 2:
        pytest.skip('rviz2 and rclcpp_components are installed')
    running = launch(**SMALL, rviz='true', point_cloud='true')
    running.wait_for('hydranet nyu40')
    assert running.end() == 0
    assert 'rviz: not started, because rviz2' in running.text
    assert 'point_cloud: not started, because rclcpp_components' in running.text


def test_a_replay_that_fails_ends_with_a_failure(launch, tmp_path):
    sample.write_sample(tmp_path / 'sample', 2, size=(48, 64))
    ended = launch('replay.launch.py', bag=tmp_path / 'sample', **SMALL, depth='/no/topic')
    assert ended.code() == 1, ended.text
    assert re.search(r'jrn_replay ended with exit code [123]', ended.text)
