# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_distill bags``: recordings as an annotated data set."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
import sys

from jrn_perception.cli import program
from jrn_perception.cli.fleet_options import (
    add_engine,
    engine_of,
    network_of,
    print_warnings,
    SOURCES,
    THREADS,
)
from jrn_perception.evaluation.recordings.annotated import annotated
from jrn_perception.evaluation.recordings.session import Request, TOLERANCE_S
from jrn_perception.fleet import finding
from jrn_perception.fleet.remote import is_url
from jrn_perception.training.distillation import distill_recordings
from jrn_perception.training.distillation.distill import SPLIT

NAME = 'bags'


def main(argv: Sequence[str]) -> int:
    """Write the annotated frames of recordings; return the exit code."""
    parser = argparse.ArgumentParser(
        prog=f'jrn_distill {NAME}', description='Make a data set (reader folder, splits fit, val '
        'and all) of recordings: with the depth and labels that they have, and the predictions '
        'of a teacher for depth or labels that they lack. The same command again continues. Exit '
        'code 3: a recording failed or is partial.')
    parser.add_argument('sources', nargs='+', metavar='SOURCE', help=SOURCES)
    parser.add_argument('output', metavar='OUTPUT', help='folder to write to; a '
                        'cluster needs one that all its machines share')
    parser.add_argument('--image', default='', metavar='TOPIC',
                        help='pictures; default: the only colour topic')
    parser.add_argument('--depth', default='', metavar='TOPIC',
                        help='depth images, dense or sparse, in the view of the pictures: 32FC1, '
                        '16UC1 or compressedDepth; or the points of a PointCloud2 or LaserScan; '
                        'default: depth is from the teacher')
    parser.add_argument('--range-extrinsics', default='', metavar='"X Y Z QX QY QZ QW"',
                        help='pose of the sensor of such points in the optical frame of the '
                        'pictures; default: the one of /tf_static')
    parser.add_argument('--labels', default='', metavar='TOPIC',
                        help='mono8, raw or PNG; default: labels are from the teacher')
    parser.add_argument('--label-map', type=Path, metavar='FILE',
                        help='json {"0": "wall", ...}; default: the LabelInfo of the recording')
    parser.add_argument('--camera-info', default='', metavar='TOPIC',
                        help='calibration; default: camera_info beside the pictures')
    parser.add_argument('--tolerance', type=float, default=TOLERANCE_S, metavar='S',
                        help='largest difference in seconds between the stamps of a picture and '
                        'its depth or labels; default: %(default)s')
    parser.add_argument('--every', type=int, default=1, metavar='N',
                        help='only every N-th picture, because consecutive pictures are alike; '
                        'default: %(default)s')
    parser.add_argument('--validation', type=float, default=0.2, metavar='SHARE',
                        help='share of the split val: whole recordings, or the end of a single '
                        'one; default: %(default)s')
    parser.add_argument('--threshold', type=float, default=0.6,
                        help='confidence below which a pixel stays unlabelled; default: '
                        '%(default)s')
    add_engine(parser)
    program.add_network(parser.add_argument_group('teacher'))
    parser.set_defaults(threads=THREADS)
    return program.run('jrn_distill', partial(_distil, parser.parse_args(argv)),
                       "pip install '.[train]' '.[play]'")


def _distil(options: argparse.Namespace) -> int:
    if options.label_map and not options.labels:
        raise ValueError('--label-map needs --labels, the topic whose ids it names')
    if options.range_extrinsics and not options.depth:
        raise ValueError('--range-extrinsics needs --depth, the topic of the points')
    if is_url(options.output):
        raise ValueError(f'{options.output}: the data set is written to a folder, not to a URL')
    if options.every < 1:
        raise ValueError(f'--every {options.every}: at least 1')
    output = Path(options.output).absolute()
    if (output / f'{SPLIT}.txt').exists() and not (output / distill_recordings.FOLDER).is_dir():
        raise ValueError(f'{output}: holds frames of another kind; choose another folder')
    label_map = options.label_map and options.label_map.absolute()
    request = Request(options.image, options.depth, options.labels, label_map,
                      options.tolerance, camera_info=options.camera_info,
                      range_extrinsics=options.range_extrinsics)
    names = label_map.read_text() if label_map else ''
    addresses = finding.find(options.sources)
    named = dict(zip(addresses, finding.names(addresses)))
    if options.shard:
        addresses = options.shard.of(addresses)
    tasks = [distill_recordings.Task(
        named[address], address, network_of(options),
        partial(annotated, request=request, every=options.every),
        f'{request!r} {options.every} {names}', output, options.threshold)
        for address in addresses]
    with program.interruption() as interrupted:
        rows = distill_recordings.distil_recordings(
            tasks, engine_of(options), partial(program.track, title='recordings'),
            interrupted.is_set)
    print_warnings(rows)
    if len(rows) < len(tasks):
        print(f'jrn_distill: interrupted after {len(rows)} of {len(tasks)} recordings; the same '
              'command continues', file=sys.stderr)
        return program.INTERRUPTED
    if not options.shard:
        rows = distill_recordings.join(rows, output, options.threshold, options.validation)
    return _report(rows, options)


def _report(rows: Sequence[distill_recordings.Row], options: argparse.Namespace) -> int:
    result = distill_recordings.numbers(rows)
    print(f'{options.output}: {result.frames} frames of {sum(bool(row.found) for row in rows)} '
          f'recordings ({sum(row.skipped for row in rows)} of them written before); the teacher '
          f'labelled {result.labelled_by_teacher} frames ({100 * result.share_labelled:.0f} % of '
          f'their pixels) and gave {result.measured_by_teacher} their depth; '
          f'{sum(row.left_out for row in rows)} pictures without depth or labels were left out')
    if options.shard:
        print('once all shards are done, the same command without --shard joins them')
    for row in rows:
        if row.reason:
            state = 'partial' if row.found else 'failed'
            print(f'jrn_distill: {state}: {row.name}: {row.reason}', file=sys.stderr)
    return program.PARTIAL if any(row.reason for row in rows) else program.DONE
