# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``Perception`` runs its network without batch norms, and the outputs stay the same."""

from jrn_perception import weights
from jrn_perception.networks.interface import MEAN, STD
from jrn_perception.networks.layers import resize
from jrn_perception.perception import Perception
from jrn_perception.rooms.scenes import Scene
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

SIZE = (288, 384)  # That of training: a picture of this size is not resized.


@pytest.fixture(scope='module')
def picture():
    return Scene(1).render(height=SIZE[0], width=SIZE[1]).rgb


@pytest.fixture
def ran():
    """Return a list that gets each layer of any network when it runs."""
    layers = []
    hook = register_module_forward_pre_hook(lambda layer, _inputs: layers.append(layer))
    yield layers
    hook.remove()


@pytest.mark.parametrize('architecture', ['hydranet', 'jrn'])
def test_no_batch_norm_runs_and_the_output_is_that_of_the_unfolded_network(
        architecture, picture, ran):
    loaded = weights.load(architecture)
    unfolded, temperature = loaded.network, loaded.card.temperature
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    image = (torch.from_numpy(picture).permute(2, 0, 1)[None] / 255 - mean) / std
    with torch.inference_mode():
        expected = unfolded(image)
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in ran)
    ran.clear()
    prediction = Perception.load(architecture, device='cpu', backend='torch')(picture)
    depth, confidence = prediction.depth, prediction.confidence
    assert len(ran) > 50
    networks = [layer for layer in ran if list(layer.children())]
    assert not any(isinstance(layer, nn.BatchNorm2d)
                   for network in networks for layer in network.modules())
    found = torch.from_numpy(np.stack((depth, confidence)))[:, None]
    certain = (expected.semantics / temperature).softmax(1).amax(1, keepdim=True)
    wanted = torch.cat((expected.depth, certain))
    torch.testing.assert_close(found, resize(wanted, SIZE), atol=1e-4, rtol=0)
