# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""How far muting moves the outputs: the means of the maps that the node publishes."""

import json

from jrn_perception.cli.evaluate import main
from jrn_perception.evaluation.measures.comparison import Protocol
from jrn_perception.evaluation.measures.influence import influences, measure
from jrn_perception.labels import NYU40
from jrn_perception.networks.interface import MUTE_VALUES
from jrn_perception.perception import Perception, SetUp
from jrn_perception.rooms.scenes import Scene
import numpy as np
import pytest


class Rooms(list):
    """A data set of drawn rooms."""

    labels = NYU40


@pytest.fixture(scope='module')
def perception():
    return Perception.load('jrn', 'cat5', weights_file='random', device='cpu', height=64)


def test_shifts_are_the_means_of_the_maps(perception):
    rooms = Rooms(Scene(seed).render(0.0, 96, 128) for seed in range(3))
    # Neither crop nor cap has to do with it: a robot has no ground truth.
    protocol = Protocol(crop=(slice(20, 60), slice(20, 60)), max_depth=3.0)
    found = influences(measure({'cat5': perception}, rooms, protocol))['cat5'].shifts
    assert tuple(found) == MUTE_VALUES
    for value, shift in found.items():
        maps = []
        for room in rooms:
            inferred = perception.infer(perception.preprocess(room.rgb)[None],
                                        SetUp(mute_value=value, influence=True))
            prediction = perception.postprocess(inferred, room.rgb.shape[:2])
            maps.append((prediction.influence_depth, prediction.influence_semantics))
        depth, semantics = np.moveaxis(np.array(maps, np.float64), 1, 0)
        for mean, expected in ((shift.depth, depth), (shift.depth_absolute, abs(depth)),
                               (shift.semantics, semantics),
                               (shift.semantics_absolute, abs(semantics))):
            # Of pictures of one size the mean of the means is that of all pixels.
            assert mean.value == pytest.approx(expected.mean(), abs=1e-6)
            each = expected.mean((1, 2))
            assert each.min() - 1e-6 <= mean.low <= mean.value <= mean.high <= each.max() + 1e-6
        assert shift.depth_absolute.value > 1e-3 and shift.semantics_absolute.value > 1e-3


def test_the_command_writes_them(tmp_path):
    pytest.importorskip('matplotlib')
    pytest.importorskip('rich')
    assert main(['influence', '--variants', 'cat5', '--weights', 'random', '--height', '64',
                 '--device', 'cpu', '--reader', 'scenes', '--limit', '1', '--output',
                 str(tmp_path)]) == 0
    item = json.loads((tmp_path / 'influence.json').read_text())['variants']['cat5']
    assert tuple(item['shifts']) == MUTE_VALUES
    for shift in item['shifts'].values():
        assert list(shift) == ['depth', 'depth_absolute', 'semantics', 'semantics_absolute']
        for name in ('depth', 'semantics'):
            absolute = shift[f'{name}_absolute']
            assert 0 < absolute['value'] >= abs(shift[name]['value'])
            assert absolute['interval'] == [absolute['value']] * 2  # Of one picture.
