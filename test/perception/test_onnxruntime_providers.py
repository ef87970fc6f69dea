# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Where ONNX Runtime computes; that CUDA computes rightly is for test_gpu.py to show."""

from importlib import import_module
from pathlib import Path
import sys
from types import SimpleNamespace

from jrn_perception import weights
import numpy as np
import pytest

onnxruntime = pytest.importorskip('onnxruntime', reason="needs pip install '.[onnxruntime]'")
backend = import_module('jrn_perception.perception.backends.onnxruntime')
GRAPH = weights.SHIPPED / 'onnx' / 'hydranet_nyu40.onnx'
SHAPE = (1, 64, 96, 3)


@pytest.fixture
def gpu_build(monkeypatch):
    """Make ONNX Runtime list what onnxruntime-gpu lists; return the names of its libraries."""
    monkeypatch.setattr(onnxruntime, 'get_available_providers',
                        lambda: [backend.TENSORRT, backend.CUDA, backend.CPU])
    monkeypatch.setattr(onnxruntime, 'preload_dlls', lambda: None, raising=False)
    monkeypatch.setitem(sys.modules, 'tensorrt', None)


def test_a_cpu_has_one_provider():
    assert backend.providers('cpu') == [('CPUExecutionProvider', {})]


@pytest.mark.parametrize('device', ['gpu', 'cuda:x', 'cpu:0', 'auto', ''])
def test_an_unknown_device_is_refused(device):
    with pytest.raises(ValueError, match='ONNX Runtime has cpu, cuda and cuda:N'):
        backend.providers(device)


def test_cuda_without_its_package_is_refused(monkeypatch):
    monkeypatch.setattr(onnxruntime, 'get_available_providers', lambda: [backend.CPU])
    with pytest.raises(ValueError, match=r"device 'cuda': .* has no CUDA: .*\[onnxruntime-gpu\]"):
        backend.OnnxRuntime(1, 'cuda')


def test_cuda_computes_in_float32(gpu_build):
    assert backend.providers('cuda:1') == [
        ('CUDAExecutionProvider', {'device_id': '1', 'use_tf32': '0'}),
        ('CPUExecutionProvider', {})]


def test_tensorrt_comes_first_where_it_is_installed(gpu_build, monkeypatch):
    monkeypatch.setitem(sys.modules, 'tensorrt', SimpleNamespace(__spec__='there'))
    first, *rest = backend.providers('cuda', Path('kept'))
    assert first == ('TensorrtExecutionProvider', {
        'device_id': '0', 'trt_engine_cache_enable': 'True',
        'trt_engine_cache_path': str(Path('kept', 'tensorrt'))})
    assert rest == [('CUDAExecutionProvider', {'device_id': '0', 'use_tf32': '0'}),
                    ('CPUExecutionProvider', {})]


@pytest.mark.skipif('CUDAExecutionProvider' in onnxruntime.get_available_providers(),
                    reason='this ONNX Runtime has CUDA')
@pytest.mark.filterwarnings('ignore:Specified provider')
def test_a_provider_that_does_not_start_is_an_error(gpu_build):
    runtime = backend.OnnxRuntime(1, 'cuda')
    with pytest.raises(ValueError, match=r"'cuda': CUDAExec.* did not start, only CPUExec"):
        runtime.prepare(GRAPH, {'pictures': SHAPE})


def test_free_axes_are_fixed_to_the_given_shape():
    assert [type(axis) for axis in backend.axes_of(GRAPH)['pictures']] == [str, str, str, int]
    session = backend.OnnxRuntime(1).prepare(GRAPH, {'pictures': SHAPE})
    assert session({'pictures': np.zeros(SHAPE, np.uint8)})['depth'].shape == (1, 16, 24)
    with pytest.raises(Exception, match='dimension'):
        session({'pictures': np.zeros((2, *SHAPE[1:]), np.uint8)})
