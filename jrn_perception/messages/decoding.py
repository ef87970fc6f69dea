# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Bytes of a picture file as an array; the one place that calls OpenCV's decoder."""

from __future__ import annotations

import re

import cv2
import numpy as np

# A marker of JPEG is ff and a code; in entropy-coded data ff is followed by 00 or a restart.
_JPEG_MARKER = re.compile(rb'\xff([^\x00\xff\xd0-\xd7])', re.DOTALL)
_PNG_END = b'\x00\x00\x00\x00IEND\xaeB`\x82'


class DecodingError(ValueError):
    """Bytes that are not a whole picture; the text completes the sentence "the data is ..."."""


def decode(data: bytes, flags: int = cv2.IMREAD_UNCHANGED) -> np.ndarray:
    """
    Return the picture in ``data`` (JPEG, PNG, TIFF, ...) as ``cv2.imdecode`` does.

    ``flags`` are those of ``cv2.imdecode``. Raises DecodingError for a JPEG or PNG without its
    end and for data that OpenCV does not read.
    """
    # OpenCV 4 decodes the part of a cut-off picture that exists and paints the rest grey.
    if is_cut_off(data):
        raise DecodingError(f'cut off after {len(data)} bytes')
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    except cv2.error:
        picture = None
    if picture is None:
        raise DecodingError(f'no picture that OpenCV can decode, {len(data)} bytes')
    return picture


def is_cut_off(data: bytes) -> bool:
    """Return whether ``data`` is the beginning of a JPEG or PNG whose end is missing."""
    if data.startswith(b'\x89PNG\r\n\x1a\n'):
        return _PNG_END not in data
    if not data.startswith(b'\xff\xd8'):
        return False
    position = 2
    # From segment to segment: a thumbnail inside a segment has an end marker of its own.
    while marker := _JPEG_MARKER.search(data, position):
        if marker[1] in (b'\xd9', b'\xd8'):
            return marker[1] == b'\xd8'
        position = marker.end() + int.from_bytes(data[marker.end():marker.end() + 2], 'big')
    return True
