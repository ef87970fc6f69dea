# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The runtime of weights under auto, and the same weights in a lower precision."""

from importlib.util import find_spec
import logging

from jrn_perception import weights
from jrn_perception.networks.interface import NotExportableError
from jrn_perception.perception import loading, Perception, reduced
from jrn_perception.perception.backends import choice
from jrn_perception.perception.backends.exported import BackendFault, ExportedBackend
from jrn_perception.perception.backends.parity import compare
from jrn_perception.weights.onnx import read_content
import numpy as np
import pytest

SIZE = {'height': 64, 'width': 96}


@pytest.fixture(scope='module', autouse=True)
def runtimes():
    for package in ('onnx', 'onnxscript', 'onnxruntime'):
        if find_spec(package) is None:
            pytest.skip(f'{package} is not installed')
    return choice.installed()


@pytest.fixture(scope='module')
def file(tmp_path_factory):
    """Return a weights file of a small input, which no cache knows."""
    path = tmp_path_factory.mktemp('weights') / 'mine.safetensors'
    loaded = weights.load('hydranet', weights='random', seed=3)
    card = weights.Card('hydranet', 'nyu40', 'nyu40', input_size=(64, 96))
    weights.save(loaded.network, card, path)
    return path


@pytest.fixture(scope='module')
def first(file):
    """Load the file for the first time; return the network and what the log said."""
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logging.getLogger('jrn_perception').addHandler(handler)
    try:
        perception = load(file)
        perception(np.zeros((64, 96, 3), np.uint8))
        return perception, [record.getMessage() for record in records]
    finally:
        logging.getLogger('jrn_perception').removeHandler(handler)


def load(file, **options):
    return Perception.load('hydranet', weights_file=str(file), device='cpu', **{**SIZE, **options})


@pytest.fixture(scope='module')
def graph(cache, file, first):
    """Return the ONNX file that the first load has made."""
    digest = weights.sha256(file)
    exported = (cache / 'jrn_perception' / 'exported').glob('*/hydranet_nyu40.onnx')
    found, = (path for path in exported
              if weights.read_card(path).training['exported']['from'] == digest)
    return found


@pytest.fixture(scope='module')
def pictures(room):
    return [room(seed).render(height=64, width=96).rgb for seed in (0, 1)]


def fail(*_, **__):
    raise AssertionError('exported again')


def test_auto_exports_weights_once_and_says_so_in_one_line(file, first, runtimes, graph):
    perception, lines = first
    assert perception.backend.name == runtimes[0] and perception.precision == 'fp32'
    assert perception.warnings == ()
    line, = lines
    assert line == (f'exporting hydranet_nyu40 to {graph}, once for these weights: about half a '
                    'minute')
    # The network is known by its weights, not by the file in the cache.
    assert perception.source == str(file)
    assert perception.card == weights.read_card(file)


def test_a_second_start_neither_exports_nor_compiles(file, first, monkeypatch, runtimes):
    monkeypatch.setattr('jrn_perception.perception.export.export', fail)
    started = []
    right = choice.start

    def start(*arguments):
        started.append(right(*arguments))
        return started[-1]

    monkeypatch.setattr(choice, 'start', start)
    perception = load(file)
    perception(np.zeros((64, 96, 3), np.uint8))
    runtime, = started
    assert perception.backend.name == runtime.name == runtimes[0]
    if runtime.name == 'openvino':
        assert runtime.compiled == 0
        # Each size has a graph of its own.
        perception.infer(np.zeros((1, 96, 32, 3), np.uint8))
        assert runtime.compiled == 1


def test_the_maps_are_those_of_torch(file, first, pictures):
    found, right = (perception.infer(np.stack(pictures))
                    for perception in (first[0], load(file, backend='torch')))
    assert compare(found, right).fault == ''


def test_auto_takes_torch_and_says_why_where_nothing_can_be_exported(file, first, monkeypatch,
                                                                     tmp_path):
    def no_exporter(*_):
        raise ModuleNotFoundError('a network needs the package onnx', name='onnx')

    def no_graph(*_):
        raise NotExportableError('FCN cannot be exported')

    def no_folder(*_):
        raise PermissionError(13, 'Permission denied', '/home/.cache')

    def wrong(*_):
        raise BackendFault('mine.onnx: not written: in openvino depth differs')

    for cached_export, reason in (
            (no_exporter, 'a network needs the package onnx'),
            (no_graph, 'FCN cannot be exported'), (no_folder, 'Permission denied'),
            (wrong, 'not written: in openvino depth differs')):
        monkeypatch.setattr(loading, 'cached_export', cached_export)
        perception = load(file)
        warning, = perception.warnings
        assert perception.backend.name == 'torch'
        assert warning.startswith(f'{", ".join(choice.installed())}: ') and reason in warning
        with pytest.raises((ValueError, ImportError, OSError)):
            load(file, backend='onnxruntime')  # A named backend is not replaced.
    # A weights file that is damaged is damaged for torch as well.
    with pytest.raises(weights.WeightsError, match='no such weights file'):
        load(tmp_path / 'missing.safetensors')


def test_auto_takes_torch_for_a_size_that_no_graph_has(file, first, monkeypatch):
    monkeypatch.setattr(loading, 'cached_export', fail)
    perception = load(file, height=50, width=70)
    assert perception.backend.name == 'torch'
    assert 'multiples of 32 pixels, asked for are 50' in perception.warnings[0]
    assert perception(np.zeros((50, 70, 3), np.uint8)).depth.shape == (50, 70)


def test_auto_takes_torch_and_says_why_if_all_runtimes_are_wrong(file, first, monkeypatch,
                                                                 runtimes):
    def refuse(self, path, content):
        raise BackendFault(f'{self.name} is not used: wrong')

    monkeypatch.setattr(ExportedBackend, '_check', refuse)
    perception = load(file)
    assert perception.backend.name == 'torch'
    assert perception.warnings == tuple(f'{name} is not used: wrong' for name in runtimes)
    for name in runtimes:
        with pytest.raises(BackendFault, match=f'^{name} is not used: wrong$'):
            load(file, backend=name)


# --- bf16 and int8 ------------------------------------------------------------------------------

def needs_bfloat16():
    if find_spec('openvino') is None or not choice.cpu_knows_bfloat16():
        pytest.skip('needs openvino and a CPU with bfloat16')


def test_bf16_is_computed_where_it_is_asked_for(file, first, pictures):
    needs_bfloat16()
    batch = np.stack(pictures)
    exact = first[0].infer(batch)
    low = load(file, precision='bf16')
    assert (low.backend.name, low.precision) == ('openvino', 'bf16')
    parity = compare(low.infer(batch), exact)
    assert parity.fault and parity.reduced_fault == ''


def test_a_card_of_bf16_asks_for_it(graph, tmp_path, monkeypatch):
    path = tmp_path / 'low' / graph.name
    reduced.reduce(graph, path, 'bf16', [])
    assert weights.check(path, 'hydranet').precision == read_content(path).card['precision'] == (
        'bf16')
    if 'openvino' in choice.installed():
        expected = 'bf16' if choice.cpu_knows_bfloat16() else 'fp32'
        assert load(path, backend='openvino').precision == expected
        assert load(path, backend='openvino', precision='fp32').precision == 'fp32'
    assert load(path, backend='onnxruntime').precision == 'fp32'


def test_int8_is_the_same_network_in_each_runtime(graph, first, runtimes, pictures, tmp_path):
    import onnx

    path = tmp_path / 'low' / graph.name
    reduced.reduce(graph, path, 'int8', pictures)
    assert path.stat().st_size < 0.9 * graph.stat().st_size
    assert weights.check(path, 'hydranet').precision == 'int8'
    exact = first[0].infer(np.stack(pictures))
    for name in runtimes:
        perception = load(path, backend=name)
        assert perception.precision == 'int8'
        parity = compare(perception.infer(np.stack(pictures)), exact)
        assert parity.fault and parity.reduced_fault == ''
        with pytest.raises(ValueError, match="precision 'fp32': the file is in int8"):
            load(path, backend=name, precision='fp32')
    # The decoder and the classes are in int8; the encoder and the depth are not.
    model = onnx.load(path)
    quantised = {node.output[0] for node in model.graph.node
                 if node.op_type == 'DequantizeLinear'}
    weights_of = {part: {node.input[1] in quantised for node in model.graph.node
                         if node.op_type == 'Conv' and part in node.input[1]}
                  for part in ('encoder', 'decoder', 'heads.semantics', 'heads.depth')}
    assert weights_of == {'encoder': {False}, 'decoder': {True}, 'heads.semantics': {True},
                          'heads.depth': {False}}


def test_int8_needs_pictures(graph, tmp_path):
    with pytest.raises(ValueError, match='no pictures to calibrate int8 on'):
        reduced.reduce(graph, tmp_path / 'low' / graph.name, 'int8', [])
