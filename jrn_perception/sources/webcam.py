# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Cameras of this machine, by OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
import time

import cv2
from jrn_perception.frame import Frame
from jrn_perception.sources.source import captured, Report, Source


class Webcam(Source):
    """A camera of this machine; stamps are the computer's clock at reception."""

    endless = True

    def __init__(self, device: str, damaged: Report | None = None):
        super().__init__(device, damaged)
        self.device = int(device) if device.isdigit() else device
        self._open().release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(self.device)
        if not capture.isOpened():
            raise ValueError(f'camera {self.name}: not there, in use, or not permitted (is your '
                             "user in the group 'video'?)")
        return capture

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        for rgb in captured(self._open()):
            yield Frame(rgb, f'camera-{self.name}@{index}', time.time_ns())
            index += 1
        raise ValueError(f'camera {self.name}: no more pictures after {index}; was it unplugged?')
