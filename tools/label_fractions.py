#!/usr/bin/env python3
# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Train with few labels of NYU-Depth v2, and compare: a table and a plot with intervals.

tools/label_fractions.py --data nyuv2 --depth-only nyuv2_depth_only --output runs/fractions

Each share of the labels is trained under each arm; each arm adds one part to the arm before it.
All runs have the same steps. Stopped and started again, the program continues; after each run it
writes label_fractions.md and label_fractions.png from the runs that are finished.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
import sys
from typing import NamedTuple

from jrn_perception import weights
from jrn_perception.cli.train import main as train
from jrn_perception.datasets.label_fractions import FRACTIONS
from jrn_perception.datasets.registry import open_dataset
from jrn_perception.evaluation.measures.bootstrap import Estimate, estimate, pool, resamplings
from jrn_perception.evaluation.measures.comparison import evaluate, Protocol
from jrn_perception.evaluation.measures.frames import parse_crop
from jrn_perception.evaluation.measures.metrics import depth_metrics, label_metrics
from jrn_perception.perception import Perception
import numpy as np

# The numbers of the recipe that the parts of the method switch on, and their values.
PARTS = {'mean teacher': ('consistency_weight', 'unlabelled_depth', 'class_mix'),
         'AffineMix': ('affine_mix',), 'ColorAug': ('color_aug',), 'CCAM': ('attention_rate',)}
ARMS = ('supervised only', *(f'+ {part}' for part in PARTS))
NETWORK = 'symbiosis_nyu40'
SUMS = 'sums.npz'


class Cell(NamedTuple):
    """One training: an index of ``ARMS``, a share of the labels, and a seed."""

    arm: int
    fraction: str
    seed: int

    @property
    def folder(self) -> str:
        name = ARMS[self.arm].removeprefix('+ ').replace(' ', '_').lower()
        return f'{self.fraction.replace("/", "_of_")}-{self.arm}_{name}-{self.seed}'

    def options(self) -> list[str]:
        """Return the options that switch the parts off that the arm does not have."""
        parts = list(PARTS.values())[self.arm:]
        return [word for part in parts for name in part for word in ('--set', f'{name}=0')]


@dataclass(frozen=True)
class Measured:
    """The sums of a finished run over each image: labels (N, K, 3) and depth (N, 9)."""

    labels: np.ndarray
    depth: np.ndarray

    def mean_iou(self, drawn: np.ndarray) -> np.ndarray:
        return label_metrics(pool(self.labels, drawn)).mean_iou

    def rms(self, drawn: np.ndarray) -> np.ndarray:
        return depth_metrics(pool(self.depth, drawn)).rms


Runs = dict[Cell, Measured]


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is missing, then report; return the exit code of a training that failed."""
    options = parser().parse_args(argv)
    finished: Runs = {}
    for cell in cells(options):
        folder = options.output / cell.folder
        if not (folder / SUMS).exists():
            print(f'{cell.folder}:', flush=True)
            code = run(cell, folder, options)
            if code:
                return code
            measure(folder, options)
        with np.load(folder / SUMS) as sums:
            finished[cell] = Measured(sums['labels'], sums['depth'])
        report(finished, options.output)
    return 0


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument('--data', type=Path, required=True, help='frames of reader nyuv2')
    result.add_argument('--depth-only', type=Path, help='frames of reader nyuv2_depth_only')
    result.add_argument('--output', type=Path, required=True)
    result.add_argument('--fractions', nargs='+', default=[*FRACTIONS, '1/1'],
                        help='shares of the labels; default: %(default)s')
    result.add_argument('--arms', nargs='+', type=int, default=list(range(len(ARMS))),
                        choices=range(len(ARMS)), help='default: all of ' + ', '.join(
                            f'{index} {arm}' for index, arm in enumerate(ARMS)))
    result.add_argument('--seeds', type=int, default=3,
                        help='runs of each arm at 1/8, or of the only fraction; the others have '
                        'one; default: %(default)s')
    result.add_argument('--set', action='append', default=[], metavar='NAME=VALUE',
                        help='change a number of the recipe in all runs')
    return result


def cells(options: argparse.Namespace) -> list[Cell]:
    """Return the runs in order: first seeds first, so that an early table is complete."""
    several = '1/8' if '1/8' in options.fractions else options.fractions[0]
    return [Cell(arm, fraction, seed) for seed in range(options.seeds)
            for fraction in options.fractions for arm in options.arms
            if seed == 0 or fraction == several]


def run(cell: Cell, folder: Path, options: argparse.Namespace) -> int:
    arguments = ['symbiosis', '--data', str(options.data), '--output', str(folder), '--labels',
                 cell.fraction, '--seed', str(cell.seed)]
    arguments += [word for change in options.set for word in ('--set', change)]
    if cell.arm and options.depth_only:
        arguments += ['--unlabelled', f'nyuv2_depth_only={options.depth_only}']
    return train(arguments + cell.options())


def measure(folder: Path, options: argparse.Namespace) -> None:
    """Keep the sums of each image of the split val."""
    path = folder / f'{NETWORK}.safetensors'
    # As it was trained, and without an export of each run.
    perception = Perception.load('symbiosis', 'nyu40', weights_file=str(path), backend='torch')
    table = evaluate(perception, open_dataset('nyuv2', options.data, 'val'),
                     Protocol(crop=parse_crop('', 'nyuv2'))).output
    np.savez(folder / SUMS, labels=table.labels.sum(1), depth=table.depth.sum((1, 2)))


# --- the report ---------------------------------------------------------------------------------

Statistic = Callable[[np.ndarray], np.ndarray]


def over_seeds(runs: Runs, arm: int, fraction: str, metric: str) -> Statistic | None:
    """Return the mean of a metric over the seeds of an arm, a function of drawings of images."""
    found = [getattr(measured, metric) for cell, measured in runs.items()
             if (cell.arm, cell.fraction) == (arm, fraction)]
    if not found:
        return None
    return lambda drawn: np.mean([statistic(drawn) for statistic in found], 0)


def report(runs: Runs, folder: Path) -> None:
    """Write the table and the plot of the finished runs."""
    drawings = resamplings(len(next(iter(runs.values())).labels))
    fractions = sorted({cell.fraction for cell in runs}, key=lambda text: -int(text[2:]))
    heads = ['labels', 'arm', 'seeds', 'mean IoU [%]', 'gain', 'rms [m]', 'gain',
             'gamma D→S, S→D']
    rows, points = [], []
    for fraction in fractions:
        for arm in range(len(ARMS)):
            numbers = {metric: over_seeds(runs, arm, fraction, metric)
                       for metric in ('mean_iou', 'rms')}
            if numbers['mean_iou'] is None:
                continue
            row = [fraction, ARMS[arm],
                   str(sum((cell.arm, cell.fraction) == (arm, fraction) for cell in runs))]
            for metric, digits in (('mean_iou', 2), ('rms', 4)):
                value, first = numbers[metric], over_seeds(runs, 0, fraction, metric)
                found = estimate(value, drawings)
                row += [text(found, digits),
                        '–' if arm == 0 or first is None else text(estimate(
                            lambda drawn, v=value, f=first: v(drawn) - f(drawn), drawings),
                            digits, '+')]
                if metric == 'mean_iou':
                    points.append((fraction, arm, found))
            rows.append([*row, gammas(runs, arm, fraction, folder)])
    lines = [heads, ['---'] * len(heads), *rows]
    images = len(next(iter(runs.values())).labels)
    (folder / 'label_fractions.md').write_text(
        '\n'.join(f'| {" | ".join(cells)} |' for cells in lines)
        + f'\n\nNYU-Depth v2, {images} frames of val.txt, pooled, mean of the seeds; in brackets '
        'the 95 % interval of a bootstrap over images. Gains are paired, over supervised only.\n',
        encoding='utf-8')
    plot(points, fractions, folder / 'label_fractions.png')


def text(found: Estimate, digits: int, sign: str = '') -> str:
    value, low, high = (f'{float(number):{sign}.{digits}f}' for number in found)
    return f'{value} [{low}, {high}]'


def gammas(runs: Runs, arm: int, fraction: str, folder: Path) -> str:
    """Return the learnt gammas of an arm, mean of its seeds; '–' without attention."""
    if arm < len(ARMS) - 1:
        return '–'
    found = [weights.read_card(folder / cell.folder / f'{NETWORK}.safetensors').training['gammas']
             for cell in runs if (cell.arm, cell.fraction) == (arm, fraction)]
    return ', '.join(f'{np.mean([each[name] for each in found]):+.3f}'
                     for name in ('depth_to_semantics', 'semantics_to_depth'))


def plot(points: list[tuple[str, int, Estimate]], fractions: list[str], path: Path) -> None:
    """Write mean IoU over the share of the labels, with intervals."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.4), dpi=150, layout='constrained')
    axes = figure.add_subplot()
    for arm, name in enumerate(ARMS):
        found = [(fractions.index(fraction) + 0.08 * (arm - 2), *estimated)
                 for fraction, index, estimated in points if index == arm]
        if found:
            x, value, low, high = np.array(found, float).T
            axes.errorbar(x, value, (value - low, high - value), marker='o', capsize=2,
                          linewidth=1, label=name)
    axes.set_xticks(range(len(fractions)), fractions)
    axes.set(xlabel='share of the labels', ylabel='mean IoU [%]')
    axes.legend(fontsize='small')
    figure.savefig(path, metadata={'Software': None})


if __name__ == '__main__':
    sys.exit(main())
