# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Tables as rows of text, the same for the terminal and the HTML report."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from jrn_perception.evaluation.measures.metrics import LABEL_METRICS, METRICS
from jrn_perception.evaluation.measures.series import quantile_names

# Metric in a document -> head of its row or column.
TITLES = {'rel': 'rel', 'rel_sqr': 'rel(sqr)', 'log10': 'log10', 'rms': 'rms (m)',
          'rms_log': 'rms(log)', 'delta1': 'δ < 1.25', 'delta2': 'δ < 1.25²',
          'delta3': 'δ < 1.25³', 'mean_iou': 'mean IoU (%)', 'pixel_accuracy': 'pixel acc. (%)',
          'iou': 'IoU (%)', 'ece': 'ECE of confidence'}
# So many predicted classes are shown, the most frequent first.
CLASSES = 12


class TextTable(NamedTuple):
    """A table of text: the head of the first column, the other heads, and the rows."""

    title: str
    heads: list[str]
    rows: list[list[str]]


def headline(document: dict[str, Any]) -> str:
    """Return one line that names the network, the recording and the numbers of frames."""
    network, source = document['network'], document['source']
    correction = document['protocol']['focal_correction'] or {}
    return (f'{network["architecture"]} {network["variant"]} on {source["recording"]}: '
            f'{source["frames"]} frames of {source["image"]["topic"]}, '
            f'{source["damaged"]["count"]} damaged, {source["with_depth"]} with depth, '
            f'{source["with_labels"]} with labels'
            + (f', depth x {correction["scale"]:.3f} for the focal length in {correction["topic"]}'
               if correction.get('frames') else '')
            + (', PARTIAL' if document['partial'] else ''))


def recording_tables(document: dict[str, Any], clock: dict[str, Any]) -> list[TextTable]:
    """Return the tables of a recording's document and of its ``timings`` or a replay's."""
    found = []
    if 'output' in document:
        found += [metrics_table(document), *_parts(document)]
    found.append(_without_truth(document))
    if 'range' in document:
        found.append(range_table(document))
    if 'temporal_filter' in document:
        found.append(_temporal_filter(document))
    if 'semantics' in document:
        classes = sorted(document['semantics']['classes'].items(), key=lambda item: -item[1])
        found.append(TextTable('predicted class', ['share'], [
            [name, percent(share)] for name, share in classes if share][:CLASSES]))
    found.append(TextTable('topic', ['messages', 'Hz', 'period (s)', 'deviation', 'largest'], [
        [name, str(rate['messages']), number(rate['hz'], 2),
         *(number(rate['period_s'][key]) for key in ('mean', 'deviation', 'largest'))]
        for name, rate in document['rates'].items()]))
    return found + _clock(clock)


def fleet_tables(document: dict[str, Any]) -> list[TextTable]:
    """Return the tables of the totals in the document of a fleet."""
    found = [metrics_table(document)] if 'output' in document else []
    return found + ([range_table(document)] if 'range' in document else [])


def number(value: float | None, digits: int = 4, sign: str = '') -> str:
    """Return a number as text, a dash if it is undefined; ``sign`` '+' writes both signs."""
    return '–' if value is None or math.isnan(value) else f'{value:{sign}.{digits}f}'


def percent(value: float | None) -> str:
    """Return a share 0..1 in percent, a dash if it is undefined."""
    return '–' if value is None else f'{100 * value:.2f} %'


def digits_of(metric: str) -> int:
    """Return the decimals of a metric: percent has fewer."""
    return 2 if metric in ('iou', *LABEL_METRICS) else 4


def metrics_table(document: dict[str, Any]) -> TextTable:
    """Return the metrics of the output, beside those of the inputs if there are any."""
    sides = [side for side in ('output', 'inputs') if side in document]
    heads = ['pooled', 'mean of images']
    if len(sides) > 1:
        heads = ['refined', 'inputs', 'gain', 'mean of images']
    rows = []
    for name in METRICS:
        pooled = [document[side]['pooled'][name] for side in sides]
        if pooled[0] is None:
            continue
        gain = [document['gain'][name]] if len(sides) > 1 else []
        values = [*pooled, *gain, document['output']['per_image'][name]]
        rows.append([TITLES[name], *(number(value, digits_of(name)) for value in values)])
    return TextTable('metric', heads, rows)


def _parts(document: dict[str, Any]) -> list[TextTable]:
    """Return the tables by class and by true depth, without parts that have no pixel."""
    found = []
    for title, key, names in (('class', 'classes', ('iou', 'rel', 'rms')),
                              ('true depth', 'bins', ('rel', 'rms', 'delta1', 'mean_iou'))):
        rows = [[name, f'{part["pixels"]:.0f}',
                 *(number(part[metric], digits_of(metric)) for metric in names)]
                for name, part in document['output'][key].items() if part['pixels']]
        if rows:
            found.append(TextTable(title, ['pixels', *(TITLES[name] for name in names)], rows))
    return found


def _without_truth(document: dict[str, Any]) -> TextTable:
    drift, rows = document['drift'], []
    for task, text in (('labels', 'labels that change'), ('depth', 'median change of depth')):
        if drift[task]['pairs']:
            rows.append([f'{text}, frame to frame', percent(drift[task]['mean']),
                         percent(drift[task]['largest'])])
    for task, key, text in (('depth', 'invalid_share', 'pixels without valid depth'),
                            ('semantics', 'low_confidence_share', 'pixels of confidence below '
                             f'{document["protocol"]["confidence"]:g}')):
        if task in document:
            rows.append([text, percent(document[task][key]), ''])
    return TextTable('without ground truth', ['mean', 'largest'], rows)


def range_table(document: dict[str, Any]) -> TextTable:
    """Return the table of depth with and without the range sensor."""
    ranged, drift = document['range'], document['drift']['depth']
    rows = [['points that were used', '–', str(ranged['used'])],
            ['points that were rejected', '–', str(ranged['rejected'])]]
    if ranged['drift']['pairs']:
        rows.append(['median change of depth, frame to frame', percent(drift['mean']),
                     percent(ranged['drift']['mean'])])
    rows += _beside_output(document, ranged)
    return TextTable(f'range {ranged["topic"]}', ['without', 'with'], rows)


def _temporal_filter(document: dict[str, Any]) -> TextTable:
    """Return the table of the predictions with and without the temporal filter."""
    filtered, rows = document['temporal_filter'], []
    for task, title in (('depth', 'median change of depth, frame to frame'),
                        ('labels', 'labels that change, frame to frame')):
        if filtered['drift'][task]['pairs']:
            rows.append([title, *(percent(found['drift'][task]['mean'])
                                  for found in (document, filtered))])
    rows += _beside_output(document, filtered)
    return TextTable(f'temporal filter {filtered["time_constant_s"]:g} s', ['without', 'with'],
                     rows)


def _beside_output(document: dict[str, Any], part: dict[str, Any]) -> list[list[str]]:
    """Return the metrics of the plain output and of a ``part`` of the document, if it has any."""
    return [[TITLES[name], number(document['output']['pooled'][name], digits_of(name)),
             number(value, digits_of(name))]
            for name, value in part.get('pooled', {}).items() if value is not None]


def _clock(clock: dict[str, Any]) -> list[TextTable]:
    heads = ['mean', *quantile_names(), 'largest']
    found = [TextTable('latency (ms)', heads, [
        [stage, *(number(times[head], 2) for head in heads)]
        for stage, times in clock['stages_ms'].items()])] if clock['stages_ms'] else []
    if 'frames' in clock:
        found.append(TextTable('replayed', ['frames'], [
            [name, str(count)] for name, count in clock['frames'].items()]))
    if 'wall_s' in clock:
        found.append(TextTable('on this machine', ['value'], [
            ['frames per second', f'{clock["frames_per_s"]:.1f}'],
            ['wall time (s)', f'{clock["wall_s"]:.1f}'],
            ['network time (s)', f'{clock["network_s"]:.1f}'],
            ['wall / network', f'{clock["wall_over_network"]:.2f}']]))
    return found
