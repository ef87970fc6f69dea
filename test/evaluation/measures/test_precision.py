# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The accuracy part of the parity gate: how much a lower precision may lose."""

import math

from jrn_perception.evaluation.measures.comparison import evaluate, Protocol
from jrn_perception.evaluation.measures.frames import SceneFrames
from jrn_perception.evaluation.measures.metrics import depth_metrics, label_metrics
from jrn_perception.evaluation.measures.precision import Accuracy, measure
from jrn_perception.perception import Perception
import pytest

NAN = math.nan


@pytest.mark.parametrize('after, loss', [
    (Accuracy(40.0, 0.6), ''),
    (Accuracy(39.81, 0.6059), ''),
    (Accuracy(45.0, 0.3), ''),
    (Accuracy(39.79, 0.6),
     'mean IoU falls from 40.00 to 39.79 %, allowed are 0.2 points'),
    (Accuracy(40.0, 0.6061), 'rms of depth grows from 0.6000 to 0.6061 m, allowed are 1 %'),
    (Accuracy(NAN, 0.6), 'mean IoU falls from 40.00 to nan %, allowed are 0.2 points'),
    (Accuracy(40.0, NAN), 'rms of depth grows from 0.6000 to nan m, allowed are 1 %')])
def test_limits_of_the_loss(after, loss):
    assert after.loss_from(Accuracy(40.0, 0.6)) == loss


def test_a_network_without_labels_or_without_depth_cannot_lose_them():
    assert Accuracy(NAN, 0.6).loss_from(Accuracy(NAN, 0.6)) == ''
    assert Accuracy(40.0, NAN).loss_from(Accuracy(40.0, NAN)) == ''
    assert 'rms' in Accuracy(NAN, 0.7).loss_from(Accuracy(NAN, 0.6))
    assert Accuracy(NAN, 0.61234567).fact() == {'rms': 0.6123}


def test_the_accuracy_is_that_of_all_pixels():
    network = Perception.load('hydranet', weights_file='random', device='cpu', height=64)
    frames = SceneFrames(2)
    found = measure(network, frames, Protocol())
    table = evaluate(network, frames, Protocol()).output
    assert found.mean_iou == pytest.approx(label_metrics(table.labels.sum((0, 1))).mean_iou)
    assert found.rms == pytest.approx(depth_metrics(table.depth.sum((0, 1, 2))).rms)
