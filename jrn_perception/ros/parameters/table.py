# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
One table of the node's parameters, which declares and documents them.

``config/jrn.yaml`` and the table of ``docs/node.md`` are tested against it.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import Any

from jrn_perception import networks
from jrn_perception.drawing import COLORMAPS
from jrn_perception.networks.interface import MUTE, MUTE_VALUES
from jrn_perception.perception.backends.choice import BACKENDS
from jrn_perception.perception.backends.interface import PRECISIONS
from jrn_perception.perception.inputs.interface import NETWORK
from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor


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
