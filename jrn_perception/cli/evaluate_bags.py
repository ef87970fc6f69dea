# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_evaluate bags``: a network over many recordings."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
import sys
import time

from jrn_perception.cli import program
from jrn_perception.cli.evaluate_bag import add_part, add_truth, request_of, with_part
from jrn_perception.cli.fleet_options import (
    add_engine,
    engine_of,
    network_of,
    print_warnings,
    SOURCES,
    THREADS,
)
from jrn_perception.fleet import finding
from jrn_perception.fleet.remote import Store

RESULTS, TOTALS, PAGE = 'results.jsonl', 'fleet.json', 'fleet.html'
# So many recordings are shown on the terminal; the page has all of them.
SHOWN = 10


def add_bags(commands) -> None:
    """Add ``jrn_evaluate bags``."""
    parser = commands.add_parser(
        'bags', help='the same on many recordings, in several processes or on a cluster',
        description='Evaluate on many recordings. The same command again measures only the '
        'recordings that have changed or were not finished. Exit code 3: a recording failed or is '
        'partial; 4: a threshold is missed; 130: Ctrl-C, with the finished recordings kept.')
    parser.add_argument('sources', nargs='+', metavar='SOURCE', help=SOURCES)
    parser.add_argument('--output', required=True, metavar='DIR',
                        help=f'folder, or URL, for {RESULTS}, {TOTALS}, {PAGE} and a json for '
                        'each recording; a cluster needs one that all its machines share')
    add_engine(parser)
    add_truth(parser)
    add_part(parser)
    parser.add_argument('--reports', action='store_true',
                        help='write the page of jrn_evaluate bag for each recording')
    parser.add_argument('--thresholds', type=Path, metavar='FILE',
                        help='json {"rms": {"max": 0.8, "pass_rate": 0.95}, ...}: bounds, and the '
                        'share of recordings that must keep them')
    program.add_network(parser)
    parser.set_defaults(threads=THREADS, run=run_bags,
                        needs=('jinja2', 'matplotlib', 'rich', 'rosbags'))


def run_bags(options: argparse.Namespace) -> int:
    """Evaluate on many recordings."""
    from jrn_perception.evaluation.fleet.document import lines
    from jrn_perception.evaluation.fleet.fleet import measure_fleet
    from jrn_perception.evaluation.fleet.measuring import Task
    from jrn_perception.evaluation.fleet.thresholds import read_thresholds

    if options.shard and options.thresholds:
        raise ValueError('--thresholds has no use with --shard: they judge all recordings')
    thresholds = read_thresholds(options.thresholds) if options.thresholds else []
    request = with_part(request_of(options), options)
    if request.label_map:
        request = replace(request, label_map=request.label_map.absolute())
    engine, store = engine_of(options), Store(options.output)
    addresses = finding.find(options.sources)
    named = dict(zip(addresses, finding.names(addresses)))
    if options.shard:
        addresses = options.shard.of(addresses)
    tasks = [Task(named[address], address, network_of(options), request, store.address,
                  options.reports) for address in addresses]
    start = time.perf_counter()
    with program.interruption() as interrupted:
        rows = measure_fleet(tasks, engine, partial(program.track, title='recordings'),
                             interrupted.is_set)
    seconds = time.perf_counter() - start
    print_warnings(rows)
    name = RESULTS
    if options.shard:
        name = f'shard-{options.shard.index}-of-{options.shard.count}.jsonl'
    store.write(name, lines(rows).encode())
    fresh = [row for row in rows if row.document and not row.skipped]
    frames = sum(row.document['source']['frames'] for row in fresh)
    rate = f', {frames / seconds:.1f} frames per second' if fresh else ''
    print(f'{len(fresh)} recordings measured, {frames} frames in {seconds:.1f} s{rate}; '
          f'{sum(row.skipped for row in rows)} were measured before')
    if len(rows) < len(tasks):
        print(f'jrn_evaluate: interrupted after {len(rows)} of {len(tasks)} recordings; the same '
              'command continues', file=sys.stderr)
        return program.INTERRUPTED
    code = _partial(rows)
    if options.shard:
        print(f'{store.path(name)}: {len(rows)} recordings; once all shards are done, the same '
              'command without --shard joins them')
        return code
    return _join(rows, store, thresholds, options.reports) or code


def _join(rows: Sequence, store: Store, thresholds: Sequence, reports: bool) -> int:
    """Write and print the totals; return MISSED, PARTIAL or DONE by them alone."""
    from jrn_perception.evaluation.fleet import document as documents
    from jrn_perception.evaluation.fleet import page
    from jrn_perception.evaluation.fleet.fleet import total
    from jrn_perception.evaluation.fleet.thresholds import judge
    from jrn_perception.evaluation.reports import tables
    from jrn_perception.evaluation.reports.documents import serialise

    fleet, verdicts = total(rows, store), judge(thresholds, rows)
    if fleet.total is None:
        raise ValueError(f'none of {len(rows)} recordings could be measured, the first: '
                         f'{rows[0].name}: {rows[0].reason}')
    document = documents.fleet_document(fleet, verdicts)
    tables.print_fleet(document, page.headline(document),
                       page.ranking_table(fleet, SHOWN), tables.console())
    store.write(TOTALS, serialise(document).encode())
    store.write(PAGE, page.fleet_page(fleet, document, reports).encode())
    print(f'written: {RESULTS}, {TOTALS}, {PAGE} in {store.address}')
    missed = [verdict for verdict in verdicts if not verdict.met]
    for verdict in missed:
        print(f'jrn_evaluate: threshold missed: {verdict.threshold.metric}: '
              f'{verdict.passed} of {verdict.recordings} recordings pass, '
              f'{verdict.threshold.pass_rate:.1%} are required; not {", ".join(verdict.missed)}',
              file=sys.stderr)
    if missed:
        return program.MISSED
    return program.PARTIAL if fleet.apart else program.DONE


def _partial(rows: Sequence) -> int:
    for row in rows:
        if row.reason:
            print(f'jrn_evaluate: {row.state}: {row.name}: {row.reason}', file=sys.stderr)
    return program.PARTIAL if any(row.reason for row in rows) else program.DONE
