# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Pictures from image messages, without ROS.

A message is any object with the fields of sensor_msgs/Image or CompressedImage, from rclpy or from
a recording. The functions convert every encoding that sensor_msgs/image_encodings.hpp counts as
colour, mono or Bayer, with the same results as cv_bridge (its C++ code is the reference). They
accept any ``step``; cv_bridge's Python code skews rows whose padding is not a multiple of the
channels.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import cv2
from jrn_perception.messages.decoding import decode, DecodingError
import numpy as np


class BadImage(ValueError):
    """A message that cannot be converted into a picture; the text says why, in one line."""


class _Packed(NamedTuple):
    """An encoding with the bytes of a pixel side by side; ``code`` is OpenCV's code to RGB."""

    bits: int
    channels: int
    code: int | None


_COLOURS = {
    'rgb': (3, None),
    'bgr': (3, cv2.COLOR_BGR2RGB),
    'rgba': (4, cv2.COLOR_RGBA2RGB),
    'bgra': (4, cv2.COLOR_BGRA2RGB),
    'mono': (1, cv2.COLOR_GRAY2RGB),
    # ROS names a mosaic by its first row; OpenCV by its second row, from the second column on.
    'bayer_rggb': (1, cv2.COLOR_BayerBG2RGB),
    'bayer_bggr': (1, cv2.COLOR_BayerRG2RGB),
    'bayer_gbrg': (1, cv2.COLOR_BayerGR2RGB),
    'bayer_grbg': (1, cv2.COLOR_BayerGB2RGB),
}
_DEMOSAICING = {code for name, (_, code) in _COLOURS.items() if name.startswith('bayer_')}
_PACKED = {
    **{f'{name}{bits}': _Packed(bits, *layout)
       for bits in (8, 16) for name, layout in _COLOURS.items()},
    # OpenCV's own types do not name colours; BGR is its order, and what cv_bridge displays.
    '8UC1': _Packed(8, 1, cv2.COLOR_GRAY2RGB),
    '8UC3': _Packed(8, 3, cv2.COLOR_BGR2RGB),
    '8UC4': _Packed(8, 4, cv2.COLOR_BGRA2RGB),
    'uyvy': _Packed(8, 2, cv2.COLOR_YUV2RGB_UYVY),
    'yuv422': _Packed(8, 2, cv2.COLOR_YUV2RGB_UYVY),
    'yuyv': _Packed(8, 2, cv2.COLOR_YUV2RGB_YUY2),
    'yuv422_yuy2': _Packed(8, 2, cv2.COLOR_YUV2RGB_YUY2),
}
# A luma plane, then a plane of interleaved chroma; the value is (all bytes) / (luma bytes).
_PLANAR = {'nv12': 1.5, 'nv21': 1.5, 'nv24': 3}

ENCODINGS = (*_PACKED, *_PLANAR)
"""The encodings that ``to_rgb`` converts."""


def to_rgb(msg: Any) -> np.ndarray:
    """
    Return the picture of a message as contiguous RGB, uint8 (H, W, 3).

    For ``rgb8`` without padding the array is a view of ``msg.data``: copy it before drawing on it.
    16 bits become 8 as in cv_bridge, ``round(value * 255 / 65535)``. YUV is BT.601 with limited
    range. Raises ``BadImage`` for an empty picture, a ``step`` shorter than a row, data shorter
    than step times height, an encoding that is not in ``ENCODINGS``, and an odd size of
    subsampled YUV.
    """
    if not msg.height or not msg.width:
        raise BadImage(f'the size is {msg.width}x{msg.height}, a picture needs at least 1x1')
    if msg.encoding in _PLANAR:
        return _planar_to_rgb(msg)
    if msg.encoding not in _PACKED:
        raise BadImage(f'encoding {msg.encoding!r} is not supported; supported: '
                       f'{", ".join(ENCODINGS)}')
    bits, channels, code = _PACKED[msg.encoding]
    if channels == 2 and msg.width % 2:
        raise BadImage(f'{msg.encoding} needs an even width, this width is {msg.width}')
    rows = rows_of(msg, msg.width * channels * bits // 8)
    if bits == 16:
        order = '>' if msg.is_bigendian else '<'
        rows = np.ascontiguousarray(rows).view(f'{order}u2').astype(np.uint16, copy=False)
    shape = (msg.height, msg.width, channels) if channels > 1 else (msg.height, msg.width)
    return _finish(rows.reshape(shape), code)


def compressed_to_rgb(msg: Any) -> np.ndarray:
    """
    Return the picture of a compressed message as contiguous RGB, uint8 (H, W, 3).

    The function reads the formats of ``cv2.imdecode`` (JPEG, PNG, TIFF, ...) with 8 or 16 bits and
    drops alpha. The order of the channels follows image_transport's ``format`` ('rgb8; jpeg
    compressed bgr8', or only 'jpeg'). A Bayer mosaic in a PNG is demosaiced. An EXIF orientation
    is ignored, because the camera_info describes the picture as it was taken. Raises ``BadImage``
    for depth images and for data that is cut off or cannot be decoded.
    """
    source, _, packing = (part.strip() for part in msg.format.partition(';'))
    if 'compresseddepth' in msg.format.lower() or source in ('16UC1', '32FC1'):
        raise BadImage(f'format {msg.format!r} is a depth image, not a picture')
    data = bytes(msg.data)
    if not data:
        raise BadImage(f'the data is empty (format {msg.format!r})')
    try:
        picture = decode(data)
    except DecodingError as error:
        raise BadImage(f'the data is {error} (format {msg.format!r})') from error
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    if picture.dtype not in (np.uint8, np.uint16) or channels not in (1, 3, 4):
        raise BadImage(f'format {msg.format!r} holds {channels} channels of {picture.dtype}, '
                       'a picture has 1, 3 or 4 of 8 or 16 bits')
    colours = 'mono'
    if channels == 1 and source.startswith('bayer_') and 'mono' not in packing:
        colours = source.rstrip('0123456789')
    elif channels > 1:
        # Without a named order (TIFF) the bytes have the order of the source encoding.
        named = re.search('compressed (bgr|rgb)', packing)
        order = named[1] if named else source[:3] if packing else 'bgr'
        colours = ('rgb' if order == 'rgb' else 'bgr') + 'a' * (channels == 4)
    if colours not in _COLOURS:
        raise BadImage(f'format {msg.format!r} has an unknown Bayer pattern')
    return _finish(picture, _COLOURS[colours][1])


def to_millimetres(depth: np.ndarray) -> np.ndarray:
    """
    Return float32 depth in metres as in ``16UC1``: uint16, whole millimetres, 0 = invalid.

    NaN, infinity, zero, negative values and values above 65.535 m, which do not fit, are invalid.
    """
    valid = (depth > 0) & (depth <= np.float32(65.535))
    return np.rint(np.where(valid, depth, 0) * np.float32(1000)).astype(np.uint16)


def rows_of(msg: Any, row_bytes: int, planes: float = 1) -> np.ndarray:
    """Return a view of the bytes of the rows without padding; more planes follow as more rows."""
    if msg.step < row_bytes:
        raise BadImage(f'step {msg.step} is shorter than a row of {msg.width} {msg.encoding} '
                       f'pixels, {row_bytes} bytes')
    count = int(msg.height * planes)
    if len(msg.data) < msg.step * count:
        raise BadImage(f'the data has {len(msg.data)} bytes; {msg.encoding} with step {msg.step} '
                       f'and height {msg.height} has {msg.step * count}')
    data = np.frombuffer(msg.data, np.uint8, msg.step * count)
    return data.reshape(count, msg.step)[:, :row_bytes]


def _finish(picture: np.ndarray, code: int | None) -> np.ndarray:
    """Return contiguous 8-bit RGB for a picture of 8 or 16 bits in the order that ``code`` has."""
    if code in _DEMOSAICING and min(picture.shape) < 3:
        # For smaller mosaics OpenCV returns black without an error.
        raise BadImage(f'a Bayer mosaic of {picture.shape[1]}x{picture.shape[0]} is too small')
    if code is not None:
        picture = cv2.cvtColor(picture, code)
    if picture.dtype == np.uint16:
        picture = cv2.convertScaleAbs(picture, alpha=255 / 65535)
    return np.ascontiguousarray(picture)


def _planar_to_rgb(msg: Any) -> np.ndarray:
    """Return RGB for NV12, NV21 and NV24; NV24's chroma has twice the bytes of luma in a line."""
    width, height = msg.width, msg.height
    if msg.encoding != 'nv24':
        if width % 2 or height % 2:
            raise BadImage(f'{msg.encoding} needs an even width and height, this size is '
                           f'{width}x{height}')
        code = cv2.COLOR_YUV2RGB_NV12 if msg.encoding == 'nv12' else cv2.COLOR_YUV2RGB_NV21
        rows = rows_of(msg, width, _PLANAR[msg.encoding])
        return cv2.cvtColor(np.ascontiguousarray(rows), code)
    luma = rows_of(msg, width, _PLANAR['nv24'])[:height]
    chroma = np.frombuffer(msg.data, np.uint8, 2 * msg.step * height, msg.step * height)
    chroma = chroma.reshape(height, 2 * msg.step)[:, :2 * width].reshape(height, width, 2)
    # OpenCV has no code for NV24. UYVY with every pixel doubled has the same coefficients.
    doubled = np.stack([chroma[..., 0], luma, chroma[..., 1], luma], axis=-1)
    rgb = cv2.cvtColor(doubled.reshape(height, 2 * width, 2), cv2.COLOR_YUV2RGB_UYVY)
    return np.ascontiguousarray(rgb[:, ::2])
