# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""MobileNet-v2 from TensorFlow Lite files, exactly; ``jrn_convert`` of them; what is refused."""

import hashlib
import json
import os
from pathlib import Path
import subprocess
import sys

from jrn_perception import weights
from jrn_perception.cli.convert import main
from jrn_perception.networks.encoders.mobilenet import MobileNetV2
from jrn_perception.networks.interface import MEAN, STD
from jrn_perception.networks.layers import lack_statistics, restore_batch_norms
from jrn_perception.weights.convert import read_tflite
from jrn_perception.weights.tflite import read_convolutions
import numpy as np
import pytest
from safetensors.torch import load_file
import torch
from torch import nn

graphs = pytest.importorskip('tflite_graphs', reason="needs pip install '.[train]'")
# The colour that zeros stand for in our input, in that of the graphs.
BORDER = tuple(2 * value - 1 for value in MEAN)


@pytest.fixture(scope='module', params=['int8', 'uint8', 'float32'])
def made(request, tmp_path_factory):
    """Return the layers of a graph and its file."""
    layers = graphs.mobilenet(request.param)
    path = tmp_path_factory.mktemp('tflite') / f'{request.param}.tflite'
    path.write_bytes(graphs.graph(layers))
    return layers, path


@pytest.fixture(scope='module')
def int8(tmp_path_factory):
    """Return a file with a MobileNet-v2, int8 per channel."""
    path = tmp_path_factory.mktemp('tflite') / 'theirs.tflite'
    path.write_bytes(graphs.graph(graphs.mobilenet('int8', seed=1)))
    return path


def picture(height, width, seed=0, count=1):
    """Return pictures in 0..1, smooth enough to have a spread at each level."""
    small = torch.rand(count, 3, 6, 8, generator=torch.Generator().manual_seed(seed))
    return nn.functional.interpolate(small, size=(height, width), mode='bilinear')


def normalised(image):
    return (image - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def encoder(path, output_stride=32):
    network = MobileNetV2(output_stride).eval()
    network.load_state_dict(read_tflite(path))
    return network


def relative(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


# --- what is read -------------------------------------------------------------------------------

def test_weights_and_biases_are_dequantised_exactly(made):
    layers, path = made
    found = read_convolutions(path)
    assert len(found) == len(layers) == 52
    for layer, (weight, bias) in zip(found, graphs.real_values(layers), strict=True):
        np.testing.assert_array_equal(layer.weight, weight, strict=True)
        np.testing.assert_array_equal(layer.bias, bias, strict=True)


def test_batch_norms_behind_convolutions_become_part_of_them(tmp_path):
    layers = graphs.mobilenet('split')
    path = tmp_path / 'split.tflite'
    path.write_bytes(graphs.graph(layers))
    found = read_convolutions(path)
    for layer, (weight, bias) in zip(found, graphs.real_values(layers), strict=True):
        np.testing.assert_array_equal(layer.weight, weight, strict=True)
        np.testing.assert_array_equal(layer.bias, bias, strict=True)


def test_the_encoder_computes_what_the_graph_does(made):
    _, path = made
    image = picture(97, 129)
    with torch.inference_mode():
        found = encoder(path)(normalised(image))
        expected = graphs.run(path.read_bytes(), 2 * image - 1, BORDER)
    for feature, tap in zip(found, graphs.TAPS, strict=True):
        assert expected[tap][1].std() > 0.01
        assert relative(feature, expected[tap][1]) < 1e-5


def test_the_graphs_own_border_changes_little(int8):
    image = picture(97, 129)
    with torch.inference_mode():
        found = encoder(int8)(normalised(image))
        expected = graphs.run(int8.read_bytes(), 2 * image - 1)
    assert 1e-3 < relative(found[-1], expected[-1][1]) < 0.01


# --- statistics ---------------------------------------------------------------------------------

def test_restored_statistics_change_no_output_and_let_training_begin(int8):
    images = normalised(picture(96, 128, count=10))
    network, restored = encoder(int8), encoder(int8)
    assert lack_statistics(network.state_dict())
    restore_batch_norms(restored, images, batch_size=4)
    assert not lack_statistics(restored.state_dict()) and not restored.training
    others = normalised(picture(65, 97, seed=2, count=2))
    with torch.inference_mode():
        before, after = network(others), restored(others)
        assert all(relative(b, a) < 1e-5 for a, b in zip(before, after, strict=True))
        # Batch statistics of the same images are the restored statistics.
        expected = network(images)
        found, broken = restored.train()(images), network.train()(images)
    for feature, other, wanted in zip(found, broken, expected, strict=True):
        assert relative(feature, wanted) < 1e-4
        assert relative(other, wanted) > 0.3


def test_restored_statistics_are_those_of_all_images():
    torch.manual_seed(0)
    module = nn.Sequential(nn.BatchNorm2d(3))
    images = torch.randn(7, 3, 4, 5) * torch.tensor([1., 2, 3]).view(3, 1, 1) + 4
    restore_batch_norms(module, images, batch_size=3)
    torch.testing.assert_close(module[0].running_mean, images.mean((0, 2, 3)))
    torch.testing.assert_close(module[0].running_var, images.var((0, 2, 3), correction=0))
    assert module.training


# --- jrn_convert --------------------------------------------------------------------------------

def test_jrn_convert_writes_an_encoder_with_a_card(int8, tmp_path, capsys):
    path = tmp_path / 'out' / 'encoder.safetensors'
    assert main([str(int8), str(path)]) == 0
    assert 'no network to run' in capsys.readouterr().out
    found, expected = load_file(path), read_tflite(int8)
    assert found.keys() == expected.keys() == MobileNetV2().state_dict().keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    card = json.loads(path.with_suffix('.json').read_text())
    assert card['training'] == {
        'converted': {'file': 'theirs.tflite',
                      'sha256': hashlib.sha256(int8.read_bytes()).hexdigest()},
        'batch_norms': 'folded'}
    assert card['sha256'] == weights.sha256(path)


def refused(capsys, path, reason, *options):
    output = path.parent / 'refused.safetensors'
    assert main([str(path), str(output), *options]) == 1
    text = capsys.readouterr().err
    assert text.startswith('jrn_convert: ') and len(text.splitlines()) == 1
    assert str(path) in text and reason in text
    assert not output.exists()


def test_other_graphs_are_refused(tmp_path, capsys):
    path, layers = tmp_path / 'other.tflite', graphs.mobilenet('int8')
    for changed, reason in (
            (layers[:50], '50 convolutions, a MobileNet-v2 has 51'),
            ([*layers[:3], *layers[4:]], 'no MobileNet-v2: stages.1.0.expand is (96, 1, 3, 3), '
                                         'expected (96, 16, 1, 1)'),
            ([], '0 convolutions')):
        path.write_bytes(graphs.graph(changed))
        refused(capsys, path, reason)


def test_numbers_that_are_none_are_refused(tmp_path, capsys):
    path, layers = tmp_path / 'nan.tflite', graphs.mobilenet('int8')
    layers[4].weight.scale[3] = np.nan
    path.write_bytes(graphs.graph(layers))
    refused(capsys, path, 'damaged, stages.1.0.depthwise.conv.weight is not finite')
    layers = graphs.mobilenet('int8')
    layers[0].weight.scale = None
    path.write_bytes(graphs.graph(layers))
    refused(capsys, path, 'has integers without a scale')


def test_a_convolution_without_a_bias_is_refused(tmp_path, capsys):
    path, writer, layer = tmp_path / 'bias.tflite', graphs.Writer(), graphs.mobilenet('int8')[0]
    weight = writer.tensor(layer.weight)
    writer.operator(graphs.OPS.CONV_2D, [writer.tensor(), weight, -1])
    path.write_bytes(writer.file())
    refused(capsys, path, 'operator 0 has no bias')
    writer = graphs.Writer()
    writer.operator(graphs.OPS.CONV_2D, [writer.tensor(), writer.tensor(), writer.tensor()])
    path.write_bytes(writer.file())
    refused(capsys, path, 'tensor 1 is no constant')


def test_damaged_files_are_refused(int8, tmp_path, capsys):
    path, content = tmp_path / 'damaged.tflite', int8.read_bytes()
    refused(capsys, path, 'no such file')
    for damaged in (b'', b'no graph at all', content[:8], content[:2000],
                    b'\xff\xff\xff\x7f' + content[4:]):
        path.write_bytes(damaged)
        refused(capsys, path, 'no TensorFlow Lite file' if len(damaged) < 16
                and damaged != content[:8] else 'damaged, or no graph of plain convolutions')


def test_each_damage_is_a_line_or_none(int8, tmp_path, capsys):
    """Wherever bytes change, the file is read or refused in one line."""
    path, content = tmp_path / 'damaged.tflite', int8.read_bytes()
    # The tables, which lie behind the numbers or before them; a flip of a number is no error.
    random = np.random.default_rng(0)
    for position in [*range(0, 200, 12), *random.integers(0, len(content), 10)]:
        changed = bytearray(content)
        changed[position] ^= 0xff
        path.write_bytes(changed)
        code = main([str(path), str(tmp_path / 'out.safetensors')])
        captured = capsys.readouterr()
        assert code in (0, 1)
        assert len((captured.out + captured.err).splitlines()) == 1


def test_a_variant_and_a_missing_package_are_one_line(int8, capsys):
    refused(capsys, int8, 'is a MobileNet-v2, which has no variants', '--variant', 'nyu40')
    program = ('import sys; sys.modules["tflite"] = None; '
               'from jrn_perception.cli.convert import main; sys.exit(main())')
    done = subprocess.run(
        [sys.executable, '-c', program, str(int8), str(int8.parent / 'out.safetensors')],
        capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "jrn_convert: tflite is missing: pip install '.[train]'\n"


# --- the public file ----------------------------------------------------------------------------

@pytest.fixture(scope='module')
def public():
    """Return the file that `pretrained.ADE20K_URL` names, where it lies beside the data."""
    from jrn_perception.training import pretrained
    repository = Path(__file__).resolve().parents[2]
    data = Path(os.environ.get('JRN_DATA', repository.parent / 'shared' / 'data'))
    path = data.parent / 'weights' / Path(pretrained.ADE20K_PATH).name
    if not path.is_file():
        pytest.skip(f'no {path.name} in {path.parent} (set JRN_DATA to the folder beside it)')
    assert weights.sha256(path) == pretrained.ADE20K_SHA256
    return path


def test_the_public_graph_is_read_exactly(public):
    image = picture(97, 129)
    with torch.inference_mode():
        # The graph has output stride 16.
        found = encoder(public, 16)(normalised(image))
        expected = graphs.run(public.read_bytes(), 2 * image - 1, BORDER)
    for feature, tap in zip(found, graphs.TAPS, strict=True):
        assert relative(feature, expected[tap][1]) < 1e-5


def test_the_public_graph_runs_alike_in_its_own_runtime(public):
    interpreters = pytest.importorskip('ai_edge_litert.interpreter',
                                       reason='needs pip install ai-edge-litert')
    image = (255 * picture(512, 512)).to(torch.uint8)
    interpreter = interpreters.Interpreter(
        str(public), experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=interpreters.OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]['index'],
                           image.permute(0, 2, 3, 1).numpy())
    interpreter.invoke()
    details = {entry['index']: entry for entry in interpreter.get_tensor_details()}
    with torch.inference_mode():
        expected = graphs.run(public.read_bytes(), image / 127.5 - 1)
    for tap in graphs.TAPS:
        number, value = expected[tap]
        scale, zero = details[number]['quantization']
        found = scale * (interpreter.get_tensor(number).astype(np.float32) - zero)
        pair = np.stack((found.ravel(), value.permute(0, 2, 3, 1).numpy().ravel()))
        # Its activations have 8 bits.
        assert np.corrcoef(pair)[0, 1] > 0.98
