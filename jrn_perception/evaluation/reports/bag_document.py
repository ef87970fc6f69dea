# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The evaluation of a recording as a document.

The document depends on the recording and the network alone, so that the same evaluation gives the
same bytes. Measured times, such as latencies, are in ``timings``, for the terminal and the HTML
report. A document of a recording has no intervals:
consecutive frames are no independent samples, which a bootstrap needs.
"""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Any

from jrn_perception.evaluation.measures.metrics import (
    depth_metrics,
    describe_crop,
    LABEL_METRICS,
    label_metrics,
)
from jrn_perception.evaluation.measures.series import rate, spread, summarise
from jrn_perception.evaluation.recordings.ranging import RangeTotals
from jrn_perception.evaluation.recordings.replay import Replay
from jrn_perception.evaluation.recordings.session import BagEvaluation
from jrn_perception.evaluation.recordings.steadying import SteadyTotals
from jrn_perception.evaluation.recordings.totals import ErrorSums, metrics_of, Totals
from jrn_perception.evaluation.reports.documents import (
    BIN_NAMES,
    describe_network,
    describe_scales,
    FORMAT,
    plain,
    versions,
)
from jrn_perception.labels import LabelSet
from jrn_perception.perception import Perception


def bag_document(evaluation: BagEvaluation, perception: Perception) -> dict[str, Any]:
    """Return the document that ``jrn_evaluate bag`` writes."""
    totals, request = evaluation.totals, evaluation.request
    document = {
        'format': FORMAT, 'versions': versions(perception),
        'network': describe_network(perception),
        'partial': bool(evaluation.reasons), 'reason': '; '.join(evaluation.reasons) or None,
        'notes': evaluation.notes, 'source': _source(evaluation),
        'protocol': {'labels': evaluation.labels.name if evaluation.labels else None,
                     'crop': describe_crop(request.protocol.crop),
                     'cap': request.protocol.max_depth, 'clamp': evaluation.clamp,
                     'tolerance_s': request.tolerance_s, 'confidence': request.confidence,
                     'limit': request.limit or None, **_choices(evaluation),
                     'focal_correction': _correction(evaluation)},
        'rates': {name: rate(stamps) for name, stamps in evaluation.rates.items()},
        **numbers(totals, evaluation.labels)}
    if evaluation.ranged is not None:
        topic = evaluation.topics['range']
        document['range'] = {'topic': topic.name, 'type': topic.msgtype, 'messages': topic.count,
                             **range_numbers(totals, evaluation.ranged)}
    if evaluation.steadied is not None:
        document['temporal_filter'] = _steadied(evaluation, evaluation.steadied)
    document['worst'] = worst_frames(totals)
    return plain(document)


def numbers(totals: Totals, labels: LabelSet | None) -> dict[str, Any]:
    """Return the numbers of a document that follow from totals; ``labels`` were compared."""
    document: dict[str, Any] = {
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
        document['output'] = _side(totals.output, labels)
        if totals.inputs is not None:
            document['inputs'] = _side(totals.inputs, labels)
            document['gain'] = _gain(document['output']['pooled'], document['inputs']['pooled'])
    return document


def worst_frames(totals: Totals) -> dict[str, Any]:
    """Return the worst frames of the measures that choose them."""
    return {name: [{'frame': worst.name, 'value': worst.score}
                   for worst in totals.worst[name].ranked()] for name in measures(totals)}


def replay_document(evaluation: BagEvaluation, replay: Replay) -> dict[str, Any]:
    """Return the document of ``jrn_evaluate bag`` with the entries that only a replay has."""
    return bag_document(evaluation, replay.perception) | {'replay': replay.timings()}


def measures(totals: Totals) -> list[str]:
    """Return the measures that choose the worst frames: errors with ground truth, else drift."""
    truth = totals.with_truth
    return ['rel' if truth['depth'] else 'depth_drift',
            'pixel_accuracy' if truth['labels'] else 'label_drift']


def timings(evaluation: BagEvaluation) -> dict[str, Any]:
    """
    Return the measured times: of the whole evaluation, the network and each stage.

    They are empty if the network ran in another process, or before.
    """
    totals = evaluation.totals
    if math.isnan(evaluation.wall_s):
        return {'stages_ms': {}}
    stages = {stage: spread(milliseconds) for stage, milliseconds in totals.stages.items()}
    return {'wall_s': evaluation.wall_s, 'network_s': evaluation.network_s,
            'frames_per_s': totals.frames / evaluation.wall_s,
            'wall_over_network': evaluation.wall_s / evaluation.network_s, 'stages_ms': stages}


def _choices(evaluation: BagEvaluation) -> dict[str, float]:
    """Return the choices that few make: a part of the recording, true depth in other units."""
    request, choices = evaluation.request, {}
    if request.depth_scale != 1:
        choices['depth_scale'] = request.depth_scale
    if request.span:
        choices['start_s'] = request.span.start_s
        if request.span.duration_s < math.inf:
            choices['duration_s'] = request.span.duration_s
    return choices


def _correction(evaluation: BagEvaluation) -> dict[str, Any] | None:
    if evaluation.camera_info is None:
        return None
    scales = describe_scales(evaluation.totals.scales) or {'frames': 0}
    return {'topic': evaluation.camera_info.name, **scales}


def _source(evaluation: BagEvaluation) -> dict[str, Any]:
    totals, ids = evaluation.totals, evaluation.ids
    topics = dict.fromkeys(('image', 'depth', 'labels'))
    for role, topic in evaluation.topics.items():
        if role not in topics:
            continue  # The range sensor has an entry of its own.
        topics[role] = {'topic': topic.name, 'type': topic.msgtype, 'messages': topic.count}
    if ids:
        topics['labels'] |= {'set': ids.labels.name, 'without_class': list(ids.missing)}
    return {'recording': evaluation.path.resolve().name, **topics, 'frames': totals.frames,
            'names_sha256': totals.names_sha256, 'with_depth': totals.with_truth['depth'],
            'with_labels': totals.with_truth['labels'],
            'damaged': {'count': totals.num_damaged, 'first': totals.damaged}}


def range_numbers(totals: Totals, ranged: RangeTotals) -> dict[str, Any]:
    """Return the drift and the errors of depth that a range sensor corrected."""
    found = {'frames': ranged.frames, 'used': ranged.used, 'rejected': ranged.rejected,
             'drift': _drift(ranged.drift)}
    if totals.with_truth['depth']:
        new = depth_metrics(ranged.sums.depth.sum((0, 1)))._asdict()
        old = depth_metrics(totals.output.depth.sum((0, 1)))._asdict()
        found |= {'pooled': new, 'gain': _gain(new, old)}
    return found


def _steadied(evaluation: BagEvaluation, steadied: SteadyTotals) -> dict[str, Any]:
    """Return the drift and the errors of the predictions behind the temporal filter."""
    totals = evaluation.totals
    found: dict[str, Any] = {
        'time_constant_s': evaluation.request.temporal_filter,
        'drift': {task: _drift(values) for task, values in steadied.drift.items()}}
    if any(totals.with_truth.values()):
        new = metrics_of(steadied.sums.depth, steadied.sums.labels)
        old = metrics_of(totals.output.depth, totals.output.labels)
        found |= {'pooled': new, 'gain': _gain(new, old)}
    return found


def _gain(new: dict[str, float], old: dict[str, float]) -> dict[str, float]:
    return {name: value - old[name] for name, value in new.items()}


def _drift(values: Sequence[float]) -> dict[str, Any]:
    found = summarise(values)
    return {'mean': found.mean, 'largest': found.high, 'pairs': found.count}


def _side(side: ErrorSums, labels: LabelSet | None) -> dict[str, Any]:
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
