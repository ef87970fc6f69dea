# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Published checkpoints, converted to weights files with cards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import json
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
import zipfile

from jrn_perception import networks, weights
from jrn_perception.networks.conversion import (
    convert_folded,
    convert_published,
    convert_torchvision,
)
from jrn_perception.networks.encoders.mobilenet import MobileNetV2
from jrn_perception.weights.tflite import read_convolutions, SUFFIX
import torch
from torch import Tensor

ENCODER_FORMAT = 'encoder-1'


class UnknownCheckpoint(ValueError):
    """A file that cannot be converted; one line."""


@dataclass(frozen=True)
class _Published:
    """The data that one of the authors' networks was trained on."""

    data: str
    input_size: tuple[int, int]
    depth_range: tuple[float, float]
    focal_length: tuple[float, float] | None = None


# The paper's timings use these sizes; the authors' pictures of depth reach 8 m and 80 m.
_NYU = _Published('NYU-Depth v2', (480, 640), (0.1, 10.0), (518.86, 519.47))
_KITTI = _Published('KITTI', (350, 1200), (1.0, 80.0))
PUBLISHED = {'nyu40': _NYU, 'nyu40_normals': _NYU, 'kitti6': _KITTI,
             'nyu40_kitti6': _Published('NYU-Depth v2 and KITTI', (480, 640), (0.1, 80.0))}


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """
    Return the tensors of a checkpoint, which may lie under 'state_dict'.

    Nothing but tensors and plain containers is unpickled. A prefix 'module.', which
    DataParallel adds, is dropped. Raises UnknownCheckpoint.
    """
    if not path.is_file():
        raise UnknownCheckpoint(f'{path}: no such file')
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except (UnpicklingError, EOFError, KeyError, OSError, RuntimeError, TypeError,
            ValueError, zipfile.BadZipFile) as error:
        # torch's message fills a page and ends with advice to unpickle the file nevertheless.
        raise UnknownCheckpoint(f'{path}: no checkpoint of PyTorch that holds nothing but tensors '
                                f'({type(error).__name__})') from error
    if isinstance(content, Mapping) and isinstance(content.get('state_dict'), Mapping):
        content = content['state_dict']
    if not isinstance(content, Mapping) or not content or not all(
            isinstance(value, Tensor) for value in content.values()):
        raise UnknownCheckpoint(f'{path}: holds no state_dict (names and tensors)')
    return {str(key).removeprefix('module.'): value for key, value in content.items()}


def convert(checkpoint: Path, output: Path, variant: str = '') -> str:
    """
    Write ``output`` (.safetensors) and its card; return a line about the written file.

    ``variant`` is the expected variant of a HydraNet. Raises UnknownCheckpoint, ValueError, and
    ModuleNotFoundError without the package that reads ``checkpoint``.
    """
    if output.suffix != '.safetensors':
        raise ValueError(f'{output}: the output is a file NAME.safetensors')
    if checkpoint.suffix == SUFFIX:
        _refuse_variant(checkpoint, variant)
        state, origin = read_tflite(checkpoint), _origin(checkpoint)
        return _write_encoder(state, output, {'converted': origin, 'batch_norms': 'folded'})
    state = read_checkpoint(checkpoint)
    _check_finite(checkpoint, state)
    origin = _origin(checkpoint)
    if 'layer1.0.weight' in state and 'pre_depth.weight' in state:
        return _convert_hydranet(checkpoint, state, output, variant, origin)
    if 'features.0.0.weight' in state and 'features.17.conv.2.weight' in state:
        _refuse_variant(checkpoint, variant)
        return _convert_encoder(checkpoint, state, output, origin)
    raise UnknownCheckpoint(
        f'{checkpoint}: neither a published HydraNet (layer1.0.weight, ..., segm.bias) nor '
        f"torchvision's mobilenet_v2 (features.0.0.weight, ...): the first of its {len(state)} "
        f'keys is {next(iter(state))}')


def read_tflite(path: Path) -> dict[str, Tensor]:
    """
    Return the ``MobileNetV2`` state in a TensorFlow Lite file; its batch norms lack statistics.

    Raises UnknownCheckpoint for another graph or a damaged file, ModuleNotFoundError without the
    package ``tflite``.
    """
    if not path.is_file():
        raise UnknownCheckpoint(f'{path}: no such file')
    try:
        layers = read_convolutions(path)
        state = convert_folded([(torch.from_numpy(layer.weight), torch.from_numpy(layer.bias))
                                for layer in layers])
    except ValueError as error:
        raise UnknownCheckpoint(f'{path}: {error}') from error
    _check_finite(path, state)
    return state


def _origin(checkpoint: Path) -> dict[str, str]:
    return {'file': checkpoint.name, 'sha256': weights.sha256(checkpoint)}


def _refuse_variant(checkpoint: Path, variant: str) -> None:
    if variant:
        raise ValueError(f'variant {variant!r}: {checkpoint} is a MobileNet-v2, which has no '
                         'variants')


def _check_finite(checkpoint: Path, state: Mapping[str, Tensor]) -> None:
    for key, value in state.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise UnknownCheckpoint(f'{checkpoint}: damaged, {key} is not finite')


def _convert_hydranet(path: Path, state: dict[str, Tensor], output: Path, variant: str,
                      origin: dict[str, str]) -> str:
    try:
        converted = convert_published(state)
    except KeyError as error:
        raise UnknownCheckpoint(f'{path}: {error.args[0]}') from error
    found = _variant(path, converted)
    if variant and networks.find('hydranet', variant).variant != found:
        raise UnknownCheckpoint(f'{path}: is variant {found!r}, expected {variant!r}')
    spec = networks.find('hydranet', found)
    options = {'depth_activation': 'abs'}
    network = spec.build(**options)
    _load(path, network, converted)
    # Half precision ends at 65504.
    large = [name for name, value in network.state_dict().items()
             if value.is_floating_point() and not value.half().isfinite().all()]
    if large:
        raise UnknownCheckpoint(f'{path}: {large[0]} has values beyond half precision')
    facts = PUBLISHED[found]
    card = weights.save(network, weights.Card(
        spec.architecture, found, spec.labels.name, options, facts.input_size,
        facts.focal_length, facts.depth_range,
        training={'data': facts.data, 'converted': origin,
                  'source': 'Nekrasov et al., ICRA 2019, checkpoint of the authors'},
        licence='academic use only, by the README of the authors (multi-task-refinenet)'), output)
    return (f'{output}: hydranet {found}, {len(spec.labels)} classes, sha256 {card.sha256[:12]}…; '
            f'licence: {card.licence}')


def _variant(path: Path, state: Mapping[str, Tensor]) -> str:
    bias = state.get('heads.semantics.predict.bias')
    classes, normals = len(bias) if bias is not None else 0, 'heads.normals.scale.weight' in state
    for name in PUBLISHED:
        labels = networks.find('hydranet', name).labels
        if (len(labels), name.endswith('_normals')) == (classes, normals):
            return name
    raise UnknownCheckpoint(f'{path}: a HydraNet of {classes} classes '
                            f'{"with" if normals else "without"} normals is none of '
                            f'{", ".join(PUBLISHED)}')


def _convert_encoder(path: Path, state: dict[str, Tensor], output: Path,
                     origin: dict[str, str]) -> str:
    try:
        converted = convert_torchvision(state)
    except KeyError as error:
        raise UnknownCheckpoint(f'{path}: a MobileNet-v2 that lacks {error.args[0]}') from error
    network = MobileNetV2()
    _load(path, network, converted)
    return _write_encoder(network.state_dict(), output,
                          {'data': 'ImageNet', 'converted': origin})


def _write_encoder(state: Mapping[str, Tensor], output: Path, training: dict[str, Any]) -> str:
    weights.write_tensors(state, output)
    card = {'card_format': ENCODER_FORMAT, 'architecture': 'mobilenetv2', 'training': training,
            'sha256': weights.sha256(output)}
    output.with_suffix('.json').write_text(json.dumps(card, indent=2) + '\n')
    return (f'{output}: encoder mobilenetv2, sha256 {card["sha256"][:12]}…; a start for training, '
            'no network to run')


def _load(path: Path, network: torch.nn.Module, state: dict[str, Tensor]) -> None:
    """Load ``state``; UnknownCheckpoint names the first tensor that is missing or misshapen."""
    expected = network.state_dict()
    for name, value in expected.items():
        if name.endswith('num_batches_tracked'):
            # Older checkpoints lack these counters, which inference does not use.
            state.setdefault(name, torch.zeros_like(value))
        elif name not in state:
            raise UnknownCheckpoint(f'{path}: lacks {name}')
    for name, value in state.items():
        if name not in expected or value.shape != expected[name].shape:
            wanted = tuple(expected[name].shape) if name in expected else 'nothing'
            raise UnknownCheckpoint(f'{path}: {name} is {tuple(value.shape)}, expected {wanted}')
    network.load_state_dict(state)
