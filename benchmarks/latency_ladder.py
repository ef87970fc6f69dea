# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Print accuracy and relative time of each setting that max_latency_ms chooses from.

The settings take turns for each timed picture; times are multiples of the first setting's, medians
over the pictures. The metrics are those of ``jrn_evaluate dataset``. Without DATA, the folder of
the nyuv2 reader, the frames are drawn rooms, whose errors mean little.

    python benchmarks/latency_ladder.py [DATA] [--limit 116] [--backend auto] [--variant sum60]
"""

from __future__ import annotations

import argparse
import statistics
import time

from jrn_perception import networks
from jrn_perception.evaluation.measures.comparison import evaluate, Protocol
from jrn_perception.evaluation.measures.frames import CROPS, open_frames
from jrn_perception.evaluation.recordings.totals import metrics_of
from jrn_perception.ros.network.configuration import load
from jrn_perception.ros.parameters.settings import Settings
from jrn_perception.ros.parameters.table import PARAMETERS
import numpy as np

TIMED = 20


def relative_times(rungs, pictures: list[np.ndarray]) -> list[float]:
    """Return the median time of each rung as a multiple of the first rung's."""
    ratios: list[list[float]] = []
    for rgb in pictures:
        seconds = []
        for rung in rungs:
            start = time.perf_counter()
            prediction = rung(rgb)
            _ = prediction.depth, prediction.labels
            seconds.append(time.perf_counter() - start)
        ratios.append([each / seconds[0] for each in seconds])
    return [statistics.median(column) for column in zip(*ratios)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('data', nargs='?', default='')
    parser.add_argument('--limit', type=int, default=20)
    parser.add_argument('--backend', default='auto')
    parser.add_argument('--variant', default='sum60')
    options = parser.parse_args()
    reader = 'nyuv2' if options.data else 'scenes'
    frames = open_frames(reader, options.data, 'val' if options.data else '', options.limit)
    ladder = load(Settings(**{row.name: row.default for row in PARAMETERS} | {
        'architecture': networks.architecture_of(options.variant), 'variant': options.variant,
        'backend': options.backend, 'max_latency_ms': 1.0})).ladder
    assert ladder is not None
    pictures = [frames[index].rgb for index in range(min(TIMED, len(frames)))]
    times = relative_times(ladder.rungs, pictures)
    print(f'{len(frames)} frames of {reader}, {ladder.rungs[0].backend_name}')
    for index, (rung, relative) in enumerate(zip(ladder.rungs, times)):
        output = evaluate(rung, frames, Protocol(crop=CROPS.get(reader))).output
        found = metrics_of(output.depth.sum(0), output.labels.sum(0))
        print(f'{ladder.describe(index)}: time {relative:.2f}, rms {found["rms"]:.3f} m, rel '
              f'{found["rel"]:.3f}, mean IoU {found["mean_iou"]:.1f} %, pixel accuracy '
              f'{found["pixel_accuracy"]:.1f} %')


if __name__ == '__main__':
    main()
