# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Pure torch, a file per architecture; this is the table of contents.

Launch choices, the node's parameters, weights files and README tables derive from
``ARCHITECTURES``: architecture -> variant -> ``Spec``. The first variant is the default one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jrn_perception import labels
from jrn_perception.networks.external.fcn import FCN16s
from jrn_perception.networks.external.multiscale import MultiScaleDepth
from jrn_perception.networks.hydranet import HydraNet
from jrn_perception.networks.jrn import JointRefinementNetwork, JRNOptions
from jrn_perception.networks.single_task import depth_network, semantics_network
from torch import nn


@dataclass(frozen=True)
class Spec:
    """
    One network of the table.

    ``build(**options)`` makes it; ``options`` are the keyword arguments that its weights' card may
    hold. ``labels`` is the label set it predicts, None for depth alone. ``parameters`` is the
    golden number of parameters, frozen ones included, under default options. ``inputs`` names,
    for a network that refines others' predictions, the (architecture, variant) of each task's
    network.
    """

    architecture: str
    variant: str
    summary: str
    parameters: int
    build: Callable[..., nn.Module]
    labels: labels.LabelSet | None
    inputs: tuple[tuple[str, str], ...] = ()

    @property
    def name(self) -> str:
        return f'{self.architecture}_{self.variant}'


def _jrn(variant: str, fusion: str, channels: int, parameters: int) -> Spec:
    return Spec(
        'jrn', variant, f'joint refinement, {fusion} fusion, C = {channels}', parameters,
        lambda **options: JointRefinementNetwork(
            fusion, channels, len(labels.NYU5), JRNOptions(**options)),
        labels.NYU5, inputs=(('depth', 'mobilenetv2'), ('semantics', 'mobilenetv2')))


def _hydranet(variant: str, label_set: labels.LabelSet, parameters: int, summary: str,
              normals: bool = False, **fixed: Any) -> Spec:
    heads = {'semantics': len(label_set), 'depth': 1} | ({'normals': 3} if normals else {})
    return Spec('hydranet', variant, summary, parameters,
                lambda **options: HydraNet(heads, **fixed, **options), label_set)


_SPECS = (
    _jrn('sum60', 'sum', 60, 532_206),
    _jrn('cat60', 'cat', 60, 564_606),
    _jrn('cat10', 'cat', 10, 29_406),
    _jrn('cat5', 'cat', 5, 13_011),
    _jrn('cat1', 'cat', 1, 4_755),
    _hydranet('nyu40', labels.NYU40, 3_070_057, 'NYU-Depth v2, 40 classes and depth'),
    _hydranet('nyu40_normals', labels.NYU40, 3_077_228,
              'NYU-Depth v2, 40 classes, depth and surface normals', normals=True),
    _hydranet('nyu40_resnet50', labels.NYU40, 25_570_153,
              'the same with ResNet-50 and dropout, for GPUs and as a teacher',
              encoder='resnet50', dropout=0.5),
    _hydranet('kitti6', labels.KITTI6, 2_991_687, 'KITTI, 6 classes and depth'),
    _hydranet('nyu40_kitti6', labels.NYU40_KITTI6, 3_083_887,
              'one network for NYU-Depth v2 and KITTI, 46 classes and depth'),
    Spec('hydranet', labels.CUSTOM, "depth and classes of one's own, named in the weights' card",
         2_980_162, lambda classes=1, **options: HydraNet(
             {'semantics': classes, 'depth': 1}, **options), labels.custom(['something'])),
    Spec('depth', 'mobilenetv2', 'depth alone, the HydraNet design', 2_977_601,
         depth_network, None),
    Spec('depth', 'multiscale', "Eigen & Fergus's three scales, VGG-16, the paper's input",
         217_298_676, MultiScaleDepth, None),
    Spec('semantics', 'mobilenetv2', '40 classes alone, the HydraNet design', 3_067_496,
         lambda: semantics_network(len(labels.NYU40)), labels.NYU40),
    Spec('semantics', 'fcn16s', "FCN-16s, VGG-16, the paper's input", 136_108_944,
         lambda **options: FCN16s(len(labels.NYU40), **options), labels.NYU40),
)

ARCHITECTURES: dict[str, dict[str, Spec]] = {}
for _spec in _SPECS:
    ARCHITECTURES.setdefault(_spec.architecture, {})[_spec.variant] = _spec

# The architectures that give depth and semantics, the node's choice.
JOINT = ('jrn', 'hydranet')


def find(architecture: str, variant: str = '') -> Spec:
    """
    Return the spec of an architecture's variant; '' is its default one.

    Raises ValueError that lists the choices.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(f'unknown architecture {architecture!r}: choose from '
                         f'{", ".join(ARCHITECTURES)}')
    variants = ARCHITECTURES[architecture]
    variant = variant or next(iter(variants))
    if variant not in variants:
        raise ValueError(f'unknown variant {variant!r} of {architecture}: choose from '
                         f'{", ".join(variants)}')
    return variants[variant]
