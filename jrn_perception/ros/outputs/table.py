# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""One table of the maps and clouds that the node publishes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from jrn_perception import drawing
from jrn_perception.perception import Perception
from jrn_perception.ros.conversions.compressed import (
    compressed_depth,
    compressed_ids,
    compressed_picture,
)
from jrn_perception.ros.conversions.images import depth_message, image_message
from jrn_perception.ros.conversions.points import cloud_message, decimate
from jrn_perception.ros.middleware.qos import DATA_QOS, PICTURE_QOS
from jrn_perception.ros.outputs.result import Result
from jrn_perception.ros.parameters.settings import Settings
import numpy as np
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image, PointCloud2

# The strongest colours of the influences, in metres and in probability.
INFLUENCE_DEPTH, INFLUENCE_SEMANTICS = 0.5, 0.5


@dataclass(frozen=True)
class Output:
    """
    A topic of type ``kind``, whose message ``make`` returns.

    ``picture`` marks outputs made for people to look at. ``influence`` marks outputs for which a
    JRN runs in all set-ups of the influence test. ``cloud`` marks the point cloud and its
    companions, which need a calibrated camera. These are made for a subscriber only, whatever
    ``lazy`` says. ``metric`` marks outputs in metres, which are corrected for the focal length.
    ``deviation`` marks the output that needs weights with a fitted deviation of depth, and a
    subscriber. ``transport`` is the last part of the name of a compressed output, which
    image_transport derives from the topic before it; such an output needs a subscriber as well.
    """

    name: str
    meaning: str
    make: Callable[[Result], Image | CompressedImage | PointCloud2]
    kind: type = Image
    picture: bool = False
    influence: bool = False
    cloud: bool = False
    metric: bool = False
    deviation: bool = False
    transport: str = ''

    @property
    def optional(self) -> bool:
        return (self.picture or self.influence or self.cloud or self.deviation
                or bool(self.transport))

    @property
    def qos(self) -> QoSProfile:
        return PICTURE_QOS if self.picture else DATA_QOS

    def available(self, perception: Perception) -> bool:
        """Return whether this network can give the output at all."""
        return ((perception.can_mute or not self.influence)
                and (perception.card.depth_deviation is not None or not self.deviation))


def _depth(result: Result) -> Image:
    # There are infinities only if a parameter wants them.
    return depth_message(result.depth, result.header, result.settings.depth_encoding,
                         infinite=True)


def _depth_confidence(result: Result) -> Image:
    return image_message(result.prediction.depth_deviation, result.header, '32FC1')


def _semantics(result: Result) -> Image:
    return image_message(result.labels, result.header, 'mono8')


def _confidence(result: Result) -> Image:
    confidence, encoding = result.prediction.confidence, result.settings.confidence_encoding
    if encoding == 'mono8':
        confidence = _to_byte(confidence)
    return image_message(confidence, result.header, encoding)


def _influence_depth(result: Result) -> Image:
    return image_message(result.prediction.influence_depth, result.header, '32FC1')


def _influence_semantics(result: Result) -> Image:
    return image_message(result.prediction.influence_semantics, result.header, '32FC1')


def _influence_depth_color(result: Result) -> Image:
    picture = drawing.colourise_signed(result.prediction.influence_depth, INFLUENCE_DEPTH)
    return image_message(picture, result.header, 'rgb8')


def _influence_semantics_color(result: Result) -> Image:
    picture = drawing.colourise_signed(result.prediction.influence_semantics, INFLUENCE_SEMANTICS)
    return image_message(picture, result.header, 'rgb8')


def _normals(result: Result) -> Image:
    return image_message(result.normals, result.header, '32FC3')


def _normals_color(result: Result) -> Image:
    return image_message(drawing.colourise_normals(result.normals), result.header, 'rgb8')


def _depth_color(result: Result) -> Image:
    return image_message(result.depth_color, result.header, 'rgb8')


def _semantics_color(result: Result) -> Image:
    return image_message(result.semantics_color, result.header, 'rgb8')


def _overlay(result: Result) -> Image:
    return image_message(result.overlay, result.header, 'rgb8')


def _compressed_depth(result: Result) -> CompressedImage:
    return compressed_depth(result.depth, result.header, result.settings)


def _compressed_semantics(result: Result) -> CompressedImage:
    return compressed_ids(result.labels, result.header, result.settings)


def _compressed_depth_color(result: Result) -> CompressedImage:
    return compressed_picture(result.depth_color, result.header, result.settings)


def _compressed_semantics_color(result: Result) -> CompressedImage:
    return compressed_picture(result.semantics_color, result.header, result.settings)


def _compressed_overlay(result: Result) -> CompressedImage:
    return compressed_picture(result.overlay, result.header, result.settings)


def _points(result: Result) -> PointCloud2:
    return cloud_message(result.depth, result.labels, result.points_confidence,
                         result.intrinsics, result.header, result.settings.points_stride)


def _points_semantics(result: Result) -> Image:
    labels = decimate(result.labels, result.settings.points_stride)
    return image_message(labels, result.header, 'mono8')


def _points_confidence(result: Result) -> Image:
    confidence = decimate(result.points_confidence, result.settings.points_stride)
    return image_message(_to_byte(confidence), result.header, 'mono8')


def _to_byte(confidence: np.ndarray) -> np.ndarray:
    return np.rint(255 * confidence).astype(np.uint8)


OUTPUTS = (
    Output('depth', '32FC1 metres along the optical axis, NaN = invalid (or 16UC1 mm, 0)', _depth,
           metric=True),
    Output('semantics', 'mono8 class ids, 255 = unlabelled', _semantics),
    Output('confidence', '32FC1, 0..1, the probability of the class (or mono8, 0..255)',
           _confidence),
    Output('depth_confidence', '32FC1 metres, the standard deviation of depth, lower '
           'around the points of range sensors', _depth_confidence, metric=True, deviation=True),
    Output('influence/depth', '32FC1 metres by which semantics moved the depth (jrn and '
           'symbiosis)',
           _influence_depth, influence=True, metric=True),
    Output('influence/semantics', '32FC1, -1..1, probability that depth added to the class '
           '(jrn and symbiosis)', _influence_semantics, influence=True),
    Output('influence/depth_color', 'rgb8, the influence on depth: blue nearer, red farther',
           _influence_depth_color, picture=True, influence=True, metric=True),
    Output('influence/semantics_color', 'rgb8, the influence on the class: blue against, red for '
           'it', _influence_semantics_color, picture=True, influence=True),
    Output('normals', '32FC3 unit normals of the surfaces in the optical frame, from depth and '
           'camera_info; NaN = unknown', _normals, cloud=True, metric=True),
    Output('normals_color', 'rgb8, the normals: x, y and -z as red, green and blue',
           _normals_color, picture=True, cloud=True, metric=True),
    Output('depth_color', 'rgb8, the depth in colours', _depth_color, picture=True, metric=True),
    Output('semantics_color', "rgb8, the classes' colours", _semantics_color, picture=True),
    Output('overlay', "rgb8, the classes' colours over the picture", _overlay, picture=True),
    Output('points', 'organised cloud: x, y, z in metres, confidence (0..1), class of every pixel',
           _points, kind=PointCloud2, cloud=True, metric=True),
    Output('points/semantics', 'mono8 class ids of the points, 255 = unlabelled',
           _points_semantics, cloud=True),
    Output('points/confidence', 'mono8, 0..255, the confidence of the points: points_confidence',
           _points_confidence, cloud=True),
    Output('depth/compressedDepth', 'depth as a PNG of 16 bits, for thin links',
           _compressed_depth, kind=CompressedImage, metric=True, transport='compressedDepth'),
    Output('semantics/compressed', 'semantics as a PNG', _compressed_semantics,
           kind=CompressedImage, transport='compressed'),
    Output('depth_color/compressed', 'depth_color as JPEG or PNG', _compressed_depth_color,
           kind=CompressedImage, picture=True, metric=True, transport='compressed'),
    Output('semantics_color/compressed', 'semantics_color as JPEG or PNG',
           _compressed_semantics_color, kind=CompressedImage, picture=True,
           transport='compressed'),
    Output('overlay/compressed', 'overlay as JPEG or PNG', _compressed_overlay,
           kind=CompressedImage, picture=True, transport='compressed'),
)


def need_metres(outputs: Iterable[Output], settings: Settings) -> bool:
    """Return whether an output depends on depth in metres, which then are corrected."""
    return any(output.metric or (settings.points_confidence == 'depth'
                                 and output.make is _points_confidence) for output in outputs)
