# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_distill``: a teacher writes the annotations that frames lack."""

from __future__ import annotations

import argparse
from pathlib import Path
import sys

from jrn_perception import networks
from jrn_perception.datasets.registry import layouts, open_to_train, READERS
from jrn_perception.datasets.subsets import Undamaged
from jrn_perception.perception import Perception
from jrn_perception.training.distill import distil


def main(argv: list[str] | None = None) -> int:
    """Write the annotated frames; return 0, or 1 after a line that says what is wrong."""
    parser = argparse.ArgumentParser(
        prog='jrn_distill', description='Fill in missing depth or labels with what a teacher '
        'predicts, for `jrn_train --extra folder=OUTPUT@all`.', epilog=layouts(),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('reader', choices=tuple(READERS),
                        help='how the data set is laid out, see below')
    parser.add_argument('data', type=Path, help='its folder')
    parser.add_argument('output', type=Path, help='folder to write to')
    parser.add_argument('--split', help='of the data set, where it has some')
    parser.add_argument('--architecture', default='hydranet', choices=tuple(
        networks.ARCHITECTURES), help='of the teacher (default: %(default)s)')
    parser.add_argument('--variant', default='', help='of the teacher')
    parser.add_argument('--weights', default='', help="the teacher's (default: the shipped ones)")
    parser.add_argument('--device', default='auto')
    parser.add_argument('--threshold', type=float, default=0.6,
                        help='confidence below which a pixel stays unlabelled '
                        '(default: %(default)s)')
    parser.add_argument('--skip-damaged', action='store_true', help='leave damaged frames out')
    arguments = parser.parse_args(argv)
    try:
        frames = Undamaged(open_to_train(arguments.reader, arguments.data, arguments.split),
                          'skip' if arguments.skip_damaged else 'raise')
        teacher = Perception.load(arguments.architecture, arguments.variant,
                                  weights_file=arguments.weights, device=arguments.device)
        result = distil(teacher, frames, arguments.output, arguments.threshold, frames.labels,
                        getattr(frames.frames, 'depth_range', None))
    except (ValueError, OSError) as error:
        print(f'jrn_distill: {error}', file=sys.stderr)
        return 1
    print(f'{arguments.output}: {result.frames} frames; the teacher labelled '
          f'{result.labelled_by_teacher} of them ({100 * result.share_labelled:.0f} % of their '
          f'pixels) and gave {result.measured_by_teacher} their depth')
    return 0


if __name__ == '__main__':
    sys.exit(main())
