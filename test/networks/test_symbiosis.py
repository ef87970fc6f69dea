# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The symbiosis network: a HydraNet at first, then two tasks that listen to each other."""

from jrn_perception import networks, weights
from jrn_perception.networks.interface import MUTE_VALUES
from jrn_perception.networks.symbiosis import (
    CrossChannelAttention,
    FLAT,
    POOL,
    SymbiosisNetwork,
    TEMPERATURE,
    WIDTH,
)
import numpy as np
import pytest
from test_hydranet import multiply_adds
import torch
from torch.nn import functional


def random(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope='module')
def hydranet():
    return weights.load('hydranet').network


@pytest.fixture
def network(hydranet):
    """Return a symbiosis network that starts from the shipped HydraNet."""
    network = networks.find('symbiosis').build().eval()
    result = network.load_state_dict(hydranet.state_dict(), strict=False)
    assert not result.unexpected_keys
    assert all(name.startswith('attention.') for name in result.missing_keys)
    return network


@pytest.fixture
def attentive(network):
    """Return a network whose tasks listen to each other."""
    with torch.no_grad():
        network.attention.gammas['semantics'].fill_(0.3)
        network.attention.gammas['depth'].fill_(-0.2)
    return network


@pytest.mark.parametrize('size', [(64, 96), (97, 131)])
def test_the_file_of_a_hydranet_is_the_exact_start(hydranet, network, size):
    image = random(2, 3, *size)
    with torch.inference_mode():
        expected, found = hydranet(image), network(image)
    torch.testing.assert_close(found.depth, expected.depth, atol=1e-6, rtol=0)
    torch.testing.assert_close(found.semantics, expected.semantics, atol=1e-6, rtol=0)


def test_the_attention_adds_two_gammas_and_two_gates():
    module = CrossChannelAttention()
    assert sum(parameter.numel() for parameter in module.parameters()) == 2 + 2 * (WIDTH + 1)
    assert networks.find('symbiosis').parameters - networks.find('hydranet').parameters == 516


def test_multiply_adds():
    """Count convolutions by hooks, and by hand the affinity, two messages, and two heads."""
    with torch.device('meta'):
        network, image = SymbiosisNetwork(40).eval(), torch.empty(1, 3, 480, 640)
        convolutions = multiply_adds(network, image) / 1e9
    cells = (480 // 4 // POOL) * (640 // 4 // POOL)
    attention = (3 * WIDTH ** 2 * cells + 9 * WIDTH * 41 * cells + 2 * WIDTH * cells) / 1e9
    assert round(convolutions, 3) == 5.940
    assert round(attention, 3) == 0.087
    assert attention < 0.015 * convolutions


def test_messages_follow_their_equations():
    module = CrossChannelAttention(4)
    with torch.no_grad():
        for seed, gate in enumerate(module.gates.values()):
            gate.weight.copy_(random(1, 4, 1, 1, seed=seed))
            gate.bias.fill_(0.1)
    semantics, depth = random(1, 4, 16, 24, seed=3), random(1, 4, 16, 24, seed=4)
    found = {task: message.detach().numpy()[0].reshape(4, 6)
             for task, message in module(semantics, depth).items()}
    gated = {}
    for task, features in (('semantics', semantics), ('depth', depth)):
        cells = features.numpy()[0].reshape(4, 2, 8, 3, 8).mean((2, 4)).reshape(4, 6)
        weight = module.gates[task].weight.detach().numpy().ravel()
        gated[task] = cells / (1 + np.exp(-(weight @ cells + 0.1)))
    spread = {task: np.sqrt(cells.var(1) + FLAT ** 2) for task, cells in gated.items()}
    affinity = np.cov(gated['semantics'], gated['depth'], bias=True)[:4, 4:] / np.outer(
        spread['semantics'], spread['depth']) / TEMPERATURE
    shares = np.exp(affinity)
    np.testing.assert_allclose(
        found['semantics'], shares / shares.sum(1, keepdims=True) @ gated['depth'], atol=1e-5)
    np.testing.assert_allclose(
        found['depth'], (shares / shares.sum(0)).T @ gated['semantics'], atol=1e-5)


def test_a_constant_channel_is_no_division_by_zero():
    messages = CrossChannelAttention(4)(torch.ones(1, 4, 9, 9), torch.zeros(1, 4, 9, 9))
    assert all(message.isfinite().all() for message in messages.values())


def test_gammas_and_then_gates_learn(network):
    image = random(1, 3, 64, 64)
    maps = network(image)
    (maps.depth.sum() + maps.semantics.sum()).backward()
    gammas, gates = network.attention.gammas, network.attention.gates
    assert all(gamma.grad != 0 for gamma in gammas.values())
    assert all((gate.weight.grad == 0).all() for gate in gates.values())
    with torch.no_grad():
        gammas['depth'].fill_(0.1)
    network(image).depth.sum().backward()
    assert (gates['semantics'].weight.grad != 0).any()


@pytest.mark.parametrize('mute, listener', [('depth', 'semantics'), ('semantics', 'depth')])
def test_muting_is_a_gamma_of_zero(attentive, mute, listener):
    image = random(1, 3, 64, 96)
    with torch.inference_mode():
        whole, muted = attentive(image), attentive(image, mute)
        attentive.attention.gammas[listener].fill_(0)
        expected = attentive(image)
    for task in ('depth', 'semantics'):
        torch.testing.assert_close(getattr(muted, task), getattr(expected, task))
    assert not torch.equal(getattr(muted, listener), getattr(whole, listener))
    assert torch.equal(getattr(muted, mute), getattr(whole, mute))


@pytest.mark.parametrize('value', MUTE_VALUES)
def test_influence_is_the_difference_between_separate_runs(attentive, value):
    image = random(1, 3, 64, 96)
    with torch.inference_mode():
        both = attentive(image)
        found = attentive(image, 'depth', value, influence=True)
        alone = attentive(image, 'depth', value), attentive(image, 'semantics', value)
    torch.testing.assert_close(found.semantics, alone[0].semantics)
    torch.testing.assert_close(found.influence.depth, both.depth - alone[1].depth)
    decided = both.semantics.argmax(1, keepdim=True)
    probability = [maps.semantics.softmax(1).gather(1, decided) for maps in (both, alone[0])]
    torch.testing.assert_close(found.influence.semantics, probability[0] - probability[1])
    assert found.influence.depth.abs().max() > 1e-4
    assert found.influence.semantics.abs().max() > 1e-4


def test_the_values_of_a_muted_message_differ_and_repeat(attentive):
    image = random(1, 3, 64, 96)
    with torch.inference_mode():
        found = [attentive(image, 'depth', value).semantics for value in (*MUTE_VALUES, 'noise')]
    assert not any(torch.equal(found[i], found[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    assert torch.equal(found[2], found[3])


@pytest.mark.parametrize('arguments, message', [
    (('camera',), "mute 'camera': choose from none, depth, semantics"),
    (('depth', 'loud'), "mute_value 'loud': choose from zero, mean, noise")])
def test_other_names_are_refused(network, arguments, message):
    with pytest.raises(ValueError, match=message):
        network(random(1, 3, 64, 64), *arguments)


def test_metres_and_correlations_stay_exact_under_autocast(attentive):
    image = random(1, 3, 64, 96)
    with torch.inference_mode():
        exact = attentive(image)
        with torch.autocast('cpu', torch.bfloat16):
            maps = attentive(image, influence=True)
    assert maps.depth.dtype == maps.influence.depth.dtype == torch.float32
    assert functional.mse_loss(maps.depth, exact.depth) < 1e-2


def test_a_weights_file_keeps_the_network_and_tells_the_gammas(attentive, tmp_path):
    path = tmp_path / 'mine.safetensors'
    card = weights.Card.of(networks.find('symbiosis'), networks.find('symbiosis').labels)
    weights.save(attentive, card, path)
    loaded = weights.load('symbiosis', weights=str(path))
    gammas = loaded.card.training['gammas']
    assert gammas == {'depth_to_semantics': pytest.approx(0.3),
                      'semantics_to_depth': pytest.approx(-0.2)}
    image = random(1, 3, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(loaded.network(image).depth, attentive(image).depth,
                                   atol=5e-3, rtol=0)
