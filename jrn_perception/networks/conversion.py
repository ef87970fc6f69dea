# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Other projects' checkpoints as the state of this package's networks and encoders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
import math
import re

from jrn_perception.networks.encoders import mobilenet, resnet
from jrn_perception.networks.interface import MEAN, STD
import torch
from torch import nn, Tensor

_BATCH_NORM = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')


# --- HydraNet, published by Nekrasov et al. -----------------------------------------------------

_TASKS = {'segm': 'semantics', 'depth': 'depth', 'normal': 'normals'}
_BLOCK = ('expand', 'depthwise', 'project')
_LAYER = ('conv', 'bn')
# How the authors' names begin, and how ours do. Their levels count from fine to coarse.
_PUBLISHED = (
    (r'layer1\.0\.', 'encoder.stem.conv.'),
    (r'layer1\.1\.', 'encoder.stem.bn.'),
    (r'layer(\d)\.(\d)\.output\.(\d)\.(\d)\.', lambda m: (
        f'encoder.stages.{int(m[1]) - 2}.{m[2]}.{_BLOCK[int(m[3])]}.{_LAYER[int(m[4])]}.')),
    (r'conv([3-8])\.', lambda m: f'decoder.projections.{int(m[1]) - 3}.'),
    (r'crp([1-4])\.0\.(\d)_outvar_dimred\.',
     lambda m: f'decoder.pooling.{4 - int(m[1])}.projections.{int(m[2]) - 1}.'),
    (r'conv_adapt([2-4])\.', lambda m: f'decoder.adaptions.{4 - int(m[1])}.'),
    (r'pre_(segm|depth|normal)\.', lambda m: f'heads.{_TASKS[m[1]]}.scale.'),
    (r'(segm|depth|normal)\.', lambda m: f'heads.{_TASKS[m[1]]}.predict.'),
)


def convert_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """
    Return the ``HydraNet`` state of a checkpoint published by the authors; exact.

    The network must be built with ``depth_activation='abs'``, because the authors' depth head is
    linear. Raises KeyError that names the first key that is not the authors'.
    """
    converted = {}
    for key, value in state.items():
        for pattern, target in _PUBLISHED:
            renamed, count = re.subn(rf'^{pattern}', target, key)
            if count:
                converted[renamed] = value
                break
        else:
            raise KeyError(f'{key!r} is no key of a published HydraNet checkpoint')
    return converted


# --- MobileNet-v2, trained with torchvision -----------------------------------------------------

def convert_torchvision(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """
    Return the ``MobileNetV2`` state of torchvision's ``mobilenet_v2`` checkpoint; exact.

    The first block's expansion, which torchvision does not have, becomes an identity kernel. Its
    batch normalisation has gamma = sqrt(1 + eps), which undoes the division by the running
    deviation, and the ReLU6 behind it changes nothing, because another ReLU6 came before. Raises
    KeyError that names the first key that the checkpoint lacks.
    """
    def layer(target: str, conv: str, bn: str) -> None:
        converted[f'{target}.conv.weight'] = state[f'{conv}.weight']
        for name in _BATCH_NORM:
            converted[f'{target}.bn.{name}'] = state[f'{bn}.{name}']

    converted: dict[str, Tensor] = {}
    layer('stem', 'features.0.0', 'features.0.1')
    source = 0
    for stage, (_, _, count, _) in enumerate(mobilenet.STAGES):
        for block in range(count):
            source += 1
            target, conv = f'stages.{stage}.{block}', f'features.{source}.conv'
            if source == 1:
                converted |= _identity_expansion(f'{target}.expand')
                layer(f'{target}.depthwise', f'{conv}.0.0', f'{conv}.0.1')
                layer(f'{target}.project', f'{conv}.1', f'{conv}.2')
            else:
                layer(f'{target}.expand', f'{conv}.0.0', f'{conv}.0.1')
                layer(f'{target}.depthwise', f'{conv}.1.0', f'{conv}.1.1')
                layer(f'{target}.project', f'{conv}.2', f'{conv}.3')
    return converted


def _identity_expansion(target: str) -> dict[str, Tensor]:
    count = mobilenet.STEM_CHANNELS
    return {f'{target}.conv.weight': torch.eye(count)[:, :, None, None],
            **_shift(f'{target}.bn', torch.zeros(count))}


# --- MobileNet-v2 without batch norms, from TensorFlow Lite --------------------------------------

# Its graphs take RGB in 0..1, minus this mean and divided by this deviation: x / 127.5 - 1.
GRAPH_MEAN, GRAPH_STD = 0.5, 0.5


def convert_folded(layers: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """
    Return the ``MobileNetV2`` state of a graph whose batch norms are folded into convolutions.

    ``layers`` are the weights (out, in / groups, height, width) and biases (out,) of the graph's
    convolutions, in its order; only the first 51 are MobileNet-v2's. The first convolution absorbs
    the difference between the graph's normalisation of pictures and ours, exactly except at the
    image border, where the padding stands for a slightly different grey. Biases become the shifts
    of batch norms without statistics, which is exact at inference; before training they need
    ``layers.restore_batch_norms``. Raises ValueError that names the first misshapen layer.
    """
    expected = mobilenet.MobileNetV2().state_dict()
    names = list(_mobilenet_layers())
    if len(layers) < len(names):
        raise ValueError(f'{len(layers)} convolutions, a MobileNet-v2 has {len(names)}')
    converted = _identity_expansion('stages.0.0.expand')
    for name, (weight, bias) in zip(names, layers):
        wanted = expected[f'{name}.conv.weight'].shape
        if weight.shape != wanted or bias.shape != wanted[:1]:
            raise ValueError(f'no MobileNet-v2: {name} is {tuple(weight.shape)}, expected '
                             f'{tuple(wanted)}')
        if name == 'stem':
            mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
            bias = bias + (weight * (mean - GRAPH_MEAN) / GRAPH_STD).sum((1, 2, 3))
            weight = weight * std / GRAPH_STD
        converted[f'{name}.conv.weight'] = weight
        converted |= _shift(f'{name}.bn', bias)
    return converted


def _mobilenet_layers() -> Iterator[str]:
    """Yield the names of the convolutions in their order, without the identity expansion."""
    yield 'stem'
    for stage, (_, _, count, _) in enumerate(mobilenet.STAGES):
        for block in range(count):
            for layer in _BLOCK if stage else _BLOCK[1:]:
                yield f'stages.{stage}.{block}.{layer}'


def _shift(target: str, bias: Tensor) -> dict[str, Tensor]:
    """Return the state of a batch norm that adds ``bias`` and does nothing else."""
    one = torch.ones_like(bias)
    gamma = one * math.sqrt(1 + mobilenet.BATCH_NORM_EPS)
    values = (gamma, bias, torch.zeros_like(bias), one, torch.tensor(0))
    return {f'{target}.{name}': value for name, value in zip(_BATCH_NORM, values)}


# --- ResNet-50, trained with Caffe, from Keras --------------------------------------------------

# What Keras and Caffe subtract from RGB in 0..255.
CAFFE_MEAN = (123.68, 116.779, 103.939)
# The first convolution is divided by this: its outputs are in grey levels, up to thousands.
STEM_SCALE = 64


def convert_keras(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """
    Return the ``ResNet50`` state of Keras's ImageNet weights (originally Caffe's).

    ``weights`` maps names such as ``res2a_branch2a/kernel`` to arrays in Keras's layout (h, w, in,
    out). Keras's input is BGR in 0..255 minus its mean; ours is RGB under ``MEAN`` and ``STD``.
    The first convolution absorbs the difference, exactly except at the image border, where the
    padding stands for a slightly different grey. Batch normalisation keeps torch's eps of 1e-5,
    which is Caffe's, under which the weights were trained; Keras's file says 1e-3. Raises
    KeyError that names a missing weight.
    """
    def layer(target: str, source: str) -> None:
        kernel = weights[f'{_convolution(source)}/kernel'].permute(3, 2, 0, 1)
        offset = weights[f'{_convolution(source)}/bias']
        if target == 'stem':
            kernel = kernel.flip(1)
            shift = 255 * torch.tensor(MEAN) - torch.tensor(CAFFE_MEAN)
            offset = offset + (kernel.sum(dim=(2, 3)) * shift).sum(1)
            kernel = kernel * (255 * torch.tensor(STD))[:, None, None]
        bn = {name: weights[f'{source}/{key}'] for name, key in (
            ('weight', 'gamma'), ('bias', 'beta'), ('running_mean', 'moving_mean'),
            ('running_var', 'moving_variance'))}
        # The mean of batch normalisation removes a constant that was added before.
        bn['running_mean'] = bn['running_mean'] - offset
        if target == 'stem':
            # Its variance removes a factor: float16, in which weights are kept, ends at 65504.
            kernel = kernel / STEM_SCALE
            bn['running_mean'] = bn['running_mean'] / STEM_SCALE
            eps = nn.BatchNorm2d(1).eps
            bn['running_var'] = (bn['running_var'] + eps) / STEM_SCALE ** 2 - eps
        converted[f'{target}.conv.weight'] = kernel.contiguous()
        converted.update({f'{target}.bn.{name}': value for name, value in bn.items()})
        converted[f'{target}.bn.num_batches_tracked'] = torch.tensor(0)

    converted: dict[str, Tensor] = {}
    layer('stem', 'bn_conv1')
    for stage, (_, count, _) in enumerate(resnet.STAGES):
        for block in range(count):
            target = f'stages.{stage}.{block}'
            source = f'bn{stage + 2}{"abcdef"[block]}_branch'
            for part, branch in (('reduce', '2a'), ('filter', '2b'), ('expand', '2c')):
                layer(f'{target}.{part}', source + branch)
            if not block:
                layer(f'{target}.shortcut', source + '1')
    return converted


def _convolution(bn: str) -> str:
    return bn.removeprefix('bn_') if bn.startswith('bn_') else 'res' + bn.removeprefix('bn')
