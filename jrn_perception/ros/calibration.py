# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Which camera_info belongs to the pictures, and what is missing for want of it."""

from __future__ import annotations

from time import monotonic
from typing import NamedTuple

from jrn_perception.messages.camera_info import Calibration, match
from sensor_msgs.msg import CameraInfo

# Seconds that a fault has to last: the camera_info of a camera that has just started, or changed
# its resolution, may come after its first pictures.
WAIT_S = 3.0


class Need(NamedTuple):
    """A picture's (height, width), and what was wanted of it that needs a calibrated camera."""

    size: tuple[int, int]
    cloud: bool
    correction: bool


class CalibrationWatch:
    """
    Matches camera_info with pictures, and says what is missing where it does not fit.

    The worker's thread matches, the executor's thread asks for the fault. ``topic`` is what
    camera_info is read from, ``points`` where the cloud goes.
    """

    def __init__(self, topic: str, points: str):
        self._topic, self._points = topic, points
        self._need: Need | None = None
        self._since: float | None = None

    def match(self, info: CameraInfo | None, need: Need) -> Calibration:
        """Return what ``info``, the latest there is, says of the camera of a picture."""
        self._need = need
        return match(info, need.size)

    def fault(self, info: CameraInfo | None) -> str:
        """Return why the last picture lacks what, and what to do; empty if nothing does."""
        text = self._explain(info, self._need) if self._need else ''
        if not text:
            self._since = None
            return ''
        now = monotonic()
        if self._since is None:
            self._since = now
        return text if now - self._since >= WAIT_S else ''

    def _explain(self, info: CameraInfo | None, need: Need) -> str:
        camera = match(info, need.size)
        misfit = info is not None and camera.info is None
        missing = [text for text, applies in (
            ('depth is not corrected for the focal length', need.correction),
            (f'nothing is published on {self._points}', need.cloud),
            ('it is not passed on', misfit)) if applies]
        if not camera.fault or not missing:
            return ''
        cure = ('calibrate the camera' if camera.info is not None
                else "remap image_camera_info to the camera's topic")
        if need.correction:
            cure += ', or set focal_correction to false'
        return f'{self._topic}: {camera.fault}; {", ".join(missing)}: {cure}'
