# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Omega has the sign of Eq. 2 and 3, and is that of the runs of Fig. 4."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from jrn_perception import networks, weights
from jrn_perception.evaluation.measures import paper
from jrn_perception.evaluation.measures.bootstrap import pooled
from jrn_perception.evaluation.measures.comparison import Comparison, evaluate, Protocol
from jrn_perception.evaluation.measures.frames import SceneFrames
from jrn_perception.evaluation.measures.influence import (
    influences,
    measure,
    Measurement,
    Runs,
)
from jrn_perception.evaluation.measures.metrics import label_metrics, Table, Truth
from jrn_perception.frame import Frame
from jrn_perception.labels import FOLDS, LABEL_SETS
from jrn_perception.networks.interface import MUTE_VALUES
from jrn_perception.perception import Perception
import numpy as np
import pytest
import torch


class Rooms(Sequence):
    """Drawn rooms that are drawn once."""

    def __init__(self, count):
        source = SceneFrames(count)
        self.labels, self.frames = source.labels, list(source)

    def __len__(self):
        return len(self.frames)

    def __getitem__(self, index):
        return self.frames[index]


@pytest.fixture(scope='module')
def rooms():
    return Rooms(2)


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Return a folder with two JRN variants behind the same single-task networks."""
    folder = tmp_path_factory.mktemp('weights')
    torch.manual_seed(0)
    inputs = {}
    for task in ('depth', 'semantics'):
        spec = networks.find(task)
        card = weights.Card(task, spec.variant, spec.labels.name if spec.labels else None)
        path = folder / f'{spec.name}.safetensors'
        inputs[task] = path.name, weights.save(spec.build(), card, path).sha256
    for variant in ('cat1', 'cat5'):
        spec = networks.find('jrn', variant)
        # Of another camera than that of the rooms.
        card = weights.Card('jrn', variant, 'nyu5', inputs=inputs, focal_length=(250., 250.))
        weights.save(spec.build(), card, folder / f'{spec.name}.safetensors')
    return folder


@pytest.fixture(scope='module')
def perceptions(folder):
    variants = ('cat1', 'cat5')
    loaded = [weights.load('jrn', variant, str(folder / f'jrn_{variant}.safetensors'))
              for variant in variants]
    return {variant: Perception(item, 'cpu', height=64)
            for variant, item in zip(variants, loaded)}


@pytest.fixture(scope='module')
def measurement(perceptions, rooms):
    return measure(perceptions, rooms)


def value(table, name):
    return float(pooled(table, name)(np.ones((1, len(table))))[0])


def made(both, depth_muted, semantics_muted):
    """
    Return a measurement of one image with two pixels, classes 0 and 1, both at 2 m.

    Each argument is (predicted depth, predicted labels).
    """
    truth = Truth((1, 2), np.full((1, 2), 2.), np.array([[0, 1]]), 5)

    def table(depth=None, labels=None):
        found = Table(5)
        found.add('made', truth, *(None if part is None else np.array([part])
                                   for part in (depth, labels)))
        return found

    return Measurement({'sum60': Runs(
        weights.Card('jrn', 'sum60', 'nyu5'), table(*both),
        {'zero': table(labels=depth_muted)}, {'zero': table(depth=semantics_muted)})},
        LABEL_SETS['nyu5'], {})


def test_a_modality_that_helps_has_a_positive_influence():
    found = influences(made(((2., 3.), (0, 1)), (0, 0), (2., 4.)))['sum60']
    assert found.semantics.value == 100
    assert found.depth.value == -25  # (0 + 1/2) / 2, per cent, negative
    omega = found.depth_to_semantics['zero']
    assert omega.muted.value == 25  # IoU 50 % and 0 %
    assert omega.total.value == 75
    np.testing.assert_array_equal(omega.classes.value, (50, 100, np.nan, np.nan, np.nan))
    omega = found.semantics_to_depth['zero']
    assert omega.muted.value == -100  # (0 + 4/2) / 2
    assert omega.total.value == 75
    np.testing.assert_array_equal(omega.classes.value[:3], (0, 150, np.nan))
    assert np.flatnonzero(np.isfinite(omega.bins.value)).tolist() == [2]  # 2 m to 3 m
    assert omega.bins.value[2] == 75


def test_a_modality_that_harms_has_a_negative_influence():
    found = influences(made(((2., 4.), (0, 0)), (0, 1), (2., 3.)))['sum60']
    assert found.depth_to_semantics['zero'].total.value == -75
    assert found.semantics_to_depth['zero'].total.value == -75


def test_the_runs_with_both_inputs_are_those_of_the_evaluation(perceptions, rooms, measurement):
    for name, perception in perceptions.items():
        both = evaluate(perception, rooms).output
        np.testing.assert_array_equal(measurement.runs[name].both.depth, both.depth)
        np.testing.assert_array_equal(measurement.runs[name].both.labels, both.labels)
        assert len(measurement.runs[name].scales) == 2
        assert np.mean(measurement.runs[name].scales) != 1


def test_depth_may_be_left_as_it_is_for_the_camera(perceptions, rooms):
    protocol = Protocol(focal_correction=False)
    found = measure(perceptions, rooms, protocol)
    for name, perception in perceptions.items():
        both = evaluate(perception, rooms, protocol).output
        np.testing.assert_array_equal(found.runs[name].both.depth, both.depth)
        assert not found.runs[name].scales


def test_omega_is_the_difference_of_two_separate_evaluations(perceptions, rooms, measurement):
    found = influences(measurement)
    for name, perception in perceptions.items():
        comparison = Comparison(perception, rooms.labels, Protocol())
        for mute, omegas, metric, factor in (
                ('depth', found[name].depth_to_semantics, 'mean_iou', 1),
                ('semantics', found[name].semantics_to_depth, 'rel_sqr', -100)):
            for mute_value in MUTE_VALUES:
                tables = Table(5), Table(5)
                for room in rooms:
                    for table, how in zip(tables, ('none', mute)):
                        comparison.add(table, room, comparison.truth(room),
                                       perception(room.rgb, how, mute_value, room.focal_length))
                both, muted = (factor * value(table, metric) for table in tables)
                omega = omegas[mute_value]
                assert omega.total.value == pytest.approx(both - muted)
                assert omega.muted.value == pytest.approx(muted)
                assert omega.total.low <= omega.total.value <= omega.total.high


def test_muting_changes_the_outputs_and_never_the_inputs(perceptions, rooms):
    image = rooms[0].rgb
    for perception in perceptions.values():
        plain = perception(image)
        for mute in ('depth', 'semantics'):
            for mute_value in MUTE_VALUES:
                muted = perception(image, mute, mute_value)
                np.testing.assert_array_equal(muted.inputs.depth, plain.inputs.depth)
                np.testing.assert_array_equal(muted.inputs.labels, plain.inputs.labels)
                assert (muted.depth != plain.depth).any()


def test_the_intervals_are_paired(measurement):
    # Unpaired, the interval of a difference of equal tables would not be a point.
    runs = measurement.runs['cat1']
    same = replace(runs, depth_muted={'zero': runs.both}, semantics_muted={'zero': runs.both})
    found = influences(replace(measurement, runs={'cat1': same}))['cat1']
    assert found.semantics.low < found.semantics.high
    for omegas in (found.depth_to_semantics, found.semantics_to_depth):
        assert omegas['zero'].total == (0, 0, 0)


def test_variants_of_other_classes_share_no_inputs(folder, rooms):
    fine = networks.find('jrn', 'cat1_nyu40')
    inputs = weights.read_card(folder / 'jrn_cat1.safetensors').inputs
    torch.manual_seed(1)
    weights.save(fine.build(), weights.Card('jrn', fine.variant, 'nyu40', inputs=inputs),
                 folder / f'{fine.name}.safetensors')
    both = {variant: Perception.load('jrn', variant, device='cpu', height=64, backend='torch',
                                     weights_file=str(folder / f'jrn_{variant}.safetensors'))
            for variant in ('cat1', fine.variant)}
    with pytest.raises(ValueError, match='cat1 is compared in nyu5, cat1_nyu40 in nyu40: name'):
        measure(both, rooms)
    protocol = Protocol(labels=LABEL_SETS['nyu5'])
    found = measure(both, rooms, protocol)
    expected = evaluate(both[fine.variant], rooms, protocol).output
    np.testing.assert_array_equal(found.runs[fine.variant].both.labels, expected.labels)


def counted(perceptions, parts=('depth', 'semantics')):
    """Return a list that gets a name whenever one of the ``parts`` of a network runs."""
    runs = []
    for variant, perception in perceptions.items():
        for part in parts:
            getattr(perception.backend.network, part).register_forward_hook(
                lambda *_, name=(variant, part): runs.append(name))
    return runs


def test_the_single_task_networks_run_once_per_image(folder, rooms):
    files = {variant: str(folder / f'jrn_{variant}.safetensors') for variant in ('cat1', 'cat5')}
    perceptions = {variant: Perception.load('jrn', variant, weights_file=file, device='cpu',
                                            backend='torch', height=64)
                   for variant, file in files.items()}
    runs = counted(perceptions)
    measure(perceptions, rooms)
    assert Counter(runs) == {('cat1', task): len(rooms) for task in ('depth', 'semantics')}


def test_each_variant_refines_once_per_set_up(folder, rooms):
    files = {variant: str(folder / f'jrn_{variant}.safetensors') for variant in ('cat1', 'cat5')}
    perceptions = {variant: Perception.load('jrn', variant, weights_file=file, device='cpu',
                                            backend='torch', height=64)
                   for variant, file in files.items()}
    runs = counted(perceptions, ['refine'])
    measure(perceptions, rooms)
    # With both inputs, and with either one muted by each value.
    each = len(rooms) * (1 + 2 * len(MUTE_VALUES))
    assert Counter(runs) == {('cat1', 'refine'): each, ('cat5', 'refine'): each}


def test_random_variants_have_inputs_of_their_own(rooms):
    perceptions = {variant: Perception.load('jrn', variant, weights_file='random', device='cpu',
                                            height=64) for variant in ('cat1', 'cat5')}
    runs = counted(perceptions)
    measure(perceptions, rooms)
    assert Counter(runs) == {(variant, task): len(rooms) for variant in perceptions
                             for task in ('depth', 'semantics')}


def test_only_a_jrn_can_be_muted(rooms):
    hydranet = Perception.load('hydranet', 'nyu40', weights_file='random', device='cpu')
    with pytest.raises(ValueError, match='hydranet nyu40: the influence test mutes'):
        measure({'nyu40': hydranet}, rooms)


def test_both_ground_truths_are_needed(perceptions, rooms):
    class Half(Rooms):
        """Rooms whose depth is not known."""

        def __getitem__(self, index):
            frame = super().__getitem__(index)
            return Frame(frame.rgb, frame.name, labels=frame.labels)

    with pytest.raises(ValueError, match='needs ground truth of both'):
        measure({'cat1': perceptions['cat1']}, Half(1))
    depth_alone = Rooms(1)
    depth_alone.labels = None
    with pytest.raises(ValueError, match='needs a data set with labels'):
        measure(perceptions, depth_alone)


def test_per_class_influence_is_that_of_the_classes(measurement):
    found = influences(measurement)['cat5'].depth_to_semantics['noise']
    runs = measurement.runs['cat5']
    iou = [label_metrics(table.labels.sum((0, 1))).iou
           for table in (runs.both, runs.depth_muted['noise'])]
    np.testing.assert_allclose(found.classes.value, iou[0] - iou[1])


def test_the_papers_tables():
    assert set(paper.FIGURE_7) == set(networks.refinements())
    assert set(paper.TABLE_1) == {'input', *paper.FIGURE_7}
    assert set(paper.COUPLED) | set(paper.LOOSE) == set(paper.FIGURE_7)
    for name, row in paper.FIGURE_7.items():
        assert row.mean_iou == paper.TABLE_1[name].mean_iou
        assert -row.minus_rel_sqr / 100 == pytest.approx(paper.TABLE_1[name].rel_sqr, abs=1e-3)
    # Table III's mean is that of its classes; Table I says otherwise of Sum60.
    for row in paper.TABLE_3.values():
        assert np.mean(row.iou) == pytest.approx(row.mean_iou, abs=1e-3)
    assert paper.TABLE_3['input'].mean_iou == paper.TABLE_1['input'].mean_iou
    assert (paper.TABLE_3['sum60'].mean_iou, paper.TABLE_1['sum60'].mean_iou) == (54.267, 54.184)


def test_the_five_classes_of_the_paper_are_made_of_the_forty():
    # Ground 1, vertical 9, ceiling 1, furniture 14, object 15 (mapToNYUSuperClass).
    assert np.bincount(FOLDS['nyu40', 'nyu5']).tolist() == [1, 9, 1, 14, 15]
