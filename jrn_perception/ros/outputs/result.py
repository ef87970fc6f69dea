# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The maps of one processed image, under the settings of the node."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

from jrn_perception import drawing
from jrn_perception.labels import LabelSet
from jrn_perception.messages.camera_info import Intrinsics
from jrn_perception.perception import Prediction
from jrn_perception.perception.anchoring import depthless_ids, DepthlessRule, without_depth
from jrn_perception.ros.conversions.normals import surface_normals
from jrn_perception.ros.parameters.settings import Settings
import numpy as np
from std_msgs.msg import Header


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
