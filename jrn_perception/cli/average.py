# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_average``: one network of several that were trained from the same start."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
import sys
from typing import Any

from jrn_perception import weights
from jrn_perception.cli.train import add_frames, READABLE, write
from jrn_perception.datasets.registry import layouts, open_dataset
from jrn_perception.evaluation.measures.frames import parse_crop
from torch import nn

DESCRIPTION = """\
Write the mean of the weights of networks that were trained from the same start, in different ways
or for different times. That costs nothing at work, and is often better than each of them.
"""


def main(argv: list[str] | None = None) -> int:
    """Write and measure the mean; return 0, or 1 after a line that says what is wrong."""
    arguments = parse(argv)
    try:
        frames = open_dataset(arguments.reader, arguments.data, arguments.val)
        crop = parse_crop(arguments.crop, arguments.reader)
        write(*average(arguments.weights), arguments.output, frames, crop)
    except (ValueError, OSError) as error:
        print(f'jrn_average: {error}', file=sys.stderr)
        return 1
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='jrn_average', description=DESCRIPTION, epilog=layouts(READABLE),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('weights', nargs='+', type=Path, metavar='FILE',
                        help='weights files; the others may be of networks with more heads than '
                        'the first, and a file that is given twice counts twice')
    parser.add_argument('--output', type=Path, required=True, help='weights file to write')
    add_frames(parser)
    return parser.parse_args(argv)


def average(paths: Sequence[Path]) -> tuple[nn.Module, weights.Card]:
    """
    Return the first file's network with the mean of all files' weights, and its card.

    Wortsman et al., "Model soups: averaging weights of multiple fine-tuned models improves
    accuracy without increasing inference time", ICML 2022, Section 2: the uniform soup. Between
    networks that were not trained from the same start the mean is worth nothing. The card tells
    once how each file was trained, and at its top what is true of all. Raises ValueError for a
    file that lacks a part of the first, or is for other labels or another focal length.
    """
    loaded = [weights.load_file(path) for path in paths]
    network, card = loaded[0]
    states = [other.state_dict() for other, _ in loaded]
    for path, state, (_, other) in zip(paths, states, loaded, strict=True):
        if card.label_set and other.label_set not in (None, card.label_set):
            raise ValueError(f'{path}: is labelled in {other.labels}, {paths[0]} in {card.labels}')
        for what in ('input_size', 'focal_length', 'inputs', 'preprocessing', 'precision'):
            if getattr(other, what) != getattr(card, what):
                raise ValueError(f'{path}: has the {what} {getattr(other, what)}, {paths[0]} '
                                 f'{getattr(card, what)}')
        for name, value in states[0].items():
            if name not in state or state[name].shape != value.shape:
                raise ValueError(f'{path}: has no {name} like that of {paths[0]}; a network that '
                                 'has all parts of the first is wanted')
    # Counters of batches are the first's: the mean of whole numbers is none.
    network.load_state_dict({
        name: sum(state[name] for state in states) / len(states)
        if value.is_floating_point() else value for name, value in states[0].items()})
    made_of = [{'sha256': other.sha256, 'training': other.training} for _, other in loaded]
    common = {key: value for key, value in card.training.items()
              if all(key in part['training'] and part['training'][key] == value
                     for part in made_of)}
    licence = weights.joint_licence(*(other.licence for _, other in loaded))
    training = {**common, 'averaged': _once(made_of, set())}
    return network, replace(card, training=training, metrics={}, licence=licence)


def _once(told: Any, known: set[str]) -> Any:
    """Return what is told of files without what has been told of the same file before."""
    if isinstance(told, list):
        return [_once(item, known) for item in told]
    if not isinstance(told, dict):
        return told
    if told.get('sha256') in known:
        return {'sha256': told['sha256']}
    if told.get('training'):
        known.add(told['sha256'])
    return {key: _once(value, known) for key, value in told.items()}


if __name__ == '__main__':
    sys.exit(main())
