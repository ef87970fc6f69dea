# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The document of a data set holds paired gains, whatever the order of the images."""

from jrn_perception.evaluation.measures.bootstrap import gains
from jrn_perception.evaluation.measures.comparison import evaluate, Protocol
from jrn_perception.evaluation.measures.frames import SceneFrames
from jrn_perception.evaluation.reports.documents import dataset_document
import pytest


@pytest.fixture(scope='module')
def evaluation(perception):
    return evaluate(perception, SceneFrames(3))


def test_the_gain_and_its_interval_are_of_the_same_drawings(evaluation, perception):
    document = dataset_document(evaluation, perception, Protocol(), {'reader': 'scenes'})
    expected = gains(evaluation.output, evaluation.inputs)
    assert list(document['gain']) == list(expected)
    for name, found in document['gain'].items():
        value, low, high = map(float, expected[name])
        assert found == {'value': value, 'interval': [low, high]}
        pooled = [document[side]['pooled'][name]['value'] for side in ('output', 'inputs')]
        assert found['value'] == pytest.approx(pooled[0] - pooled[1], abs=1e-9)
        assert low <= value <= high
