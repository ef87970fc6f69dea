# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The shipped ONNX file is the shipped HydraNet, for machines without torch."""

from dataclasses import asdict, replace
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

from jrn_perception import weights
from jrn_perception.perception import Perception
from jrn_perception.perception.backends.parity import compare
from jrn_perception.weights.onnx import read_content
import numpy as np
import pytest

SOURCE = weights.SHIPPED / 'hydranet_nyu40.safetensors'
GRAPH = weights.SHIPPED / 'onnx' / 'hydranet_nyu40.onnx'
TOOL = Path(__file__).parents[2] / 'tools' / 'shipped_onnx.py'
AGAIN = f'make it again: python tools/{TOOL.name}'


@pytest.fixture(params=['onnxruntime', 'openvino'])
def runtime(request):
    if find_spec(request.param) is None:
        pytest.skip(f'{request.param} is not installed')
    return request.param


def test_its_cards_are_those_of_the_weights():
    card = weights.read_card(SOURCE)
    assert read_content(GRAPH).card == _json(replace(card, precision='auto')), AGAIN
    beside = weights.check(GRAPH, 'hydranet', 'nyu40')
    exported = beside.training['exported']
    assert (exported['from'], exported['weights']) == (card.sha256, 'fp16'), AGAIN
    training = {name: value for name, value in beside.training.items() if name != 'exported'}
    assert replace(beside, training=training, sha256=card.sha256, precision=card.precision
                   ) == card, AGAIN


def _json(card):
    """Return a card as json holds it: with lists for tuples."""
    def plain(value):
        if isinstance(value, dict):
            return {name: plain(item) for name, item in value.items()}
        return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value

    return plain(asdict(card))


def test_its_maps_are_those_of_torch(runtime, room, tmp_path, monkeypatch):
    pytest.importorskip('torch')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    rgb = room(3).render(height=480, width=640).rgb
    found = Perception.load('hydranet', backend=runtime)
    right = Perception.load('hydranet', backend='torch', device='cpu', precision='fp32')
    assert found.source == str(GRAPH)
    assert found.card.temperature == right.card.temperature
    batch = right.preprocess(rgb)[None]
    parity = compare(found.infer(batch), right.infer(batch))
    assert parity.fault == '' and parity.depth_m < 1e-4
    # Nothing was exported.
    assert not list(tmp_path.glob('jrn_perception/exported/*'))


def test_it_holds_half_precision_and_no_paths():
    assert GRAPH.stat().st_size < 7e6
    assert b'.py' not in GRAPH.read_bytes()


def test_other_files_have_no_graph_of_ours(tmp_path):
    copy = tmp_path / SOURCE.name
    for path in (None, copy, weights.SHIPPED / 'jrn_sum60.safetensors'):
        assert weights.with_graph(path) == path
    assert weights.with_graph(SOURCE) == GRAPH


@pytest.fixture(scope='module')
def tool():
    pytest.importorskip('torch')
    pytest.importorskip('onnx')
    spec = spec_from_file_location('shipped_onnx', TOOL)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_folded_convolution_is_a_tensor_and_its_factors(tool):
    random = np.random.default_rng(0)
    tensor = random.normal(size=(8, 4, 3, 3)).astype(np.float16)
    tensor[2] = 0
    factors = random.uniform(0.1, 9, (8, 1, 1, 1)).astype(np.float32)
    half, found = tool.explain(tensor.astype(np.float32) * factors, tensor)
    assert half is tensor
    np.testing.assert_allclose(half * found, tensor * factors, rtol=1e-6)
    assert tool.explain(tensor.astype(np.float32), tensor)[1].tolist() == np.where(
        np.arange(8) == 2, 0, 1).reshape(8, 1, 1, 1).tolist()
    # Neither a tensor of the same shape with other values, nor a factor for each input channel.
    assert tool.explain(random.normal(size=tensor.shape).astype(np.float32), tensor) is None
    assert tool.explain(tensor * factors[:4].reshape(1, 4, 1, 1), tensor) is None
    assert tool.explain(tensor[:4].astype(np.float32), tensor) is None


def test_an_array_of_unknown_origin_is_refused(tool):
    import onnx
    array = np.arange(2048, dtype=np.float32).reshape(2, 1024)
    graph = onnx.helper.make_graph([], 'graph', [], [],
                                   [onnx.numpy_helper.from_array(array, 'strange')])
    with pytest.raises(ValueError, match='strange .* is no tensor of the weights file'):
        tool.store_in_half(onnx.helper.make_model(graph), {'other': np.zeros((2, 1024), 'f2')})
