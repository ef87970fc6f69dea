# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_distill``: a teacher writes the annotations that frames lack."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
import sys

from jrn_perception.cli import distill_bags, program
from jrn_perception.datasets.registry import layouts, open_to_train, READERS
from jrn_perception.datasets.subsets import Undamaged
from jrn_perception.training.distillation.distill import distil


def main(argv: Sequence[str] | None = None) -> int:
    """Write the annotated frames; return the exit code."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == [distill_bags.NAME]:
        return distill_bags.main(words[1:])
    parser = argparse.ArgumentParser(
        prog='jrn_distill', description='Fill in missing depth or labels with the predictions of '
        'a teacher, for `jrn_train --extra folder=OUTPUT@all`. For recordings see '
        '`jrn_distill bags --help`.',
        epilog=layouts(),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('reader', choices=tuple(READERS),
                        help='layout of the data set, see below')
    parser.add_argument('data', type=Path, help='folder of the data set')
    parser.add_argument('output', type=Path, help='folder to write to')
    parser.add_argument('--split', help='split of the data set, if it has splits')
    parser.add_argument('--threshold', type=float, default=0.6,
                        help='confidence below which a pixel stays unlabelled '
                        '(default: %(default)s)')
    parser.add_argument('--skip-damaged', action='store_true', help='leave damaged frames out')
    program.add_network(parser.add_argument_group('teacher'))
    arguments = parser.parse_args(words)
    return program.run('jrn_distill', lambda: _distil(arguments))


def _distil(arguments: argparse.Namespace) -> None:
    frames = Undamaged(open_to_train(arguments.reader, arguments.data, arguments.split),
                       'skip' if arguments.skip_damaged else 'raise')
    result = distil(program.load(arguments), frames, arguments.output, arguments.threshold,
                    frames.labels, getattr(frames.frames, 'depth_range', None))
    print(f'{arguments.output}: {result.frames} frames; the teacher labelled '
          f'{result.labelled_by_teacher} of them ({100 * result.share_labelled:.0f} % of their '
          f'pixels) and gave {result.measured_by_teacher} their depth')


if __name__ == '__main__':
    sys.exit(main())
