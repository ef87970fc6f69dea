# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The weights that ship: whole, small, and as good as they were when they were measured."""

import json
import os
from pathlib import Path

from golden_metrics import about, measured
from jrn_perception import networks, weights
from jrn_perception.datasets.nyuv2 import CROP, NYUv2
from jrn_perception.evaluation.measures.comparison import evaluate, Protocol
from jrn_perception.evaluation.measures.frames import SceneFrames
from jrn_perception.perception import Perception
import pytest

GOLDEN = json.loads((Path(__file__).parent / 'golden.json').read_text())
NYU = Path(os.environ.get('JRN_DATA', Path(__file__).resolve().parents[3] / 'shared' / 'data'))


class First(NYUv2):
    """The first frames of the watched split."""

    COUNT = 8

    def __len__(self):
        return min(super().__len__(), self.COUNT)


class Rooms(list):
    """Drawn rooms, drawn once."""

    labels = SceneFrames.labels


@pytest.fixture(scope='module')
def rooms():
    return Rooms(SceneFrames(4))


def measure(name, frames, protocol):
    spec = {spec.name: spec for variants in networks.ARCHITECTURES.values()
            for spec in variants.values()}[name]
    perception = Perception.load(spec.architecture, spec.variant, device='cpu',
                                 backend='torch')
    return measured(evaluate(perception, frames, protocol).output)


def test_what_the_node_needs_is_shipped():
    expected = {networks.find('jrn', variant).name for variant in networks.refinements()}
    expected |= {'hydranet_nyu40', 'depth_mobilenetv2', 'semantics_mobilenetv2'}
    assert set(weights.shipped()) == expected == set(GOLDEN)


def test_all_of_it_together_is_small():
    assert sum(path.stat().st_size for path in weights.shipped().values()) < 40e6


@pytest.mark.parametrize('name', GOLDEN)
def test_a_card_tells_what_was_trained_and_measured(name):
    card = weights.read_card(weights.shipped()[name])
    assert card.metrics['output'] and card.metrics['images'] == 116
    assert card.training['fit'] == 'fit'
    assert card.focal_length and card.licence == 'Apache-2.0'


@pytest.mark.parametrize('name', GOLDEN)
def test_golden_metrics_on_drawn_rooms(name, rooms):
    assert measure(name, rooms, Protocol()) == about(GOLDEN[name]['scenes'])


@pytest.mark.parametrize('name', GOLDEN)
def test_golden_metrics_on_real_frames(name):
    if not (NYU / 'nyuv2').is_dir():
        pytest.skip(f'no NYU frames in {NYU} (set JRN_DATA)')
    found = measure(name, First(NYU / 'nyuv2', 'val'), Protocol(crop=CROP))
    assert found == about(GOLDEN[name]['val'])


@pytest.mark.slow
@pytest.mark.parametrize('name', GOLDEN)
def test_the_cards_numbers_are_those_of_the_whole_split(name, data_dir):
    card = weights.read_card(weights.shipped()[name])
    found = measure(name, NYUv2(data_dir / 'nyuv2', 'val'), Protocol(crop=CROP))
    assert found == about({metric: card.metrics['output'][metric] for metric in found})
