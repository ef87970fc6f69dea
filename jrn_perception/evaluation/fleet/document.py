# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The evaluation of a fleet as documents.

They depend on recordings, network and request alone: neither the engine, nor the number of
processes, nor an interruption in between changes a byte.
"""

from __future__ import annotations

from collections.abc import Sequence
import json
from typing import Any

from jrn_perception.evaluation.fleet.fleet import Fleet
from jrn_perception.evaluation.fleet.measuring import DONE, FAILED, FOLDER, metrics_of, Row
from jrn_perception.evaluation.fleet.thresholds import Verdict
from jrn_perception.evaluation.reports.bag_document import numbers, range_numbers, worst_frames
from jrn_perception.evaluation.reports.documents import FORMAT, plain, versions


def fleet_document(fleet: Fleet, verdicts: Sequence[Verdict] = ()) -> dict[str, Any]:
    """
    Return the document of the totals; ``fleet.total`` exists.

    Network and protocol are those of the first measured recording. The keys are those of
    ``bag_document``, as far as they make sense for many recordings.
    """
    totals, labels, ranged = fleet.total
    measured = [row for row in fleet.rows if row.state != FAILED]
    first = measured[0].document
    protocol = {key: value for key, value in first['protocol'].items()
                if key != 'focal_correction'}
    document = {
        'format': FORMAT, 'versions': versions(), 'network': first['network'],
        'partial': bool(fleet.apart) or any(row.state != DONE for row in fleet.rows),
        'notes': [*fleet.apart, *_notes(measured)],
        'source': {
            'recordings': len(fleet.rows), 'measured': len(measured),
            'failed': len(fleet.rows) - len(measured),
            'partial': sum(row.state not in (DONE, FAILED) for row in fleet.rows),
            'frames': totals.frames, 'names_sha256': totals.names_sha256,
            'with_depth': totals.with_truth['depth'], 'with_labels': totals.with_truth['labels'],
            'damaged': totals.num_damaged},
        'protocol': protocol, **numbers(totals, labels), 'worst': worst_frames(totals)}
    if ranged is not None:
        document['range'] = {'topic': first['range']['topic'], **range_numbers(totals, ranged)}
    if verdicts:
        document['thresholds'] = [verdict.document() for verdict in verdicts]
    return plain(document)


def row_document(row: Row) -> dict[str, Any]:
    """Return the line of a recording in ``results.jsonl``."""
    line: dict[str, Any] = {'recording': row.name, 'address': row.address, 'state': row.state,
                            'reason': row.reason or None}
    if row.state != FAILED:
        line |= {'frames': row.document['source']['frames'],
                 'result': f'{FOLDER}/{row.key}.json', **metrics_of(row.document)}
    return plain(line)


def lines(rows: Sequence[Row]) -> str:
    """Return the text of ``results.jsonl``: a line for each recording, in their order."""
    return ''.join(json.dumps(row_document(row), allow_nan=False, ensure_ascii=False) + '\n'
                   for row in rows)


def _notes(measured: Sequence[Row]) -> list[str]:
    first = measured[0].document['network']
    others = [row.name for row in measured if row.document['network'] != first]
    if not others:
        return []
    return [f'{len(others)} recordings were measured on another device or with another precision '
            f'than the first, such as {others[0]}']
