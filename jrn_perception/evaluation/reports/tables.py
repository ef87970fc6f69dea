# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Documents of ``report`` as tables on the terminal (rich)."""

from __future__ import annotations

from typing import Any

from jrn_perception.evaluation.reports.documents import LABEL_METRICS, METRICS
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

TITLES = {'rel': 'rel', 'rel_sqr': 'rel(sqr)', 'log10': 'log10', 'rms': 'rms (m)',
          'rms_log': 'rms(log)', 'delta1': 'δ < 1.25', 'delta2': 'δ < 1.25²',
          'delta3': 'δ < 1.25³', 'mean_iou': 'mean IoU (%)', 'pixel_accuracy': 'pixel acc. (%)'}
# What a file or a pipe gets: wide enough for every column.
PLAIN_WIDTH = 120


def console() -> Console:
    """Return a console on stdout."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=PLAIN_WIDTH)


def print_dataset(document: dict[str, Any], out: Console) -> None:
    """Print the metrics of a data set document, then classes, depth bins and single images."""
    network, source, protocol = (document[key] for key in ('network', 'source', 'protocol'))
    out.print(f'{network["architecture"]} {network["variant"]} on {source["reader"]}: '
              f'{source["frames"]} frames, {len(source["damaged"])} damaged, labels '
              f'{protocol["labels"] or "none"}, crop {protocol["crop"]}'
              + (f', PARTIAL: {document["reason"]}' if document['partial'] else ''), markup=False)
    out.print(_metrics(document))
    for title, key, names in (('class', 'classes', ('iou', 'rel', 'rms', 'delta1')),
                              ('true depth', 'bins', ('rel', 'rms', 'delta1', 'mean_iou'))):
        if document['output'][key]:
            out.print(_parts(document, title, key, names))
    if 'images' in document:
        names = [name for name in ('rel', 'rel_sqr', 'rms', 'delta1', *LABEL_METRICS)
                 if any(image[name] is not None for image in document['images'])]
        table = _table('image', *(TITLES[name] for name in names))
        for image in document['images']:
            table.add_row(image['name'], *(_number(image[name], name) for name in names))
        out.print(table)


def print_influence(document: dict[str, Any], out: Console) -> None:
    """Print the influence numbers of every variant and mute value, the paper's beside them."""
    source = document['source']
    out.print(f'influence on {source["reader"]}: {source["frames"]} frames, '
              f'{len(source["damaged"])} damaged, crop {document["protocol"]["crop"]}',
              markup=False)
    for direction, title in (('depth_to_semantics', 'ω D→S′'), ('semantics_to_depth', 'ω S→D′')):
        accuracy = {'depth_to_semantics': 'mean_iou',
                    'semantics_to_depth': 'minus_rel_sqr'}[direction]
        values = list(next(iter(document['variants'].values()))[direction])
        table = _table('variant', {'mean_iou': TITLES['mean_iou']}.get(accuracy, '-rel(sqr)·100'),
                       *(f'{title}, {value}' for value in values), 'paper')
        for name, item in document['variants'].items():
            table.add_row(name, _signed(item[accuracy], '.2f'),
                          *(_signed(item[direction][value]['total']) for value in values),
                          f'{item["paper"][direction]:+.2f}')
        out.print(table)


def _metrics(document: dict[str, Any]) -> Table:
    output, inputs = document['output'], document.get('inputs')
    level = f'{document["protocol"]["bootstrap"]["level"]:.0%} interval'
    heads = ['pooled', level, 'mean of images']
    if inputs:
        heads = ['refined', level, 'inputs', 'gain', level, 'mean of images', 'inputs, same']
    table = _table('metric', *heads)
    for name in METRICS:
        ours, each = output['pooled'][name], output['per_image'][name]
        if ours['value'] is None:
            continue
        cells = [_number(ours['value'], name), _range(ours, name)]
        if inputs:
            gain = document['gain'][name]
            cells += [_number(inputs['pooled'][name]['value'], name),
                      _number(gain['value'], name, '+'), _range(gain, name, '+'),
                      _number(each['value'], name),
                      _number(inputs['per_image'][name]['value'], name)]
        else:
            cells.append(_number(each['value'], name))
        table.add_row(TITLES[name], *cells)
    return table


def _parts(document: dict[str, Any], title: str, key: str, names: tuple[str, ...]) -> Table:
    """Return the table of classes or bins, the inputs' numbers in a second column each."""
    sides = [side for side in ('output', 'inputs') if side in document]
    labels = {'output': '', 'inputs': ', inputs'}
    names = tuple(name for name in names if any(
        _value(part, name) is not None for part in document['output'][key].values()))
    table = _table(title, 'pixels', *({'iou': 'IoU (%)'}.get(name, TITLES.get(name)) + labels[side]
                                      for name in names for side in sides))
    for part, found in document['output'][key].items():
        if not found['pixels']:
            continue
        cells = []
        for name in names:
            for side in sides:
                cells.append(_number(_value(document[side][key][part], name), name))
        table.add_row(part, f'{found["pixels"]:.0f}', *cells)
    return table


def _value(part: dict[str, Any], name: str) -> float | None:
    return part[name]['value'] if name == 'iou' else part[name]


def _table(first: str, *others: str) -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column(first, no_wrap=True)
    for name in others:
        table.add_column(name, justify='right', no_wrap='(' not in name)
    return table


def _number(value: float | None, name: str, sign: str = '') -> str:
    digits = 2 if name in (*LABEL_METRICS, 'iou') else 4
    return '–' if value is None else f'{value:{sign}.{digits}f}'


def _range(found: dict[str, Any], name: str, sign: str = '') -> str:
    return ' … '.join(_number(end, name, sign) for end in found['interval'])


def _signed(found: dict[str, Any], style: str = '+.2f') -> str:
    low, high = found['interval']
    return '–' if found['value'] is None else f'{found["value"]:{style}} ({low:.2f} … {high:.2f})'
