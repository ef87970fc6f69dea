# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Print flicker and accuracy with and without the temporal filter, and the filter's time.

A picture becomes two recordings at 30 Hz with the noise of a camera: one of a still camera, and
one of a camera that pans by some pixels for each frame. ``jrn_evaluate bag --temporal-filter``
measures both. The pictures are the first of DATA, the folder of the nyuv2 reader, or else drawn
rooms. The time is a share of the network's, measured in turns.

    python benchmarks/temporal_filter.py [DATA] [--scenes 3] [--frames 30] [--seconds 0.3]
                                         [--noise 4] [--pan 2] [--architecture hydranet]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
import statistics
import tempfile
import time

from jrn_perception.evaluation.measures.frames import open_frames
from jrn_perception.evaluation.recordings.bag import evaluate_bag
from jrn_perception.evaluation.recordings.session import Request
from jrn_perception.evaluation.reports.bag_document import bag_document
from jrn_perception.frame import Frame
from jrn_perception.labels import NYU40
from jrn_perception.messages.label_info import LABEL_INFO
from jrn_perception.perception import Perception
from jrn_perception.perception.temporal import TemporalFilter
from jrn_perception.recordings.reader import IMAGE
from jrn_perception.recordings.writer import Writer
import numpy as np

PERIOD_NS = 33_333_333
START_NS = 10**18
SHOWN = ('rms', 'rel', 'mean_iou', 'pixel_accuracy')


def shots(frame: Frame, count: int, pan: int, noise: float) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield RGB, depth and labels of a window of the frame, which moves to the right."""
    random = np.random.default_rng(0)
    height, width = frame.rgb.shape[0] * 3 // 4, frame.rgb.shape[1] * 3 // 4
    for index in range(count):
        part = np.s_[:height, index * pan:index * pan + width]
        rgb = frame.rgb[part] + noise * random.standard_normal((height, width, 3))
        yield (np.clip(np.rint(rgb), 0, 255).astype(np.uint8), frame.depth[part],
               frame.labels[part])


def record(path: Path, frame: Frame, count: int, pan: int, noise: float) -> Path:
    """Write the shots of a frame as a recording."""
    topics = {'/image': 'rgb8', '/depth': '32FC1', '/labels': 'mono8'}
    with Writer(path) as writer:
        for topic in topics:
            writer.add(topic, IMAGE)
        writer.add('/label_info', LABEL_INFO, latched=True)
        writer.write('/label_info', START_NS, writer.label_info(
            writer.header(START_NS, ''), NYU40))
        for index, arrays in enumerate(shots(frame, count, pan, noise)):
            stamp = START_NS + index * PERIOD_NS
            for (topic, encoding), array in zip(topics.items(), arrays):
                writer.write(topic, stamp, writer.image(
                    writer.header(stamp, 'optical'), np.ascontiguousarray(array), encoding))
    return path


def relative_time(perception: Perception, frame: Frame, seconds: float) -> float:
    """Return the time of the filter as a share of the network's, in turns."""
    picture, steady, shares = perception.preprocess(frame.rgb), TemporalFilter(), []
    for index in range(20):
        start = time.perf_counter()
        maps = perception.infer(picture[None])
        middle = time.perf_counter()
        steady(maps, picture, index / 30, seconds)
        shares.append((time.perf_counter() - middle) / (middle - start))
    return statistics.median(shares)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument('data', nargs='?', default='')
    parser.add_argument('--scenes', type=int, default=3)
    parser.add_argument('--frames', type=int, default=30)
    parser.add_argument('--seconds', type=float, default=0.3)
    parser.add_argument('--noise', type=float, default=4.0)
    parser.add_argument('--pan', type=int, default=2)
    parser.add_argument('--architecture', default='hydranet')
    options = parser.parse_args()
    reader, split = ('nyuv2', 'val') if options.data else ('scenes', '')
    frames = open_frames(reader, options.data, split, options.scenes)
    perception = Perception.load(options.architecture, device='cpu')
    share = relative_time(perception, frames[0], options.seconds)
    print(f'{options.architecture}, {perception.backend_name}: the filter takes {share:.3f} '
          "times the network's time")
    for name, pan in (('still', 0), (f'pan of {options.pan} pixels a frame', options.pan)):
        rows = []
        for frame in frames:
            with tempfile.TemporaryDirectory() as folder:
                path = record(Path(folder) / 'bag', frame, options.frames, pan, options.noise)
                document = bag_document(evaluate_bag(perception, path, Request(
                    depth='/depth', labels='/labels', temporal_filter=options.seconds,
                    worst=0)), perception)
            rows.append([(side['drift']['depth']['mean'], side['drift']['labels']['mean'],
                          *(pooled[metric] for metric in SHOWN))
                         for side, pooled in ((document, document['output']['pooled']),
                                              (document['temporal_filter'],
                                               document['temporal_filter']['pooled']))])
        for side, values in zip(('without', 'with'), np.mean(rows, 0)):
            depth, labels, rms, rel, iou, accuracy = values
            print(f'{name}, {side}: depth changes by {100 * depth:.2f} %, {100 * labels:.2f} % of '
                  f'the labels; rms {rms:.3f} m, rel {rel:.3f}, mean IoU {iou:.1f} %, pixel '
                  f'accuracy {accuracy:.1f} %')


if __name__ == '__main__':
    main()
