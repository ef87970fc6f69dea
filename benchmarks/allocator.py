# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Measure how much time it saves to keep freed memory (jrn_perception/cli/allocator.py).

The tasks are a frame of the shipped HydraNet, a frame of the shipped JRN (both in a thread, as in
the node) and a training step of HydraNet. Each task runs in separate processes, alternately with
and without freed memory kept.

    python benchmarks/allocator.py [--rounds 3]
"""

import argparse
import subprocess
import sys
import threading
import time

BATCH, CROP = 8, (240, 320)


def frame(architecture):
    """Return a function that processes a drawn room."""
    from jrn_perception.perception import Perception
    from jrn_perception.rooms.scenes import scenes
    perception = Perception.load(architecture, backend='torch')
    rgb = next(iter(scenes(1))).rgb

    def once():
        prediction = perception(rgb)
        return prediction.depth, prediction.labels
    return once


def training_step():
    """Return a function that takes the gradient of a batch."""
    from jrn_perception import networks
    import torch
    network = networks.find('hydranet').build().to(memory_format=torch.channels_last)
    images = torch.rand(BATCH, 3, *CROP).contiguous(memory_format=torch.channels_last)

    def once():
        maps = network(images)
        (maps.depth.mean() + maps.semantics.mean()).backward()
    return once


TASKS = {'a frame, hydranet': (lambda: frame('hydranet'), 30),
         'a frame, jrn': (lambda: frame('jrn'), 20),
         'a training step, hydranet': (training_step, 5)}


def measure(task, keep):
    """Print the median milliseconds of the task, without its first two runs."""
    from jrn_perception.cli.allocator import keep_freed_memory
    if keep and not keep_freed_memory():
        raise SystemExit('this C library cannot keep freed memory: there is nothing to measure')
    make, count = TASKS[task]
    once, times = make(), []

    def work():
        for _ in range(count):
            start = time.perf_counter()
            once()
            times.append(time.perf_counter() - start)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    print(1e3 * sorted(times[2:])[len(times[2:]) // 2])


def main():
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--rounds', type=int, default=3,
                        help='processes of each kind (default: %(default)s)')
    parser.add_argument('--measure', nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure[0], arguments.measure[1] == 'keep')
        return
    print('| | freed memory given back, ms | kept, ms | ratio |\n| --- | ---: | ---: | ---: |')
    for task in TASKS:
        best = {'give': float('inf'), 'keep': float('inf')}
        for _ in range(arguments.rounds):
            for kind in best:
                output = subprocess.run([sys.executable, __file__, '--measure', task, kind],
                                        check=True, capture_output=True, text=True).stdout
                best[kind] = min(best[kind], float(output))
        print(f'| {task} | {best["give"]:.0f} | {best["keep"]:.0f} | '
              f'{best["keep"] / best["give"]:.2f} |')


if __name__ == '__main__':
    main()
