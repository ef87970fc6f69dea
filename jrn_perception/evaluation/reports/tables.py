# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Documents as tables on the terminal (rich)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from jrn_perception.evaluation.measures.metrics import LABEL_METRICS, METRICS
from jrn_perception.evaluation.reports.documents import describe_gammas
from jrn_perception.evaluation.reports.rows import (
    digits_of,
    fleet_tables,
    headline,
    number,
    percent,
    recording_tables,
    TextTable,
    TITLES,
)
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

# The width in characters for a file or a pipe: enough for every column.
PLAIN_WIDTH = 120


def console() -> Console:
    """Return a console on stdout."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


def print_dataset(document: dict[str, Any], out: Console) -> None:
    """Print a data set's document: the metrics, then classes, depth bins and single images."""
    network, source, protocol = (document[key] for key in ('network', 'source', 'protocol'))
    out.print(f'{network["architecture"]} {network["variant"]} on {source["reader"]}: '
              f'{source["frames"]} frames, {len(source["damaged"])} damaged, labels '
              f'{protocol["labels"] or "none"}, crop {protocol["crop"]}'
              + (f', PARTIAL: {document["reason"]}' if document['partial'] else ''), markup=False)
    _print(_dataset_tables(document), out)
    _print_gammas(network, '', out)


def print_influence(document: dict[str, Any], out: Console) -> None:
    """Print the influence for every variant and mute value, beside the paper's numbers."""
    source = document['source']
    out.print(f'influence on {source["reader"]}: {source["frames"]} frames, '
              f'{len(source["damaged"])} damaged, crop {document["protocol"]["crop"]}',
              markup=False)
    _print(_influence_tables(document), out)
    for name, item in document['variants'].items():
        _print_gammas(item['network'], f'{name}: ', out)


def _print_gammas(network: dict[str, Any], prefix: str, out: Console) -> None:
    if 'gammas' in network:
        out.print(prefix + describe_gammas(network['gammas']), markup=False)


def print_bag(document: dict[str, Any], clock: dict[str, Any], out: Console) -> None:
    """Print a recording's document, and its ``timings`` or the timings of a replay."""
    out.print(headline(document), markup=False)
    _print(recording_tables(document, clock), out)
    for note in document['notes']:
        out.print(f'note: {note}', markup=False)


def print_fleet(document: dict[str, Any], line: str, ranking: TextTable, out: Console) -> None:
    """Print a fleet's document below its ``line``, and the ranking of its recordings."""
    out.print(line, markup=False)
    _print([*fleet_tables(document), ranking], out)
    for note in document['notes']:
        out.print(f'note: {note}', markup=False)


def _print(tables: Iterable[TextTable], out: Console) -> None:
    for title, heads, rows in tables:
        table = Table(box=SIMPLE_HEAD)
        # Text, because names in brackets would be taken for markup.
        table.add_column(Text(title), no_wrap=True)
        for head in heads:
            table.add_column(Text(head), justify='right', no_wrap='(' not in head)
        for row in rows:
            table.add_row(*map(Text, row))
        out.print(table)


def _dataset_tables(document: dict[str, Any]) -> Iterable[TextTable]:
    yield _metrics(document)
    if 'range' in document:
        yield _range(document)
    if 'depth_deviation' in document:
        columns = {'without range points': document['depth_deviation'],
                   'with': document.get('range', {}).get('depth_deviation')}
        found = {name: column for name, column in columns.items() if column}
        yield TextTable('deviation of depth', list(found) if len(found) > 1 else ['value'], [
            [title, *(show(column[key]) for column in found.values())]
            for title, key, show in (('errors within one deviation', 'coverage', percent),
                                     ('area of sparsification', 'area', number),
                                     ('area for a constant', 'constant_area', number))])
    for title, key, names in (('class', 'classes', ('iou', 'rel', 'rms', 'delta1')),
                              ('true depth', 'bins', ('rel', 'rms', 'delta1', 'mean_iou'))):
        if document['output'][key]:
            yield _parts(document, title, key, names)
    if document.get('completion'):
        names = ('rms', 'rel')
        yield TextTable('holes of the sensor', [TITLES[name] for name in names], [
            [method, *(_with_interval(found[name], '+' if ' minus ' in method else '')
                       for name in names)]
            for method, found in document['completion'].items()])
    if 'images' in document:
        names = [name for name in ('rel', 'rel_sqr', 'rms', 'delta1', *LABEL_METRICS)
                 if any(image[name] is not None for image in document['images'])]
        yield TextTable('image', [TITLES[name] for name in names], [
            [image['name'], *(number(image[name], digits_of(name)) for name in names)]
            for image in document['images']])


def _influence_tables(document: dict[str, Any]) -> Iterable[TextTable]:
    for direction, title, accuracy, head in (
            ('depth_to_semantics', 'ω D→S′', 'mean_iou', TITLES['mean_iou']),
            ('semantics_to_depth', 'ω S→D′', 'minus_rel_sqr', '-rel(sqr)·100')):
        values = list(next(iter(document['variants'].values()))[direction])
        yield TextTable('variant', [head, *(f'{title}, {value}' for value in values), 'paper'], [
            [name, _with_interval(item[accuracy], ''),
             *(_with_interval(item[direction][value]['total'], '+') for value in values),
             number(item['paper'][direction] if item['paper'] else None, 2, '+')]
            for name, item in document['variants'].items()])


def _metrics(document: dict[str, Any]) -> TextTable:
    output, inputs = document['output'], document.get('inputs')
    level = f'{document["protocol"]["bootstrap"]["level"]:.0%} interval'
    heads = ['pooled', level, 'mean of images']
    if inputs:
        heads = ['refined', level, 'inputs', 'gain', level, 'mean of images', 'inputs, same']
    rows = []
    for name in METRICS:
        pooled, per_image = output['pooled'][name], output['per_image'][name]
        if pooled['value'] is None:
            continue
        cells = [TITLES[name], _value(pooled, name), _interval(pooled, name)]
        if inputs:
            gain = document['gain'][name]
            cells += [_value(inputs['pooled'][name], name), _value(gain, name, '+'),
                      _interval(gain, name, '+'), _value(per_image, name),
                      _value(inputs['per_image'][name], name)]
        else:
            cells.append(_value(per_image, name))
        rows.append(cells)
    return TextTable('metric', heads, rows + _calibration(document))


def _range(document: dict[str, Any]) -> TextTable:
    """Return the table of depth with and without range points."""
    found, level = document['range'], f'{document["protocol"]["bootstrap"]["level"]:.0%} interval'
    kind = f'{found["kind"]}:{found["count"]}' if found['kind'] == 'points' else found['kind']
    rows = [[TITLES[name], _value(document['output']['pooled'][name], name), _value(value, name),
             _interval(value, name), _value(found['gain'][name], name, '+'),
             _interval(found['gain'][name], name, '+')]
            for name, value in found['pooled'].items() if value['value'] is not None]
    return TextTable(f'range {kind}', ['without', 'with', level, 'gain', level], rows)


def _calibration(document: dict[str, Any]) -> list[list[str]]:
    """Return the row of the ECE, if labels were compared; it has no mean of images."""
    found, name = document.get('calibration'), 'ece'
    if found is None or found['output'][name]['value'] is None:
        return []
    cells = [TITLES[name], _value(found['output'][name], name),
             _interval(found['output'][name], name)]
    if 'inputs' in found:
        cells += [_value(found['inputs'][name], name), _value(found['gain'], name, '+'),
                  _interval(found['gain'], name, '+'), number(None)]
    return [[*cells, number(None)]]


def _parts(document: dict[str, Any], title: str, key: str, names: tuple[str, ...]) -> TextTable:
    """Return the table of classes or depth bins, the inputs' numbers beside the output's."""
    sides = [side for side in ('output', 'inputs') if side in document]
    names = tuple(name for name in names if any(
        _part_value(part, name) is not None for part in document['output'][key].values()))
    heads = [TITLES[name] + (', inputs' if side == 'inputs' else '')
             for name in names for side in sides]
    rows = [[part, f'{found["pixels"]:.0f}',
             *(number(_part_value(document[side][key][part], name), digits_of(name))
               for name in names for side in sides)]
            for part, found in document['output'][key].items() if found['pixels']]
    return TextTable(title, ['pixels', *heads], rows)


def _part_value(part: dict[str, Any], name: str) -> float | None:
    return part[name]['value'] if name == 'iou' else part[name]


def _value(found: dict[str, Any], name: str, sign: str = '') -> str:
    return number(found['value'], digits_of(name), sign)


def _interval(found: dict[str, Any], name: str, sign: str = '') -> str:
    return ' … '.join(number(end, digits_of(name), sign) for end in found['interval'])


def _with_interval(found: dict[str, Any], sign: str) -> str:
    low, high = found['interval']
    return '–' if found['value'] is None else (
        f'{number(found["value"], 2, sign)} ({low:.2f} … {high:.2f})')
