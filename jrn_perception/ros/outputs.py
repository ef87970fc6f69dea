# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""One table of the maps and clouds that the node publishes; each is made only when wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

from jrn_perception import drawing
from jrn_perception.labels import LabelSet
from jrn_perception.messages.camera_info import Intrinsics
from jrn_perception.perception import Perception, Prediction
from jrn_perception.perception.anchoring import depthless_ids, DepthlessRule, without_depth
from jrn_perception.ros.camera_topics import topic
from jrn_perception.ros.configuration import Configuration
from jrn_perception.ros.conversions.compressed import (
    compressed_depth,
    compressed_ids,
    compressed_picture,
)
from jrn_perception.ros.conversions.images import depth_message, image_message
from jrn_perception.ros.conversions.normals import surface_normals
from jrn_perception.ros.conversions.points import cloud_message, decimate
from jrn_perception.ros.parameters import Settings
from jrn_perception.ros.qos import DATA_QOS, PICTURE_QOS, publish_on_demand
import numpy as np
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.timer import Timer
from sensor_msgs.msg import CompressedImage, Image, PointCloud2
from std_msgs.msg import Header

# Seconds between two counts of the subscribers, where no event reports that they come or go.
POLL_S = 0.1
# The strongest colours of the influences, in metres and in probability.
INFLUENCE_DEPTH, INFLUENCE_SEMANTICS = 0.5, 0.5


class Frame(NamedTuple):
    """
    One processed image, which the outputs are made from: uint8 RGB (H, W, 3) and its prediction.

    ``header`` is the image's, ``intrinsics`` its camera's, None if that is not calibrated.
    """

    rgb: np.ndarray
    prediction: Prediction
    header: Header
    intrinsics: Intrinsics | None = None


class Result:
    """A frame under the settings of the node; outputs share the maps that are computed here."""

    def __init__(self, frame: Frame, settings: Settings):
        self.rgb, self.prediction, self.header, self.intrinsics = frame
        self.settings = settings
        self.depth_range = self.prediction.depth_limits(settings.min_depth, settings.max_depth)

    @cached_property
    def depth(self) -> np.ndarray:
        """
        Metres, float32 (H, W).

        NaN outside ``depth_range`` unless no_depth_classes or out_of_range want otherwise, and
        NaN where the deviation exceeds depth_confidence_threshold.
        """
        prediction, settings = self.prediction, self.settings
        rule = depth_rule(prediction.label_set, settings)
        if rule == DepthlessRule():
            depth = prediction.valid_depth(settings.min_depth, settings.max_depth)
        else:
            depth = without_depth(prediction.depth, prediction.labels, self.depth_range, rule)
        if settings.depth_confidence_threshold and prediction.depth_deviation is not None:
            unsure = (prediction.depth_deviation
                      > settings.depth_confidence_threshold * prediction.depth)
            depth = np.where(unsure, np.float32(np.nan), depth)
        return depth

    @cached_property
    def points_confidence(self) -> np.ndarray:
        """
        Confidence of the points, float32 (H, W), 0..1.

        That of the class, or of depth: 1 - deviation / depth, 0 where either is not known.
        """
        prediction = self.prediction
        if self.settings.points_confidence == 'class':
            return prediction.confidence
        depth, deviation = prediction.depth, prediction.depth_deviation
        if deviation is None:
            return np.zeros_like(depth)
        share = np.divide(deviation, depth, out=np.ones_like(depth), where=depth > 0)
        return np.maximum(1 - share, 0)

    @cached_property
    def normals(self) -> np.ndarray:
        """Return unit normals of the surfaces, float32 (H, W, 3), NaN where depth is not valid."""
        return surface_normals(self.depth, self.intrinsics)

    @cached_property
    def labels(self) -> np.ndarray:
        """Class ids, uint8 (H, W), 255 where the network is not confident."""
        return self.prediction.confident_labels(self.settings.confidence_threshold)

    @cached_property
    def depth_color(self) -> np.ndarray:
        """Depth in colours, uint8 RGB (H, W, 3)."""
        low, high = self.depth_range
        # The network's limits, scaled for this camera, may both lie beyond the one that is set.
        return drawing.colourise_depth(self.depth, low, max(high, low + 0.001),
                                       self.settings.depth_colormap)

    @cached_property
    def semantics_color(self) -> np.ndarray:
        """Classes in colours, uint8 RGB (H, W, 3)."""
        return drawing.colourise_labels(self.labels, self.prediction.label_set)

    @cached_property
    def overlay(self) -> np.ndarray:
        """Picture under the classes' colours, uint8 RGB (H, W, 3)."""
        return drawing.overlay(self.rgb, self.labels, self.prediction.label_set,
                               self.settings.overlay_alpha)


def depth_rule(label_set: LabelSet | None, settings: Settings) -> DepthlessRule:
    """Return what the parameters say of depth that is not known."""
    classes: tuple[int, ...] = ()
    if settings.no_depth_classes != 'predicted' and label_set is not None:
        classes = depthless_ids(label_set.names)
    return DepthlessRule(classes, settings.no_depth_classes if classes else 'nan',
                         {'nan': 'nan', 'inf': 'rep117'}[settings.out_of_range])


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


def _topic(node: Node, camera: str, output: Output) -> str:
    if not output.transport:
        return topic(camera, output.name)
    # image_transport's convention: the name of the transport follows the resolved base topic, so
    # that a remapped `depth` takes its transports with it.
    base = node.resolve_topic_name(topic(camera, output.name.removesuffix(f'/{output.transport}')))
    return f'{base}/{output.transport}'


def need_metres(outputs: Iterable[Output], settings: Settings) -> bool:
    """Return whether an output depends on depth in metres, which then are corrected."""
    return any(output.metric or (settings.points_confidence == 'depth'
                                 and output.make is _points_confidence) for output in outputs)


class Delivery:
    """
    The messages of one frame. An output that fails does not take the others with it.

    ``failures`` holds the error of each output that could not be made or published,
    ``delivered`` the names of the published ones.
    """

    def __init__(self):
        self.failures: dict[str, Exception] = {}
        self.delivered: list[str] = []
        self._messages: list[tuple[str, Publisher, Any]] = []

    def add(self, name: str, publisher: Publisher, message: Any) -> None:
        """Have ``message`` published."""
        self._messages.append((name, publisher, message))

    def publish(self) -> None:
        """Publish all messages, one directly after the other."""
        for name, publisher, message in self._messages:
            try:
                publisher.publish(message)
                self.delivered.append(name)
            except Exception as error:  # noqa: B902, BLE001 whatever it is, the others go out
                self.failures[name] = error


class OutputPublishers:
    """
    The publishers of the outputs of one camera, of which ``camera`` is the name.

    ``on_demand`` is called, on the executor's thread, when subscribers come or go.
    """

    def __init__(self, node: Node, on_demand: Callable[[], None], camera: str = ''):
        self._node = node
        self._publishers: dict[str, Publisher] = {}
        self._poll: Timer | None = None
        has_events = True
        for output in OUTPUTS:
            self._publishers[output.name], reports = publish_on_demand(
                node, output.kind, _topic(node, camera, output), output.qos, on_demand)
            has_events &= reports
        if not has_events:
            self._poll = node.create_timer(
                POLL_S, on_demand, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        """Destroy all publishers."""
        for publisher in self._publishers.values():
            self._node.destroy_publisher(publisher)
        if self._poll is not None:
            self._node.destroy_timer(self._poll)

    def listened_to(self, perception: Perception | None = None) -> list[Output]:
        """Return the outputs with subscribers; given ``perception``, only the ones that it has."""
        return [output for output in OUTPUTS if self._has_listener(output)
                and (perception is None or output.available(perception))]

    def wanted(self, configuration: Configuration) -> list[Output]:
        """Return the outputs to make for a frame."""
        settings, perception, _ = configuration
        return [output for output in OUTPUTS if output.available(perception)
                and (self._has_listener(output) or not (settings.lazy or output.optional))]

    def make(self, result: Result, wanted: Iterable[Output]) -> Delivery:
        """Return the messages of ``wanted``, without the cloud if the camera is not calibrated."""
        delivery = Delivery()
        for output in wanted:
            if output.cloud and result.intrinsics is None:
                continue
            try:
                message = output.make(result)
            except Exception as error:  # noqa: B902, BLE001 whatever it is, the others go out
                delivery.failures[output.name] = error
            else:
                delivery.add(output.name, self._publishers[output.name], message)
        return delivery

    def _has_listener(self, output: Output) -> bool:
        return self._publishers[output.name].get_subscription_count() > 0
