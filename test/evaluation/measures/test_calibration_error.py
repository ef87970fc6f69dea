# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The expected calibration error by hand, merged, resampled; the documents and plots of it."""

import json

import cv2
from jrn_perception import labels, weights
from jrn_perception.evaluation.measures.bootstrap import pool, resamplings
from jrn_perception.evaluation.measures.calibration import (
    BINS,
    bins_of,
    Calibration,
    calibration_sums,
    ece,
    ece_estimate,
    ece_gain,
)
from jrn_perception.evaluation.measures.comparison import evaluate, Protocol
from jrn_perception.evaluation.measures.frames import SceneFrames
from jrn_perception.evaluation.measures.metrics import Truth
from jrn_perception.evaluation.reports.documents import dataset_document
from jrn_perception.evaluation.reports.plots import plot_reliability
from jrn_perception.perception import Perception
import numpy as np
import pytest


def image(true, predicted, confidence, **options):
    """Return the sums of one image of these rows."""
    size = np.shape(true)
    calibration = Calibration()
    calibration.add('made', Truth(size, None, np.array(true, np.uint8), 3, **options),
                    np.array(predicted, np.uint8), np.array(confidence, np.float32))
    return calibration


def random_image(seed, pixels=400):
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.3, 1, (1, pixels))
    hit = rng.random((1, pixels)) < confidence ** 2
    return image(np.ones((1, pixels)), hit, confidence)


def test_the_error_by_hand():
    # Two pixels in bin 14 of confidence 0.9, one right; three in bin 8 of 0.5, all right; one
    # unlabelled: (2 |0.5 - 0.9| + 3 |1 - 0.5|) / 5.
    found = image([[0, 0, 1, 1, 2, 255]], [[0, 1, 1, 1, 2, 0]], [[.9, .9, .5, .5, .5, .1]]).sums[0]
    assert float(ece(found)) == pytest.approx((2 * 0.4 + 3 * 0.5) / 5, abs=1e-6)
    bins = bins_of(found)
    assert bins.pixels.tolist() == [0] * 7 + [3] + [0] * 5 + [2, 0]
    assert (bins.accuracy[7], bins.accuracy[13]) == (1, 0.5)
    assert bins.confidence[13] == pytest.approx(0.9, abs=1e-6)
    assert np.isnan(bins.confidence[0]) and np.isnan(bins.accuracy[0])


def test_errors_in_opposite_directions_cancel_only_inside_a_bin():
    # In one bin: half are right, the mean confidence is 0.5.
    assert float(ece(calibration_sums(np.array([True, False]), np.array([.49, .51])))) == (
        pytest.approx(0, abs=1e-12))
    # In two bins: (|1 - 0.4| + |0 - 0.6|) / 2.
    assert float(ece(calibration_sums(np.array([True, False]), np.array([.4, .6])))) == (
        pytest.approx(0.6))


def test_a_perfect_confidence_has_no_error():
    confidence = np.repeat([0.25, 0.5, 0.75], 4)
    hit = np.array([1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0], bool)
    assert float(ece(calibration_sums(hit, confidence))) == 0


def test_a_bin_has_its_upper_end():
    # Guo et al., Eq. 1: ((m - 1) / M, m / M].
    found = calibration_sums(np.ones(4, bool), np.array([0, 0.4, 0.6, 1]))
    assert np.flatnonzero(found[:, 0]).tolist() == [0, 5, 8, BINS - 1]


def test_only_labelled_pixels_inside_the_crop_count():
    crop = (slice(0, 1), slice(1, 3))
    found = image([[0, 0, 255, 0]], [[1, 0, 1, 1]], [[.9, .7, .9, .9]], crop=crop)
    assert found.sums.sum(0)[:, 0].sum() == 1
    assert float(ece_estimate(found).value) == pytest.approx(0.3, abs=1e-6)


def test_a_confidence_that_is_none_is_refused():
    for wrong in (np.nan, -0.1, 1.1):
        with pytest.raises(ValueError, match='not between 0 and 1 at 1 pixels'):
            calibration_sums(np.ones(2, bool), np.array([0.5, wrong]))


def test_merged_parts_are_the_whole():
    parts = [random_image(seed) for seed in range(3)]
    merged = parts[0] + parts[1] + parts[2]
    assert len(merged) == 3 and merged.names == ['made'] * 3
    np.testing.assert_array_equal(merged.sums, np.concatenate([part.sums for part in parts]))
    empty = Calibration()
    assert (empty + merged).sums.shape == (3, BINS, 3)
    with pytest.raises(ValueError, match='no image'):
        ece_estimate(empty)


def test_the_interval_is_of_drawn_images():
    merged = sum((random_image(seed) for seed in range(1, 12)), random_image(0))
    found = ece_estimate(merged)
    drawn = ece(pool(merged.sums, resamplings(12)))
    assert (found.low, found.high) == tuple(np.quantile(drawn, (0.025, 0.975)))
    assert found.low < found.value < found.high
    assert float(found.value) == pytest.approx(float(ece(merged.sums.sum(0))))
    gain = ece_gain(merged, merged)
    assert tuple(map(float, gain)) == (0, 0, 0)
    with pytest.raises(ValueError, match='the same images'):
        ece_gain(merged, random_image(0))


def test_nothing_labelled_has_no_error():
    found = image([[255, 255]], [[0, 0]], [[.5, .5]])
    assert np.isnan(ece_estimate(found).value)


@pytest.fixture(scope='module')
def document(perception):
    evaluation = evaluate(perception, SceneFrames(2))
    return dataset_document(evaluation, perception, Protocol(), {'reader': 'scenes'})


def test_the_document_has_both_sides_and_their_bins(document):
    json.dumps(document, allow_nan=False)
    found = document['calibration']
    assert document['network']['temperature'] == 1
    for side in ('output', 'inputs'):
        bins = found[side]['bins']
        assert len(bins) == 15 and bins[0]['confidence_range'] == [0, pytest.approx(1 / 15)]
        assert sum(part['pixels'] for part in bins) == document[side]['pixels']['labels']
        hits = sum(part['pixels'] * part['accuracy'] for part in bins if part['pixels'])
        assert 100 * hits / document[side]['pixels']['labels'] == pytest.approx(
            document[side]['pooled']['pixel_accuracy']['value'])
        expected = sum(part['pixels'] * abs(part['accuracy'] - part['confidence'])
                       for part in bins if part['pixels'])
        assert found[side]['ece']['value'] == pytest.approx(
            expected / document[side]['pixels']['labels'])
    assert found['gain']['value'] == pytest.approx(
        found['output']['ece']['value'] - found['inputs']['ece']['value'])


def test_a_network_without_labels_has_no_calibration():
    depth = Perception.load('depth', weights_file='random', device='cpu', height=64)
    evaluation = evaluate(depth, SceneFrames(1))
    assert evaluation.calibration is None
    assert 'calibration' not in dataset_document(evaluation, depth, Protocol(), {})


def test_the_reliability_plot_follows_the_numbers(document, tmp_path):
    pytest.importorskip('matplotlib')
    files = [tmp_path / 'new' / f'{name}.png' for name in 'abc']
    changed = json.loads(json.dumps(document))
    for part in changed['calibration']['output']['bins']:
        part['accuracy'] = part['pixels'] and 0.9
    for path, content in zip(files, (document, document, changed)):
        plot_reliability(content, path)
    assert files[0].read_bytes() == files[1].read_bytes()
    first, third = (cv2.imread(str(path)).astype(int) for path in files[::2])
    assert first.shape[0] > 400 and (first != third).any()


def test_the_measured_confidence_is_the_cards():
    loaded = weights.load('hydranet', '', 'random')
    plain = Perception(loaded, 'cpu', height=64)
    evaluations = [evaluate(network, SceneFrames(1), Protocol(labels=fold))
                   for fold in (None, labels.NYU5)
                   for network in (plain, plain.with_temperature(0.05))]
    for one, sharp in (evaluations[:2], evaluations[2:]):
        np.testing.assert_array_equal(one.output.labels, sharp.output.labels)
        means = [item.calibration.sums.sum((0, 1))[2] for item in (one, sharp)]
        assert means[1] > means[0] * 1.1
