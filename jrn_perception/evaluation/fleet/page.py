# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The evaluation of a fleet as one self-contained HTML file: ``fleet.html`` filled in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from jrn_perception.evaluation.fleet.document import row_document
from jrn_perception.evaluation.fleet.fleet import Fleet
from jrn_perception.evaluation.fleet.measuring import FAILED, FOLDER, Row
from jrn_perception.evaluation.reports.bag_document import measures
from jrn_perception.evaluation.reports.page import fill, inline, TRACES, WorstFrame
from jrn_perception.evaluation.reports.rows import (
    digits_of,
    fleet_tables,
    number,
    percent,
    TextTable,
    TITLES,
)

TEMPLATE = 'fleet.html'
SHARES = {'depth_drift': 'change of depth', 'label_drift': 'labels that change',
          'invalid_share': 'no valid depth', 'low_confidence_share': 'low confidence'}


class Cell(NamedTuple):
    """A cell of the ranking: its text, and the number or text by which rows are sorted."""

    text: str
    order: str
    link: str = ''


def fleet_page(fleet: Fleet, document: dict[str, Any], pages: bool) -> str:
    """
    Return the page of a fleet and its ``fleet_document``.

    With ``pages`` the name of each recording leads to the page of that recording.
    """
    network, source = document['network'], document['source']
    measured = [row for row in fleet.rows if row.state != FAILED]
    columns = _columns(measured)
    ranking = sorted(measured, key=lambda row: _badness(row, columns[0]))
    return fill(
        TEMPLATE,
        title=f'{source["recordings"]} recordings – {network["architecture"]} '
              f'{network["variant"]}',
        headline=headline(document), notes=document['notes'],
        tables=fleet_tables(document),
        thresholds=[_verdict(each) for each in document.get('thresholds', ())],
        heads=['recording', 'state', 'frames', *(_head(name) for name in columns)],
        rows=[_cells(row, columns, pages) for row in ranking],
        faults=[(row.name, row.state, row.reason) for row in fleet.rows if row.reason],
        worst=_worst(fleet))


def headline(document: dict[str, Any]) -> str:
    """Return one line that names the network and the numbers of recordings and frames."""
    network, source = document['network'], document['source']
    return (f'{network["architecture"]} {network["variant"]} on {source["recordings"]} '
            f'recordings: {source["measured"]} measured, {source["partial"]} of them partially, '
            f'{source["failed"]} failed; {source["frames"]} frames, {source["damaged"]} damaged, '
            f'{source["with_depth"]} with depth, {source["with_labels"]} with labels')


def ranking_table(fleet: Fleet, count: int) -> TextTable:
    """Return the ``count`` worst recordings for the terminal."""
    measured = [row for row in fleet.rows if row.state != FAILED]
    columns = [name for name in ('rel', 'rms', 'mean_iou', 'depth_drift', 'label_drift')
               if name in _columns(measured)]
    ranking = sorted(measured, key=lambda row: _badness(row, _columns(measured)[0]))[:count]
    return TextTable('worst recordings', ['frames', *(_head(name) for name in columns)], [
        [cells[0].text, cells[2].text, *(cell.text for cell in cells[3:])]
        for cells in (_cells(row, columns, False) for row in ranking)])


def _columns(measured: Sequence[Row]) -> list[str]:
    """Return the metrics that at least one recording has; the first one ranks."""
    rows = [row_document(row) for row in measured]
    return [name for name in (*TITLES, *SHARES)
            if any(row.get(name) is not None for row in rows)]


def _badness(row: Row, name: str) -> tuple[bool, float]:
    """Return a key that sorts the worst recording first, and recordings without number last."""
    value = row_document(row)[name]
    good = name.startswith('delta') or name in ('mean_iou', 'pixel_accuracy')
    return value is None, 0.0 if value is None else value if good else -value


def _head(name: str) -> str:
    return TITLES.get(name) or SHARES[name]


def _cells(row: Row, columns: Sequence[str], pages: bool) -> list[Cell]:
    line = row_document(row)
    found = [Cell(row.name, row.name, f'{FOLDER}/{row.key}.html' if pages else ''),
             Cell(row.state, row.state), Cell(str(line['frames']), str(line['frames']))]
    for name in columns:
        value = line[name]
        text = percent(value) if name in SHARES else number(value, digits_of(name))
        found.append(Cell(text, '' if value is None else repr(value)))
    return found


def _verdict(verdict: dict[str, Any]) -> list[str]:
    bounds = [f'{sign} {verdict[key]:g}' for key, sign in (('min', '≥'), ('max', '≤'))
              if verdict[key] is not None]
    return [f'{_head(verdict["metric"])} {" and ".join(bounds)}',
            f'{100 * verdict["rate"]:.1f} %', f'{100 * verdict["pass_rate"]:.1f} %',
            'met' if verdict['met'] else 'missed']


def _worst(fleet: Fleet) -> list[WorstFrame]:
    totals = fleet.total.totals
    return [WorstFrame(f'{TRACES[name]}, worst {rank}: {worst.score:.4g} at {worst.name}',
                       [(caption, inline(data, 'jpeg')) for caption, data in worst.content])
            for name in measures(totals)
            for rank, worst in enumerate(totals.worst[name].ranked(), 1)]
