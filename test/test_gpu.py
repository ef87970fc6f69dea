# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""On CUDA the networks say what they say on a CPU, to the precision of float16."""

from jrn_perception.networks.interface import MUTE, MUTE_VALUES
from jrn_perception.perception import Perception, SetUp
from jrn_perception.rooms.scenes import Scene
import numpy as np
import pytest
import torch

pytestmark = [pytest.mark.gpu,
              pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')]


@pytest.fixture(scope='module')
def rgb():
    """Return a picture."""
    return Scene(1).render(height=240, width=320).rgb


def load(architecture, variant='', **options):
    return Perception.load(architecture, variant, weights_file='random', **options)


@pytest.mark.parametrize('architecture, variant', [
    ('jrn', 'sum60'), ('jrn', 'cat1'), ('hydranet', 'nyu40'), ('hydranet', 'nyu40_normals')])
@pytest.mark.parametrize('precision, tolerance', [('fp32', 1e-3), ('fp16', 3e-2), ('bf16', 2e-1)])
def test_depth_and_labels_agree_with_the_cpu(rgb, architecture, variant, precision, tolerance):
    expected = load(architecture, variant, device='cpu')(rgb)
    found = load(architecture, variant, device='cuda', precision=precision)(rgb)
    assert np.isfinite(found.depth).all() and np.isfinite(found.confidence).all()
    scale = np.abs(expected.depth).mean()
    assert np.abs(found.depth - expected.depth).mean() < tolerance * scale
    assert np.mean(found.labels == expected.labels) > 1 - 5 * tolerance


@pytest.mark.parametrize('value', MUTE_VALUES)
@pytest.mark.parametrize('mute', MUTE)
def test_every_mute_runs_where_the_network_is(rgb, mute, value):
    if value == 'noise':
        # Another generator's noise: that it runs and can be repeated is all there is to say.
        gpu = load('jrn', 'cat5', device='cuda', precision='fp32')
        np.testing.assert_array_equal(gpu(rgb, mute, value).depth, gpu(rgb, mute, value).depth)
        return
    expected = load('jrn', 'cat5', device='cpu')(rgb, mute, value)
    found = load('jrn', 'cat5', device='cuda', precision='fp32')(rgb, mute, value)
    np.testing.assert_allclose(found.depth, expected.depth, atol=1e-2, rtol=1e-2)


def test_influence_runs_in_the_default_precision(rgb):
    gpu = load('jrn', 'cat10', device='cuda')
    assert gpu.precision == 'fp16'
    maps = gpu.infer(gpu.preprocess(rgb)[None], SetUp(influence=True))
    found = gpu.postprocess(maps, rgb.shape[:2])
    assert np.isfinite(found.influence_depth).all()
    assert np.isfinite(found.influence_semantics).all()
    assert gpu.gpu_memory_mb() > 0
