# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Cameras of this machine and streams of the network, by OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
import time

import cv2
from jrn_perception.frame import Frame
from jrn_perception.sources.source import captured, public, Report, Source
from jrn_perception.sources.video import Video

STREAMS = ('rtsp://', 'rtsps://', 'rtmp://', 'http://', 'https://', 'udp://', 'tcp://')


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


class Stream(Source):
    """
    A stream of the network as OpenCV reads it; stamps are the computer's clock at reception.

    A user and password in the address are not part of the name, which is shown and written.
    """

    endless = True

    def __init__(self, address: str, damaged: Report | None = None):
        super().__init__(public(address), damaged)
        self._address = address
        # Not opened twice: a camera may serve one client only, and the first picture takes time.
        self._capture: cv2.VideoCapture | None = open_stream(address)

    @property
    def has_end(self) -> bool:
        """Return whether the address gives a video with a number of pictures."""
        return bool(self._capture and self._capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0)

    def __iter__(self) -> Iterator[Frame]:
        capture, self._capture = self._capture or open_stream(self._address), None
        index = 0
        for rgb in captured(capture):
            yield Frame(rgb, f'{self.name}@{index}', time.time_ns())
            index += 1
        raise ValueError(f'{self.name}: no more pictures after {index}: the stream has ended')


def open_address(address: str, damaged: Report | None = None) -> Source:
    """Return the source at an address of the network: a video that has an end, or a stream."""
    stream = Stream(address, damaged)
    return Video(address, damaged) if stream.has_end else stream


def open_stream(address: str) -> cv2.VideoCapture:
    """Return OpenCV's capture of an address; ValueError if it cannot be opened."""
    capture = cv2.VideoCapture(address)
    if not capture.isOpened():
        raise ValueError(f'{public(address)}: OpenCV cannot open this stream: is the address '
                         'right, and does this computer reach it?')
    return capture
