# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The base of all sources, and a source at another size."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
import re

import cv2
from jrn_perception.frame import Frame
import numpy as np

EXPECTED = ('a picture, a folder of pictures, a video, a recording of ROS 2 or ROS 1, a camera '
            '(0, /dev/video0, rtsp:// or http://) or scenes[:SEED]')

Report = Callable[[str], None]


class Source(ABC):
    """
    An iterable of frames; each iteration starts again at the first frame.

    ``length`` is the number of frames, None if unknown beforehand (a video's length comes from
    its header). ``rate`` is the frames per second of the source's own clock, None without a
    clock. ``endless`` sources run until the user stops them. ``frame_id`` is the recorded
    coordinate frame, '' if there is none. ``skipped`` counts the damaged frames that were left
    out.
    """

    length: int | None = None
    rate: float | None = None
    endless = False
    frame_id = ''

    def __init__(self, name: str, damaged: Report | None = None):
        self.name, self._damaged, self.skipped = name, damaged, 0

    @property
    def origin(self) -> Source:
        """Return the source of the frames, without the steps that change them."""
        return self

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames, beginning with the first one at each call."""

    def _skip(self, text: str) -> None:
        if self._damaged is None:
            raise ValueError(text)
        self.skipped += 1
        self._damaged(text)


def public(address: str) -> str:
    """Return an address without user and password."""
    return re.sub('//[^/@]*@', '//', address)


def captured(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """Yield the pictures of a video or camera as RGB, uint8 (H, W, 3); release it at the end."""
    try:
        while True:
            done, bgr = capture.read()
            if not done:
                return
            yield cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    finally:
        capture.release()


class Changed(Source):
    """The frames of another source, each changed; length, rate and names stay the same."""

    def __init__(self, source: Source):
        super().__init__(source.name)
        self.source = source
        self.length, self.rate, self.endless = source.length, source.rate, source.endless
        self.frame_id = source.frame_id

    @property
    def origin(self) -> Source:
        return self.source.origin

    def __iter__(self) -> Iterator[Frame]:
        for frame in self.source:
            self.skipped = self.source.skipped
            yield self.change(frame)
        self.skipped = self.source.skipped

    @abstractmethod
    def change(self, frame: Frame) -> Frame:
        """Return the changed frame."""


class Resized(Changed):
    """The frames of another source, resized."""

    def __init__(self, source: Source, size: tuple[int, int]):
        super().__init__(source)
        self.size = size

    def change(self, frame: Frame) -> Frame:
        return resize_frame(frame, *self.size)


class Focal(Changed):
    """
    The frames of another source, taken with the focal length ``focal`` (x, y) in their pixels.

    The focal length refers to the pictures before they are resized to ``size``, if that is given.
    """

    def __init__(self, source: Source, focal: tuple[float, float],
                 size: tuple[int, int] | None = None):
        super().__init__(source)
        self.focal, self.size = focal, size

    def change(self, frame: Frame) -> Frame:
        frame = replace(frame, camera_matrix=centred(frame.rgb, *self.focal))
        return resize_frame(frame, *self.size) if self.size else frame


def centred(rgb: np.ndarray, x: float, y: float) -> np.ndarray:
    """Return the 3x3 matrix of a camera with focal lengths in pixels that looks at the middle."""
    height, width = rgb.shape[:2]
    return np.array(((x, 0., (width - 1) / 2), (0., y, (height - 1) / 2), (0., 0., 1.)))


def resize_frame(frame: Frame, height: int, width: int) -> Frame:
    """
    Return the frame at another size: the picture filtered, depth and labels by nearest pixel.

    The camera matrix is scaled about the picture's outer corner, half a pixel from the centre of
    the first pixel.
    """
    old_height, old_width = frame.rgb.shape[:2]
    if (old_height, old_width) == (height, width):
        return frame
    down, across = height / old_height, width / old_width
    smooth = cv2.INTER_AREA if down * across < 1 else cv2.INTER_LINEAR

    def nearest(array: np.ndarray | None) -> np.ndarray | None:
        if array is None:
            return None
        return cv2.resize(array, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)

    matrix = frame.camera_matrix
    if matrix is not None:
        scale = np.array(((across, 0, (across - 1) / 2), (0, down, (down - 1) / 2), (0, 0, 1)))
        matrix = scale @ matrix
    return replace(frame, rgb=cv2.resize(frame.rgb, (width, height), interpolation=smooth),
                   depth=nearest(frame.depth), labels=nearest(frame.labels),
                   camera_matrix=matrix)
