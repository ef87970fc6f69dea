#!/usr/bin/env python3
# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Measure all tables of docs/range.md in one run, with paired intervals.

tools/range_tables.py --data nyuv2 [--keep sums.npz] [--against sums.npz]

The network predicts each frame once. The points of each sensor are those of `jrn_evaluate dataset
--range`. ``--keep`` writes the sums of all frames. ``--against`` prints how rms changes from the
sums of another version or network, with the interval over frames.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
import sys
from typing import NamedTuple

from jrn_perception.cli import program
from jrn_perception.evaluation.measures.bootstrap import Estimate, estimate, pool, resamplings
from jrn_perception.evaluation.measures.comparison import Comparison, Protocol
from jrn_perception.evaluation.measures.deviation import fit_coefficients
from jrn_perception.evaluation.measures.drift import drift
from jrn_perception.evaluation.measures.frames import NAMES, open_frames, parse_crop
from jrn_perception.evaluation.measures.metrics import depth_metrics, Table, Truth
from jrn_perception.evaluation.measures.sampling import parse_sampling, sample
from jrn_perception.evaluation.measures.sparsification import sample as sample_pixels
from jrn_perception.evaluation.measures.sparsification import sparsification
from jrn_perception.frame import Frame
from jrn_perception.perception import Perception, Prediction
from jrn_perception.perception.anchoring import Anchoring
from jrn_perception.perception.deviation import features, lowered
import numpy as np

SENSORS = ('points:1', 'points:2', 'points:5', 'points:20', 'points:50', 'points:200', 'line',
           'image')
NONE = 'none'
# Frames for the flicker, copies of each, the noise of a camera (of 255), and the seconds between.
STILL, COPIES, GREY, STEP = 5, 12, 3, 0.1
# The filter over time has settled after so many.
SETTLED = 5
FLICKER = (('points:50', False), ('points:50', True), ('points:5', True), ('points:200', True),
           ('line', True))


class Visit(NamedTuple):
    """A frame with its truth, its plain prediction and its number."""

    frame: Frame
    truth: Truth
    plain: Prediction
    index: int


class Measured:
    """The sums of all frames by sensor, and the errors and deviations of some of their pixels."""

    def __init__(self, comparison: Comparison):
        self._comparison = comparison
        names = (NONE, *SENSORS)
        self._tables = {name: Table(comparison.num_classes) for name in names}
        # For each frame (n, 7 + 2): the features of pixels, errors, factors on the deviation.
        self.pixels: dict[str, list[np.ndarray]] = {name: [] for name in names}
        self.wrong_signs: list[bool] = []

    def add(self, frame: Frame, prediction: Prediction, index: int) -> None:
        """Measure a frame with each sensor, and without."""
        crop = self._comparison.protocol.crop
        visit = Visit(frame, self._comparison.truth(frame), prediction, index)
        self._add(NONE, visit, prediction, None)
        for name in SENSORS:
            anchoring = Anchoring()
            points = sample(frame.depth, parse_sampling(name), index, crop)
            depth = anchoring(prediction.depth, prediction.labels, points, 0.0)
            self._add(name, visit, prediction.with_depth(depth), anchoring.remaining)
        exact = sample(frame.depth, parse_sampling('points:1', 0.0, 0.0), index, crop)
        with np.errstate(divide='ignore', invalid='ignore'):
            ratio = np.log(frame.depth / prediction.depth)[crop or ...]
        one = np.log(exact.depth / prediction.depth[exact.row.astype(int),
                                                    exact.column.astype(int)])
        self.wrong_signs.append(bool(one[0] * ratio[np.isfinite(ratio)].mean() < 0))

    def _add(self, name: str, visit: Visit, prediction: Prediction,
             remaining: Callable[[], np.ndarray] | None) -> None:
        frame, plain = visit.frame, visit.plain
        self._comparison.add(self._tables[name], frame, visit.truth, prediction, labels=False)
        chosen = sample_pixels(frame.depth, self._comparison.protocol.crop, visit.index)
        scale = np.float32(plain.depth_scale)
        grid, size = features(plain.depth / scale, plain.confidence), frame.depth.shape
        row, column = np.divmod(chosen, size[1])
        factor = scale * prediction.depth / plain.depth
        if remaining is not None:
            factor = lowered(factor, remaining())
        self.pixels[name].append(np.column_stack((
            grid[row * grid.shape[0] // size[0], column * grid.shape[1] // size[1]],
            (self._comparison.depth(prediction) - frame.depth).flat[chosen],
            factor.flat[chosen])))

    @property
    def sums(self) -> dict[str, np.ndarray]:
        """Return the sums (N, 9) of the frames by sensor."""
        return {name: table.depth.sum((1, 2)) for name, table in self._tables.items()}


def difference(new: np.ndarray, old: np.ndarray) -> Estimate:
    """Return the change of rms between sums (N, 9) of the same frames."""
    return estimate(lambda weights: depth_metrics(pool(new, weights)).rms
                    - depth_metrics(pool(old, weights)).rms, resamplings(len(new)))


def print_errors(sums: dict[str, np.ndarray]) -> None:
    """Print rms on all frames and both halves, and the frames that get worse."""
    half = len(sums[NONE]) // 2
    before = depth_metrics(sums[NONE]).rms
    print('| points | rms (m) | change, 95 % | first half | second half | rel | δ < 1.25 | worse '
          'frames | by mean | largest |\n| --- ' + '| ---: ' * 9 + '|')
    for name, each in sums.items():
        whole, *halves = (depth_metrics(part.sum(0)) for part in (each, each[:half], each[half:]))
        worse = np.maximum(depth_metrics(each).rms - before, 0)
        count = np.count_nonzero(worse)
        found = difference(each, sums[NONE])
        row = [name.removeprefix('points:'), f'{whole.rms:.3f}',
               '' if name == NONE else f'{found.low:+.3f} to {found.high:+.3f}',
               *(f'{part.rms:.3f}' for part in halves), f'{whole.rel:.3f}',
               f'{whole.delta1:.3f}', *('',) * 3]
        if name != NONE:
            row[-3:] = [str(count), f'{worse.sum() / max(count, 1):.3f}', f'{worse.max():.3f}']
        print(f'| {" | ".join(row)} |')


def print_deviations(pixels: dict[str, list[np.ndarray]]) -> None:
    """Print how well the deviation tells the errors of frames that it was not fitted to."""
    print("\n| points | within one deviation | area, of a constant's | within, five parts | area, "
          'five parts |\n| --- ' + '| ---: ' * 4 + '|')
    two, five = (cross_fitted(pixels[NONE], parts) for parts in (2, 5))
    for name, each in pixels.items():
        halves = [sparsification(*judged(each, part)) for part in two]
        fifths = sparsification(*map(np.concatenate, zip(*(
            judged(each, part) for part in five))))
        print(f'| {name.removeprefix("points:")} | '
              + ' and '.join(f'{100 * one.coverage:.0f}' for one in halves) + ' % | '
              + ' and '.join(f'{one.area / one.constant_area:.2f}' for one in halves)
              + f' | {100 * fifths.coverage:.0f} % | {fifths.area / fifths.constant_area:.2f} |')


class Unseen(NamedTuple):
    """A run of frames, and the coefficients of the deviation that all other frames gave."""

    frames: slice
    coefficients: tuple[float, ...]


def cross_fitted(plain: list[np.ndarray], parts: int) -> list[Unseen]:
    """Return ``parts`` runs of the frames with ``plain`` depth, or each frame as a run."""
    parts = min(parts, len(plain))
    bounds = np.arange(parts + 1) * len(plain) // parts
    found = []
    for begin, end in zip(bounds, bounds[1:]):
        rows = np.concatenate(plain[:begin] + plain[end:])
        found.append(Unseen(slice(begin, end), fit_coefficients(
            rows[:, :-2], np.abs(rows[:, -2] / rows[:, -1]))))
    return found


def judged(pixels: list[np.ndarray], unseen: Unseen) -> tuple[np.ndarray, np.ndarray]:
    """Return errors and deviations (n,) of the frames that gave no coefficients."""
    rows = np.concatenate(pixels[unseen.frames])
    return rows[:, -2], np.exp(
        np.clip(rows[:, :-2] @ unseen.coefficients, -6, 3)) * rows[:, -1]


def print_flicker(perception: Perception, frames: Sequence[Frame], comparison: Comparison) -> None:
    """Print how far depth moves between pictures of a still camera, as a share of plain depth."""
    rng, crop = np.random.default_rng(0), comparison.protocol.crop
    moved: dict[tuple[str, bool], list[float]] = {key: [] for key in FLICKER}
    plain: list[float] = []
    for index in np.linspace(0, len(frames) - 1, STILL).astype(int):
        frame, predictions = frames[index], []
        for _ in range(COPIES):
            noisy = frame.rgb + GREY * rng.standard_normal(frame.rgb.shape)
            predictions.append(perception(np.clip(noisy, 0, 255).round().astype(np.uint8),
                                          focal_length=frame.focal_length))
        plain += _movement([each.depth for each in predictions])
        for name, other in FLICKER:
            anchoring = Anchoring()
            moved[name, other] += _movement([
                anchoring(each.depth, each.labels,
                          sample(frame.depth, parse_sampling(name), copy if other else 0, crop),
                          copy * STEP) for copy, each in enumerate(predictions)])
    print(f'\n| points | movement of a still camera, of {np.mean(plain):.2%} |\n| --- | ---: |')
    for (name, other), each in moved.items():
        print(f'| {name.removeprefix("points:")}, {"others in each picture" if other else "fixed"}'
              f' | {np.mean(each) / np.mean(plain):.2f} |')


def _movement(depths: list[np.ndarray]) -> list[float]:
    return [drift(new, None, old, None).depth
            for old, new in zip(depths[SETTLED - 1:], depths[SETTLED:])]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    program.add_network(parser, 'hydranet')
    parser.add_argument('--data', default='', metavar='DIR', help='folder of the data set')
    parser.add_argument('--reader', default='nyuv2', choices=NAMES,
                        help='its layout; scenes are drawn (default: %(default)s)')
    parser.add_argument('--split', default='', help='default: val of nyuv2')
    parser.add_argument('--limit', type=int, default=0, metavar='N', help='first N frames')
    parser.add_argument('--keep', type=program.new_file, metavar='FILE.npz',
                        help='write the sums of all frames there')
    parser.add_argument('--against', type=Path, metavar='FILE.npz', help='compare with these sums')
    arguments = parser.parse_args(argv)
    return program.run('range_tables', lambda: run(arguments), "pip install '.[evaluate]'")


def run(options: argparse.Namespace) -> int:
    """Measure what the options name."""
    frames = open_frames(options.reader, options.data,
                         options.split or ('val' if options.reader == 'nyuv2' else ''),
                         options.limit)
    perception = program.load(options)
    comparison = Comparison(perception, frames.labels,
                            Protocol(parse_crop('', options.reader)))
    measured = Measured(comparison)
    for index, frame in enumerate(program.track(frames, len(frames), title='measuring')):
        measured.add(frame, perception(frame.rgb, focal_length=frame.focal_length), index)
    sums = measured.sums
    print_errors(sums)
    print(f"\nOne exact point tells the wrong sign of the frame's error in "
          f'{sum(measured.wrong_signs)} of {len(frames)} frames.')
    if options.against:
        print('\n| points | change of rms | 95 % |\n| --- | ---: | --- |')
        with np.load(options.against) as former:
            for name in sums:
                found = difference(sums[name], former[name])
                print(f'| {name.removeprefix("points:")} | {found.value:+.4f} | '
                      f'{found.low:+.4f} to {found.high:+.4f} |')
    print_deviations(measured.pixels)
    print_flicker(perception, frames, comparison)
    if options.keep:
        np.savez(options.keep, **sums)
    return program.DONE


if __name__ == '__main__':
    sys.exit(main())
