# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The deviation of depth: its fit, its coverage, and how it orders the errors."""

from dataclasses import replace
from io import StringIO
import json

from jrn_perception import weights
from jrn_perception.evaluation.measures.comparison import evaluate, Protocol
from jrn_perception.evaluation.measures.deviation import fit, fit_coefficients
from jrn_perception.evaluation.measures.frames import SceneFrames
from jrn_perception.evaluation.measures.sampling import Sampling
from jrn_perception.evaluation.measures.sparsification import sparsification
from jrn_perception.evaluation.reports.documents import dataset_document
from jrn_perception.evaluation.reports.rows import percent
from jrn_perception.perception import Perception
from jrn_perception.perception.deviation import deviation, FEATURES, features
import numpy as np
import pytest


def drawn(count=20_000):
    """Return errors and their true deviations."""
    rng = np.random.default_rng(0)
    deviations = np.exp(rng.uniform(-2, 0, count))
    return deviations * rng.standard_normal(count), deviations


def test_a_perfect_order_has_no_area_and_a_constant_has_all_of_it():
    errors, deviations = drawn()
    best = sparsification(errors, np.abs(errors))
    assert best.area == pytest.approx(0, abs=1e-12)
    constant = sparsification(errors, np.ones(errors.size))
    assert constant.area == pytest.approx(constant.constant_area, rel=0.05)
    true = sparsification(errors, deviations)
    assert 0 < true.area < 0.7 * true.constant_area
    assert true.coverage == pytest.approx(0.683, abs=0.01)
    assert (true.predicted[0], true.best[0]) == pytest.approx((1, 1))
    # Half of the pixels with the largest errors are taken away.
    half = np.sort(np.abs(errors))[:errors.size // 2]
    assert best.best[25] == pytest.approx(np.sqrt((half ** 2).mean() / (errors ** 2).mean()))
    with pytest.raises(ValueError, match='no pixel'):
        sparsification(np.zeros(0), np.zeros(0))


def test_the_fit_finds_the_deviation_that_made_the_errors():
    rng = np.random.default_rng(1)
    depth, sure = rng.uniform(1, 6, (2, 400, 300)).astype(np.float32)
    rows = features(depth, sure / 6).reshape(-1, len(FEATURES))
    true = np.exp(rows @ (-2, 1, 0, -1, 0.5, 0, 0))
    found = fit_coefficients(rows, np.abs(true * rng.standard_normal(len(rows))))
    predicted = np.exp(rows @ found)
    assert np.abs(np.log(predicted / true)).mean() < 0.15


def test_the_deviation_has_the_size_and_scale_of_the_depth():
    depth = np.full((61, 83), 2, np.float32)
    # The logarithm of the deviation is log(0.1 depth).
    found = deviation(depth, None, (np.log(0.1), 1, 0, 0, 0, 0))
    assert found.shape == depth.shape
    np.testing.assert_allclose(found, 0.2, rtol=1e-5)


def test_the_deviation_is_larger_beside_an_edge_of_depth():
    depth = np.full((240, 320), 2, np.float32)
    depth[:, 160:] = 4
    # log(0.1) everywhere, and once more the ratio of both depths beside the edge.
    found = deviation(depth, None, (np.log(0.1), 0, 0, 0, 0, 0, 1))
    # The coarse grid has a pixel for every fourth; an edge reaches seven of them to either side.
    np.testing.assert_allclose(found[:, 136:184], 0.2, rtol=1e-5)
    np.testing.assert_allclose(found[:, :128], 0.1, rtol=1e-5)
    np.testing.assert_allclose(found[:, 192:], 0.1, rtol=1e-5)


@pytest.fixture(scope='module')
def small():
    return Perception.load('hydranet', weights_file='random', device='cpu', height=64)


def test_a_fitted_network_covers_its_errors_and_says_so(small):
    assert small(SceneFrames(1)[0].rgb).depth_deviation is None
    found = fit(small, SceneFrames(4))
    assert found.pixels == 8000
    perception = Perception.load('hydranet', weights_file='random', device='cpu', height=64)
    perception.card = replace(perception.card, depth_deviation=found.coefficients)
    document = dataset_document(evaluate(perception, SceneFrames(4)), perception, Protocol(), {})
    entry = document['depth_deviation']
    assert entry['coverage'] == pytest.approx(0.683, abs=0.05)
    assert entry['area'] <= 1.05 * entry['constant_area']
    assert len(entry['predicted']) == len(entry['best']) == len(entry['removed']) == 50
    protocol = Protocol(sampling=Sampling('points', 50))
    ranged = dataset_document(
        evaluate(perception, SceneFrames(4), protocol), perception, protocol, {'reader': 'rooms'})
    assert ranged['depth_deviation'] == entry
    lower = ranged['range']['depth_deviation']
    assert set(lower) == set(entry)
    assert 0 < lower['coverage'] < 1 and lower['coverage'] != entry['coverage']
    console = pytest.importorskip('rich.console')
    tables = pytest.importorskip('jrn_perception.evaluation.reports.tables')
    shown = StringIO()
    tables.print_dataset(ranged, console.Console(file=shown, width=200))
    rows = [row.split() for row in shown.getvalue().splitlines() if 'within one' in row]
    assert rows == [['errors', 'within', 'one', 'deviation', *percent(entry['coverage']).split(),
                     *percent(lower['coverage']).split()]]


@pytest.mark.parametrize('count', [len(FEATURES), 6])
def test_a_card_keeps_the_coefficients(tmp_path, count):
    card = weights.Card('hydranet', 'nyu40', 'nyu40', depth_deviation=(1., -2.5, 3.) + (0.,) * (
        count - 3))
    file = tmp_path / 'net.safetensors'
    weights.write_card(card, file)
    assert weights.read_card(file).depth_deviation == card.depth_deviation
    content = json.loads(file.with_suffix('.json').read_text())
    file.with_suffix('.json').write_text(json.dumps(content | {'depth_deviation': [1, 2]}))
    with pytest.raises(weights.WeightsError, match='depth_deviation cannot be'):
        weights.read_card(file)
