# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The temperature moves the confidence, and thresholds with it, and nothing else."""

from dataclasses import replace

import cv2
from jrn_perception import labels, weights
from jrn_perception.perception import ArrayMaps, Perception, Prediction
from jrn_perception.perception.backends.interface import InfluenceMaps, SetUp
from jrn_perception.perception.prediction import fold_logits
import numpy as np
import pytest

SIZE = (6, 8)


def logits_of(classes=5, seed=0, size=SIZE):
    rng = np.random.default_rng(seed)
    return rng.normal(0, 2, (1, *size, classes)).astype(np.float32)


def prediction(logits, temperature=1.0, size=SIZE, label_set=labels.NYU5, **maps):
    return Prediction(ArrayMaps(semantics=logits, **maps), size, label_set,
                      temperature=temperature)


def softmax(logits):
    parts = np.exp(logits.astype(np.float64))
    return parts / parts.sum(-1, keepdims=True)


@pytest.mark.parametrize('temperature', [0.5, 1.0, 1.5, 3.0])
def test_the_confidence_is_the_softmax_at_the_temperature(temperature):
    logits = logits_of()
    found = prediction(logits, temperature)
    np.testing.assert_array_equal(found.labels, prediction(logits).labels)
    np.testing.assert_allclose(found.confidence, softmax(logits[0] / temperature).max(2),
                               rtol=1e-5)


def test_by_hand():
    # Two classes whose logits differ by 2: 1 / (1 + e^-2), and at temperature 2 1 / (1 + e^-1).
    logits = np.float32((2, 0)).reshape(1, 1, 1, 2)
    for temperature, expected in ((1.0, 0.880797), (2.0, 0.731059)):
        found = prediction(logits, temperature, (1, 1)).confidence
        assert float(found[0, 0]) == pytest.approx(expected, abs=1e-6)


def test_at_temperature_one_nothing_changes():
    logits = logits_of()
    expected = 1 / np.exp(logits[0] - logits[0].max(2, keepdims=True)).sum(2)
    np.testing.assert_array_equal(prediction(logits).confidence, expected)


def test_the_threshold_is_of_the_calibrated_confidence():
    logits = np.float32(((2, 0), (4, 0))).reshape(1, 1, 2, 2)
    plain, calibrated = (prediction(logits, temperature, (1, 2)) for temperature in (1.0, 2.0))
    # 0.881 and 0.982 at temperature 1; 0.731 and 0.881 at temperature 2.
    assert plain.confident_labels(0.85).tolist() == [[0, 0]]
    assert calibrated.confident_labels(0.85).tolist() == [[255, 0]]


def test_inputs_and_influence_stay_as_the_jrn_had_them():
    inputs = ArrayMaps(semantics=logits_of(seed=1))
    influence = InfluenceMaps(logits_of(seed=2)[..., 0], logits_of(seed=3)[..., 0])
    plain, calibrated = (prediction(logits_of(), temperature, inputs=inputs, influence=influence)
                         for temperature in (1.0, 2.0))
    assert (plain.confidence != calibrated.confidence).any()
    for name in ('confidence', 'labels'):
        np.testing.assert_array_equal(getattr(plain.inputs, name),
                                      getattr(calibrated.inputs, name))
    for name in ('influence_depth', 'influence_semantics'):
        np.testing.assert_array_equal(getattr(plain, name), getattr(calibrated, name))


def test_coarser_classes_sum_the_calibrated_probabilities_of_the_finer():
    logits = logits_of(40)
    matrix = labels.fold_matrix(labels.NYU40, labels.NYU5)
    plain, calibrated = (
        prediction(logits, temperature, label_set=labels.NYU40).folded(matrix, labels.NYU5)
        for temperature in (1.0, 3.0))
    np.testing.assert_array_equal(plain.labels, calibrated.labels)
    chosen = (softmax(logits[0]) @ matrix.T).argmax(2)
    np.testing.assert_array_equal(chosen, plain.labels)
    for found, temperature in ((plain, 1.0), (calibrated, 3.0)):
        expected = np.take_along_axis(softmax(logits[0] / temperature) @ matrix.T,
                                      chosen[..., None], 2)[..., 0]
        np.testing.assert_allclose(found.confidence, expected, rtol=1e-4)
    # At this temperature another class is the most probable somewhere.
    assert (chosen != (softmax(logits[0] / 3) @ matrix.T).argmax(2)).any()
    # A second fold keeps the temperature.
    whole = np.ones((1, 5), np.uint8)
    again = calibrated.folded(whole, labels.custom(('thing',)))
    np.testing.assert_allclose(again.confidence, 1, rtol=1e-5)
    same = calibrated.folded(np.eye(5, dtype=np.uint8), labels.NYU5)
    np.testing.assert_allclose(same.confidence, calibrated.confidence, rtol=1e-4)


def test_logits_at_pixels_are_the_enlarged_logits():
    logits, size = logits_of(3), (23, 31)
    expected = cv2.resize(logits[0], size[::-1], interpolation=cv2.INTER_LINEAR)
    rows, columns = np.divmod(np.arange(size[0] * size[1]), size[1])
    found = prediction(logits, 2.0, size).logits_at(rows, columns)
    np.testing.assert_allclose(found.reshape(expected.shape), expected, atol=1e-5)
    assert Prediction(ArrayMaps(), size, None).logits_at(rows, columns) is None


def test_the_cards_temperature_is_used_for_each_picture_of_a_batch():
    loaded = weights.load('jrn', 'cat1', 'random')
    plain = Perception(loaded, 'cpu', height=64, width=96)
    calibrated = Perception(replace(loaded, card=replace(loaded.card, temperature=2.0)), 'cpu',
                            height=64, width=96)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)
    maps = plain.infer(pictures, SetUp(influence=True))
    for index in range(2):
        one, other = (network.postprocess(maps, (64, 96), index=index)
                      for network in (plain, calibrated))
        logits = maps.semantics[index]
        expected = cv2.resize(softmax(logits / 2).max(2).astype(np.float32), (96, 64))
        np.testing.assert_allclose(other.confidence, expected, atol=1e-5)
        np.testing.assert_array_equal(one.labels, other.labels)
        np.testing.assert_array_equal(one.influence_semantics, other.influence_semantics)
        np.testing.assert_array_equal(one.inputs.confidence, other.inputs.confidence)
    assert (plain.postprocess(maps, (64, 96), index=1).depth
            != plain.postprocess(maps, (64, 96)).depth).any()
    assert plain.with_temperature(2.0).card == calibrated.card and plain.card.temperature == 1


def test_probabilities_far_apart_do_not_overflow():
    logits = np.float32((80, -80, -80)).reshape(1, 1, 1, 3)
    folded = prediction(logits, 0.1, (1, 1), labels.NYU5).folded(
        np.float32(((1, 0, 0), (0, 1, 1))), labels.custom(('a', 'b')))
    assert float(folded.confidence[0, 0]) == pytest.approx(1)
    assert np.isfinite(fold_logits(logits, np.float32(((1, 0, 0), (0, 1, 1))))).all()
