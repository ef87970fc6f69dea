# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Video files, by OpenCV."""

from __future__ import annotations

from collections.abc import Iterator
import math
from pathlib import Path

import cv2
from jrn_perception.frame import Frame
from jrn_perception.recordings.files import is_lfs_pointer
from jrn_perception.sources.source import captured, EXPECTED, public, Report, Source

SUFFIXES = ('.avi', '.m4v', '.mjpeg', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')


class Video(Source):
    """
    A video file; stamps count from its first picture, as the file has them.

    ``path`` may be an address of the network. The rate of a telephone's video varies: ``rate`` is
    its mean.
    """

    def __init__(self, path: Path | str, damaged: Report | None = None):
        super().__init__(public(str(path)), damaged)
        self.path = path
        capture = self._open()
        # Streams without a header report meaningless values, 0 or less.
        rate = capture.get(cv2.CAP_PROP_FPS)
        self.rate = rate if 0 < rate < math.inf else None
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.length = count if count > 0 else None
        capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self.path))
        if not capture.isOpened():
            if isinstance(self.path, Path) and is_lfs_pointer(self.path):
                raise ValueError(f'{self.path}: is a pointer of Git LFS, not the file: run `git '
                                 'lfs pull`')
            raise ValueError(f'{self.name}: OpenCV cannot read this as a video; expected '
                             f'{EXPECTED}')
        return capture

    def __iter__(self) -> Iterator[Frame]:
        index, stamp, capture = 0, 0, self._open()
        period = round(1e9 / self.rate) if self.rate else 0
        start = 0.0
        for rgb in captured(capture):
            # OpenCV's milliseconds from the start of the file, 0 where the file has no times.
            place = capture.get(cv2.CAP_PROP_POS_MSEC)
            if index == 0:
                start = place
            elif self.rate:
                taken = round((place - start) * 1e6)
                stamp = taken if taken > stamp else stamp + period
            yield Frame(rgb, f'{Path(self.name).name}@{index}', stamp)
            index += 1
        if self.length and index < self.length:
            self._skip(f'{self.name}: ends after {index} of the {self.length} frames that its '
                       'header announces')
