# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""What tests of executables have in common."""

import shutil

import pytest


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    """Let children sum in the same order, and not wait for a core each in small convolutions."""
    monkeypatch.setenv('OMP_NUM_THREADS', '1')


@pytest.fixture(scope='session')
def frames(tmp_path_factory):
    """Return a data set of six frames: four to train on, two to watch."""
    from train_runs import write_frame
    root = tmp_path_factory.mktemp('nyuv2')
    names = [f'{index:04d}' for index in range(6)]
    for seed, name in enumerate(names):
        write_frame(root, name, seed)
    (root / 'fit.txt').write_text('\n'.join(names[:4]))
    (root / 'val.txt').write_text('\n'.join(names[4:]))
    return root


@pytest.fixture(scope='session')
def hydranet(tmp_path_factory):
    """Return a folder with a hydranet that the single-task networks can start from."""
    from jrn_perception import networks, weights
    import torch
    folder = tmp_path_factory.mktemp('hydranet')
    torch.manual_seed(1)
    weights.save(networks.find('hydranet').build(),
                 weights.Card('hydranet', 'nyu40', 'nyu40', input_size=(64, 96)),
                 folder / 'hydranet_nyu40.safetensors')
    return folder


@pytest.fixture(scope='session')
def trained(frames, hydranet, tmp_path_factory):
    """Return the folder in which depth, semantics and two variants of the jrn were trained."""
    from train_runs import SMALL, TINY, train
    output = tmp_path_factory.mktemp('runs')
    shutil.copytree(hydranet, output, dirs_exist_ok=True)
    for network in ('depth', 'semantics'):
        assert train(network, frames, output, *SMALL) == 0
    assert train('jrn', frames, output, *TINY, '--variant', 'cat1', '--variant', 'cat10') == 0
    return output
