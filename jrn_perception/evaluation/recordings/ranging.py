# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A recorded range sensor as anchors in the recorded pictures, and the depth they correct."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
import math
from typing import Any

from jrn_perception.evaluation.measures.comparison import Comparison
from jrn_perception.evaluation.measures.drift import drift
from jrn_perception.evaluation.measures.metrics import Table
from jrn_perception.evaluation.recordings.totals import ErrorSums, Measured
from jrn_perception.messages import poses
from jrn_perception.messages.camera_info import Intrinsics
from jrn_perception.messages.images import BadImage
from jrn_perception.messages.lens import as_pinhole
from jrn_perception.messages.maps import to_depth
from jrn_perception.messages.poses import Pose
from jrn_perception.messages.ranges import BadRange, cloud_points, scan_points
from jrn_perception.perception import Prediction
from jrn_perception.perception.anchoring import (
    Anchoring,
    Anchors,
    anchors_from_image,
    anchors_from_points,
)
from jrn_perception.recordings.reader import COMPRESSED, IMAGE, Recording, RecordingError, Topic
import numpy as np

POINTS = {'sensor_msgs/msg/PointCloud2': cloud_points, 'sensor_msgs/msg/LaserScan': scan_points}
TF_STATIC = '/tf_static'


class RangeSensor:
    """
    The range sensor on ``topic`` of a recording: a PointCloud2, a LaserScan or a depth image.

    A depth image is registered to the pictures. The pose of another sensor in the camera's frame
    is ``extrinsics``, 'x y z qx qy qz qw', by default the one of /tf_static. Raises ValueError
    (RecordingError among them) for another topic, a wrong text or an unknown pose.
    """

    def __init__(self, recording: Recording, topic: Topic, image: Topic, extrinsics: str = ''):
        self._recording, self.topic = recording, topic
        self._pose: Pose | None = None
        if topic.msgtype in POINTS:
            self._pose = (poses.from_text(extrinsics) if extrinsics
                          else recorded_pose(recording, topic, image))
        elif topic.msgtype not in (IMAGE, COMPRESSED):
            raise RecordingError(f'{recording.path}: {topic.name} is {topic.msgtype}; a range '
                                 'topic is a PointCloud2, a LaserScan or a depth image')

    def anchors(self, record: Any, size: tuple[int, int], camera: Intrinsics | None) -> Anchors:
        """
        Return the anchors of one message in a picture of ``size`` (height, width).

        Raises ValueError if the message is damaged, or if its points need a camera that is None.
        """
        msg = self._recording.decode(record)
        try:
            if self._pose is None:
                return anchors_from_image(to_depth(msg), size)
            points = POINTS[self.topic.msgtype](msg)
        except (BadImage, BadRange) as error:
            raise ValueError(f'{self.topic.name}: {error}') from error
        if camera is None:
            raise ValueError(f'{self.topic.name}: no point can be projected without the '
                             'camera_info of the pictures')
        return anchors_from_points(as_pinhole(camera, self._pose.apply(points)), camera.matrix,
                                   size)


def recorded_pose(recording: Recording, topic: Topic, image: Topic) -> Pose:
    """Return a sensor's pose in the camera's frame, by /tf_static; RecordingError if unknown."""
    sensor, camera = (recording.frame_id(part.name) for part in (topic, image))
    if sensor == camera:
        return poses.IDENTITY
    parents: dict[str, tuple[str, Pose]] = {}
    if TF_STATIC in recording.topics:
        for record in recording.records([TF_STATIC]):
            for found in recording.decode(record).transforms:
                parents[found.child_frame_id] = (found.header.frame_id,
                                                 poses.from_transform(found.transform))
    up, down = _to_root(sensor, parents), _to_root(camera, parents)
    common = next((frame for frame in up if frame in down), None)
    if common is None:
        raise RecordingError(f'{recording.path}: {TF_STATIC} does not connect {sensor!r}, the '
                             f'frame of {topic.name}, to {camera!r}, the frame of {image.name}: '
                             'name the pose with --range-extrinsics')
    rotation = down[common].rotation.T
    return Pose(rotation @ up[common].rotation,
                rotation @ (up[common].translation - down[common].translation))


def _to_root(frame: str, parents: dict[str, tuple[str, Pose]]) -> dict[str, Pose]:
    """Return the pose of a frame in itself and in each of its ancestors, the nearest first."""
    found = {frame: poses.IDENTITY}
    while frame in parents and parents[frame][0] not in found:
        pose = found[frame]
        frame, step = parents[frame]
        found[frame] = Pose(step.rotation @ pose.rotation, step.apply(pose.translation[None])[0])
    return found


@dataclass
class RangeTotals:
    """
    The results with the range sensor: errors, and the drift of depth (see ``measures.drift``).

    ``frames`` counts the pictures with anchors, ``used`` and ``rejected`` the anchors.
    """

    sums: ErrorSums
    drift: array = field(default_factory=lambda: array('d'))
    frames: int = 0
    used: int = 0
    rejected: int = 0

    def merge(self, other: RangeTotals) -> None:
        """Add all pictures of ``other``."""
        self.sums.merge(other.sums)
        self.drift.extend(other.drift)
        self.frames += other.frames
        self.used += other.used
        self.rejected += other.rejected


class Ranging:
    """Corrects the depth of a recording's pictures, in their order, and measures the result."""

    def __init__(self, sensor: RangeSensor, comparison: Comparison):
        self.sensor, self._comparison = sensor, comparison
        self._anchoring = Anchoring()
        self._previous: np.ndarray | None = None
        self.totals = RangeTotals(ErrorSums(comparison.num_classes))

    def add(self, measured: Measured, prediction: Prediction, anchors: Anchors) -> None:
        """Correct the depth of the next picture and add its errors; ValueError names it."""
        if prediction.depth is None:
            return
        frame, totals, comparison = measured.frame, self.totals, self._comparison
        depth = self._anchoring(prediction.depth, prediction.labels, anchors,
                                frame.stamp_ns / 1e9)
        report = self._anchoring.last
        totals.frames += bool(report.used)
        totals.used += report.used
        totals.rejected += report.rejected
        corrected = prediction.with_depth(depth)
        valid = corrected.valid_depth()
        totals.drift.append(drift(valid, None, self._previous, None).depth
                            if self._previous is not None else math.nan)
        self._previous = valid
        table = None
        if frame.depth is not None:
            table = Table(comparison.num_classes)
            comparison.add(table, frame, comparison.truth(frame), corrected, labels=False)
        totals.sums.add(table)
