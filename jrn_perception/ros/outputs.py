# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The maps and clouds that the node publishes: one table, each computed only when wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from jrn_perception import drawing
from jrn_perception.messages.camera_info import Intrinsics
from jrn_perception.perception import Prediction
from jrn_perception.ros.conversions.images import depth_message, image_message
from jrn_perception.ros.conversions.points import cloud_message, decimate
from jrn_perception.ros.parameters import Settings
from jrn_perception.ros.qos import DATA_QOS, PICTURE_QOS
import numpy as np
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Header


class Result:
    """
    One processed frame: what the outputs are made from, shared between them.

    ``intrinsics`` are those of the camera, None if it is not calibrated.
    """

    def __init__(self, rgb: np.ndarray, prediction: Prediction, settings: Settings,
                 header: Header, intrinsics: Intrinsics | None = None):
        self.rgb, self.prediction, self.settings = rgb, prediction, settings
        self.header, self.intrinsics = header, intrinsics
        self.depth_range = prediction.depth_limits(settings.min_depth, settings.max_depth)

    @cached_property
    def depth(self) -> np.ndarray:
        return self.prediction.valid_depth(self.settings.min_depth, self.settings.max_depth)

    @cached_property
    def labels(self) -> np.ndarray:
        return self.prediction.confident_labels(self.settings.confidence_threshold)


@dataclass(frozen=True)
class Output:
    """
    A topic of type ``kind``.

    ``picture`` marks those made for people to look at, ``influence`` those for which a JRN runs in
    all set-ups of the influence test, ``cloud`` the points and what belongs to them, for which the
    camera has to be calibrated; all three are made for a subscriber only, lazy or not. ``metric``
    marks those in metres, which take the correction for the focal length.
    """

    name: str
    meaning: str
    make: Callable[[Result], Image | PointCloud2]
    kind: type = Image
    picture: bool = False
    influence: bool = False
    cloud: bool = False
    metric: bool = False

    @property
    def optional(self) -> bool:
        return self.picture or self.influence or self.cloud

    @property
    def qos(self) -> QoSProfile:
        return PICTURE_QOS if self.picture else DATA_QOS


def _depth(result: Result) -> Image:
    return depth_message(result.depth, result.header, result.settings.depth_encoding)


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


def _depth_color(result: Result) -> Image:
    low, high = result.depth_range
    # The limits of the weights, scaled for this camera, may all lie beyond one that is set.
    picture = drawing.colourise_depth(result.depth, low, max(high, low + 0.001),
                                      result.settings.depth_colormap)
    return image_message(picture, result.header, 'rgb8')


def _semantics_color(result: Result) -> Image:
    picture = drawing.colourise_labels(result.labels, result.prediction.label_set)
    return image_message(picture, result.header, 'rgb8')


def _overlay(result: Result) -> Image:
    picture = drawing.overlay(result.rgb, result.labels, result.prediction.label_set,
                              result.settings.overlay_alpha)
    return image_message(picture, result.header, 'rgb8')


def _points(result: Result) -> PointCloud2:
    return cloud_message(result.depth, result.labels, result.prediction.confidence,
                         result.intrinsics, result.header, result.settings.points_stride)


def _points_semantics(result: Result) -> Image:
    labels = decimate(result.labels, result.settings.points_stride)
    return image_message(labels, result.header, 'mono8')


def _points_confidence(result: Result) -> Image:
    confidence = decimate(result.prediction.confidence, result.settings.points_stride)
    return image_message(_to_byte(confidence), result.header, 'mono8')


def _to_byte(confidence: np.ndarray) -> np.ndarray:
    return np.rint(255 * confidence).astype(np.uint8)


OUTPUTS = (
    Output('depth', '32FC1 metres along the optical axis, NaN = invalid (or 16UC1 mm, 0)', _depth,
           metric=True),
    Output('semantics', 'mono8 class ids, 255 = unlabelled', _semantics),
    Output('confidence', '32FC1, 0..1, the probability of the class (or mono8, 0..255)',
           _confidence),
    Output('influence/depth', '32FC1 metres by which semantics moved the depth (jrn only)',
           _influence_depth, influence=True, metric=True),
    Output('influence/semantics', '32FC1, -1..1, probability that depth added to the class '
           '(jrn only)', _influence_semantics, influence=True),
    Output('depth_color', 'rgb8, the depth in colours', _depth_color, picture=True, metric=True),
    Output('semantics_color', "rgb8, the classes' colours", _semantics_color, picture=True),
    Output('overlay', "rgb8, the classes' colours over the picture", _overlay, picture=True),
    Output('points', 'organised cloud: x, y, z in metres, confidence (0..1), class of every pixel',
           _points, kind=PointCloud2, cloud=True, metric=True),
    Output('points/semantics', 'mono8 class ids of the points, 255 = unlabelled',
           _points_semantics, cloud=True),
    Output('points/confidence', 'mono8, 0..255, the probability of the classes of the points',
           _points_confidence, cloud=True),
)
