# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Picture files, one by one or all of a folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
import re

import cv2
from jrn_perception.frame import Frame
from jrn_perception.messages.decoding import decode, DecodingError
from jrn_perception.sources.exif import PNG, read_exif, turned
from jrn_perception.sources.source import centred, Report, Source
import numpy as np

# OpenCV reads all of these in every build.
SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp')


class Pictures(Source):
    """
    Picture files, turned upright by their EXIF orientation, as people see them.

    (Camera messages are not turned: see ``messages.images.compressed_to_rgb``.) 16 bits become 8,
    grey becomes RGB, alpha is dropped. Stamps are 0: pictures have no clock. ``camera_matrix``
    follows from the focal length in EXIF, with the principal point in the middle.
    """

    def __init__(self, name: str, paths: list[Path], damaged: Report | None = None):
        super().__init__(name, damaged)
        self.paths, self.length = paths, len(paths)

    def __iter__(self) -> Iterator[Frame]:
        for path in self.paths:
            try:
                yield read_frame(path)
            except ValueError as error:
                self._skip(str(error))


def read_picture(path: Path) -> np.ndarray:
    """Return a picture file as RGB, uint8 (H, W, 3), upright; ValueError names the file."""
    return read_frame(path).rgb


def read_frame(path: Path) -> Frame:
    """Return an upright picture, with its camera if EXIF has it; ValueError names the file."""
    try:
        data = path.read_bytes()
        # OpenCV turns JPEG. Not all of its versions find EXIF in all places of PNG and WebP.
        own = data.startswith((PNG, b'RIFF'))
        bgr = decode(data, cv2.IMREAD_COLOR | (cv2.IMREAD_IGNORE_ORIENTATION if own else 0))
    except OSError as error:
        raise ValueError(f'{path}: {error.strerror}') from error
    except DecodingError as error:
        raise ValueError(f'{path}: {error}') from error
    exif = read_exif(data)
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
    if own:
        rgb = turned(rgb, exif.orientation)
    focal = exif.focal_length(rgb.shape[:2])
    return Frame(rgb, path.name, camera_matrix=focal and centred(rgb, focal, focal))


def find_pictures(folder: Path) -> list[Path]:
    """Return the visible pictures in a folder in natural order (frame2 before frame10)."""
    return sorted((file for file in folder.iterdir() if file.is_file()
                   and file.suffix.lower() in SUFFIXES
                   and not file.name.startswith('.')), key=_natural)


def other_files(folder: Path) -> str:
    """Return how many visible files with which suffixes are no pictures; '' if there are none."""
    counts = Counter(file.suffix.lower() or 'no suffix' for file in folder.iterdir()
                     if file.is_file() and not file.name.startswith('.')
                     and file.suffix.lower() not in SUFFIXES)
    return ', '.join(f'{count} {suffix}' for suffix, count in sorted(counts.items()))


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), '') if part.isdigit() else (-1, part)
            for part in re.split(r'([0-9]+)', path.name)]
