# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Where a range sensor is in the camera's frame: from a parameter or from tf2."""

from __future__ import annotations

from typing import Any

from jrn_perception.messages import poses
from jrn_perception.messages.poses import Pose
from rclpy.node import Node
from rclpy.time import Time
from std_msgs.msg import Header


class NoPoseError(ValueError):
    """There is no pose; the text says why and what to do, in one line."""


class Extrinsics:
    """
    The poses of range sensors in the frames of cameras.

    ``text`` is the parameter range_extrinsics, the pose of every sensor whose frame is not the
    camera's. If it is empty, tf2 is asked. tf2 is a soft dependency: pip does not have it.
    """

    def __init__(self, node: Node, text: str):
        self._pose = poses.from_text(text) if text else None
        self._tf: TfBuffer | None = None
        if not text:
            try:
                self._tf = TfBuffer(node)
            except ImportError:
                pass  # ``pose`` tells, if another frame than the camera's occurs.

    def listen(self, wanted: bool) -> None:
        """Subscribe to the transforms if they are needed, or end the subscription."""
        if self._tf is not None:
            self._tf.listen(wanted)

    def pose(self, sensor: str, image: Header) -> Pose:
        """Return the pose of the frame ``sensor`` in the image's; NoPoseError if it is unknown."""
        if sensor == image.frame_id:
            return poses.IDENTITY
        if self._pose is not None:
            return self._pose
        if self._tf is None:
            raise NoPoseError(f'its frame is {sensor!r}, that of the images is '
                              f'{image.frame_id!r}, and tf2_ros is not installed: set '
                              'range_extrinsics')
        return self._tf.pose(sensor, image)


class TfBuffer:
    """The transforms of the robot; ImportError without tf2_ros."""

    def __init__(self, node: Node):
        import tf2_ros
        self._node, self._buffer, self._listener = node, tf2_ros.Buffer(), None
        self._too_new, self._failure = tf2_ros.ExtrapolationException, tf2_ros.TransformException

    def listen(self, wanted: bool) -> None:
        """Subscribe to the transforms, or end the subscription: there are hundreds a second."""
        if wanted and self._listener is None:
            from tf2_ros import TransformListener
            self._listener = TransformListener(self._buffer, self._node)
        elif not wanted and self._listener is not None:
            self._listener.unregister()
            self._listener = None

    def pose(self, sensor: str, image: Header) -> Pose:
        """Return the pose of the frame ``sensor`` in the image's; NoPoseError if it is unknown."""
        try:
            try:
                # The time of the image: a map does not move, and most sensors move with the
                # camera. What the camera itself does counts.
                found = self._lookup(sensor, image.frame_id, Time.from_msg(image.stamp))
            except self._too_new:
                # The transform of a moving joint comes later than the image.
                found = self._lookup(sensor, image.frame_id, Time())
        except self._failure as error:
            reason = ' '.join(str(error).split())
            raise NoPoseError(f'tf2 has no transform from its frame {sensor!r} to that of the '
                              f'images, {image.frame_id!r} ({reason}): publish one, or set '
                              'range_extrinsics') from error
        return poses.from_transform(found.transform)

    def _lookup(self, sensor: str, camera: str, time: Time) -> Any:
        return self._buffer.lookup_transform(camera, sensor, time)
