# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The cross-modality influence test of the JRN paper (Sec. III-D, Fig. 4, Eq. 2 and 3).

The influence of Y on X' is the accuracy that the refined X' loses without Y:
omega_{Y->X'} = A_X(f(X, Y)) - A_X(f(X)). A_S is mean IoU in percent, A_D is -rel(sqr) * 100. In
both, larger is better, and a negative omega says that the other modality harms. The paper does not
define "muted": we take zero for the paper's rows and also measure the training set's mean and
noise. The output of the muted modality itself is ignored.

A symbiosis network has no such inputs. There the test mutes a direction of the attention between
the tasks; zero equals a gamma of 0 (``networks.symbiosis``).

A robot can measure a second number without ground truth: how far muting moves the outputs
(``Shift``), the means of the maps that the node publishes on influence/depth and
influence/semantics.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from jrn_perception import weights
from jrn_perception.datasets.subsets import Undamaged
from jrn_perception.evaluation.measures.bootstrap import (
    average,
    Estimate,
    estimate,
    pool,
    resamplings,
)
from jrn_perception.evaluation.measures.comparison import (
    check_comparable,
    Comparison,
    frame_truth,
    Protocol,
)
from jrn_perception.evaluation.measures.metrics import depth_metrics, label_metrics, Table, Truth
from jrn_perception.frame import Frame
from jrn_perception.labels import LabelSet
from jrn_perception.networks.interface import MUTE_VALUES
from jrn_perception.perception import ArrayMaps, Perception, Prediction, SetUp
from jrn_perception.perception.stream import stream, Track, untracked
import numpy as np


@dataclass(frozen=True)
class Runs:
    """
    The sums of one variant: with ``both`` inputs, and the other output under each mute value.

    ``depth_muted`` has label sums only, ``semantics_muted`` depth sums only. ``shifts`` has the
    means of each image in the order of ``Shift``, ``scales`` the factors on depth for the camera.
    """

    card: weights.Card
    both: Table
    depth_muted: dict[str, Table]
    semantics_muted: dict[str, Table]
    shifts: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)
    scales: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Measurement:
    """The sums of all variants over one source, by the names of the variants."""

    runs: dict[str, Runs]
    labels: LabelSet
    clamp: dict[str, tuple[float, float]]
    damaged: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Omega:
    """
    The influence of one modality on the refined other, in points of A.

    ``total`` is over all pixels, ``muted`` the remaining accuracy A. ``classes`` (K) are by true
    class, for semantics the difference of the class's IoU; ``bins`` are by true depth. NaN if a
    class or bin does not occur.
    """

    total: Estimate
    muted: Estimate
    classes: Estimate
    bins: Estimate


class Shift(NamedTuple):
    """
    How far muting moves the outputs: ``networks.interface.Influence`` at the size of the picture.

    Each is a mean over all pixels of a picture, also outside the crop, and over pictures.
    ``depth`` is in metres that semantics adds to D', ``semantics`` is the probability that depth
    adds to the decided class. For the absolute versions the signs are dropped before the mean.
    """

    depth: Estimate
    depth_absolute: Estimate
    semantics: Estimate
    semantics_absolute: Estimate


@dataclass(frozen=True)
class Influence:
    """
    A variant's accuracies with both inputs, and omega and shift for each mute value.

    ``semantics`` is A_S, ``depth`` is A_D.
    """

    semantics: Estimate
    depth: Estimate
    depth_to_semantics: dict[str, Omega]
    semantics_to_depth: dict[str, Omega]
    shifts: dict[str, Shift]


def measure(perceptions: dict[str, Perception], frames: Sequence[Frame],
            protocol: Protocol | None = None, skip_damaged: bool = False,
            track: Track = untracked) -> Measurement:
    """
    Run each JRN on each frame: as it is, and with either input muted in each way.

    ``perceptions`` are JRNs or symbiosis networks by variant; ValueError for other networks. JRNs
    whose cards name the same files (sha256) as inputs share one run of the single-task networks
    for each frame.
    ``frames`` need depth and labels; arguments as of ``comparison.evaluate``.
    """
    for perception in perceptions.values():
        if not perception.can_mute:
            card = perception.card
            raise ValueError(f'{card.architecture} {card.variant}: the influence test mutes the '
                             'inputs of a jrn; other networks have none, but for the attention '
                             'of symbiosis in torch')
    comparisons = {name: Comparison(perception, frames.labels, protocol or Protocol())
                   for name, perception in perceptions.items()}
    first = next(iter(perceptions))
    label_set = comparisons[first].labels
    if label_set is None:
        raise ValueError('the influence test needs a data set with labels')
    for name, comparison in comparisons.items():
        if comparison.labels != label_set:
            raise ValueError(f'{first} is compared in {label_set.name}, {name} in '
                             f'{comparison.labels.name}: name one label set with --labels, or '
                             'measure them apart')
    runs = {name: Runs(perception.card, *_tables(len(label_set)))
            for name, perception in perceptions.items()}
    source = Undamaged(frames, 'skip' if skip_damaged else 'raise')
    read = comparisons[first].reader(source)
    for step in track(stream(perceptions[first], range(len(frames)), read), len(frames)):
        if step.frame is None:
            continue
        # The variants differ in their clamps, not in the ground truth.
        truth = frame_truth(comparisons[first], step.frame)
        shared = {}
        for name, perception in perceptions.items():
            picture, maps = step.picture[None], step.maps
            key = _inputs_of(name, perception, step.frame)
            if name != first:
                picture = perception.preprocess(step.frame.rgb)[None]
                inputs = shared.get(key) or perception.sourced(
                    step.frame.rgb, picture[0], step.frame.measured, step.frame.focal_length)
                maps = perception.infer(picture, inputs=inputs)
            shared[key] = maps.inputs
            seen = _Seen(step.frame, truth, picture, maps)
            _add(runs[name], perception, comparisons[name], seen)
    source.report_damage()
    source.require_some()
    for name, run in runs.items():
        check_comparable(run.both)
        if not run.both.labels.any() or not run.both.depth.any():
            raise ValueError(f'{name}: the influence test needs ground truth of both depth and '
                             'labels inside crop and cap')
    return Measurement(runs, label_set, {name: comparison.clamp for name, comparison
                                         in comparisons.items()}, dict(source.damaged))


def _inputs_of(name: str, perception: Perception, frame: Frame) -> tuple:
    """Return a key that is equal for JRNs with the same single-task networks, classes and size."""
    files = tuple(digest for _, digest in sorted(perception.card.inputs.values()))
    # Random single-task networks have no file; each JRN has its own.
    return files or name, perception.label_set, perception.inference_size(*frame.rgb.shape[:2])


def influences(measurement: Measurement) -> dict[str, Influence]:
    """Return the influence of every variant; all intervals are of the same drawings of images."""
    result = {}
    for name, run in measurement.runs.items():
        drawings = resamplings(len(run.both))
        result[name] = Influence(
            estimate(_mean_iou(run.both), drawings), estimate(_minus_rel_sqr(run.both), drawings),
            {value: _omega(run.both, muted, drawings, _mean_iou, _class_iou, _bin_iou)
             for value, muted in run.depth_muted.items()},
            {value: _omega(run.both, muted, drawings, _minus_rel_sqr, _class_rel_sqr,
                           _bin_rel_sqr)
             for value, muted in run.semantics_muted.items()},
            {value: Shift(*(estimate(lambda weights, v=column: average(v, weights), drawings)
                            for column in np.transpose(images)))
             for value, images in run.shifts.items()})
    return result


def _tables(num_classes: int) -> tuple[Table, dict[str, Table], dict[str, Table], dict[str, list]]:
    return (Table(num_classes), {value: Table(num_classes) for value in MUTE_VALUES},
            {value: Table(num_classes) for value in MUTE_VALUES},
            {value: [] for value in MUTE_VALUES})


class _Seen(NamedTuple):
    """A frame, and a JRN's input (1, h, w, 3) and maps with both modalities for this frame."""

    frame: Frame
    truth: Truth
    picture: np.ndarray
    maps: ArrayMaps


def _add(runs: Runs, perception: Perception, comparison: Comparison, seen: _Seen) -> None:
    """Add a frame to ``runs``: with both modalities, then with either one muted."""
    frame, truth, picture, maps = seen

    def predict(maps: ArrayMaps) -> Prediction:
        return comparison.prediction(
            perception.postprocess(maps, frame.rgb.shape[:2], frame.focal_length))

    both = predict(maps)
    if frame.focal_length:
        runs.scales.append(both.depth_scale)
    comparison.add(runs.both, frame, truth, both)
    for value in MUTE_VALUES:
        # One batch has the muted labels and how far muting moves both outputs.
        depth_muted = predict(perception.infer(picture, SetUp('depth', value, influence=True),
                                               maps.inputs))
        comparison.add(runs.depth_muted[value], frame, truth, depth_muted, depth=False)
        runs.shifts[value].append(_shift(depth_muted))
        semantics_muted = predict(perception.infer(picture, SetUp('semantics', value),
                                                   maps.inputs))
        comparison.add(runs.semantics_muted[value], frame, truth, semantics_muted, labels=False)


def _shift(prediction: Prediction) -> tuple[float, ...]:
    """Return the means of one picture, in the order of ``Shift``."""
    return tuple(float(moved.mean(dtype=np.float64))
                 for signed in (prediction.influence_depth, prediction.influence_semantics)
                 for moved in (signed, np.abs(signed)))


Accuracy = Callable[[np.ndarray], np.ndarray]


def _omega(both: Table, muted: Table, drawings: np.ndarray,
           *accuracies: Callable[[Table], Accuracy]) -> Omega:
    """Return Eq. 2 (Eq. 3) for the accuracy in total, per class and per bin."""
    def difference(accuracy: Callable[[Table], Accuracy]) -> Estimate:
        with_both, without = accuracy(both), accuracy(muted)
        return estimate(lambda weights: with_both(weights) - without(weights), drawings)

    total, classes, bins = map(difference, accuracies)
    return Omega(total, estimate(accuracies[0](muted), drawings), classes, bins)


def _mean_iou(table: Table) -> Accuracy:
    sums = table.labels.sum(1)
    return lambda weights: label_metrics(pool(sums, weights)).mean_iou


def _class_iou(table: Table) -> Accuracy:
    sums = table.labels.sum(1)
    return lambda weights: label_metrics(pool(sums, weights)).iou


def _bin_iou(table: Table) -> Accuracy:
    sums = table.labels[:, :-1]
    return lambda weights: label_metrics(pool(sums, weights)).mean_iou


def _minus_rel_sqr(table: Table) -> Accuracy:
    return _negative_rel_sqr(table.depth.sum((1, 2)))


def _class_rel_sqr(table: Table) -> Accuracy:
    return _negative_rel_sqr(table.depth.sum(1)[:, :-1])


def _bin_rel_sqr(table: Table) -> Accuracy:
    return _negative_rel_sqr(table.depth.sum(2))


def _negative_rel_sqr(sums: np.ndarray) -> Accuracy:
    return lambda weights: -100 * depth_metrics(pool(sums, weights)).rel_sqr
