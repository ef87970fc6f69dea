# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Which camera_info belongs to an image, and which outputs suffer where none does."""

from __future__ import annotations

from collections import deque
import threading
from time import monotonic
from typing import NamedTuple

from builtin_interfaces.msg import Time
from jrn_perception.messages.camera_info import Calibration, image_size, match
from sensor_msgs.msg import CameraInfo

# Seconds that a fault has to last before it is reported: when a camera starts, or changes its
# resolution, camera_info may arrive after the first images.
WAIT_S = 3.0
# Four seconds at 60 Hz: an image waits in the slot and then in the network before its camera_info
# is looked up.
KEPT = 240


class ImageNeeds(NamedTuple):
    """
    One image, and which of its wanted outputs need a calibrated camera.

    ``size`` is (height, width); ``cloud``: the point cloud is wanted; ``correction``: depth is
    wanted and should be corrected for the focal length.
    """

    stamp: Time
    size: tuple[int, int]
    cloud: bool
    correction: bool


class CameraInfoBuffer:
    """The recent camera_info messages of one camera: one thread adds, another one looks up."""

    def __init__(self):
        self._recent: deque[CameraInfo] = deque(maxlen=KEPT)
        self._lock = threading.Lock()

    def add(self, info: CameraInfo) -> None:
        with self._lock:
            self._recent.append(info)

    def recent(self) -> list[CameraInfo]:
        """Return the messages, the latest arrival first."""
        with self._lock:
            return list(self._recent)[::-1]

    def find(self, stamp: Time, size: tuple[int, int]) -> CameraInfo | None:
        """
        Return the camera_info of the image with this stamp and (height, width), None without any.

        Messages for images of this size come first, in this order:

        1. The message with the stamp of the image, as drivers publish it: a zoom, or a change of
           the camera, then takes effect with the right frame.
        2. The latest arrival that is not stamped after the image: some drivers publish
           camera_info once, or more rarely than images. A message stamped after the image may
           describe a zoom that this image has not seen.
        3. The latest arrival: the stamps come from different clocks, or camera_info was published
           once, after this image was taken.

        Without any, return the latest arrival, which ``match`` then refuses for its size.
        """
        latest_first = self.recent()
        fitting = [info for info in latest_first if image_size(info) == size]
        taken = _nanoseconds(stamp)
        stamps = [_nanoseconds(info.header.stamp) for info in fitting]
        if taken in stamps:
            return fitting[stamps.index(taken)]
        earlier = [info for info, time in zip(fitting, stamps) if time < taken]
        return next(iter(earlier or fitting or latest_first), None)


class CalibrationWatch:
    """
    Pairs images with their camera_info, and reports which outputs suffer where that fails.

    The worker's thread pairs, the executor's thread asks for the fault. ``topic`` is where
    camera_info is read, ``points`` where the cloud is published, ``rectified`` whether the images
    are. ``name`` is the name of ``topic`` before remapping.
    """

    def __init__(self, infos: CameraInfoBuffer, topic: str, points: str, rectified: bool = False,
                 name: str = 'image_camera_info'):
        self._infos, self._topic, self._points = infos, topic, points
        self._rectified, self._name = rectified, name
        self._last: ImageNeeds | None = None
        self._since: float | None = None

    def match(self, image: ImageNeeds) -> Calibration:
        """Return what is known about the camera that took this image."""
        self._last = image
        return match(self._infos.find(image.stamp, image.size), image.size, self._rectified)

    def forget(self) -> None:
        """Forget the last image: camera_info that comes while no image is read is no fault."""
        self._last = None

    def fault(self) -> str:
        """Return which outputs of the last image suffer, why, and the cure; '' if none does."""
        last = self._last
        text = self._explain(last) if last else ''
        if not text:
            self._since = None
            return ''
        now = monotonic()
        if self._since is None:
            self._since = now
        return text if now - self._since >= WAIT_S else ''

    def _explain(self, image: ImageNeeds) -> str:
        # Looked up again: camera_info may have arrived since.
        info = self._infos.find(image.stamp, image.size)
        camera = match(info, image.size, self._rectified)
        differs_in_size = info is not None and camera.info is None
        missing = [text for text, applies in (
            ('depth is not corrected for the focal length', image.correction),
            (f'nothing is published on {self._points}', image.cloud),
            ('it is not passed on', differs_in_size)) if applies]
        if not camera.fault or not missing:
            return ''
        cure = ('calibrate the camera' if camera.info is not None
                else f"remap {self._name} to the camera's topic")
        if image.correction and not image.cloud:  # A cloud needs a calibrated camera anyway.
            cure += ', or set focal_correction to false'
        return f'{self._topic}: {camera.fault}; {", ".join(missing)}: {cure}'


def _nanoseconds(stamp: Time) -> int:
    return stamp.sec * 10 ** 9 + stamp.nanosec
