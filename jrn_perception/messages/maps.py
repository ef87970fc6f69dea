# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Depth maps and label maps from image messages, and depth into messages, without ROS.

``compressedDepth`` is a format of image_transport: a header of 12 bytes (an int32 and two float32,
A and B), then a PNG of 16 bits. For ``16UC1`` the PNG holds millimetres. For ``32FC1`` it holds
``A / depth + B``, with the depth in metres, so that near depth has finer steps; 0 = invalid.
"""

from __future__ import annotations

from collections.abc import Callable
import struct
from typing import Any

import cv2
from jrn_perception.messages.decoding import decode, decode_ids, DecodingError
from jrn_perception.messages.images import BadImage, rows_of, to_millimetres
import numpy as np

DEPTH: dict[str, np.dtype] = {
    '16UC1': np.dtype(np.uint16), 'mono16': np.dtype(np.uint16), '32FC1': np.dtype(np.float32)}
LABELS: dict[str, np.dtype] = {'mono8': np.dtype(np.uint8), '8UC1': np.dtype(np.uint8)}
_HEADER = struct.Struct('<i2f')
_INVERSE_DEPTH = 0
# image_transport's defaults for 32FC1: the metres at which a step is 1 m, and the farthest metres.
QUANTISATION, REACH = 100.0, 10.0


def to_depth(msg: Any) -> np.ndarray:
    """
    Return the depth of an Image or CompressedImage, float32 (H, W) in metres, NaN = invalid.

    A raw message may be 32FC1 (metres), 16UC1 or mono16 (millimetres). A compressed message may be
    compressedDepth or a plain PNG of 16UC1. 0, negative values, infinity and NaN are invalid.
    Raises ``BadImage``.
    """
    values = _raw(msg, DEPTH, 'depth') if hasattr(msg, 'encoding') else _compressed_depth(msg)
    if values.dtype == np.uint16:
        values = values.astype(np.float32) / 1000
    return np.where((values > 0) & (values < np.inf), values, np.float32(np.nan))


def to_labels(msg: Any) -> np.ndarray:
    """
    Return the class ids of an Image or CompressedImage, uint8 (H, W).

    A raw message may be mono8 or 8UC1. A compressed message must be a PNG, because JPEG changes
    ids. Raises ``BadImage``.
    """
    if hasattr(msg, 'encoding'):
        return _raw(msg, LABELS, 'labels').copy()
    data = bytes(msg.data)
    if data.startswith(b'\xff\xd8'):
        raise BadImage('JPEG changes the ids of labels: record them as PNG')
    ids = _png(data, msg.format, decode_ids)
    if ids.dtype != np.uint8 or ids.ndim != 2:
        raise BadImage(f'format {msg.format!r} holds {ids.dtype} {ids.shape}, labels are one '
                       'channel of 8 bits')
    return ids


def compress_depth(depth: np.ndarray, encoding: str = '16UC1', level: int = 9,
                   quantisation: float = QUANTISATION, reach: float | None = None) -> bytes:
    """
    Return metres (H, W) as the data of a compressedDepth message, as image_transport_plugins does.

    ``16UC1`` keeps whole millimetres up to ``reach`` metres, by default all that fit (65.535 m).
    ``32FC1`` keeps depth below ``reach``, by default 10 m, in steps of depth ** 2 /
    (``quantisation`` * (``quantisation`` + 1)) metres: 0.9 mm at 3 m. Other depth is 0, invalid;
    so is depth too near for 16 bits of 32FC1, below 0.15 m by default, which the plug-in's
    conversion wraps. ``level`` is the compression of the PNG, 0 to 9. Raises ValueError for other
    encodings.
    """
    if encoding == '16UC1':
        # The plug-in leaves the two floats as they happen to be.
        header, values = _HEADER.pack(_INVERSE_DEPTH, 0, 0), to_millimetres(depth)
        if reach is not None:
            values[values > min(int(reach * 1000), 65535)] = 0
    elif encoding == '32FC1':
        # In float32 as the plug-in, whose decoder divides by the same numbers.
        one, steps = np.float32(1), np.float32(quantisation)
        farthest = np.float32(REACH if reach is None else reach)
        scale = steps * (steps + one)
        offset = one - scale / farthest
        header = _HEADER.pack(_INVERSE_DEPTH, scale, offset)
        depth = depth.astype(np.float32)
        with np.errstate(divide='ignore', invalid='ignore'):
            inverse = scale / depth + offset
        held = (depth > 0) & (depth < farthest) & (inverse < 2 ** 16)
        values = np.where(held, inverse, 0).astype(np.uint16)
    else:
        raise ValueError(f'compressedDepth of {encoding!r}: choose from 16UC1, 32FC1')
    _, png = cv2.imencode('.png', values, (cv2.IMWRITE_PNG_COMPRESSION, level))
    return header + png.tobytes()


def _raw(msg: Any, dtypes: dict[str, np.dtype], meaning: str) -> np.ndarray:
    if not msg.height or not msg.width:
        raise BadImage(f'the size is {msg.width}x{msg.height}, a picture needs at least 1x1')
    if msg.encoding not in dtypes:
        raise BadImage(f'encoding {msg.encoding!r} does not hold {meaning}: expected '
                       f'{" or ".join(dtypes)}')
    dtype = dtypes[msg.encoding]
    rows = np.ascontiguousarray(rows_of(msg, msg.width * dtype.itemsize))
    return rows.view(dtype.newbyteorder('>' if msg.is_bigendian else '<')).astype(
        dtype, copy=False)


def _compressed_depth(msg: Any) -> np.ndarray:
    data, source = bytes(msg.data), msg.format.partition(';')[0].strip()
    if 'compresseddepth' not in msg.format.lower():
        values = _png(data, msg.format)
        if values.dtype != np.uint16 or values.ndim != 2:
            raise BadImage(f'format {msg.format!r} holds {values.dtype} {values.shape}, depth is '
                           'one channel of 16 bits or compressedDepth')
        return values
    if 'rvl' in msg.format.lower():
        raise BadImage(f'format {msg.format!r}: compressedDepth can be read as png, not rvl')
    if len(data) < _HEADER.size:
        raise BadImage(f'{len(data)} bytes are too few for compressedDepth, whose header alone '
                       f'has {_HEADER.size}')
    kind, scale, offset = _HEADER.unpack_from(data)
    values = _png(data[_HEADER.size:], msg.format)
    if values.dtype != np.uint16 or values.ndim != 2:
        raise BadImage(f'format {msg.format!r} holds {values.dtype} {values.shape}, not one '
                       'channel of 16 bits')
    if source in ('16UC1', 'mono16'):
        return values
    if source != '32FC1' or kind != _INVERSE_DEPTH:
        raise BadImage(f'format {msg.format!r} (kind {kind}): compressedDepth holds 16UC1 or '
                       '32FC1')
    with np.errstate(divide='ignore'):
        depth = np.float32(scale) / (values.astype(np.float32) - np.float32(offset))
    return np.where(values > 0, depth, np.float32(0))


def _png(data: bytes, layout: str,
         decoder: Callable[[bytes], np.ndarray] = decode) -> np.ndarray:
    try:
        return decoder(data)
    except DecodingError as error:
        raise BadImage(f'the data is {error} (format {layout!r})') from error
