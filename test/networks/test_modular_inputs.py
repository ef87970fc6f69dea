# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""One run of the single-task networks serves several set-ups and several JRNs."""

from jrn_perception import labels, networks
from jrn_perception.networks.hydranet import HydraNet
from jrn_perception.networks.interface import MUTE, MUTE_VALUES
from jrn_perception.networks.jrn import ModularNetwork
import pytest
import torch

SIZE = (64, 96)


@pytest.fixture(scope='module')
def image():
    return torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope='module')
def modular():
    torch.manual_seed(0)
    depth, semantics = HydraNet({'depth': 1}), HydraNet({'semantics': 40})
    fold = torch.from_numpy(labels.fold_matrix(labels.NYU40, labels.NYU5))
    return ModularNetwork(depth, semantics, networks.find('jrn', 'cat10').build(), fold).eval()


@pytest.fixture
def calls(modular):
    """Return a list that gets a network each time that it runs."""
    seen = []
    hooks = [network.register_forward_hook(lambda network, *_: seen.append(network))
             for network in (modular.depth, modular.semantics)]
    yield seen
    for hook in hooks:
        hook.remove()


def flat(maps):
    """Return all tensors of the maps, in order."""
    return [x for value in maps if value is not None
            for x in ([value] if torch.is_tensor(value) else flat(value))]


@pytest.mark.parametrize('options', [
    {}, {'semantics_input': 'one_hot'}, {'validity': True}], ids=str)
@pytest.mark.parametrize('value', MUTE_VALUES)
def test_influence_is_the_difference_between_separate_runs(modular, image, options, value):
    torch.manual_seed(1)
    network = ModularNetwork(modular.depth, modular.semantics,
                             networks.find('jrn', 'cat10').build(**options), modular.fold).eval()
    with torch.inference_mode():
        inputs = network.predict_inputs(image)
        if options.get('validity'):
            inputs = inputs._replace(validity=torch.ones_like(inputs.depth))
        both, without_depth, without_semantics = (
            network(image, mute, value, inputs=inputs) for mute in MUTE)
        found = network(image, 'none', value, influence=True, inputs=inputs)
    torch.testing.assert_close(found.influence.depth, both.depth - without_semantics.depth,
                               rtol=1e-4, atol=1e-4)
    decided = both.semantics.argmax(1, keepdim=True)
    torch.testing.assert_close(
        found.influence.semantics,
        both.semantics.softmax(1).gather(1, decided)
        - without_depth.semantics.softmax(1).gather(1, decided), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('influence', [False, True])
@pytest.mark.parametrize('mute', MUTE)
@pytest.mark.parametrize('value', MUTE_VALUES)
def test_given_inputs_the_single_task_networks_do_not_run(
        modular, image, calls, mute, value, influence):
    with torch.inference_mode():
        inputs = modular.predict_inputs(image)
        expected = modular(image, mute, value, influence)
        calls.clear()
        # Only the size of the picture counts.
        maps = modular(torch.full_like(image, torch.nan), mute, value, influence, inputs)
    assert calls == []
    assert maps.inputs is inputs
    assert len(flat(maps)) == len(flat(expected)) == (6 if influence else 4)
    assert all(map(torch.equal, flat(maps), flat(expected)))


def test_without_inputs_each_network_runs_once(modular, image, calls):
    with torch.inference_mode():
        modular(image, influence=True)
    assert calls == [modular.semantics, modular.depth]


def test_a_network_that_serves_both_tasks_runs_once(image):
    torch.manual_seed(0)
    both = HydraNet({'semantics': 40, 'depth': 1})
    fold = torch.from_numpy(labels.fold_matrix(labels.NYU40, labels.NYU5))
    network = ModularNetwork(both, both, networks.find('jrn', 'cat1').build(), fold).eval()
    calls = []
    both.register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        inputs = network.predict_inputs(image)
        expected = both(image)
    assert len(calls) == 2, 'once by predict_inputs, once for the expectation'
    assert torch.equal(inputs.depth, expected.depth)
    folded = network.fold @ expected.semantics.softmax(1).flatten(2)
    torch.testing.assert_close(inputs.semantics.exp().flatten(2), folded)
