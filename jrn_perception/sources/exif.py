# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
EXIF of picture files: how the camera was held, and its focal length.

EXIF is a TIFF file inside the picture file: in JPEG's segment APP1, in PNG's chunk eXIf or, by
older programs, as hexadecimal digits in a text chunk, and in WebP's chunk EXIF. The tags are those
of the standard CIPA DC-008.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
import math
import struct
import zlib

import numpy as np

PREFIX = b'Exif\0\0'
PNG, JPEG = b'\x89PNG\r\n\x1a\n', b'\xff\xd8'
ORIENTATION, EXIF_FOLDER, WIDTH, HEIGHT, FOCAL_35MM = 0x112, 0x8769, 0xa002, 0xa003, 0xa405
# The diagonal of a 35 mm film, to which equivalent focal lengths refer (36 mm x 24 mm).
DIAGONAL_MM = math.hypot(36, 24)
# Two sizes have the same aspect if they differ by rounding alone.
_ASPECT = 0.01
_FORMATS = {3: 'H', 4: 'I'}


@dataclass(frozen=True)
class Exif:
    """``orientation`` is 1 to 8; ``focal_35mm`` mm on 35 mm film; ``size`` (H, W) as taken."""

    orientation: int = 1
    focal_35mm: float = 0.0
    size: tuple[int, int] | None = None

    def focal_length(self, size: tuple[int, int]) -> float | None:
        """
        Return the focal length in pixels of a picture of (H, W); None if it is not known.

        A picture whose aspect differs from the picture as taken was cropped: its pixels do not
        say how much.
        """
        if not self.focal_35mm:
            return None
        if self.size and all(self.size):
            taken, own = sorted(self.size), sorted(size)
            if abs(taken[0] * own[1] / (taken[1] * own[0]) - 1) > _ASPECT:
                return None
        return self.focal_35mm / DIAGONAL_MM * math.hypot(*size)


def read_exif(data: bytes) -> Exif:
    """Return the EXIF in the bytes of a picture file; ``Exif()`` without, or if damaged."""
    tags: dict[int, int] = {}
    block = next(_blocks(data), b'').removeprefix(PREFIX)
    try:
        order = {b'II*\0': '<', b'MM\0*': '>'}[block[:4]]
        start, = struct.unpack_from(f'{order}I', block, 4)
        tags = _tags(block, order, start)
        tags.update(_tags(block, order, tags[EXIF_FOLDER]) if EXIF_FOLDER in tags else {})
    except (KeyError, struct.error):
        pass  # Programs damage EXIF easily; the picture is none the worse.
    orientation = tags.get(ORIENTATION, 1)
    size = (tags[HEIGHT], tags[WIDTH]) if HEIGHT in tags and WIDTH in tags else None
    return Exif(orientation if 1 <= orientation <= 8 else 1, float(tags.get(FOCAL_35MM, 0)), size)


def turned(picture: np.ndarray, orientation: int) -> np.ndarray:
    """Return a picture as people see it, for the orientation 1 to 8 in which it is stored."""
    # 5 to 8 have rows and columns exchanged; then the picture is mirrored in its width or height.
    if orientation > 4:
        picture = picture.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    return np.ascontiguousarray(picture)


def _tags(block: bytes, order: str, start: int) -> dict[int, int]:
    """Return the first value of the whole numbers in a folder of a TIFF file, by tag."""
    tags = {}
    count, = struct.unpack_from(f'{order}H', block, start)
    for place in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, _ = struct.unpack_from(f'{order}HHI', block, place)
        if kind in _FORMATS:
            tags[tag], = struct.unpack_from(order + _FORMATS[kind], block, place + 8)
    return tags


def _blocks(data: bytes) -> Iterator[bytes]:
    """Yield what may be EXIF in a JPEG, PNG, WebP or TIFF."""
    if data.startswith(PNG):
        yield from _png_blocks(data)
    elif data.startswith(JPEG):
        place = 2
        while data[place:place + 1] == b'\xff' and data[place + 1] != 0xda:
            size = int.from_bytes(data[place + 2:place + 4], 'big')
            if data[place + 1] == 0xe1 and data.startswith(PREFIX, place + 4):
                yield data[place + 4:place + 2 + size]
            place += 2 + size
    elif data.startswith(b'RIFF') and data[8:12] == b'WEBP':
        place = 12
        while place + 8 <= len(data):
            size = int.from_bytes(data[place + 4:place + 8], 'little')
            if data[place:place + 4] == b'EXIF':
                yield data[place + 8:place + 8 + size]
            place += 8 + size + size % 2
    else:
        yield data


def _png_blocks(data: bytes) -> Iterator[bytes]:
    place = len(PNG)
    while place + 12 <= len(data):
        size, kind = struct.unpack_from('>I4s', data, place)
        content = data[place + 8:place + 8 + size]
        if kind == b'eXIf':
            yield content
        elif kind in (b'tEXt', b'zTXt', b'iTXt'):
            keyword, _, text = content.partition(b'\0')
            if keyword.lower() in (b'raw profile type exif', b'raw profile type app1'):
                yield from _profile(kind, text)
        place += 12 + size


def _profile(kind: bytes, text: bytes) -> Iterator[bytes]:
    """Yield the bytes of a text: a name, their number, and their hexadecimal digits."""
    try:
        if kind == b'zTXt':
            text = zlib.decompress(text[1:])
        elif kind == b'iTXt':
            compressed = text[:1] == b'\1'
            text = text[2:].split(b'\0', 2)[2]
            text = zlib.decompress(text) if compressed else text
        _, _, digits = text.split(maxsplit=2)
        yield bytes.fromhex(digits.decode('ascii'))
    except (IndexError, ValueError, zlib.error):
        return  # As in ``read_exif``.
