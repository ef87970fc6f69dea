# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The processes that ``jrn_replay`` starts: a player of the recording, and the node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
import importlib.util
from pathlib import Path
import shutil
import signal
import subprocess
import sys

from jrn_perception.recordings.reader import COMPRESSED, Topic

PLAYERS = ('auto', 'ros2bag', 'jrn_play')
# `ros2 bag play` does not wait for subscribers, and discovery takes it up to three seconds.
DISCOVERY_S = 4.0


def choose_player(wanted: str) -> str:
    """Return ros2bag or jrn_play for one of ``PLAYERS``; ValueError if it is not installed."""
    installed = shutil.which('ros2') is not None and all(
        importlib.util.find_spec(name) for name in ('ros2bag', 'rosbag2_py'))
    if wanted == 'ros2bag' and not installed:
        raise ValueError('--player ros2bag: `ros2 bag play` is not installed; leave --player out')
    return ('ros2bag' if installed else 'jrn_play') if wanted == 'auto' else wanted


def player_command(player: str, path: Path, topics: Sequence[str], speed: float,
                   subscriptions: int, overrides: Path) -> list[str]:
    """
    Return the command that plays ``topics`` of a recording with its clock.

    ``subscriptions``: how many of node and evaluator to wait for. ``overrides``: a QoS file that
    makes `ros2 bag play` publish reliably, as jrn_play does, even if the camera did not.
    """
    if player == 'jrn_play':
        return [sys.executable, '-m', 'jrn_perception.cli.play', str(path), '--as-recorded',
                '--clock', '--speed', f'{speed:g}', '--wait-for-subscribers', str(subscriptions),
                *(part for topic in topics for part in ('--topic', topic))]
    return ['ros2', 'bag', 'play', str(path), '--clock', '50', '--rate', f'{speed:g}',
            '--delay', f'{DISCOVERY_S:g}', '--wait-for-all-acked', '5000',
            '--disable-keyboard-controls', '--qos-profile-overrides-path', str(overrides),
            '--topics', *topics]


def node_command(image: Topic, namespace: str, ros: Sequence[str]) -> list[str]:
    """Return the command of a node on a recorded topic, with the user's ``ros`` arguments."""
    compressed = image.msgtype == COMPRESSED
    return [sys.executable, '-m', 'jrn_perception.cli.node', '--ros-args',
            # The first of several name remappings counts, but the last of several parameters:
            # so the user's arguments override neither.
            '-r', '__node:=jrn_perception', '-r', f'__ns:={namespace or "/"}',
            '-r', f'image{"/compressed" * compressed}:={image.name}', *ros,
            '-p', 'use_sim_time:=true',
            '-p', f'image_transport:={"compressed" if compressed else "raw"}']


@contextmanager
def running(command: Sequence[str]) -> Iterator[subprocess.Popen]:
    """Start a process; send it Ctrl-C at the end."""
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
