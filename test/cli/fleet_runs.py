# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Fleets of tiny recordings, and the processes that measure them."""

import os
from pathlib import Path
import signal

from jrn_perception.sources import sample

NETWORK = ('--variant', 'cat1', '--weights', 'random', '--height', '64', '--device', 'cpu')
TRUTH = ('--depth', sample.DEPTH_TOPIC, '--labels', sample.LABEL_TOPIC)
# The files that do not depend on who computed them.
RESULTS = ('fleet.json', 'fleet.html', 'results.jsonl')


def write_fleet(folder, count, frames=2):
    """Write recordings of a few pictures each, in both storages."""
    for seed in range(count):
        sample.write_sample(folder / f'robot{seed % 4}' / f'{seed:02d}', frames, seed, (48, 64),
                            storage=('mcap', 'sqlite3')[seed % 2])
    return folder


def results(folder):
    """Return the content of the results of a fleet."""
    return {name: (folder / name).read_bytes() for name in RESULTS}


def finished(folder):
    """Return the results of recordings that are complete, with the time at which they were."""
    return {path.name: path.stat().st_mtime_ns
            for path in (folder / 'recordings').glob('*.json')}


def descendants(pid):
    """Return (number, command line) of the running processes below a process."""
    children, commands = {}, {}
    for folder in Path('/proc').glob('[0-9]*'):
        try:
            stat = (folder / 'stat').read_text().rpartition(')')[2].split()
            command = (folder / 'cmdline').read_bytes().replace(b'\0', b' ').decode()
        except (FileNotFoundError, ProcessLookupError):
            continue  # It has ended meanwhile.
        children.setdefault(int(stat[1]), []).append(int(folder.name))
        commands[int(folder.name)] = command
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        waiting += below
        found += [(child, commands[child]) for child in below]
    return found


def kill_worker(pid, name):
    """Kill -9 a process below ``pid`` whose command line contains ``name``; return whether."""
    for child, command in descendants(pid):
        if name in command:
            os.kill(child, signal.SIGKILL)
            return True
    return False
