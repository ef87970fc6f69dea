# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Results as json documents: the same measurement gives the same bytes.

A document holds neither time nor host. An undefined number is null. An interval is
``[low, high]``.
"""

from __future__ import annotations

from dataclasses import asdict
import hashlib
import json
import math
from pathlib import Path
import platform
from typing import Any

import cv2
import jrn_perception
from jrn_perception import weights
from jrn_perception.evaluation.measures import bootstrap, paper, sampling, sparsification
from jrn_perception.evaluation.measures.bootstrap import (
    average,
    Estimate,
    estimate,
    gains,
    image_values,
    pool,
    pooled,
    resamplings,
)
from jrn_perception.evaluation.measures.calibration import (
    BINS,
    bins_of,
    Calibration,
    ece_estimate,
    ece_gain,
)
from jrn_perception.evaluation.measures.comparison import Evaluation, Protocol
from jrn_perception.evaluation.measures.influence import Influence, Measurement, Omega
from jrn_perception.evaluation.measures.metrics import (
    DEPTH_BINS,
    DEPTH_EDGES,
    depth_metrics,
    DepthMetrics,
    describe_crop,
    LABEL_METRICS,
    label_metrics,
    METRICS,
    Table,
)
from jrn_perception.evaluation.measures.series import summarise
from jrn_perception.evaluation.recordings.session import RecordedNetwork
from jrn_perception.labels import LabelSet
from jrn_perception.perception import Perception
import numpy as np

FORMAT = 1
BIN_NAMES = [f'{low:g}-{high:g} m' if math.isfinite(high) else f'> {low:g} m'
             for low, high in zip(DEPTH_EDGES, DEPTH_EDGES[1:])]


def summary(table: Table, labels: LabelSet | None) -> dict[str, Any]:
    """Return pooled and per-image metrics with intervals, and the metrics by class and bin."""
    drawings = resamplings(len(table))
    depth, by_class = table.depth, table.labels.sum(1)
    content: dict[str, Any] = {
        'pooled': {name: _estimate(estimate(pooled(table, name), drawings)) for name in METRICS},
        'per_image': {}, 'pixels': {'depth': depth[..., 0].sum(),
                                    'labels': table.labels[..., 1].sum()}}
    for name in METRICS:
        values = image_values(table, name)
        content['per_image'][name] = _estimate(
            estimate(lambda weights, v=values: average(v, weights), drawings))
    ones = np.ones((1, len(table)))
    class_depth = depth_metrics(pool(depth.sum(1), ones)[0])
    iou = estimate(lambda weights: label_metrics(pool(by_class, weights)).iou, drawings)
    content['classes'] = {
        name: {'pixels': by_class[:, k, 1].sum(), 'iou': _estimate(Estimate(*(e[k] for e in iou))),
               **{metric: getattr(class_depth, metric)[k] for metric in DepthMetrics._fields}}
        for k, name in enumerate(labels.names if labels else ())}
    bin_depth = depth_metrics(pool(depth.sum(2), ones)[0])
    bin_labels = label_metrics(pool(table.labels, ones)[0])
    content['bins'] = {
        name: {'pixels': depth[:, k, :, 0].sum(),
               **{metric: getattr(bin_depth, metric)[k] for metric in DepthMetrics._fields},
               **{metric: getattr(bin_labels, metric)[k] for metric in LABEL_METRICS}}
        for k, name in enumerate(BIN_NAMES)}
    return content


def dataset_document(evaluation: Evaluation, perception: Perception, protocol: Protocol,
                     source: dict[str, Any], per_image: bool = False) -> dict[str, Any]:
    """
    Return the document that ``jrn_evaluate dataset`` writes.

    ``source`` identifies the frames: reader, split, seed. With ``per_image`` the metrics of each
    image are in the document.
    """
    labels, output = evaluation.labels, evaluation.output
    document = {
        'format': FORMAT, 'versions': versions(perception),
        'network': describe_network(perception),
        'partial': bool(evaluation.reason), 'reason': evaluation.reason or None,
        'source': _source(source, output.names, evaluation.damaged),
        'protocol': _protocol(protocol, labels) | {
            'clamp': evaluation.clamp, 'focal_correction': describe_scales(evaluation.scales)},
        'output': summary(output, labels)}
    if evaluation.note:
        document['notes'] = [evaluation.note]
    if evaluation.inputs is not None:
        document['inputs'] = summary(evaluation.inputs, labels)
        document['gain'] = {name: _estimate(found) for name, found
                            in gains(output, evaluation.inputs).items()}
    if evaluation.calibration is not None:
        document['calibration'] = {'output': _calibration(evaluation.calibration)}
        if evaluation.inputs_calibration is not None:
            document['calibration'] |= {
                'inputs': _calibration(evaluation.inputs_calibration),
                'gain': _estimate(ece_gain(evaluation.calibration,
                                           evaluation.inputs_calibration))}
    if evaluation.anchored is not None:
        document['range'] = _range(evaluation, protocol)
    if evaluation.completion is not None:
        document['completion'] = {
            name: {metric: _estimate(found) for metric, found in metrics.items()}
            for name, metrics in evaluation.completion.summary().items()}
    if evaluation.deviation is not None:
        document['depth_deviation'] = sparsification.describe(evaluation.deviation)
    if per_image:
        columns = {name: image_values(output, name) for name in METRICS}
        document['images'] = [{'name': name, **{metric: values[k] for metric, values
                                                in columns.items()}}
                              for k, name in enumerate(output.names)]
    return plain(document)


def influence_document(measurement: Measurement, found: dict[str, Influence],
                       perceptions: dict[str, Perception], protocol: Protocol,
                       source: dict[str, Any]) -> dict[str, Any]:
    """Return the document that ``jrn_evaluate influence`` writes, with the paper's rows."""
    labels = measurement.labels
    names = next(iter(measurement.runs.values())).both.names
    variants = {name: {
        'network': describe_network(perceptions[name]), 'clamp': measurement.clamp[name],
        'focal_correction': describe_scales(measurement.runs[name].scales),
        'computation': _computation(perceptions[name], name),
        'mean_iou': _estimate(item.semantics), 'minus_rel_sqr': _estimate(item.depth),
        'depth_to_semantics': {value: _omega(omega, labels)
                               for value, omega in item.depth_to_semantics.items()},
        'semantics_to_depth': {value: _omega(omega, labels)
                               for value, omega in item.semantics_to_depth.items()},
        'shifts': {value: {part: _estimate(mean) for part, mean in shift._asdict().items()}
                   for value, shift in item.shifts.items()},
        # The paper has neither symbiosis networks nor JRNs of forty classes.
        'paper': paper.FIGURE_7[name]._asdict() if name in paper.FIGURE_7 else None}
        for name, item in found.items()}
    return plain({
        'format': FORMAT, 'versions': versions(*perceptions.values()),
        'source': _source(source, names, measurement.damaged),
        'protocol': _protocol(protocol, labels), 'variants': variants})


def _computation(perception: Perception, variant: str) -> str:
    """Return the paper's kind of a JRN's computation, 'attention' for a symbiosis network."""
    if not perception.refines:
        return 'attention'
    return 'coupled' if variant.partition('_')[0] in paper.COUPLED else 'loose'


def write(document: dict[str, Any], path: Path) -> None:
    """Write a document as json; make its folder if there is none. OSError names the file."""
    text = serialise(document)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding='utf-8')
    except OSError as error:
        raise OSError(f'{path}: {error.strerror}') from error


def serialise(document: dict[str, Any]) -> str:
    """Return the text of a document's file."""
    return json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False) + '\n'


def influence_markdown(document: dict[str, Any]) -> str:
    """Return the tables of an influence document in Markdown, our numbers beside the paper's."""
    values = list(next(iter(document['variants'].values()))['depth_to_semantics'])
    rows = []
    for direction, title, unit, accuracy in (
            ('depth_to_semantics', 'ω D→S′', 'points of mean IoU', 'mean_iou'),
            ('semantics_to_depth', 'ω S→D′', 'rel(sqr) · 100', 'minus_rel_sqr')):
        head = ['variant', 'computation', {'mean_iou': 'mean IoU [%]'}.get(
            accuracy, '−rel(sqr) · 100'), *(f'{title}, {value}' for value in values),
            f'{title}, paper']
        rows += [f'### {title} ({unit})', '', _row(head), _row(['---'] * len(head))]
        for name, item in document['variants'].items():
            rows.append(_row([name, item['computation'], _interval(item[accuracy]),
                              *(_interval(item[direction][value]['total']) for value in values),
                              f'{item["paper"][direction]:.2f}' if item['paper'] else '–']))
        rows.append('')
    rows += [f'{name}: {describe_gammas(item["network"]["gammas"])}.\n'
             for name, item in document['variants'].items() if 'gammas' in item['network']]
    protocol, source = document['protocol'], document['source']
    level = f'{protocol["bootstrap"]["level"]:.0%}'
    rows.append(f'{source["reader"]}, {source["frames"]} frames, crop {protocol["crop"]}; in '
                f'brackets the {level} interval of a bootstrap over images. A negative ω: the '
                'other modality harms.')
    return '\n'.join(rows) + '\n'


def versions(*perceptions: Perception | RecordedNetwork) -> dict[str, str]:
    """Return the versions of the software that a number may depend on, with the runtimes'."""
    return {'jrn_perception': jrn_perception.__version__, 'python': platform.python_version(),
            'numpy': np.__version__,
            **{perception.backend.name: perception.backend.version for perception in perceptions
               if not isinstance(perception, RecordedNetwork)},
            'opencv': cv2.__version__}


def plain(value: Any) -> Any:
    """Return the value in the types of json, with None for numbers that are not finite."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
    return value


def describe_network(perception: Perception | RecordedNetwork) -> dict[str, Any]:
    """Return the entries that identify a network and its device, precision and input size."""
    if isinstance(perception, RecordedNetwork):
        return {'architecture': 'recorded', 'variant': 'predictions', 'sha256': None}
    card: weights.Card = perception.card
    gammas = {'gammas': card.training['gammas']} if 'gammas' in card.training else {}
    sources = {'sources': card.sources} if card.sources else {}
    return gammas | sources | {
        'architecture': card.architecture, 'variant': card.variant, 'sha256': card.sha256,
        'inputs': {task: digest for task, (_, digest) in sorted(card.inputs.items())},
        'temperature': card.temperature,
        'device': perception.device.type, 'precision': perception.precision,
        'picture_480x640_as': perception.inference_size(480, 640)}


def describe_gammas(gammas: dict[str, float]) -> str:
    """Return in words how strongly each task of a symbiosis network listens to the other."""
    return ('learnt gammas: depth to semantics '
            f'{gammas["depth_to_semantics"]:+.4f}, semantics to depth '
            f'{gammas["semantics_to_depth"]:+.4f}')


def describe_scales(scales: list[float]) -> dict[str, Any] | None:
    """
    Return frames, mean and range of the factors that correct depth for the focal length.

    None if no frame was corrected. NaN in ``scales`` is a frame without a correction.
    """
    found = summarise(scales)
    if not found.count:
        return None
    return {'frames': found.count, 'scale': found.mean, 'range': [found.low, found.high]}


def _source(source: dict[str, Any], names: list[str], damaged: dict[int, str]) -> dict[str, Any]:
    digest = hashlib.sha256('\n'.join(names).encode()).hexdigest()
    return {**source, 'frames': len(names), 'names_sha256': digest,
            'damaged': [{'index': index, 'reason': reason} for index, reason in damaged.items()]}


def _protocol(protocol: Protocol, labels: LabelSet | None) -> dict[str, Any]:
    return {'labels': labels.name if labels else None, 'crop': describe_crop(protocol.crop),
            'cap': protocol.max_depth,
            'bootstrap': {'resamples': bootstrap.RESAMPLES, 'seed': bootstrap.SEED,
                          'level': bootstrap.CONFIDENCE_LEVEL}}


def _estimate(found: Estimate) -> dict[str, Any]:
    return {'value': found.value, 'interval': [found.low, found.high]}


def _range(evaluation: Evaluation, protocol: Protocol) -> dict[str, Any]:
    """Return the metrics of depth that range points corrected, and their gain."""
    table, counts = evaluation.anchored, evaluation.anchors
    drawings, gain = resamplings(len(table)), gains(table, evaluation.output)
    names = DepthMetrics._fields
    found = {**asdict(protocol.sampling), 'seed': sampling.SEED, 'used': counts.used,
             'rejected': counts.rejected,
             'pooled': {name: _estimate(estimate(pooled(table, name), drawings))
                        for name in names},
             'gain': {name: _estimate(gain[name]) for name in names}}
    if evaluation.anchored_deviation is not None:
        found['depth_deviation'] = sparsification.describe(evaluation.anchored_deviation)
    return found


def _calibration(found: Calibration) -> dict[str, Any]:
    """Return the pooled ECE and its bins; the ECE of single images says nothing."""
    parts = bins_of(found.sums.sum(0))
    return {'ece': _estimate(ece_estimate(found)), 'bins': [
        {'confidence_range': [k / BINS, (k + 1) / BINS],
         **{name: values[k] for name, values in parts._asdict().items()}} for k in range(BINS)]}


def _omega(omega: Omega, labels: LabelSet) -> dict[str, Any]:
    def each(names: list[str], found: Estimate) -> dict[str, Any]:
        return {name: _estimate(Estimate(*(part[k] for part in found)))
                for k, name in enumerate(names)}

    return {'total': _estimate(omega.total), 'muted': _estimate(omega.muted),
            'classes': each(labels.names, omega.classes),
            'bins': each(BIN_NAMES[:DEPTH_BINS], omega.bins)}


def _row(cells: list[str]) -> str:
    return '| ' + ' | '.join(cells) + ' |'


def _interval(found: dict[str, Any]) -> str:
    low, high = found['interval']
    return '–' if found['value'] is None else f'{found["value"]:.2f} [{low:.2f}, {high:.2f}]'
