# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The influence of each modality on the other's output, pixel by pixel."""

from jrn_perception.networks.interface import MUTE, MUTE_VALUES
from jrn_perception.perception import Perception, SetUp
from jrn_perception.rooms.scenes import Scene
import numpy as np
import pytest
import torch


@pytest.fixture(scope='module')
def jrn():
    """Return an untrained JRN."""
    return Perception.load('jrn', 'cat10', weights_file='random', device='cpu', height=64,
                           width=96)


@pytest.fixture(scope='module')
def image(jrn):
    """Return its input for a picture."""
    return jrn.preprocess(Scene(1).render(height=120, width=160).rgb)[None]


@pytest.mark.parametrize('value', MUTE_VALUES)
def test_influence_is_the_difference_between_separate_runs(jrn, image, value):
    found = jrn.infer(image, SetUp(mute_value=value, influence=True)).influence
    both = jrn.infer(image)
    without_depth = jrn.infer(image, SetUp('depth', value))
    without_semantics = jrn.infer(image, SetUp('semantics', value))
    np.testing.assert_allclose(found.depth, both.depth - without_semantics.depth, atol=1e-5)
    decided = torch.from_numpy(both.semantics).argmax(3, keepdim=True)
    probability = [torch.from_numpy(maps.semantics).softmax(3).gather(3, decided)[..., 0]
                   for maps in (both, without_depth)]
    np.testing.assert_allclose(found.semantics, probability[0] - probability[1], atol=1e-5)
    assert np.abs(found.depth).max() > 1e-3 and np.abs(found.semantics).max() > 1e-3


@pytest.mark.parametrize('mute', MUTE)
def test_the_outputs_beside_it_are_those_of_the_chosen_setup(jrn, image, mute):
    alone, beside = jrn.infer(image, SetUp(mute)), jrn.infer(image, SetUp(mute, influence=True))
    np.testing.assert_allclose(beside.depth, alone.depth, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(beside.semantics, alone.semantics, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(beside.inputs.depth, alone.inputs.depth, rtol=1e-5, atol=1e-5)


def test_the_single_task_networks_run_once(jrn, image):
    calls = []
    hooks = [network.register_forward_hook(lambda *_: calls.append(1))
             for network in (jrn.backend.network.depth, jrn.backend.network.semantics)]
    jrn.infer(image, SetUp(influence=True))
    for hook in hooks:
        hook.remove()
    assert len(calls) == 2


def test_prediction_shows_it_at_the_size_of_the_picture(jrn, image):
    prediction = jrn.postprocess(jrn.infer(image, SetUp(influence=True)), (121, 163))
    for moved in (prediction.influence_depth, prediction.influence_semantics):
        assert moved.shape == (121, 163) and moved.dtype == np.float32
    assert np.abs(prediction.influence_semantics).max() <= 1
    assert jrn.postprocess(jrn.infer(image), (121, 163)).influence_depth is None


def test_a_network_without_two_inputs_has_none(image):
    hydranet = Perception.load('hydranet', weights_file='random', device='cpu', height=64,
                               width=96)
    with pytest.raises(ValueError, match='only a jrn has'):
        hydranet.infer(image, SetUp(influence=True))
