# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The calibration of a recorded camera, as a node would know it at the time of a picture."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jrn_perception.frame import Frame
from jrn_perception.messages.camera_info import match
from jrn_perception.recordings.camera import Camera
from jrn_perception.recordings.reader import CAMERA_INFO, Recording, RecordingError, Topic


def camera_topic(recording: Recording, image: Topic, named: str = '') -> Topic | None:
    """
    Return the topic of CameraInfo called ``named``, by default the topic beside the pictures.

    The default is ``<namespace of the pictures>/camera_info``, None if it does not exist. Raises
    RecordingError if the named topic does not exist or has another type.
    """
    if not named:
        return recording.camera_info_topic(image.name)
    topic = recording.topic(named)
    if topic.msgtype != CAMERA_INFO:
        raise RecordingError(f'{recording.path}: {named} is {topic.msgtype}, no CameraInfo')
    return topic


def with_camera(frame: Frame, camera: Camera, info: Any, notes: list[str]) -> Frame:
    """
    Return the frame with the camera matrix in ``info``, the CameraInfo of its picture.

    A frame without a usable calibration is returned as it is, and ``notes`` gets the reason if
    ``camera`` has a topic.
    """
    if camera.topic is None:
        return frame
    calibration = match(info, frame.rgb.shape[:2], camera.rectified)
    if calibration.intrinsics is None:
        notes.append(f'{camera.topic.name}: {calibration.fault}: depth is not corrected for its '
                     'focal length')
        return frame
    return replace(frame, camera_matrix=calibration.intrinsics.matrix)
