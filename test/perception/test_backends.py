# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Exported networks compute in each runtime what torch computes, or are refused."""

from dataclasses import replace
from importlib.util import find_spec
import subprocess
import sys

from jrn_perception import labels, networks, weights
from jrn_perception.networks.hydranet import HydraNet
from jrn_perception.networks.interface import MUTE, MUTE_VALUES
from jrn_perception.networks.jrn import ModularNetwork
from jrn_perception.perception import Perception, SetUp
from jrn_perception.perception.backends import choice, exported
from jrn_perception.perception.backends.exported import BackendFault, ExportedBackend
from jrn_perception.perception.backends.parity import compare, Parity, worst
from jrn_perception.perception.backends.refinement import noise
from jrn_perception.perception.export import export
from jrn_perception.weights.onnx import inputs_path, read_content
import numpy as np
import pytest
import torch

RUNTIMES = ('onnxruntime', 'openvino')
SIZE = {'height': 64, 'width': 96}


def need(runtime):
    if find_spec(runtime) is None:
        pytest.skip(f'{runtime} is not installed')


@pytest.fixture(params=RUNTIMES)
def runtime(request):
    need(request.param)
    return request.param


@pytest.fixture(scope='module')
def exporter():
    for package in ('onnx', 'onnxscript', 'onnxruntime'):
        need(package)


@pytest.fixture(scope='module')
def hydranet(cache, exporter):
    """Return the ONNX file of HydraNet's random weights, which a first load has exported."""
    Perception.load('hydranet', weights_file='random', backend='onnxruntime', **SIZE)
    # Other tests export other weights of the same network.
    exports = (cache / 'jrn_perception' / 'exported').glob('*/hydranet_nyu40.onnx')
    found, = (path for path in exports
              if weights.read_card(path).training['exported']['from'] == 'random-0')
    return found


def random_jrn():
    """Return a JRN whose inputs come from one small network: its export takes half the time."""
    spec = networks.find('jrn', 'cat1')
    with torch.random.fork_rng():
        torch.manual_seed(0)
        inputs = HydraNet({'semantics': 5, 'depth': 1})
        refine = spec.build(output_stride=4, residual=True)
        for parameter in refine.parameters():
            parameter.data.normal_(0, 0.2)
    refine.class_mean.copy_(torch.tensor([0.1, 0.3, 0.2, 0.25, 0.15]))
    network = ModularNetwork(inputs, inputs, refine, torch.eye(5)).eval()
    return weights.Loaded(network, weights.Card.of(spec, labels.NYU5), 'random')


@pytest.fixture(scope='module')
def rooms(room):
    return [room(seed).render(height=96, width=128).rgb for seed in (0, 1)]


@pytest.fixture(scope='module')
def jrn(tmp_path_factory, exporter, rooms):
    """Return the ONNX file of ``random_jrn``."""
    path = tmp_path_factory.mktemp('jrn') / 'small.onnx'
    result = export(random_jrn(), path, rooms)
    assert set(result.parity) == set(choice.installed())
    assert all(parity.fault == '' for parity in result.parity.values())
    return path


@pytest.fixture(scope='module')
def expected():
    """Return the same JRN in torch."""
    return Perception(random_jrn(), device='cpu', **SIZE)


@pytest.fixture(scope='module')
def pictures(rooms):
    """Return a batch of two pictures of 64x96."""
    return np.stack([rgb[:64, :96] for rgb in rooms])


def load_hydranet(path, **options):
    return Perception.load('hydranet', weights_file=str(path), **SIZE, **options)


def load_jrn(path, **options):
    return Perception.load('jrn', 'cat1', weights_file=str(path), **SIZE, **options)


def agree(found, expected):
    np.testing.assert_allclose(found.depth, expected.depth, atol=1e-4)
    np.testing.assert_allclose(found.semantics, expected.semantics, atol=2e-4)


# --- the same numbers ---------------------------------------------------------------------------

@pytest.mark.parametrize('size', [(64, 96), (96, 64), (32, 160)])
def test_hydranet_is_that_of_torch(hydranet, runtime, size, rooms):
    pictures = np.stack([np.ascontiguousarray(np.resize(rgb, (*size, 3))) for rgb in rooms])
    torch_maps = load('torch').infer(pictures)
    found = load_hydranet(hydranet, backend=runtime).infer(pictures)
    assert found.depth.dtype == found.semantics.dtype == np.float32
    assert found.depth.shape == (2, size[0] // 4, size[1] // 4)
    assert found.semantics.shape == (2, size[0] // 4, size[1] // 4, 40)
    agree(found, torch_maps)
    # A batch of another length, by the same backend.
    agree(load_hydranet(hydranet, backend=runtime).infer(pictures[:1]), torch_maps.at(0))


def load(backend, **options):
    return Perception.load('hydranet', weights_file='random', backend=backend, device='cpu',
                           **SIZE, **options)


@pytest.mark.parametrize('influence', [False, True])
@pytest.mark.parametrize('value', MUTE_VALUES)
@pytest.mark.parametrize('mute', MUTE)
def test_each_setup_of_a_jrn_is_that_of_torch(jrn, expected, runtime, pictures, mute, value,
                                              influence):
    set_up = SetUp(mute, value, influence)
    right = expected.infer(pictures, set_up)
    found = loaded(jrn, runtime).infer(pictures, set_up)
    agree(found, right)
    agree(found.inputs, right.inputs)
    assert (found.influence is not None) == influence
    if influence:
        for name in ('depth', 'semantics'):
            np.testing.assert_allclose(getattr(found.influence, name),
                                       getattr(right.influence, name), atol=1e-4)
        assert np.abs(found.influence.depth).max() > 1e-3


_LOADED = {}


def loaded(path, runtime):
    """Return the JRN in a runtime, loaded once for all set-ups."""
    key = path, runtime
    if key not in _LOADED:
        _LOADED[key] = load_jrn(path, backend=runtime)
    return _LOADED[key]


def test_given_inputs_spare_the_single_task_networks(jrn, runtime, pictures, monkeypatch):
    perception = load_jrn(jrn, backend=runtime)
    first = perception.infer(pictures)
    monkeypatch.setattr(perception.backend, '_inputs', None)
    again = perception.infer(pictures, SetUp('depth'), first.inputs)
    agree(again, loaded(jrn, runtime).infer(pictures, SetUp('depth')))


@pytest.mark.parametrize('shape', [(1, 1, 8, 8), (2, 5, 9, 7), (1, 1, 3, 7), (3, 5, 72, 96)])
def test_noise_is_that_of_torch(shape):
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(0)).numpy()
    np.testing.assert_allclose(noise(shape), drawn, atol=1e-6)


def test_a_prediction_is_that_of_torch(hydranet, runtime, room):
    rgb = room(2).render(height=120, width=160).rgb
    found, right = load_hydranet(hydranet, backend=runtime)(rgb), load('torch')(rgb)
    np.testing.assert_allclose(found.depth, right.depth, atol=1e-4)
    assert (found.labels == right.labels).mean() > 0.999


# --- files and cache ----------------------------------------------------------------------------

def test_a_second_load_exports_nothing(hydranet, runtime, monkeypatch):
    def fail(*_, **__):
        raise AssertionError('exported again')

    monkeypatch.setattr(torch.onnx, 'export', fail)
    perception = load(runtime)
    assert perception.source == 'random'
    assert (perception.backend.name, perception.precision, str(perception.device)) == (
        runtime, 'fp32', 'cpu')
    assert perception.backend.version
    files = {path.name for path in hydranet.parent.iterdir()}
    assert files == {'hydranet_nyu40.onnx', 'hydranet_nyu40.json'}


def test_the_card_is_inside_and_beside_the_file(jrn):
    beside, inside = weights.check(jrn, 'jrn', 'cat1'), read_content(jrn).card
    assert (inside['architecture'], inside['variant'], inside['labels']) == (
        'jrn', 'cat1', 'nyu5') == (beside.architecture, beside.variant, beside.labels)
    facts = beside.training['exported']
    assert facts['opset'] == 18 and facts['pictures'] == 2
    assert set(facts['parity']) == set(choice.installed())
    import onnx
    model = onnx.load(jrn)
    assert model.opset_import[0].version == 18
    onnx.checker.check_model(model)
    assert [entry.key for entry in model.metadata_props] == ['jrn_perception']


def test_a_process_without_torch_predicts(hydranet, jrn, runtime, tmp_path):
    program = f"""
import sys
sys.modules['torch'] = None
import numpy as np
from jrn_perception import Perception
rgb = np.zeros((64, 96, 3), np.uint8)
for name, path in (('hydranet', {str(hydranet)!r}), ('jrn', {str(jrn)!r})):
    perception = Perception.load(name, 'cat1' if name == 'jrn' else '', weights_file=path,
                                 backend={runtime!r}, height=64, width=96)
    prediction = perception(rgb)
    print(prediction.depth.shape, prediction.labels.shape)
from jrn_perception.cli.predict import main
main(['scenes:1', '--count', '1', '--architecture', 'hydranet', '--weights', {str(hydranet)!r},
      '--backend', {runtime!r}, '--height', '64', '--output', {str(tmp_path)!r}])
"""
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                          timeout=120)
    assert done.stdout.splitlines()[:2] == ['(64, 96) (64, 96)'] * 2, done.stderr
    assert '1 pictures -> ' in done.stdout, done.stderr


def copied(path, folder):
    """Return a copy of an exported network in a folder."""
    for file in path.parent.glob(f'{path.stem}*'):
        (folder / file.name).write_bytes(file.read_bytes())
    return folder / path.name


def test_damaged_files_are_refused(jrn, tmp_path):
    path = copied(jrn, tmp_path)
    inputs = inputs_path(path)
    content = inputs.read_bytes()
    inputs.write_bytes(content[:-1])
    with pytest.raises(weights.WeightsError, match='not the file that small.onnx was exported'):
        load_jrn(path)
    inputs.unlink()
    with pytest.raises(weights.WeightsError, match='small_inputs.onnx: missing'):
        load_jrn(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(weights.WeightsError, match='sha256'):
        load_jrn(path)
    for data in (b'', b'\x00\x01', b'\x72\x7f', path.read_bytes()[:1000]):
        path.write_bytes(data)
        with pytest.raises(weights.WeightsError, match='jrn_export'):
            read_content(path)


# --- refusals -----------------------------------------------------------------------------------

@pytest.mark.parametrize('package', RUNTIMES)
def test_a_missing_package_is_an_error(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=rf'package {package} is missing: pip install'):
        load(package)


def test_an_onnx_file_without_any_runtime_is_an_error(hydranet, monkeypatch):
    for package in RUNTIMES:
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ValueError, match=r'an ONNX file needs a runtime: .*\[onnxruntime\]'):
        load_hydranet(hydranet)


@pytest.mark.parametrize('options, message', [
    ({'backend': 'tensorrt'}, "'tensorrt': choose from auto, torch, onnxruntime, openvino"),
    ({'backend': 'torch'}, 'torch cannot run an ONNX file'),
    ({'device': 'cuda', 'backend': 'openvino'}, "device 'cuda': backend .* runs on the CPU"),
    ({'device': 'cuda', 'backend': 'onnxruntime'}, "device 'cuda': this ONNX Runtime has no CUDA"),
    ({'device': 'gpu', 'backend': 'onnxruntime'}, "device 'gpu': ONNX Runtime has cpu, cuda"),
    ({'precision': 'bf16', 'backend': 'onnxruntime'},
     "precision 'bf16': backend onnxruntime computes in fp32; choose"),
    ({'precision': 'fp16'}, "precision 'fp16': backend .* computes in fp32"),
    ({'threads': -1}, 'threads -1: 0 .the physical cores. or positive'),
])
def test_options_that_a_runtime_cannot_follow_are_refused(hydranet, options, message):
    with pytest.raises(ValueError, match=message):
        load_hydranet(hydranet, **options)


def test_torch_refuses_negative_threads():
    with pytest.raises(ValueError, match='threads -1'):
        load('torch', threads=-1)


def test_a_size_that_the_graph_cannot_take_is_refused(hydranet, runtime):
    perception = Perception.load('hydranet', weights_file=str(hydranet), backend=runtime,
                                 height=50, width=96)
    with pytest.raises(ValueError, match='50x96: an exported network takes multiples of 32'):
        perception(np.zeros((50, 96, 3), np.uint8))


def test_auto_leaves_random_weights_to_torch_and_gives_onnx_to_a_runtime(hydranet):
    assert load('auto').backend.name == 'torch'
    assert load_hydranet(hydranet).backend.name == choice.installed()[0]


# --- the parity gate ----------------------------------------------------------------------------

def test_limits_of_the_gate(pictures, expected):
    maps = expected.infer(pictures)
    assert compare(maps, maps) == Parity(0.0, 1.0) and compare(maps, maps).fault == ''
    assert Parity(0.001, 0.9999).fault == ''
    assert 'depth differs from torch by 1.1 mm' in Parity(0.0011, 1.0).fault
    assert '99.980 % of the labels' in Parity(0.0, 0.9998).fault
    for value in (Parity(float('nan'), 1.0), Parity(0.0, float('nan'))):
        assert value.fault
        assert worst([Parity(), value]).fault
    assert compare(maps.at(0), maps).fault


def spoil(monkeypatch, name, output, change):
    """Make the runtime called ``name`` compute wrong values of an output."""
    right = choice.start

    def start(wanted, *arguments):
        runtime = right(wanted, *arguments)
        if wanted == name:
            prepare_rightly = runtime.prepare

            def wrongly(path, shapes):
                session = prepare_rightly(path, shapes)

                def run(arrays):
                    found = session(arrays)
                    return {**found, output: change(found[output])} if output in found else found
                return run
            runtime.prepare = wrongly
        return runtime

    monkeypatch.setattr(choice, 'start', start)


def test_wrong_depth_is_not_written(exporter, jrn, rooms, tmp_path, monkeypatch):
    spoil(monkeypatch, 'onnxruntime', 'refined_depth', lambda depth: depth + 0.002)
    # The graphs are those of the fixture: only the comparison counts here.
    monkeypatch.setattr('jrn_perception.perception.export._write', lambda _, card, path, check:
                        replace(read_content(copied(jrn, path.parent)), check=check))
    right = ExportedBackend._check
    # The stored picture is left out, so that the comparison on the rooms has to find the fault.
    monkeypatch.setattr(ExportedBackend, '_check', lambda *_: None)
    with pytest.raises(BackendFault, match=r'not written: .* depth differs .* 2[.\d]* mm'):
        export(random_jrn(), tmp_path / 'small.onnx', rooms)
    monkeypatch.setattr(ExportedBackend, '_check', right)
    with pytest.raises(BackendFault, match=r'depth differs from torch by 2[.\d]* mm'):
        export(random_jrn(), tmp_path / 'small.onnx', rooms)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('output, change, message', [
    ('depth', lambda depth: depth + 0.002, r'depth differs from torch by 2[.\d]* mm'),
    ('depth', lambda depth: depth * np.float32('nan'), 'depth differs from torch by nan mm'),
    ('semantics', lambda logits: -logits, '% of the labels are those of torch'),
])
def test_a_runtime_that_computes_something_else_is_not_used(hydranet, runtime, monkeypatch,
                                                            output, change, message):
    spoil(monkeypatch, runtime, output, change)
    with pytest.raises(BackendFault, match=f'{runtime} .* is not used: .*{message}'):
        load_hydranet(hydranet, backend=runtime)


def test_auto_takes_the_next_runtime_and_says_why(hydranet, monkeypatch):
    if len(choice.installed()) < 2:
        pytest.skip('needs two runtimes')
    first, second = choice.installed()
    spoil(monkeypatch, first, 'depth', lambda depth: depth + 0.002)
    perception = load_hydranet(hydranet)
    assert perception.backend.name == second
    warning, = perception.warnings
    assert f'{first} ' in warning and 'is not used: on the stored picture depth' in warning


def test_export_refuses_an_unknown_name_and_no_pictures(exporter, tmp_path, rooms):
    with pytest.raises(ValueError, match=r'a file NAME\.onnx'):
        export(random_jrn(), tmp_path / 'network.pt', rooms)
    with pytest.raises(ValueError, match='no pictures'):
        export(random_jrn(), tmp_path / 'network.onnx', [])


def test_a_jrn_with_one_hot_inputs_is_refused():
    from jrn_perception.networks.exporting import export_refinement
    network = random_jrn().network
    network.refine = networks.find('jrn', 'cat1').build(semantics_input='one_hot')
    with pytest.raises(ValueError, match='one_hot cannot be exported'):
        export_refinement(network)


def test_compiled_graphs_are_bounded(hydranet, monkeypatch):
    monkeypatch.setattr(exported, 'SIZES', 2)
    perception = load_hydranet(hydranet, backend='onnxruntime')
    for rows in (32, 64, 96):
        perception.infer(np.zeros((1, rows, 64, 3), np.uint8))
    assert len(perception.backend._network._sessions) == 2


def test_physical_cores_count_siblings_once(tmp_path, monkeypatch):
    monkeypatch.setattr(choice, 'CPUS', tmp_path)
    monkeypatch.setattr(choice.os, 'sched_getaffinity', lambda _: {0, 1, 2, 3}, raising=False)
    for cpu, siblings in enumerate(('0,2', '1,3', '0,2', '1,3')):
        folder = tmp_path / f'cpu{cpu}' / 'topology'
        folder.mkdir(parents=True)
        (folder / 'thread_siblings_list').write_text(siblings)
    assert choice.physical_cores() == 2
