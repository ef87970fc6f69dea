# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Video files, by OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
from jrn_perception.frame import Frame
from jrn_perception.sources.source import captured, EXPECTED, Report, Source

SUFFIXES = ('.avi', '.m4v', '.mjpeg', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')


class Video(Source):
    """A video file; stamps count from the start of the video."""

    def __init__(self, path: Path, damaged: Report | None = None):
        super().__init__(str(path), damaged)
        self.path = path
        capture = self._open()
        # Streams without a header report meaningless values, 0 or less.
        self.rate = capture.get(cv2.CAP_PROP_FPS) or None
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.length = count if count > 0 else None
        capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self.path))
        if not capture.isOpened():
            raise ValueError(f'{self.path}: OpenCV cannot read this as a video; expected '
                             f'{EXPECTED}')
        return capture

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        for rgb in captured(self._open()):
            stamp = round(1e9 * index / self.rate) if self.rate else 0
            yield Frame(rgb, f'{self.path.name}@{index}', stamp)
            index += 1
        if self.length and index < self.length:
            self._skip(f'{self.path}: ends after {index} of the {self.length} frames that its '
                       'header announces')
