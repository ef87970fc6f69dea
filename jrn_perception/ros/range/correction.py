# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Predicted depth made metric by range sensors, or by the camera's height above the floor."""

from __future__ import annotations

from dataclasses import dataclass
import math

from jrn_perception.labels import LabelSet
from jrn_perception.messages.camera_info import Intrinsics
from jrn_perception.perception import Prediction
from jrn_perception.perception.anchoring import (
    Anchoring,
    AnchoringSettings,
    Anchors,
    depthless_ids,
    Floor,
    scale_from_floor,
)
from jrn_perception.ros.parameters.settings import Settings
from jrn_perception.ros.range.anchors import View
from jrn_perception.ros.range.inputs import RangeInputs
import numpy as np
from rclpy.node import Node
from rclpy.time import Time
from std_msgs.msg import Header

# Names of classes, in any label set, that lie on the ground.
FLOOR_CLASSES = ('floor', 'floor mat', 'ground', 'rug', 'carpet', 'road', 'sidewalk')
# The floor gives one scale. So many of its pixels carry it into the filter over time.
FLOOR_POINTS, FLOOR_DEVIATION = 50, 0.03


@dataclass(frozen=True)
class CorrectionReport:
    """
    What has corrected the depth of the last picture, for the diagnostics.

    ``mode`` is off, none (no correction now), scale, scale_shift, field, or floor. ``age_s`` is
    the time between picture and measurements. ``floor`` says why camera_height does not apply to
    the picture, ``fault`` what is never used, and why.
    """

    used: int = 0
    rejected: int = 0
    mode: str = 'off'
    scale: float = 1.0
    age_s: float = math.nan
    floor_tilt: float = math.nan
    floor: str = ''
    fault: str = ''

    def values(self) -> dict[str, object]:
        """Return the keys and values of the diagnostics."""
        return {'range_points_used': self.used, 'range_points_rejected': self.rejected,
                'range_mode': self.mode, 'range_scale': self.scale, 'range_age_s': self.age_s,
                'floor_tilt_deg': self.floor_tilt, 'floor_reason': self.floor}


class DepthCorrection:
    """
    The range sensors of ``camera``, and the correction that they make, with its state over time.

    The worker's thread corrects; the executor's thread subscribes and asks for the report.
    """

    def __init__(self, node: Node, settings: Settings, camera: str = ''):
        self.inputs = RangeInputs(node, settings, camera)
        self._anchoring: Anchoring | None = None
        self._by_floor = Anchoring(AnchoringSettings(mode='scale'))
        self._last = CorrectionReport()

    def subscribe(self, wanted: bool) -> None:
        """Subscribe to the sensors while frames are wanted."""
        self.inputs.subscribe(wanted)

    def close(self) -> None:
        """Destroy all subscriptions."""
        self.inputs.close()

    def report(self) -> CorrectionReport:
        """Return what has corrected the last picture."""
        return self._last

    def apply(self, prediction: Prediction, header: Header, camera: Intrinsics | None,
              settings: Settings) -> Prediction:
        """
        Return the prediction with corrected depth.

        ``header`` is the picture's, ``camera`` None if it is not calibrated.
        """
        depth = prediction.depth
        view = None if camera is None else View(camera, depth)
        seconds = Time.from_msg(header.stamp).nanoseconds / 1e9
        report, corrected, remaining = CorrectionReport(), None, None
        if self.inputs and settings.anchoring != 'off':
            found = self.inputs.measure(header, view, depth.shape, settings.range_max_age)
            anchoring = self._anchoring_in(settings.anchoring)
            corrected = anchoring(depth, prediction.labels, found, seconds)
            last, remaining = anchoring.last, anchoring.remaining
            report = CorrectionReport(last.used, last.rejected, last.mode, last.scale,
                                      self.inputs.age, fault=self.inputs.fault())
        if settings.camera_height and report.mode in ('off', 'none'):
            corrected, report = self._on_floor(prediction, view, settings, seconds, report)
            # The pixels of the floor are no measurements of their own.
            remaining = None
        self._last = report
        if corrected is None or report.mode in ('off', 'none'):
            return prediction
        return prediction.with_depth(corrected, report.scale, remaining)

    def _anchoring_in(self, mode: str) -> Anchoring:
        if self._anchoring is None or self._anchoring.settings.mode != mode:
            self._anchoring = Anchoring(AnchoringSettings(mode=mode))
        return self._anchoring

    def _on_floor(self, prediction: Prediction, view: View | None, settings: Settings,
                  seconds: float, report: CorrectionReport
                  ) -> tuple[np.ndarray, CorrectionReport]:
        ids, floor, fault = floor_ids(prediction.label_set), Floor(None), ''
        if not ids:
            fault = 'camera_height is not used: no class of the network is floor'
        elif view is None:
            fault = 'camera_height is not used: the camera is not calibrated'
        else:
            floor = scale_from_floor(view.depth, prediction.labels, ids, view.camera.matrix,
                                     settings.camera_height)
        found = Anchors.none()
        if floor.scale is not None:
            found = _floor_anchors(prediction, ids, floor.scale)
        corrected = self._by_floor(prediction.depth, prediction.labels, found, seconds)
        last = self._by_floor.last
        return corrected, CorrectionReport(
            mode='none' if last.mode == 'none' else 'floor', scale=last.scale,
            age_s=report.age_s, floor_tilt=floor.tilt, floor=floor.reason,
            fault='; '.join(filter(None, (report.fault, fault))))


def floor_ids(label_set: LabelSet | None) -> tuple[int, ...]:
    """Return the ids of the classes that lie on the ground."""
    return depthless_ids(label_set.names, FLOOR_CLASSES) if label_set else ()


def _floor_anchors(prediction: Prediction, ids: tuple[int, ...], scale: float) -> Anchors:
    """Return pixels of the floor with their predicted depth times ``scale``."""
    rows, columns = np.nonzero(np.isin(prediction.labels, ids) & (prediction.depth > 0))
    chosen = np.linspace(0, len(rows) - 1, min(FLOOR_POINTS, len(rows))).astype(int)
    rows, columns = rows[chosen], columns[chosen]
    depth = prediction.depth[rows, columns] * np.float32(scale)
    return Anchors(columns, rows, depth, np.full(len(rows), FLOOR_DEVIATION, np.float32))
