# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""On CUDA the networks say what they say on a CPU, to the precision of float16."""

import threading

from jrn_perception import weights
from jrn_perception.networks.interface import MUTE, MUTE_VALUES
from jrn_perception.perception import Perception, SetUp
from jrn_perception.perception.backends.exported import ExportedBackend
from jrn_perception.perception.backends.parity import compare
from jrn_perception.rooms.scenes import Scene
from jrn_perception.weights.onnx import read_content
import numpy as np
from one_camera import answer_of
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


@pytest.mark.parametrize('architecture', ['hydranet', 'jrn'])
@pytest.mark.parametrize('batch', [1, 4])
@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
def test_a_recorded_network_computes_what_it_computes_unrecorded(architecture, batch, precision):
    pictures = np.random.default_rng(0).integers(0, 256, (3, batch, 96, 128, 3), np.uint8)
    gpu = load(architecture, device='cuda', precision=precision)
    graphs, gpu.backend.graphs = gpu.backend.graphs, None
    expected = [gpu.infer(picture) for picture in pictures]
    gpu.backend.graphs = graphs
    found = [gpu.infer(picture) for picture in (*pictures, *pictures)]
    assert graphs.works and list(graphs._recordings.values()) != [None]
    for index, maps in enumerate(found):
        scale = np.abs(expected[index % 3].depth).mean()
        assert np.abs(maps.depth - expected[index % 3].depth).mean() < 1e-3 * scale


def test_a_network_is_recorded_while_another_one_runs(rgb):
    running = load('hydranet', device='cuda')
    for _ in range(2):
        expected = running(rgb).depth
    ended, failures = threading.Event(), []

    def run():
        while not ended.is_set():
            if not np.array_equal(running(rgb).depth, expected):
                failures.append('other maps')

    thread = threading.Thread(target=run)
    thread.start()
    try:
        other = load('jrn', 'cat1', device='cuda')
        for _ in range(3):
            other(rgb)
    finally:
        ended.set()
        thread.join()
    assert not failures and other.backend.graphs.works and running.backend.graphs.works


def test_onnxruntime_passes_the_gate_on_cuda(rgb, tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime')
    if 'CUDAExecutionProvider' not in onnxruntime.get_available_providers():
        pytest.skip('this ONNX Runtime has no CUDA (onnxruntime-gpu has)')
    from jrn_perception.perception.backends.onnxruntime import OnnxRuntime
    path = weights.SHIPPED / 'onnx' / 'hydranet_nyu40.onnx'
    cpu = Perception.load('hydranet', device='cpu', backend='torch')
    pictures = np.stack([cpu.preprocess(rgb)] * 4)
    expected = cpu.infer(pictures)
    # TensorRT where it is installed, and CUDA.
    for first in range(len(OnnxRuntime(1, 'cuda').providers) - 1):
        runtime = OnnxRuntime(1, 'cuda', tmp_path)
        runtime.providers = runtime.providers[first:]
        # Refuses the runtime by itself if the stored picture has other maps.
        backend = ExportedBackend(path, read_content(path), runtime)
        assert compare(backend.run(pictures, SetUp()), expected).fault == ''


def test_the_node_runs_on_cuda(ros_domain, spawn):
    node = spawn('node', '--ros-args', '-p', 'architecture:=hydranet', '-p', 'weights:=random',
                 '-p', 'device:=cuda')
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    found = answer_of(node, rgb)
    assert np.isfinite(np.frombuffer(found['depth'].data, np.float32)).any()
    assert ' on cuda in fp16, torch' in node.output and 'RuntimeWarning' not in node.output
    assert node.stop() == 0
