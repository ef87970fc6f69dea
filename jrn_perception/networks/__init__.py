# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The table of networks; the networks are pure torch, one file per architecture.

Launch choices, the node's parameters, weights files and README tables derive from
``ARCHITECTURES``: architecture -> variant -> ``Spec``. An architecture's first variant is its
default. Reading the table imports no torch: ``Spec.build`` does.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TYPE_CHECKING

from jrn_perception import labels as label_sets
from jrn_perception.labels import LabelSet
from jrn_perception.networks.interface import TASKS

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Spec:
    """
    One network of the table: its public name and, as separate fields, the network's parts.

    ``heads`` maps each task to its output channels. ``labels`` is the label set of the semantics,
    None without that task. ``encoder`` is a key of ``networks.encoders.ENCODERS``, '' if the
    network has no such encoder. ``weights`` is the tag of the shipped weights, the data set that
    they were trained on, '' if none are shipped. ``parameters`` is the golden number of
    parameters under default options, frozen ones included. ``inputs``, for a network that refines
    the predictions of other networks, names their (architecture, variant). ``can_mute`` tells
    whether the influence of one task on the other can be switched off: a JRN's by muting an input,
    a symbiosis network's by muting a direction of its attention.

    ``build(**options)`` returns the network with random weights; ``options`` are the keyword
    arguments that the card of a weights file may hold.
    """

    architecture: str
    variant: str
    summary: str
    parameters: int
    build: Callable[..., nn.Module]
    heads: Mapping[str, int]
    labels: LabelSet | None = None
    encoder: str = ''
    weights: str = ''
    inputs: tuple[tuple[str, str], ...] = ()
    can_mute: bool = False

    @property
    def name(self) -> str:
        return f'{self.architecture}_{self.variant}'


def _jrn(*, fusion: str, channels: int, parameters: int,
         labels: LabelSet = label_sets.NYU5) -> Spec:
    classes = len(labels)
    finer = labels != label_sets.NYU5

    def build(**options: Any) -> nn.Module:
        from jrn_perception.networks.jrn import JointRefinementNetwork, JRNOptions
        return JointRefinementNetwork(fusion, channels, classes, JRNOptions(**options))

    return Spec(
        architecture='jrn', variant=f'{fusion}{channels}{f"_{labels.name}" if finer else ""}',
        summary=f'joint refinement, {fusion} fusion, C = {channels}, {classes} classes',
        parameters=parameters, build=build, heads={'depth': 1, 'semantics': classes},
        labels=labels, weights='' if finer else 'nyuv2',
        inputs=(('depth', 'mobilenetv2'), ('semantics', 'mobilenetv2')), can_mute=True)


def _hydranet(*, variant: str, summary: str, parameters: int, labels: LabelSet,
              encoder: str = 'mobilenetv2', dropout: float = 0., normals: bool = False,
              weights: str = '') -> Spec:
    heads = {'semantics': len(labels), 'depth': 1} | ({'normals': 3} if normals else {})

    def build(*, depth_activation: str = 'softplus', encoder_stride: int = 32) -> nn.Module:
        from jrn_perception.networks.hydranet import HydraNet
        return HydraNet(heads, depth_activation, encoder, dropout, encoder_stride)

    return Spec(architecture='hydranet', variant=variant, summary=summary, parameters=parameters,
                build=build, heads=heads, labels=labels, encoder=encoder, weights=weights)


def _hydranet_custom(*, depth_activation: str = 'softplus', classes: int = 1,
                     encoder_stride: int = 32) -> nn.Module:
    from jrn_perception.networks.hydranet import HydraNet
    return HydraNet({'semantics': classes, 'depth': 1}, depth_activation,
                    encoder_stride=encoder_stride)


def _symbiosis(*, variant: str, summary: str, parameters: int, labels: LabelSet,
               build: Callable[..., nn.Module]) -> Spec:
    return Spec(architecture='symbiosis', variant=variant, summary=summary, parameters=parameters,
                build=build, heads={'semantics': len(labels), 'depth': 1}, labels=labels,
                encoder='mobilenetv2', can_mute=True)


def _symbiosis_custom(*, depth_activation: str = 'softplus', classes: int = 1,
                      encoder_stride: int = 32) -> nn.Module:
    from jrn_perception.networks.symbiosis import SymbiosisNetwork
    return SymbiosisNetwork(classes, depth_activation, encoder_stride)


def _symbiosis_nyu40(*, depth_activation: str = 'softplus', encoder_stride: int = 32
                     ) -> nn.Module:
    return _symbiosis_custom(depth_activation=depth_activation, classes=len(label_sets.NYU40),
                             encoder_stride=encoder_stride)


def _depth(*, encoder_stride: int = 32) -> nn.Module:
    from jrn_perception.networks.single_task import depth_network
    return depth_network(encoder_stride)


def _semantics(*, encoder_stride: int = 32) -> nn.Module:
    from jrn_perception.networks.single_task import semantics_network
    return semantics_network(len(label_sets.NYU40), encoder_stride)


def _multiscale(*, normals: bool = False) -> nn.Module:
    from jrn_perception.networks.external.multiscale import MultiScaleDepth
    return MultiScaleDepth(normals=normals)


def _fcn16s(**options: Any) -> nn.Module:
    from jrn_perception.networks.external.fcn import FCN16s
    return FCN16s(len(label_sets.NYU40), **options)


def _by_variant(*specs: Spec) -> dict[str, Spec]:
    return {spec.variant: spec for spec in specs}


ARCHITECTURES: dict[str, dict[str, Spec]] = {
    'jrn': _by_variant(
        _jrn(fusion='sum', channels=60, parameters=532_206),
        _jrn(fusion='cat', channels=60, parameters=564_606),
        _jrn(fusion='cat', channels=10, parameters=29_406),
        _jrn(fusion='cat', channels=5, parameters=13_011),
        _jrn(fusion='cat', channels=1, parameters=4_755),
        _jrn(fusion='sum', channels=60, parameters=607_841, labels=label_sets.NYU40),
        _jrn(fusion='cat', channels=60, parameters=640_241, labels=label_sets.NYU40),
        _jrn(fusion='cat', channels=10, parameters=57_791, labels=label_sets.NYU40),
        _jrn(fusion='cat', channels=5, parameters=36_671, labels=label_sets.NYU40),
        _jrn(fusion='cat', channels=1, parameters=24_635, labels=label_sets.NYU40)),
    'hydranet': _by_variant(
        _hydranet(variant='nyu40', summary='NYU-Depth v2, 40 classes and depth',
                  parameters=3_070_057, labels=label_sets.NYU40, weights='nyuv2'),
        _hydranet(variant='nyu40_normals',
                  summary='NYU-Depth v2, 40 classes, depth and surface normals',
                  parameters=3_077_228, labels=label_sets.NYU40, normals=True),
        _hydranet(variant='nyu40_resnet50',
                  summary='nyu40 with ResNet-50 and dropout, for GPUs and as a teacher',
                  parameters=25_570_153, labels=label_sets.NYU40, encoder='resnet50',
                  dropout=0.5),
        _hydranet(variant='kitti6', summary='KITTI, 6 classes and depth', parameters=2_991_687,
                  labels=label_sets.KITTI6),
        _hydranet(variant='nyu40_kitti6',
                  summary='one network for NYU-Depth v2 and KITTI, 46 classes and depth',
                  parameters=3_083_887, labels=label_sets.NYU40_KITTI6),
        Spec(architecture='hydranet', variant=label_sets.CUSTOM,
             summary="depth and classes of one's own, named in the weights' card",
             parameters=2_980_162, build=_hydranet_custom, heads={'semantics': 1, 'depth': 1},
             labels=label_sets.custom(['something']), encoder='mobilenetv2')),
    'symbiosis': _by_variant(
        _symbiosis(variant='nyu40', summary='hydranet nyu40 with attention between its tasks',
                   parameters=3_070_573, labels=label_sets.NYU40, build=_symbiosis_nyu40),
        _symbiosis(variant=label_sets.CUSTOM, summary='hydranet custom with this attention',
                   parameters=2_980_678, labels=label_sets.custom(['something']),
                   build=_symbiosis_custom)),
    'depth': _by_variant(
        Spec(architecture='depth', variant='mobilenetv2',
             summary='depth alone, the HydraNet design', parameters=2_977_601, build=_depth,
             heads={'depth': 1}, encoder='mobilenetv2', weights='nyuv2'),
        Spec(architecture='depth', variant='multiscale',
             summary="Eigen & Fergus's three scales, VGG-16, the paper's input",
             parameters=217_298_676, build=_multiscale, heads={'depth': 1})),
    'semantics': _by_variant(
        Spec(architecture='semantics', variant='mobilenetv2',
             summary='40 classes alone, the HydraNet design', parameters=3_067_496,
             build=_semantics, heads={'semantics': 40}, labels=label_sets.NYU40,
             encoder='mobilenetv2', weights='nyuv2'),
        Spec(architecture='semantics', variant='fcn16s',
             summary="FCN-16s, VGG-16, the paper's input", parameters=136_108_944, build=_fcn16s,
             heads={'semantics': 40}, labels=label_sets.NYU40)),
}


# The network of a user who names none: the JRN costs twice its time and is not better than its own
# inputs on the official test frames (docs/results.md).
DEFAULT = 'hydranet'

# Models of somebody else, alone: no network of the table, but one of the choices of the node. Its
# variants are the label sets that its classes become.
EXTERNAL = 'external'


def _no_network(**options: Any) -> nn.Module:
    raise ValueError(f'{EXTERNAL}: has no weights file; it is made of a depth source and a '
                     'semantics source')


_EXTERNALS = {labels.name: Spec(
    architecture=EXTERNAL, variant=labels.name, parameters=0, build=_no_network, labels=labels,
    summary=f'any depth model and any semantics model, {len(labels)} classes',
    heads={'depth': 1, 'semantics': len(labels)})
    for labels in (label_sets.NYU40, label_sets.NYU5, label_sets.ADE20K150)}


def architectures_with(*tasks: str) -> tuple[str, ...]:
    """Return the architectures whose variants all have a head for each of the tasks."""
    return tuple(architecture for architecture, variants in ARCHITECTURES.items()
                 if all(set(tasks) <= set(spec.heads) for spec in variants.values()))


def variants(architecture: str) -> tuple[str, ...]:
    """Return the variants of an architecture of the table or of ``external``, default first."""
    return tuple(_EXTERNALS if architecture == EXTERNAL else ARCHITECTURES[architecture])


def architecture_of(variant: str, first: str = DEFAULT) -> str:
    """
    Return the architecture for depth and semantics that has the variant; '' is any's default.

    It is ``first`` where several have it, or none.
    """
    if not variant or variant in variants(first):
        return first
    return next((name for name in architectures_with('depth', 'semantics')
                 if variant in variants(name)), first)


def refinements(labels: LabelSet = label_sets.NYU5) -> tuple[str, ...]:
    """Return the variants of the JRN that predict ``labels``; by default the paper's five."""
    return tuple(variant for variant, spec in ARCHITECTURES['jrn'].items()
                 if spec.labels == labels)


def list_networks(architecture: str = '', *, tasks: Collection[str] = (),
                  shipped: bool = False) -> list[str]:
    """
    Return the names, 'architecture_variant', of the networks in the table, in its order.

    ``architecture`` limits the list to its variants, ``tasks`` to networks with a head for each
    of these tasks, ``shipped`` to networks whose weights come with the package. Raises ValueError
    that lists the choices.
    """
    if architecture:
        find(architecture)
    unknown = sorted(set(tasks) - set(TASKS))
    if unknown:
        raise ValueError(f'unknown task {unknown[0]!r}: choose from {", ".join(TASKS)}')
    return [spec.name for name, variants in ARCHITECTURES.items() if architecture in ('', name)
            for spec in variants.values()
            if set(tasks) <= set(spec.heads) and (spec.weights or not shipped)]


def find(architecture: str, variant: str = '') -> Spec:
    """
    Return the spec of an architecture's variant; '' is its default one.

    Raises ValueError that lists the choices.
    """
    if architecture not in ARCHITECTURES and architecture != EXTERNAL:
        raise ValueError(f'unknown architecture {architecture!r}: choose from '
                         f'{", ".join(ARCHITECTURES)}')
    specs = _EXTERNALS if architecture == EXTERNAL else ARCHITECTURES[architecture]
    variant = variant or next(iter(specs))
    if variant not in specs:
        raise ValueError(f'unknown variant {variant!r} of {architecture}: choose from '
                         f'{", ".join(specs)}')
    return specs[variant]
