# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The evaluation of a recording as a document, and as tables on the terminal.

The document holds what the recording and the network determine: twice the same bytes. What the
clock on the wall measured, latencies above all, is in ``timings``, for the terminal and the HTML
report. No intervals: the frames of a film are no independent drawings, as a bootstrap wants them.
"""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Any

from jrn_perception.evaluation.measures.metrics import depth_metrics, describe_crop, label_metrics
from jrn_perception.evaluation.measures.series import quantile_names, rate, spread, summarise
from jrn_perception.evaluation.recordings.session import BagEvaluation
from jrn_perception.evaluation.recordings.totals import metrics_of, Side
from jrn_perception.evaluation.reports.documents import (
    BIN_NAMES,
    describe_network,
    describe_scales,
    FORMAT,
    LABEL_METRICS,
    METRICS,
    plain,
    versions,
)
from jrn_perception.evaluation.reports.tables import TITLES
from jrn_perception.perception import Perception
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table


def bag_document(evaluation: BagEvaluation, perception: Perception) -> dict[str, Any]:
    """Return what ``jrn_evaluate bag`` writes."""
    totals, request = evaluation.totals, evaluation.request
    document = {
        'format': FORMAT, 'versions': versions(), 'network': describe_network(perception),
        'partial': bool(evaluation.reasons), 'reason': '; '.join(evaluation.reasons) or None,
        'notes': evaluation.notes, 'source': _source(evaluation),
        'protocol': {'labels': evaluation.labels.name if evaluation.labels else None,
                     'crop': describe_crop(request.protocol.crop),
                     'cap': request.protocol.max_depth, 'clamp': evaluation.clamp,
                     'tolerance_s': request.tolerance_s, 'confidence': request.confidence,
                     'limit': request.limit or None,
                     'focal_correction': _correction(evaluation)},
        'rates': {name: rate(stamps) for name, stamps in evaluation.rates.items()},
        'drift': {task: _drift(values) for task, values in totals.drift.items()}}
    if totals.pixels['depth']:
        document['depth'] = {'invalid_share': totals.invalid / totals.pixels['depth']}
    if totals.labels:
        pixels = totals.pixels['labels']
        document['semantics'] = {
            'set': totals.labels.name, 'low_confidence_share': totals.uncertain / pixels,
            'mean_confidence': totals.confidence / pixels,
            'classes': dict(zip(totals.labels.names, totals.histogram / pixels))}
    if any(totals.with_truth.values()):
        document['output'] = _side(totals.output, evaluation)
        if totals.inputs is not None:
            document['inputs'] = _side(totals.inputs, evaluation)
            document['gain'] = {name: document['output']['pooled'][name]
                                - document['inputs']['pooled'][name] for name in METRICS}
    document['worst'] = {name: [{'frame': worst.name, 'value': worst.score}
                                for worst in totals.worst[name].ranked()]
                         for name in measures(evaluation)}
    return plain(document)


def measures(evaluation: BagEvaluation) -> list[str]:
    """Return by what the worst frames are chosen: errors where there is ground truth, or drift."""
    truth = evaluation.totals.with_truth
    return ['rel' if truth['depth'] else 'depth_drift',
            'pixel_accuracy' if truth['labels'] else 'label_drift']


def timings(evaluation: BagEvaluation) -> dict[str, Any]:
    """Return what was measured by the clock on the wall."""
    totals = evaluation.totals
    stages = {stage: spread(milliseconds) for stage, milliseconds in totals.stages.items()}
    return {'wall_s': evaluation.wall_s, 'network_s': evaluation.network_s,
            'frames_per_s': totals.frames / evaluation.wall_s,
            'wall_over_network': evaluation.wall_s / evaluation.network_s, 'stages_ms': stages}


def print_bag(document: dict[str, Any], clock: dict[str, Any], out: Console) -> None:
    """Print a document of a recording, and its ``timings`` or those of a replay."""
    for table in tables(document, clock):
        out.print(table)
    for note in document['notes']:
        out.print(f'note: {note}', markup=False)


def tables(document: dict[str, Any], clock: dict[str, Any]) -> list[str | Table]:
    """Return the headline and the tables, for the terminal."""
    parts: list[str | Table] = [headline(document)]
    for title, head, rows in rows_of(document, clock):
        table = Table(box=SIMPLE_HEAD)
        table.add_column(title, no_wrap=True)
        for name in head:
            table.add_column(name, justify='right')
        for row in rows:
            table.add_row(*row)
        parts.append(table)
    return parts


def headline(document: dict[str, Any]) -> str:
    """Return one line on what was evaluated."""
    network, source = document['network'], document['source']
    correction = document['protocol']['focal_correction'] or {}
    return (f'{network["architecture"]} {network["variant"]} on {source["recording"]}: '
            f'{source["frames"]} frames of {source["image"]["topic"]}, '
            f'{source["damaged"]["count"]} damaged, {source["with_depth"]} with depth, '
            f'{source["with_labels"]} with labels'
            + (f', depth x {correction["scale"]:.3f} for the focal length in {correction["topic"]}'
               if correction.get('frames') else '')
            + (', PARTIAL' if document['partial'] else ''))


def rows_of(document: dict[str, Any], clock: dict[str, Any]
            ) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return the tables as (title of the first column, other titles, rows of text)."""
    found = []
    if 'output' in document:
        sides = [side for side in ('output', 'inputs') if side in document]
        head = ['pooled', 'mean of images'] if len(sides) == 1 else [
            'refined', 'inputs', 'gain', 'mean of images']
        rows = []
        for name in METRICS:
            pooled = [document[side]['pooled'][name] for side in sides]
            if pooled[0] is None:
                continue
            values = [*pooled, *([document['gain'][name]] if len(sides) > 1 else []),
                      document['output']['per_image'][name]]
            rows.append([TITLES[name], *(_number(value, name in LABEL_METRICS)
                                         for value in values)])
        found.append(('metric', head, rows))
        for title, key, names in (('class', 'classes', ('iou', 'rel', 'rms')),
                                  ('true depth', 'bins', ('rel', 'rms', 'delta1', 'mean_iou'))):
            rows = [[name, f'{part["pixels"]:.0f}', *(
                _number(part[metric], metric in ('iou', *LABEL_METRICS)) for metric in names)]
                for name, part in document['output'][key].items() if part['pixels']]
            if rows:
                found.append((title, ['pixels', *(TITLES.get(name, 'IoU (%)') for name in names)],
                              rows))
    drift, rows = document['drift'], []
    for task, text in (('labels', 'labels that change'), ('depth', 'median change of depth')):
        if drift[task]['pairs']:
            rows.append([f'{text}, frame to frame', _percent(drift[task]['mean']),
                         _percent(drift[task]['largest'])])
    for task, key, text in (('depth', 'invalid_share', 'pixels without valid depth'),
                            ('semantics', 'low_confidence_share', 'pixels of confidence below '
                             f'{document["protocol"]["confidence"]:g}')):
        if task in document:
            rows.append([text, _percent(document[task][key]), ''])
    found.append(('without ground truth', ['mean', 'largest'], rows))
    if 'semantics' in document:
        classes = sorted(document['semantics']['classes'].items(), key=lambda item: -item[1])
        found.append(('predicted class', ['share'],
                      [[name, _percent(share)] for name, share in classes if share][:12]))
    found.append(('topic', ['messages', 'Hz', 'period (s)', 'deviation', 'largest'], [
        [name, str(rate['messages']), _number(rate['hz'], True),
         *(_number(rate['period_s'][key]) for key in ('mean', 'deviation', 'largest'))]
        for name, rate in document['rates'].items()]))
    heads = ['mean', *quantile_names(), 'largest']
    found.append(('latency (ms)', heads, [
        [stage, *(_number(times[head], True) for head in heads)]
        for stage, times in clock['stages_ms'].items()]))
    if 'frames' in clock:
        found.append(('replayed', ['frames'], [
            [name, str(count)] for name, count in clock['frames'].items()]))
    if 'wall_s' in clock:
        found.append(('on this machine', ['value'], [
            ['frames per second', f'{clock["frames_per_s"]:.1f}'],
            ['wall time (s)', f'{clock["wall_s"]:.1f}'],
            ['network time (s)', f'{clock["network_s"]:.1f}'],
            ['wall / network', f'{clock["wall_over_network"]:.2f}']]))
    return found


def _correction(evaluation: BagEvaluation) -> dict[str, Any] | None:
    if evaluation.camera_info is None:
        return None
    scales = describe_scales(evaluation.totals.scales) or {'frames': 0}
    return {'topic': evaluation.camera_info.name, **scales}


def _source(evaluation: BagEvaluation) -> dict[str, Any]:
    totals, ids = evaluation.totals, evaluation.ids
    topics = dict.fromkeys(('image', 'depth', 'labels'))
    for role, topic in evaluation.topics.items():
        topics[role] = {'topic': topic.name, 'type': topic.msgtype, 'messages': topic.count}
    if ids:
        topics['labels'] |= {'set': ids.labels.name, 'without_class': list(ids.missing)}
    return {'recording': evaluation.path.resolve().name, **topics, 'frames': totals.frames,
            'names_sha256': totals.names_sha256, 'with_depth': totals.with_truth['depth'],
            'with_labels': totals.with_truth['labels'],
            'damaged': {'count': totals.num_damaged, 'first': totals.damaged}}


def _drift(values: Sequence[float]) -> dict[str, Any]:
    found = summarise(values)
    return {'mean': found.mean, 'largest': found.high, 'pairs': found.count}


def _side(side: Side, evaluation: BagEvaluation) -> dict[str, Any]:
    labels = evaluation.labels
    by_class, class_depth = side.labels.sum(0), depth_metrics(side.depth.sum(0))
    class_iou = label_metrics(by_class).iou
    bin_depth, bin_labels = depth_metrics(side.depth.sum(1)), label_metrics(side.labels)
    return {
        'pooled': metrics_of(side.depth, side.labels),
        'per_image': {name: summarise(values).mean for name, values in side.images.items()},
        'pixels': {'depth': side.depth[..., 0].sum(), 'labels': by_class[:, 1].sum()},
        'classes': {name: {'pixels': by_class[k, 1], 'iou': class_iou[k],
                           **{metric: value[k] for metric, value
                              in class_depth._asdict().items()}}
                    for k, name in enumerate(labels.names if labels else ())},
        'bins': {name: {'pixels': side.depth[k, :, 0].sum(),
                        **{metric: value[k] for metric, value in bin_depth._asdict().items()},
                        **{metric: getattr(bin_labels, metric)[k] for metric in LABEL_METRICS}}
                 for k, name in enumerate(BIN_NAMES)}}


def _number(value: float | None, coarse: bool = False) -> str:
    if value is None or math.isnan(value):
        return '–'
    return f'{value:.{2 if coarse else 4}f}'


def _percent(value: float | None) -> str:
    return '–' if value is None else f'{100 * value:.2f} %'
