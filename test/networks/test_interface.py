# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What a network must offer, and that nobody pays for torch who only reads the table."""

import subprocess
import sys

from jrn_perception import networks
from jrn_perception.networks import interface
from jrn_perception.networks.interface import check_trainable, Trainable
import pytest
import torch

# The light-weight networks alone have an encoder that a recipe can train.
NOT_TRAINABLE = {*networks.list_networks('jrn'), 'depth_multiscale', 'semantics_fcn16s'}


@pytest.mark.parametrize('name', networks.list_networks())
def test_a_network_is_trainable_or_refused_by_what_it_lacks(name):
    with torch.device('meta'):
        network = networks.find(*name.split('_', 1)).build()
    if name not in NOT_TRAINABLE:
        check_trainable(network, name)
        assert isinstance(network.encoder, torch.nn.Module)
        return
    with pytest.raises(ValueError) as caught:
        check_trainable(network, name)
    assert str(caught.value) == (f'{name}: this recipe cannot train it, the network has no '
                                 'encoder and no calibrate')


def test_all_that_is_missing_is_named():
    with pytest.raises(ValueError, match='no encoder and no calibrate and no output_stride$'):
        check_trainable(torch.nn.Identity(), 'mine')


def test_the_check_covers_the_protocol():
    members = {name for kind in Trainable.__mro__ for name in vars(kind)
               if not name.startswith('_')}
    assert set(interface._TRAINABLE) == members


def test_tasks_are_the_maps_that_a_head_gives():
    assert set(interface.TASKS) == set(interface.Maps._fields) - {
        'inputs', 'influence', 'validity'}


@pytest.mark.parametrize('module', ['networks', 'networks.interface', 'weights.card', 'weights'])
def test_torch_is_not_imported_for(module):
    program = (f'import sys, jrn_perception.{module}; '
               'sys.exit("torch" in sys.modules and "torch was imported")')
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, '')
