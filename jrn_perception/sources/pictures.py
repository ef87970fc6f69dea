# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Picture files, one by one or all of a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import re

import cv2
from jrn_perception.frame import Frame
from jrn_perception.messages.decoding import decode, DecodingError
from jrn_perception.sources.source import Report, Source
import numpy as np

SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.pgm', '.png', '.ppm', '.tif', '.tiff', '.webp')


class Pictures(Source):
    """
    Picture files, turned upright by their EXIF orientation, as people see them.

    (Camera messages are not turned: see ``messages.images.compressed_to_rgb``.) 16 bits become 8,
    grey becomes RGB, alpha is dropped. Stamps are 0: pictures have no clock.
    """

    def __init__(self, name: str, paths: list[Path], damaged: Report | None = None):
        super().__init__(name, damaged)
        self.paths, self.length = paths, len(paths)

    def __iter__(self) -> Iterator[Frame]:
        for path in self.paths:
            try:
                rgb = read_picture(path)
            except ValueError as error:
                self._skip(str(error))
                continue
            yield Frame(rgb, path.name)


def read_picture(path: Path) -> np.ndarray:
    """Return a picture file as RGB, uint8 (H, W, 3), upright; ValueError names the file."""
    try:
        bgr = decode(path.read_bytes(), cv2.IMREAD_COLOR)
    except OSError as error:
        raise ValueError(f'{path}: {error.strerror}') from error
    except DecodingError as error:
        raise ValueError(f'{path}: {error}') from error
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def find_pictures(folder: Path) -> list[Path]:
    """Return the visible pictures in a folder in natural order (frame2 before frame10)."""
    return sorted((file for file in folder.iterdir() if file.is_file()
                   and file.suffix.lower() in SUFFIXES
                   and not file.name.startswith('.')), key=_natural)


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), '') if part.isdigit() else (-1, part)
            for part in re.split(r'([0-9]+)', path.name)]
