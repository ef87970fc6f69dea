# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_average``: one network from several that were trained from the same start."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys

from jrn_perception.cli import program
from jrn_perception.cli.train import add_frames
from jrn_perception.datasets.registry import layouts, open_dataset
from jrn_perception.evaluation.measures.frames import parse_crop
from jrn_perception.training.recipes import READABLE

DESCRIPTION = """\
Write the mean of the weights of networks that were trained from the same start, in different ways
or for different times. The mean costs no time at inference, and is often better than each of them.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Write and measure the mean; return the exit code."""
    arguments = parse(argv)
    return program.run('jrn_average', lambda: _average(arguments), "pip install '.[train]'")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the arguments of a command line, by default the process's."""
    parser = argparse.ArgumentParser(
        prog='jrn_average', description=DESCRIPTION, epilog=layouts(READABLE),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('weights', nargs='+', type=Path, metavar='FILE',
                        help='weights files; the others may be of networks with more heads than '
                        'the first, and a file that is given twice counts twice')
    parser.add_argument('--output', type=Path, required=True, help='weights file to write')
    add_frames(parser)
    return parser.parse_args(argv)


def _average(arguments: argparse.Namespace) -> None:
    from jrn_perception.training.average import average
    from jrn_perception.training.results import write_measured

    frames = open_dataset(arguments.reader, arguments.data, arguments.val)
    crop = parse_crop(arguments.crop, arguments.reader)
    mean = average(arguments.weights)
    write_measured(mean.network, mean.card, arguments.output, frames, crop)


if __name__ == '__main__':
    sys.exit(main())
