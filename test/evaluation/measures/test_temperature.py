# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A temperature is found again, and is fitted only where it means something."""

from jrn_perception import labels
from jrn_perception.evaluation.measures import temperature
from jrn_perception.evaluation.measures.frames import SceneFrames
from jrn_perception.evaluation.measures.temperature import fit_temperature
from jrn_perception.perception import Perception
import numpy as np
import pytest


def drawn(true_temperature, pixels=60_000, classes=6, seed=0):
    """Return logits, and labels drawn from their probabilities at a temperature."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (pixels, classes)).astype(np.float32)
    # The largest of logits with Gumbel noise is a draw from their softmax.
    noisy = logits / true_temperature + rng.gumbel(size=logits.shape)
    return logits, noisy.argmax(1).astype(np.uint8)


@pytest.mark.parametrize('true', [0.5, 1.0, 1.5, 4.0])
def test_the_temperature_that_the_labels_were_drawn_at_is_found(true):
    assert fit_temperature(*drawn(true)) == pytest.approx(true, rel=0.03)


def test_two_classes_by_hand():
    # Three of four labels are the class whose logit is 2 larger: e^(2/T) = 3.
    logits = np.tile(np.float32((2, 0)), (400, 1))
    found = fit_temperature(logits, np.repeat([0, 1], (300, 100)))
    assert found == pytest.approx(2 / np.log(3), rel=1e-3)


def test_large_logits_do_not_overflow():
    logits, ids = drawn(1.5)
    expected = fit_temperature(logits, ids)
    assert fit_temperature(logits + 1e4, ids) == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize('ids', ['right', 'random'])
def test_an_endless_temperature_is_refused(ids):
    logits, _ = drawn(1.0, 2000)
    labels_of = {'right': logits.argmax(1), 'random': np.arange(2000) % 6}[ids]
    with pytest.raises(ValueError, match='no temperature between 0.1 and 10 fits'):
        fit_temperature(logits, labels_of)


def test_no_pixel_is_refused():
    with pytest.raises(ValueError, match='no labelled pixel'):
        fit_temperature(np.zeros((0, 5), np.float32), np.zeros(0, np.uint8))


class Frames(list):
    labels = SceneFrames.labels


def test_it_is_fitted_to_a_part_of_the_pixels_and_measured_on_all(monkeypatch):
    network = Perception.load('hydranet', device='cpu', backend='torch').with_temperature(1)
    frames = Frames(SceneFrames(2))
    fit = temperature.fit(network, frames)
    assert fit.temperature == round(fit.temperature, 4)
    labelled = sum(int((frame.labels != 255).sum()) for frame in frames)
    assert fit.before.sums[..., 0].sum() == fit.after.sums[..., 0].sum() == labelled
    assert 0 < fit.pixels <= temperature.PIXELS + 2
    before, after = (part.sums.sum((0, 1)) for part in (fit.before, fit.after))
    assert before[1] == after[1]
    assert (after[2] < before[2]) == (fit.temperature > 1)
    assert temperature.fit(network, frames).temperature == fit.temperature
    # Fewer pixels, but not another temperature.
    monkeypatch.setattr(temperature, 'PIXELS', 20_000)
    coarse = temperature.fit(network, frames)
    assert coarse.pixels <= 20_002 and coarse.pixels < fit.pixels / 5
    assert coarse.temperature == pytest.approx(fit.temperature, rel=0.03)


def test_what_has_no_confidence_or_other_classes_is_refused():
    depth = Perception.load('depth', weights_file='random', device='cpu', height=64)
    with pytest.raises(ValueError, match='predicts no labels'):
        temperature.fit(depth, SceneFrames(1))
    coarse = Frames(SceneFrames(1))
    coarse.labels = labels.NYU5
    network = Perception.load('hydranet', weights_file='random', device='cpu', height=64)
    with pytest.raises(ValueError, match='classes of the network, nyu40; the frames are labelled '
                                         'in nyu5'):
        temperature.fit(network, coarse)
