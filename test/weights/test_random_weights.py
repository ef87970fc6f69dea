# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Random weights: those of their seed, for tests."""

from jrn_perception import weights
from jrn_perception.networks.jrn import JointRefinementNetwork
import pytest
import torch


def states(*arguments, **named):
    return weights.load(*arguments, weights='random', **named).network.state_dict()


@pytest.mark.parametrize('architecture, variant', [
    ('jrn', 'cat1'), ('hydranet', 'kitti6'), ('depth', 'mobilenetv2')])
def test_random_weights_are_those_of_the_seed(architecture, variant):
    torch.manual_seed(5)
    first = states(architecture, variant, seed=3)
    torch.manual_seed(6)
    second, other = states(architecture, variant, seed=3), states(architecture, variant, seed=4)
    assert all(torch.equal(first[name], second[name]) for name in first)
    learned = [name for name in first if name.endswith('conv.weight') or 'branches' in name
               and name.endswith('weight')]
    assert len(learned) > 10
    assert not any(torch.equal(first[name], other[name]) for name in learned
                   if first[name].std() > 0)


def test_random_weights_leave_torchs_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    weights.load('jrn', 'cat1', weights='random')
    assert torch.equal(torch.rand(3), expected)


def test_random_weights_have_a_card():
    loaded = weights.load('jrn', weights='random', seed=7)
    assert (loaded.source, loaded.card.sha256) == ('random', 'random-7')
    assert (loaded.card.architecture, loaded.card.variant) == ('jrn', 'sum60')
    assert loaded.card.labels == 'nyu5'
    assert weights.load('depth', weights='random').card.labels is None
    assert isinstance(loaded.network.refine, JointRefinementNetwork)
    assert not loaded.network.training
