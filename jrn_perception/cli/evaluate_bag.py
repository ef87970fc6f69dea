# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The subcommands of ``jrn_evaluate`` that read recordings: bag and record."""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
import sys

from jrn_perception.cli import program
from jrn_perception.cli.evaluate_options import add_correction, add_limits, protocol_of
from jrn_perception.cli.source_options import add_span, span_of
from jrn_perception.evaluation.recordings import bag, record, scored, session
from jrn_perception.evaluation.reports import documents
from jrn_perception.perception import Perception
from jrn_perception.recordings.reader import RecordingError
from jrn_perception.recordings.writer import STORAGES


def add_bag(commands) -> None:
    """Add ``jrn_evaluate bag``."""
    parser = commands.add_parser(
        'bag', help='metrics, drift, rates and latency on a recording',
        description='Evaluate on a recording of ROS 2 or ROS 1, without ROS. Exit code 3: the '
        'results are partial; 130: Ctrl-C made them partial.')
    parser.add_argument('bag', type=Path, metavar='DIR',
                        help='recording: its folder, or a .mcap, .db3 or .bag file')
    add_truth(parser)
    add_part(parser)
    parser.add_argument('--temporal-filter', type=float, default=0.0, metavar='S',
                        help='measure predictions a second time, averaged over about S seconds '
                        'where the picture does not change; default: not')
    parser.add_argument('--json', type=program.new_file, metavar='FILE',
                        help='write the results, without latencies: a second run writes the '
                        'same bytes')
    parser.add_argument('--html', type=program.new_file, metavar='FILE',
                        help='write a report with plots, latencies and the worst frames')
    predicted = parser.add_argument_group(
        'recorded predictions', 'are compared with the truth in place of a network, which is not '
        'loaded')
    predicted.add_argument('--predicted-depth', default='', metavar='TOPIC')
    predicted.add_argument('--predicted-labels', default='', metavar='TOPIC',
                           help='ids that the LabelInfo beside the topic names')
    program.add_network(parser)
    parser.set_defaults(run=run_bag, needs=('jinja2', 'matplotlib', 'rich', 'rosbags'))


def add_truth(parser: argparse.ArgumentParser) -> None:
    """Add the options that name pictures and ground truth in a recording, see ``request_of``."""
    parser.add_argument('--image', default='', metavar='TOPIC',
                        help='pictures; default: the only colour topic')
    parser.add_argument('--depth', default='', metavar='TOPIC',
                        help='true depth: 32FC1, 16UC1 or compressedDepth; default: none')
    parser.add_argument('--labels', default='', metavar='TOPIC',
                        help='true labels: mono8, raw or PNG; default: none')
    parser.add_argument('--label-map', type=Path, metavar='FILE',
                        help='json {"0": "wall", ...}; default: the LabelInfo of the recording')
    parser.add_argument('--depth-scale', type=float, default=1.0, metavar='FACTOR',
                        help='factor on true depth that is in other units: 0.001 for 32FC1 in '
                        'millimetres; default: %(default)g')
    parser.add_argument('--tolerance', type=float, default=session.TOLERANCE_S, metavar='S',
                        help='largest difference in seconds between the stamps of picture and '
                        'truth; default: %(default)s')
    parser.add_argument('--label-set', default='', metavar='SET',
                        help="label set of the comparison; default: the network's")
    parser.add_argument('--crop', default='none', metavar='CROP',
                        help='part of the picture where truth counts: nyu, none, or '
                        'y0:y1,x0:x1; default: %(default)s')
    add_limits(parser)
    add_correction(parser)
    _add_camera_info(parser)
    parser.add_argument('--confidence', type=float, default=session.Request.confidence,
                        metavar='P', help='labels that are less probable count as uncertain; '
                        'default: %(default)s')


def add_part(parser: argparse.ArgumentParser) -> None:
    """Add the options that ``jrn_replay`` has not, see ``with_part``."""
    add_span(parser)
    parser.add_argument('--limit', type=int, default=0, metavar='N',
                        help='first N pictures of a recording; default: all')
    parser.add_argument('--worst', type=int, default=session.Request.worst, metavar='K',
                        help='frames shown for each measure; default: %(default)s')
    parser.add_argument('--range', default='', metavar='TOPIC', dest='range_topic',
                        help='measure depth a second time, corrected by this PointCloud2, '
                        'LaserScan or registered depth image; default: none')
    parser.add_argument('--range-extrinsics', default='', metavar='POSE',
                        help='pose of the range sensor in the frame of the pictures, "x y z qx qy '
                        'qz qw"; default: the one of /tf_static')


def with_part(request: session.Request, options: argparse.Namespace) -> session.Request:
    """Return ``request`` with the options of ``add_part``; ValueError if they contradict."""
    for name in ('limit', 'worst'):
        if getattr(options, name) < 0:
            raise ValueError(f'--{name} {getattr(options, name)}: not below 0')
    if options.range_extrinsics and not options.range_topic:
        raise ValueError('--range-extrinsics needs --range')
    return replace(request, limit=options.limit, worst=options.worst, span=span_of(options),
                   range_topic=options.range_topic, range_extrinsics=options.range_extrinsics)


def _add_camera_info(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--camera-info', default='', metavar='TOPIC',
                        help='calibration whose focal length corrects depth; default: '
                        'camera_info beside the pictures')


def request_of(options: argparse.Namespace) -> session.Request:
    """Return the request that the options of ``add_truth`` make; ValueError if they contradict."""
    if options.depth_scale != 1 and not options.depth:
        raise ValueError('--depth-scale needs --depth, the topic in other units')
    if options.label_map and not options.labels:
        raise ValueError('--label-map needs --labels, the topic whose ids it names')
    if not 0 <= options.confidence <= 1:
        raise ValueError(f'--confidence is from 0 to 1, not {options.confidence}')
    return session.Request(
        options.image, options.depth, options.labels, options.label_map, options.tolerance,
        protocol_of(options, '', options.label_set), options.confidence,
        camera_info=_camera_info(options), depth_scale=options.depth_scale)


def _camera_info(options: argparse.Namespace) -> str:
    if options.camera_info and not options.focal_correction:
        raise ValueError('--camera-info has no use with --no-focal-correction')
    return options.camera_info


def run_bag(options: argparse.Namespace) -> int:
    """Evaluate on a recording."""
    from jrn_perception.evaluation.reports import bag_document, page, tables

    request = replace(with_part(request_of(options), options),
                      temporal_filter=options.temporal_filter)
    track = partial(program.track, title='evaluating')
    if options.predicted_depth or options.predicted_labels:
        if options.image or options.camera_info or options.range_topic or options.temporal_filter:
            raise ValueError('--image, --camera-info, --range and --temporal-filter have no use '
                             'with recorded predictions')
        predicted = session.Predicted(options.predicted_depth, options.predicted_labels)
        with program.interruption() as interrupted:
            evaluation = scored.score(options.bag, replace(request, predicted=predicted), track,
                                      interrupted.is_set)
        perception = evaluation.network
    else:
        perception = _load(options)
        with program.interruption() as interrupted:
            evaluation = bag.evaluate_bag(perception, options.bag, request, track,
                                          interrupted.is_set)
    document = bag_document.bag_document(evaluation, perception)
    clock = bag_document.timings(evaluation)
    tables.print_bag(document, clock, tables.console())
    if options.json:
        documents.write(document, options.json)
    if options.html:
        page.write_html(evaluation, document, clock, options.html)
    return _partial(evaluation.reasons, interrupted.is_set())


def add_record(commands) -> None:
    """Add ``jrn_evaluate record``."""
    parser = commands.add_parser(
        'record', help='write a recording with /depth and /semantics beside its topics')
    parser.add_argument('bag', type=Path, metavar='BAG',
                        help='recording: its folder, or a .mcap, .db3 or .bag file')
    parser.add_argument('output', type=Path, metavar='OUTPUT', help='new folder')
    parser.add_argument('--image', default='', metavar='TOPIC',
                        help='pictures; default: the only colour topic')
    parser.add_argument('--topics', nargs='+', default=[], metavar='TOPIC',
                        help='topics to copy; default: all')
    add_span(parser)
    parser.add_argument('--namespace', default='', metavar='/NAME',
                        help='namespace of the results; default: none')
    parser.add_argument('--depth-encoding', default=record.DEPTH_ENCODINGS[0],
                        choices=record.DEPTH_ENCODINGS, help='default: %(default)s')
    parser.add_argument('--confidence-threshold', type=float, default=0.0, metavar='P',
                        help='labels that are less probable become 255; default: %(default)s')
    parser.add_argument('--storage', default=STORAGES[0], choices=STORAGES,
                        help='default: %(default)s; sqlite3 for Humble without the mcap plug-in')
    parser.add_argument('--colors', action='store_true',
                        help='add /depth_color, /semantics_color and /overlay, for any viewer')
    parser.add_argument('--rrd', type=program.new_file, metavar='FILE.rrd',
                        help='also write pictures, results and points for the viewer Rerun; needs '
                        "pip install '.[rerun]'")
    parser.add_argument('--color-range', type=float, nargs=2, metavar=('NEAR', 'FAR'),
                        help='metres at the ends of the colours of depth; default: the range that '
                        'the network was trained on')
    add_correction(parser)
    _add_camera_info(parser)
    program.add_network(parser)
    parser.set_defaults(run=run_record, needs=('rich', 'rosbags'))


def run_record(options: argparse.Namespace) -> int:
    """Write a recording with results."""
    if options.color_range and not (options.colors or options.rrd):
        raise ValueError('--color-range needs --colors or --rrd')
    request = record.RecordRequest(
        options.topics, options.image, options.namespace, options.depth_encoding,
        options.confidence_threshold, options.storage, _camera_info(options),
        options.focal_correction, span_of(options), options.colors, options.rrd,
        tuple(options.color_range or ()) or None)
    perception = _load(options)
    with program.interruption() as interrupted:
        written = record.record(perception, options.bag, options.output, request,
                                partial(program.track, title='recording'), interrupted.is_set)
    for topic in written.left_out:
        print(f'jrn_evaluate: {topic} was not copied: its type is not a common one, and the '
              'recording does not define it', file=sys.stderr)
    if not written.frames and not interrupted.is_set():
        raise RecordingError(f'{options.bag}: no picture has results: '
                             f'{"; ".join(written.reasons) or "there are none"}')
    scales = documents.describe_scales(written.scales)
    scaled = f', depth x {scales["scale"]:.3f} for the focal length' if scales else ''
    print(f'{options.output}: results for {written.frames} pictures{scaled}; topics '
          f'{", ".join(written.topics)}')
    if options.colors or options.rrd:
        print('depth in colours from {:g} to {:g} m'.format(*written.colour_range))
    if options.rrd:
        print(f'{options.rrd}: {written.frames} pictures, {written.clouds} of them with points')
    for note in written.notes:
        print(f'note: {note}')
    return _partial(written.reasons, interrupted.is_set())


def _load(options: argparse.Namespace) -> Perception:
    perception = program.load(options)
    # So that the first frame's latency does not include the allocations.
    perception.warm_up()
    return perception


def _partial(reasons: list[str], interrupted: bool) -> int:
    for reason in reasons:
        print(f'jrn_evaluate: partial: {reason}', file=sys.stderr)
    if interrupted:
        return program.INTERRUPTED
    return program.PARTIAL if reasons else program.DONE
