# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The values of the node's parameters: given at start, changed later, checked together."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from jrn_perception import networks, weights
from jrn_perception.messages import poses
from jrn_perception.perception.inputs.interface import NETWORK, Sources
from jrn_perception.ros.middleware import qos
from jrn_perception.ros.middleware.camera_topics import parse_cameras
from jrn_perception.ros.parameters.files import Origins
from jrn_perception.ros.parameters.table import (
    BY_NAME,
    IDENTITY,
    PARAMETERS,
    RANGE_INPUTS,
    WITH_BOTH_TASKS,
)
from rclpy.node import Node

# Declared by rclpy itself.
_CLOCK = f'{qos.PREFIX}./clock.'
_RCLPY = ('use_sim_time', 'start_type_description_service')


class Settings(SimpleNamespace):
    """The value of every parameter at one moment, as attributes."""

    @property
    def identity(self) -> tuple[str, ...]:
        """Return the values of ``IDENTITY``: equal ones mean the same network."""
        return tuple(getattr(self, name) for name in IDENTITY)


def declare(node: Node, origins: Origins) -> Settings:
    """
    Declare all parameters on ``node`` and return their values.

    ``node`` must have been made with ``automatically_declare_parameters_from_overrides=True``,
    which makes unknown names visible. Raises ValueError for an unknown name and for a value that
    is not accepted; an unknown name in a file for several nodes is logged.
    """
    given = {name: parameter.value for name, parameter in node.get_parameters_by_prefix('').items()
             if name not in _RCLPY and not name.startswith(_CLOCK)}
    unknown = {name for name in given
               if name not in BY_NAME and not name.startswith(f'{qos.PREFIX}.')}
    if misspelt := unknown - origins.foreign:
        raise ValueError(f'unknown parameters: {", ".join(sorted(misspelt))}; there are: '
                         f'{", ".join(BY_NAME)}')
    if unknown:
        node.get_logger().warning(
            f'no parameters of this node, ignored: {", ".join(sorted(unknown))} (from a section '
            'of a parameter file that has a wildcard)')
    for name in given:
        node.undeclare_parameter(name)
    _follow_origins(given, origins)
    values = {}
    for parameter in PARAMETERS:
        # Before rclpy checks the descriptor's range: our messages tell more than rclpy's.
        value = given.get(parameter.name, parameter.default)
        if type(value) is bool and 'yes' in parameter.choices:
            # `-p rectified:=yes` is true to ROS.
            value = 'yes' if value else 'no'
        value = parameter.check(value)
        node.declare_parameter(parameter.name, value, parameter.descriptor(), ignore_override=True)
        values[parameter.name] = value
    return check_together(Settings(**values))


def _follow_origins(given: dict[str, Any], origins: Origins) -> None:
    """
    Change ``given`` where it names one network by habit and another one on purpose.

    A dump of the parameters (`ros2 param dump`) also holds variant and labels of the network that
    ran. A user who changes its architecture, or gives a different one beside it, means the new
    network. And a variant, or a weights file by its card, brings its network, as at run time,
    unless the user names one.
    """
    default = BY_NAME['architecture'].default
    name, file, variant = (given.get(key, BY_NAME[key].default) for key in
                           ('architecture', 'weights', 'variant'))
    if name not in WITH_BOTH_TASKS or not all(type(each) is str for each in (file, variant)):
        return  # It is refused later, with the reason.
    chosen = 'architecture' in origins.own or name != default
    if not chosen:
        given['architecture'] = name = networks.architecture_of(variant, name)
    if file not in ('', weights.RANDOM):
        path = weights.resolve(file, name)
        card = weights.read_card(path)
        if card.architecture in WITH_BOTH_TASKS and not chosen:
            given['architecture'] = name = card.architecture
        if card.architecture == name and (not variant or 'variant' not in origins.own
                                          and variant in _variants_of_others(name)):
            # The card has not been checked yet: its variant may be anything.
            given['variant'] = variant = str(card.variant)
    if set(BY_NAME) <= set(given):  # Only a dump has them all.
        given['labels'] = BY_NAME['labels'].default
        if variant in _variants_of_others(name):
            given['variant'] = ''


def _variants_of_others(architecture: str) -> list[str]:
    own = networks.ARCHITECTURES[architecture]
    return [variant for other in WITH_BOTH_TASKS for variant in networks.ARCHITECTURES[other]
            if variant not in own]


def merge(settings: Settings, changes: Mapping[str, Any]) -> Settings:
    """
    Return ``settings`` with ``changes``, checked; ValueError gives the reason of a refusal.

    A weights file belongs to one network. Changing only ``weights`` takes architecture and variant
    from the card of the file. Changing only ``architecture`` or ``variant`` switches back to the
    shipped weights; ``architecture`` also takes its default variant, and ``variant`` the
    architecture that has it.
    """
    values = dict(vars(settings))
    for name, value in changes.items():
        parameter = BY_NAME[name]
        value = parameter.check(value)
        if not parameter.settable and value != values[name]:
            raise ValueError(f'{name}: is set by the node, not from outside')
        if not parameter.dynamic and value != values[name]:
            raise ValueError(f'{name}: cannot change while the node runs; set it at start')
        values[name] = value
    if 'architecture' not in changes and 'weights' not in changes:
        values['architecture'] = networks.architecture_of(values['variant'],
                                                          settings.architecture)
    elif values['architecture'] != settings.architecture and 'variant' not in changes:
        values['variant'] = ''
    if values['weights'] not in (settings.weights, '', weights.RANDOM):
        _follow_card(values, changes)
    new = check_together(Settings(**values))
    moved = (new.architecture, new.variant) != (settings.architecture, settings.variant)
    if moved and 'weights' not in changes and new.weights != weights.RANDOM:
        new.weights = ''
    return new


def _follow_card(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Take architecture and variant from the card of the weights file unless ``changes`` do."""
    if {'architecture', 'variant'} <= set(changes):
        return
    path = weights.resolve(values['weights'], values['architecture'])
    card = weights.read_card(path)
    if 'architecture' not in changes:
        if card.architecture not in WITH_BOTH_TASKS:
            raise ValueError(f'{path}: holds architecture {card.architecture!r}, expected one of '
                             f'{", ".join(WITH_BOTH_TASKS)}')
        values['architecture'] = card.architecture
    # If the architecture differs from the requested one, loading the file refuses it.
    if 'variant' not in changes and values['architecture'] == card.architecture:
        # The card has not been checked yet: its variant may be anything.
        values['variant'] = str(card.variant)


def check_labels(given: list[str], labels: list[str]) -> None:
    """Raise ValueError if the labels ``given`` at start are not the network's."""
    if given not in (BY_NAME['labels'].default, labels):
        raise ValueError('labels: is set by the node, from the weights; do not set it')


def check_limits(settings: Settings, trained: tuple[float, float]) -> None:
    """Raise ValueError if the set limits and the ``trained`` ones leave no valid depth."""
    low, high = settings.min_depth or trained[0], settings.max_depth or trained[1]
    if low >= high:
        raise ValueError(f'min_depth {settings.min_depth:g} and max_depth {settings.max_depth:g} '
                         f'leave no valid depth: {low:g} to {high:g} m (0 is the limit of the '
                         'weights)')


def check_together(settings: Settings) -> Settings:
    """Return ``settings`` with the variant's name filled in; ValueError if two contradict."""
    settings.variant = networks.find(settings.architecture, settings.variant).variant
    if settings.mute != 'none' and not networks.find(
            settings.architecture, settings.variant).can_mute:
        raise ValueError(f'mute: {settings.architecture} has no modality at its input to mute; '
                         'only the jrn has (architecture jrn), and symbiosis between its tasks')
    sources = Sources(settings.depth_source, settings.semantics_source)
    if sources != Sources() and settings.architecture not in ('jrn', networks.EXTERNAL):
        raise ValueError(f'depth_source, semantics_source: {settings.architecture} sees pictures '
                         f'alone; choose architecture jrn or {networks.EXTERNAL}, or set both to '
                         f'{NETWORK}')
    if settings.max_latency_ms and settings.architecture == networks.EXTERNAL:
        raise ValueError('max_latency_ms: has nothing to choose from with architecture '
                         f'{networks.EXTERNAL}, whose models have one size of input; set it to 0')
    range_inputs(settings)
    cameras = parse_cameras(settings.cameras)
    if settings.range_extrinsics:
        if len(cameras) > 1:
            raise ValueError('range_extrinsics: is a pose in the frame of one camera, and cameras '
                             f'names {len(cameras)}; give the poses to tf2')
        try:
            poses.from_text(settings.range_extrinsics)
        except ValueError as error:
            raise ValueError(f'range_extrinsics: {error}') from None
    return settings


def range_inputs(settings: Settings) -> list[str]:
    """Return the names in the parameter range_inputs; ValueError for an unknown name."""
    names = settings.range_inputs.replace(',', ' ').split()
    unknown = [name for name in names if name not in RANGE_INPUTS]
    if unknown or len(names) != len(set(names)):
        raise ValueError(f'range_inputs: {settings.range_inputs!r} are not some of '
                         f'{", ".join(RANGE_INPUTS)}, each once')
    return names
