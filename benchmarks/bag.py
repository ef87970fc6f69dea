# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Measure whether `jrn_evaluate bag` keeps the network busy, and whether its memory grows.

The first number is the time that one core takes to compare a prediction with its ground truth.
Then follows the wall time of an evaluation divided by the time that the network alone takes for
the same pictures, with and without ground truth. The measurements alternate in one run, so that
the ratio holds on a machine that also does other work. The last numbers are the resident memory
after a tenth of a long recording and at its end.

    python benchmarks/bag.py [--frames 40] [--rounds 3] [--long 1000] [--weights random]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
import statistics
import tempfile
import time

from jrn_perception.evaluation.recordings.bag import evaluate_bag
from jrn_perception.evaluation.recordings.session import Request, Session
from jrn_perception.evaluation.recordings.totals import Measured, Remarks
from jrn_perception.labels import map_labels
from jrn_perception.messages.maps import to_depth, to_labels
from jrn_perception.perception import Perception
from jrn_perception.recordings.reader import Recording
from jrn_perception.recordings.writer import Writer
from jrn_perception.sources import sample
from processes import resident_mb

TRUTH = {'depth': sample.DEPTH_TOPIC, 'labels': sample.LABEL_TOPIC}


def network_alone(perception: Perception, path: Path) -> float:
    """Return the seconds that the network takes for all pictures, one after the other."""
    seconds = 0.0
    with Recording(path) as recording:
        for frame in recording.frames():
            image = perception.preprocess(frame.rgb)
            start = time.perf_counter()
            perception.infer(image[None])
            seconds += time.perf_counter() - start
    return seconds


def comparing(perception: Perception, path: Path) -> None:
    """Print the time that one core takes to compare a prediction with its ground truth."""
    with Recording(path) as recording:
        session = Session(perception, recording, Request(**TRUTH),
                          bool(perception.card.spec.inputs))
        frame = next(recording.frames())
        truth = {role: decode(recording.decode(next(recording.records([TRUTH[role]]))))
                 for role, decode in (('depth', to_depth), ('labels', to_labels))}
    truth['labels'] = map_labels(truth['labels'], session.ids.table)
    maps = perception.infer(perception.preprocess(frame.rgb)[None])
    comparison, seconds = session.comparison, []
    for _ in range(20):
        measured = Measured(replace(frame, **truth), Remarks([], {}))
        prediction = comparison.prediction(perception.postprocess(maps, frame.rgb.shape[:2]))
        sides = [side for side in (prediction, prediction.inputs) if side]
        for side in sides:  # The pictures themselves are the network's postprocessing.
            comparison.depth(side), comparison.class_ids(side)
        start = time.thread_time()
        measured.compare(comparison, prediction, len(sides) > 1)
        seconds.append(time.thread_time() - start)
    print(f'comparison of {len(sides)} predictions: {1e3 * statistics.median(seconds):.1f} ms of '
          'one core')


def busy(perception: Perception, path: Path, rounds: int) -> None:
    """Print the wall time divided by the network's time."""
    ratios: dict[str, list[float]] = {'without ground truth': [], 'with ground truth': []}
    perception.warm_up()
    for _ in range(rounds):
        for (name, found), truth in zip(ratios.items(), ({}, TRUTH)):
            alone = network_alone(perception, path)
            evaluation = evaluate_bag(perception, path, Request(**truth))
            found.append(evaluation.wall_s / alone)
            print(f'  {name}: wall {evaluation.wall_s:.2f} s, network in it '
                  f'{evaluation.network_s:.2f} s, network alone {alone:.2f} s')
    for name, found in ratios.items():
        print(f'{name}: wall / network alone {statistics.median(found):.2f} (median of {rounds})')


def lengthen(path: Path, output: Path, frames: int) -> None:
    """Write a recording that repeats the same messages with increasing stamps."""
    with Recording(path) as recording, Writer(output) as writer:
        writer.add_copy(path, list(recording.topics))
        records = list(recording.records())
        count = recording.topics[sample.IMAGE_TOPIC].count
        span = recording.duration_ns + 10**8
        for turn in range(-(-frames // count)):
            for record in records:
                if turn and record.topic.name == sample.LABEL_INFO_TOPIC:
                    continue
                stamp = record.stamp_ns + turn * span
                data = bytearray(record.data)
                # Little-endian CDR: 4 bytes of encapsulation, then the stamp of the header.
                data[4:8] = (stamp // 10**9).to_bytes(4, 'little')
                data[8:12] = (stamp % 10**9).to_bytes(4, 'little')
                writer.write_copy(record.topic.name, stamp, bytes(data))


def memory(options: argparse.Namespace, path: Path) -> None:
    """Print resident memory after a tenth of the recording and at its end."""
    perception = Perception.load(options.architecture, weights_file=options.weights,
                                 device=options.device, height=64, width=96)
    sizes = []

    def track(items: Iterable, total: int) -> Iterator:
        for index, item in enumerate(items, 1):
            if index in (total // 10, total):
                sizes.append(resident_mb())
            yield item

    evaluation = evaluate_bag(perception, path, Request(**TRUTH), track)
    print(f'resident after {evaluation.totals.frames // 10} frames {sizes[0]:.0f} MiB, after '
          f'{evaluation.totals.frames} frames {sizes[1]:.0f} MiB: ratio {sizes[1] / sizes[0]:.3f}')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0])
    parser.add_argument('--frames', type=int, default=40,
                        help='frames of the recording (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=3,
                        help='evaluations of each kind (default: %(default)s)')
    parser.add_argument('--long', type=int, default=1000,
                        help='frames of the long recording (default: %(default)s)')
    parser.add_argument('--weights', default='random',
                        help="random, a file, or '' for the shipped ones (default: %(default)s)")
    parser.add_argument('--architecture', default='jrn', help='(default: %(default)s)')
    parser.add_argument('--device', default='auto', help='(default: %(default)s)')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'bag'
        sample.write_sample(path, options.frames, size=(480, 640))
        perception = Perception.load(options.architecture, weights_file=options.weights,
                                     device=options.device)
        print(f'{options.frames} frames of 640x480, {options.architecture}, '
              f'{perception.device.type}:')
        comparing(perception, path)
        busy(perception, path, options.rounds)
        lengthen(path, Path(folder) / 'long', options.long)
        memory(options, Path(folder) / 'long')


if __name__ == '__main__':
    main()
