# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Bytes of a picture file as an array; the one place that calls OpenCV's decoder."""

from __future__ import annotations

import re
import zlib

import cv2
import numpy as np

# A marker of JPEG is ff and a code; in entropy-coded data ff is followed by 00 or a restart.
_JPEG_MARKER = re.compile(rb'\xff([^\x00\xff\xd0-\xd7])', re.DOTALL)
_PNG, _GREY, _PALETTE, _GREY_ALPHA = b'\x89PNG\r\n\x1a\n', 0, 3, 4
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
    if picture is None and data.startswith(b'version https://git-lfs'):
        raise DecodingError('a pointer of Git LFS, not the picture: run `git lfs pull`')
    if picture is None:
        raise DecodingError(f'no picture that OpenCV can decode, {len(data)} bytes')
    return picture


def decode_ids(data: bytes) -> np.ndarray:
    """
    Return the ids in a picture, as ``decode`` does, uint8 (H, W) where the file has them.

    OpenCV makes colours of a PNG's palette and spreads 1, 2 and 4 bits over 0 to 255. Here the
    ids are the values that the file holds: the palette's indices, or the grey values, of which
    alpha is no part.
    """
    bits, kind = (data[24], data[25]) if data.startswith(_PNG) and len(data) > 29 else (8, _GREY)
    if kind == _PALETTE:
        data = _as_grey(data)
    picture = decode(data)
    if kind == _GREY_ALPHA:
        # OpenCV repeats the grey value in three channels.
        picture = picture[..., 0]
    if picture.ndim == 2 and bits < 8:
        picture = picture // (255 // (2 ** bits - 1))
    return picture


def _as_grey(data: bytes) -> bytes:
    """Return a PNG whose pixels are the indices of a PNG's palette as grey values."""
    chunks, place = [data[:len(_PNG)]], len(_PNG)
    while place + 12 <= len(data):
        end = place + 12 + int.from_bytes(data[place:place + 4], 'big')
        kind, content = data[place + 4:place + 8], data[place + 8:end - 4]
        if kind == b'IHDR':
            content = content[:9] + bytes([_GREY]) + content[10:]
            checksum = zlib.crc32(kind + content).to_bytes(4, 'big')
            chunks.append(data[place:place + 8] + content + checksum)
        elif kind in (b'IDAT', b'IEND'):
            chunks.append(data[place:end])
        # The others, PLTE and tRNS among them, say which colours the indices mean.
        place = end
    return b''.join([*chunks, data[place:]])


def is_cut_off(data: bytes) -> bool:
    """Return whether ``data`` is the beginning of a JPEG or PNG whose end is missing."""
    if data.startswith(_PNG):
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
