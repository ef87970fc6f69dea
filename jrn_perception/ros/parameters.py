# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The node's parameters: one table that declares, validates and documents them.

``config/jrn.yaml`` and the table of ``docs/node.md`` are tested against it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
import math
from types import SimpleNamespace
from typing import Any

from jrn_perception import networks, weights
from jrn_perception.drawing import COLORMAPS
from jrn_perception.messages import poses
from jrn_perception.networks.interface import MUTE, MUTE_VALUES
from jrn_perception.perception.backends.choice import BACKENDS
from jrn_perception.perception.backends.interface import PRECISIONS
from jrn_perception.perception.inputs.interface import NETWORK, Sources
from jrn_perception.ros import qos
from jrn_perception.ros.camera_topics import parse_cameras
from jrn_perception.ros.parameter_files import Origins
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node


@dataclass(frozen=True)
class Parameter:
    """
    One row of the table.

    ``choices`` or the closed range ``low``..``high`` bound the value. ``dynamic``: it may change
    while the node runs. ``settable`` is False where only the node itself sets the parameter.
    """

    name: str
    default: Any
    meaning: str
    choices: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf
    dynamic: bool = True
    settable: bool = True

    def check(self, value: Any) -> Any:
        """Return ``value`` in the default's type; ValueError that says what is accepted."""
        expected = type(self.default)
        # `-p max_rate:=5` is an integer to ROS, but means 5.0.
        if expected is float and type(value) is int:
            value = float(value)
        if type(value) is tuple:
            value = list(value)
        if type(value) is not expected:
            raise ValueError(f'{self.name}: expected {_TYPES[expected]}, got {value!r}')
        if self.choices and value not in self.choices:
            raise ValueError(f'{self.name}: {value!r} is none of {", ".join(self.choices)}')
        if expected in (int, float) and not self.low <= value <= self.high:
            raise ValueError(f'{self.name}: {value} is outside {self.low:g}..{self.high:g}')
        return value

    @property
    def read_only(self) -> bool:
        """Return whether rclpy refuses changes; it may not for `labels`: the node sets them."""
        return not self.dynamic and self.settable

    def descriptor(self) -> ParameterDescriptor:
        """Return what `ros2 param describe` and rqt show."""
        descriptor = ParameterDescriptor(
            description=self.meaning,
            additional_constraints=(', '.join(self.choices) if self.settable
                                    else 'set by the node'),
            read_only=self.read_only,
            # An integer is accepted where a float is meant; ``check`` keeps the types apart.
            dynamic_typing=True)
        if type(self.default) is float:
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=self.low, to_value=self.high)]
        elif type(self.default) is int:
            descriptor.integer_range = [IntegerRange(from_value=self.low, to_value=self.high)]
        return descriptor


_TYPES = {bool: 'true or false', int: 'an integer', float: 'a number', str: 'a string',
          list: 'a list of strings'}

# The node publishes depth and semantics.
WITH_BOTH_TASKS = networks.architectures_with('depth', 'semantics')

# The names of the topics below range/.
RANGE_INPUTS = ('points', 'scan', 'image', 'range')

PARAMETERS = tuple(Parameter(*row, **bounds) for *row, bounds in (
    ('architecture', networks.DEFAULT, 'network: hydranet is one network with two heads, jrn '
     'refines two single-task networks, symbiosis is a hydranet whose heads attend to each other, '
     'external a depth_source and a semantics_source alone',
     {'choices': (*WITH_BOTH_TASKS, networks.EXTERNAL)}),
    ('variant', '', "variant of the architecture; empty for the architecture's first; alone, it "
     'takes the architecture that has it; reads back as the one in use', {}),
    ('mute', 'none', 'influence test: this modality is muted, at the input of the JRN or '
     'between the heads of symbiosis', {'choices': MUTE}),
    ('mute_value', 'zero', 'what a muted input is replaced by', {'choices': MUTE_VALUES}),
    ('depth_source', NETWORK, "depth for the jrn or external: network (the jrn's own), sensor "
     '(images on sensor_depth), a Hugging Face name or folder, an ONNX file, or a yaml file that '
     'describes one', {}),
    ('semantics_source', NETWORK, 'semantics for the jrn or external: as depth_source, without '
     'sensor', {}),
    ('weights', '', 'path of a weights file; empty for the shipped ones, random for tests', {}),
    ('device', 'auto', 'auto (CUDA if there is one, else the CPU), cpu, cuda or cuda:N',
     {'dynamic': False}),
    ('precision', 'auto', 'auto is fp16 on CUDA and fp32 on a CPU',
     {'choices': PRECISIONS, 'dynamic': False}),
    ('backend', 'auto', 'runtime; auto is openvino, onnxruntime or torch on a CPU, the first that '
     'is installed, and torch on CUDA', {'choices': BACKENDS, 'dynamic': False}),
    ('threads', 0, 'threads of the network on the CPU; 0 for the physical cores',
     {'low': 0, 'high': 1024, 'dynamic': False}),
    ('inference_height', 0, "rows of the network's input; 0 for the size of training, in the "
     "picture's aspect", {'low': 0, 'high': 4096, 'dynamic': False}),
    ('inference_width', 0, "columns of the network's input; 0 as for inference_height",
     {'low': 0, 'high': 4096, 'dynamic': False}),
    ('cameras', '', 'names of several cameras, with commas between, whose topics are front/image, '
     'front/depth and so on; empty: one camera, with image and depth', {'dynamic': False}),
    ('image_transport', 'raw', 'raw reads image, compressed reads image/compressed',
     {'choices': ('raw', 'compressed'), 'dynamic': False}),
    ('depth_encoding', '32FC1', '32FC1 is metres with NaN for invalid, 16UC1 millimetres with 0',
     {'choices': ('32FC1', '16UC1'), 'dynamic': False}),
    ('confidence_encoding', '32FC1', '32FC1 is 0..1, mono8 0..255 as Nav2 reads it',
     {'choices': ('32FC1', 'mono8'), 'dynamic': False}),
    ('points_stride', 1, 'points, points/semantics and points/confidence have every n-th row and '
     'column', {'low': 1, 'high': 64}),
    ('points_confidence', 'class', 'confidence of points and points/confidence: class, the '
     'probability of the class, or depth, 1 - the relative standard deviation of depth',
     {'choices': ('class', 'depth')}),
    ('focal_correction', True, 'correct depth where the focal length in image_camera_info differs '
     'from training', {}),
    ('rectified', 'auto', "whether the images are rectified (camera_info's P) or raw (its K and "
     "D); auto: yes if the topic's name says rect",
     {'choices': ('auto', 'yes', 'no'), 'dynamic': False}),
    ('min_depth', 0.0, "metres; nearer is invalid; 0 for the weights' own limit",
     {'low': 0.0, 'high': 1000.0}),
    ('max_depth', 0.0, "metres; farther is invalid; 0 for the weights' own limit",
     {'low': 0.0, 'high': 1000.0}),
    ('out_of_range', 'nan', 'depth outside of the limits: nan, or inf, which is -inf before and '
     '+inf beyond them (REP 117)', {'choices': ('nan', 'inf')}),
    ('depth_confidence_threshold', 0.0, 'depth is invalid where its standard deviation is a '
     'larger share of it; 0 for off', {'low': 0.0, 'high': 10.0}),
    ('no_depth_classes', 'predicted', 'depth of windows, mirrors and sky; cap is the largest '
     'valid depth', {'choices': ('predicted', 'nan', 'inf', 'cap')}),
    ('camera_height', 0.0, 'metres of the camera above the floor, which scale depth where floor '
     'is seen; 0 if not known', {'low': 0.0, 'high': 100.0}),
    ('range_inputs', '', 'range sensors that correct depth, of points, scan, image and range, '
     'with commas between', {'dynamic': False}),
    ('range_max_age', 0.2, 'seconds by which the stamps of image and measurement may differ',
     {'low': 0.0, 'high': 3600.0}),
    ('range_extrinsics', '', "pose of the range sensor in the images' frame: x y z qx qy qz qw; "
     'empty: tf2 has it', {'dynamic': False}),
    ('anchoring', 'field', 'richest correction of depth by range sensors, or off',
     {'choices': ('field', 'scale_shift', 'scale', 'off')}),
    ('temporal_filter', 0.0, 'seconds over which depth and classes are averaged where the picture '
     'does not change; 0 for off', {'low': 0.0, 'high': 10.0}),
    ('confidence_threshold', 0.0, 'labels that are less probable become 255, unlabelled',
     {'low': 0.0, 'high': 1.0}),
    ('autostart', True, 'process frames from the start; false waits for a lifecycle manager to '
     'configure and activate the node', {'dynamic': False}),
    ('enabled', True, 'process frames; also set by the service ~/enable', {}),
    ('lazy', True, 'run the network only while somebody subscribes to an output', {}),
    ('max_rate', 0.0, 'frames per second at most; 0 for no limit', {'low': 0.0, 'high': 1000.0}),
    ('max_age', 0.0, 'seconds after its stamp when a frame is too old to process; 0 for never',
     {'low': 0.0, 'high': 3600.0}),
    ('max_latency_ms', 0.0, 'milliseconds from the stamp of an image to its outputs; while frames '
     'take longer, a HydraNet in place of the jrn and smaller inputs are used; 0 for no limit',
     {'low': 0.0, 'high': 60_000.0}),
    ('overlay_alpha', 0.5, "share of the classes' colours in the overlay",
     {'low': 0.0, 'high': 1.0}),
    ('depth_colormap', 'turbo', 'colours of depth_color', {'choices': tuple(COLORMAPS)}),
    ('compressed_format', 'jpeg', 'jpeg or png for depth_color/compressed, '
     'semantics_color/compressed and overlay/compressed', {'choices': ('jpeg', 'png')}),
    ('jpeg_quality', 95, 'quality of these JPEGs', {'low': 1, 'high': 100}),
    ('png_level', 3, 'compression of PNGs, depth/compressedDepth and semantics/compressed among '
     'them; higher is smaller and slower', {'low': 0, 'high': 9}),
    ('compressed_depth_max', 10.0, 'metres; farther is invalid in depth/compressedDepth',
     {'low': 1.0, 'high': 100.0}),
    ('compressed_depth_quantization', 100.0, 'metres at which a step of depth/compressedDepth is '
     '1 m, for 32FC1', {'low': 1.0, 'high': 150.0}),
    ('max_processing_time_ms', 500.0, 'diagnostics warn when a frame takes longer on average',
     {'low': 0.0, 'high': 60_000.0}),
    ('max_silence_s', 2.0, 'diagnostics report an error when no frame arrives, or a frame is in '
     'progress, for so long', {'low': 0.1, 'high': 3600.0}),
    ('labels', [''], "class names by id, from the weights' card",
     {'dynamic': False, 'settable': False}),
))
BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}
# The parameters that name the network: changing one of them loads another network.
IDENTITY = ('architecture', 'variant', 'weights', 'depth_source', 'semantics_source')

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
