# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_calibrate``: the temperature of the confidence, fitted to annotated frames."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
import sys

from jrn_perception import weights
from jrn_perception.cli import program
from jrn_perception.datasets.registry import layouts, READERS
from jrn_perception.evaluation.measures import deviation, temperature
from jrn_perception.evaluation.measures.calibration import ece_estimate
from jrn_perception.evaluation.measures.comparison import Protocol
from jrn_perception.evaluation.measures.frames import open_as_trained, open_frames, parse_crop
from jrn_perception.frame import Frame
from jrn_perception.perception import Perception
from jrn_perception.weights.onnx import SUFFIX

DESCRIPTION = """\
Fit the temperature of a network's confidence, or with --depth the standard deviation of its
depth, to annotated frames, and write it into the card of the weights file. The weights, the
labels and the depth stay the same. Take frames that the network has not learned from: on its own
training frames a network is right too often. The temperature comes first: the deviation depends
on the confidence, so that a new temperature removes it from the card.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Fit the temperature; return the exit code."""
    options = parse(argv)
    return program.run('jrn_calibrate', lambda: _calibrate(options))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments of a command line, by default the process's."""
    parser = argparse.ArgumentParser(
        prog='jrn_calibrate', description=DESCRIPTION, epilog=layouts(),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('weights', type=Path, metavar='FILE',
                        help='weights file, whose card is changed')
    parser.add_argument('--data', required=True, help='folder of the annotated frames')
    parser.add_argument('--reader', default='nyuv2', choices=tuple(READERS),
                        help='layout of the folder, see below (default: %(default)s)')
    parser.add_argument('--split', default='val',
                        help="split to fit to, '' for the reader's own (default: %(default)s)")
    parser.add_argument('--crop', default='', help='well annotated part of a frame: nyu, none or '
                        "y0:y1,x0:x1 (default: the reader's)")
    parser.add_argument('--depth', action='store_true', help='fit the deviation of depth')
    parser.add_argument('--device', default='auto', help='auto, cpu, cuda or cuda:N '
                        '(default: %(default)s)')
    return parser.parse_args(argv)


def _calibrate(options: argparse.Namespace) -> None:
    path = options.weights
    if not path.is_file():
        raise weights.WeightsError(f'{path}: no such weights file')
    if path.suffix == SUFFIX:
        raise ValueError(f'{path}: calibrate the safetensors file that it was exported from, and '
                         'export it again')
    card = weights.check(path)
    frames = open_frames(options.reader, options.data, options.split)
    protocol = Protocol(parse_crop(options.crop, options.reader))
    perception, frames = open_as_trained(path, card, frames, options.device)
    for warning in perception.warnings:
        print(f'warning: {warning}', file=sys.stderr)
    if options.depth:
        _calibrate_depth(options, perception, frames, protocol, card)
        return
    fit = temperature.fit(perception, frames, protocol, partial(program.track, title='measuring'))
    before, after = (float(ece_estimate(part).value) for part in (fit.before, fit.after))
    found = {'reader': options.reader, 'split': options.split or None, 'images': len(frames),
             'pixels': fit.pixels, 'ece_before': round(before, 4), 'ece': round(after, 4)}
    metrics = {**card.metrics, 'calibration': found}
    stale = card.depth_deviation is not None and fit.temperature != card.temperature
    if stale:
        metrics.pop('depth_deviation', None)
    weights.write_card(replace(
        card, temperature=fit.temperature, metrics=metrics,
        depth_deviation=None if stale else card.depth_deviation), path)
    print(f'{path}: temperature {fit.temperature:g} (was {card.temperature:g}), ECE '
          f'{after:.4f} (was {before:.4f}) on {len(frames)} frames')
    if stale:
        print(f'{path}: the deviation of depth was fitted to another confidence and is removed: '
              'fit it again with --depth')


def _calibrate_depth(options: argparse.Namespace, perception: Perception,
                     frames: Sequence[Frame], protocol: Protocol, card: weights.Card) -> None:
    path = options.weights
    fit = deviation.fit(perception, frames, protocol, partial(program.track, title='measuring'))
    found = {'reader': options.reader, 'split': options.split or None, 'images': len(frames),
             'pixels': fit.pixels}
    weights.write_card(replace(card, depth_deviation=fit.coefficients,
                               metrics={**card.metrics, 'depth_deviation': found}), path)
    print(f'{path}: deviation of depth fitted to {fit.pixels} pixels of {len(frames)} frames')


if __name__ == '__main__':
    sys.exit(main())
