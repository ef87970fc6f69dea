# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Measure the time that the correction of depth by measured points takes, on one core.

The depth of rooms of our renderer, drifted, is corrected by points of the true depth with 1 %
noise and 5 % outliers. The program prints the best milliseconds per 640x480 frame for several
numbers of points, then the share of each part of the correction for the last of them, and the
time of the deviation of depth, which is computed only for its readers.

    python benchmarks/anchoring.py [--frames 40] [--points 5 50 200 500]
"""

import argparse
from collections import defaultdict
from contextlib import ExitStack
import os
import sys
import time
from unittest.mock import patch

import cv2
from jrn_perception.evaluation.measures.sampling import sample, Sampling
from jrn_perception.perception.anchoring import Anchoring, anchoring, field, guide
from jrn_perception.rooms.scenes import scenes
import numpy as np

ONE_CORE = {'OMP_NUM_THREADS': '1', 'OPENBLAS_NUM_THREADS': '1'}
PARTS = {'prediction on a grid': (anchoring, 'guide_of'),
         'choice of the points': (guide, 'thinned'),
         'covariances': (field, '_covariance'), 'outliers': (field, '_believed'),
         'solution': (np.linalg, 'solve'), 'field on the grid': (field.Field, 'on_grid')}


def drifted(depth):
    """Return depth (H, W) as a network would predict it: with a wrong scale that drifts."""
    down, across = np.meshgrid(*(np.linspace(0, 1, length) for length in depth.shape),
                               indexing='ij')
    return depth * np.exp(0.2 * np.sin(3 * across) - 0.15 * down).astype(np.float32)


def timed(function, spent):
    """Return the function, which adds its seconds to the list ``spent``."""
    def call(*arguments):
        start = time.perf_counter()
        result = function(*arguments)
        spent.append(time.perf_counter() - start)
        return result

    return call


def measure(frame, count, repeats):
    """Return the best seconds of the whole and of the deviation, for ``count`` points."""
    predicted = drifted(frame.depth)
    points = sample(frame.depth, Sampling('points', count), 0)
    corrector, whole, rest = Anchoring(), [], []
    for repeat in range(repeats):
        timed(corrector, whole)(predicted, frame.labels, points, repeat / 10)
        timed(corrector.remaining, rest)()
    return min(whole), min(rest)


def shares(frame, count, repeats):
    """Return the best seconds of each part, for ``count`` points."""
    spent = defaultdict(list)
    predicted, corrector = drifted(frame.depth), Anchoring()
    points = sample(frame.depth, Sampling('points', count), 0)
    with ExitStack() as stack:
        for name, (owner, attribute) in PARTS.items():
            stack.enter_context(patch.object(
                owner, attribute, timed(getattr(owner, attribute), spent[name])))
        for repeat in range(repeats):
            corrector(predicted, frame.labels, points, repeat / 10)
    return {name: min(seconds) for name, seconds in spent.items()}


def main():
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('--frames', type=int, default=40, help='(default: %(default)s)')
    parser.add_argument('--points', type=int, nargs='+', default=[5, 50, 200, 500],
                        help='(default: 5 50 200 500)')
    arguments = parser.parse_args()
    if not ONE_CORE.items() <= os.environ.items():
        # NumPy reads them when it is imported.
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ONE_CORE})
    cv2.setNumThreads(1)
    frame = next(iter(scenes(1)))
    print('| points | ms | deviation, ms |\n| ---: | ---: | ---: |')
    for count in arguments.points:
        whole, rest = measure(frame, count, arguments.frames)
        print(f'| {count} | {1e3 * whole:.2f} | {1e3 * rest:.2f} |')
    print(f'\n| part, {count} points | ms | share |\n| --- | ---: | ---: |')
    for name, seconds in shares(frame, count, arguments.frames).items():
        print(f'| {name} | {1e3 * seconds:.2f} | {seconds / whole:.0%} |')


if __name__ == '__main__':
    main()
