# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Measure the throughput of `jrn_evaluate bags` on each engine beside one process.

Every engine measures the same recordings, in alternation, so that the ratios hold on a machine
that also does other work. The start of processes and clusters counts: `without start` leaves out
the time until the first recording is done. Engines that are not installed are left out and named.

    python benchmarks/fleet.py [--recordings 12] [--frames 20] [--rounds 2] [--jobs 2]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from pathlib import Path
import statistics
import tempfile
import time

from jrn_perception.evaluation.fleet.measuring import measure, Task
from jrn_perception.evaluation.recordings.session import Request
from jrn_perception.fleet.engine import Engine, Network
from jrn_perception.sources import sample

REQUEST = Request(depth=sample.DEPTH_TOPIC, labels=sample.LABEL_TOPIC)
ONE = 'one process'


def engines(jobs: int) -> dict[str, Engine]:
    """Return the engines that are installed; print the names of the others."""
    found = {ONE: Engine(1), f'{jobs} processes': Engine(jobs)}
    for package, name, engine in (('ray', 'Ray', Engine(ray='local')),
                                  ('distributed', 'Dask', Engine(jobs, dask='local'))):
        if importlib.util.find_spec(package) is None:
            print(f'{name} is left out: {package} is not installed')
        else:
            found[f'{name}, local'] = engine
    return found


def timed(engine: Engine, tasks: list[Task]) -> tuple[float, float]:
    """Return recordings per second, and recordings per second after the first one is done."""
    start, stamps = time.perf_counter(), []
    for _, row in engine.run(measure, tasks):
        if getattr(row, 'reason', ''):
            raise RuntimeError(row.reason)
        stamps.append(time.perf_counter())
    return len(tasks) / (stamps[-1] - start), (len(tasks) - 1) / (stamps[-1] - stamps[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--recordings', type=int, default=12, help='(default: %(default)s)')
    parser.add_argument('--frames', type=int, default=20,
                        help='frames of each recording (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=2, help='(default: %(default)s)')
    parser.add_argument('--jobs', type=int, default=os.cpu_count() or 1,
                        help='processes (default: the CPU cores)')
    options = parser.parse_args()
    if options.recordings < 2:
        parser.error('--recordings: at least 2')
    # The workers of a cluster import this package, whether it is installed or not.
    package = str(Path(__file__).resolve().parent.parent)
    os.environ['PYTHONPATH'] = os.pathsep.join(
        filter(None, [package, os.environ.get('PYTHONPATH', '')]))
    network = Network('hydranet', weights_file='random', device='cpu')
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f'{seed:03d}' for seed in range(options.recordings)]
        for seed, path in enumerate(paths):
            sample.write_sample(path, options.frames, seed)
        found: dict[str, list[tuple[float, float]]] = {}
        for turn in range(options.rounds):
            for name, engine in engines(options.jobs).items():
                output = str(Path(folder) / f'out-{turn}-{name}')
                tasks = [Task(path.name, str(path), network, REQUEST, output) for path in paths]
                found.setdefault(name, []).append(timed(engine, tasks))
        print(f'{options.recordings} recordings of {options.frames} frames, hydranet, one thread '
              f'for each process, median of {options.rounds}:')
        base = [statistics.median(column) for column in zip(*found[ONE])]
        for name, rounds in found.items():
            whole, steady = (statistics.median(column) / one
                             for column, one in zip(zip(*rounds), base))
            print(f'{name}: {whole:.2f} times one process, without start {steady:.2f}')


if __name__ == '__main__':
    main()
