# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Conversions between ROS image messages and arrays.

NumPy and OpenCV do every encoding that sensor_msgs/image_encodings.hpp counts as colour, mono or
Bayer, with the results of cv_bridge (its C++ code is the reference), and honour any ``step``,
where cv_bridge's Python side skews rows whose padding is not a multiple of the channels. What is
not in that table is offered to cv_bridge.
"""

from __future__ import annotations

import re
import sys
from typing import NamedTuple

import cv2
from jrn_perception.ros.cv_bridge_probe import cv_bridge_fault
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header


class BadImage(ValueError):
    """A message that cannot be turned into a picture; its text says why, in one line."""


class _Packed(NamedTuple):
    """An encoding with all of a pixel's bytes side by side, and OpenCV's code to RGB."""

    bits: int
    channels: int
    code: int | None


_COLOURS = {
    'rgb': (3, None),
    'bgr': (3, cv2.COLOR_BGR2RGB),
    'rgba': (4, cv2.COLOR_RGBA2RGB),
    'bgra': (4, cv2.COLOR_BGRA2RGB),
    'mono': (1, cv2.COLOR_GRAY2RGB),
    # ROS names a mosaic by its first row, OpenCV by the second row from the second column.
    'bayer_rggb': (1, cv2.COLOR_BayerBG2RGB),
    'bayer_bggr': (1, cv2.COLOR_BayerRG2RGB),
    'bayer_gbrg': (1, cv2.COLOR_BayerGR2RGB),
    'bayer_grbg': (1, cv2.COLOR_BayerGB2RGB),
}
_DEMOSAICING = {code for name, (_, code) in _COLOURS.items() if name.startswith('bayer_')}
_PACKED = {
    **{f'{name}{bits}': _Packed(bits, *layout)
       for bits in (8, 16) for name, layout in _COLOURS.items()},
    # OpenCV's own types name no colours; its order is BGR, as cv_bridge's display code assumes.
    '8UC1': _Packed(8, 1, cv2.COLOR_GRAY2RGB),
    '8UC3': _Packed(8, 3, cv2.COLOR_BGR2RGB),
    '8UC4': _Packed(8, 4, cv2.COLOR_BGRA2RGB),
    'uyvy': _Packed(8, 2, cv2.COLOR_YUV2RGB_UYVY),
    'yuv422': _Packed(8, 2, cv2.COLOR_YUV2RGB_UYVY),
    'yuyv': _Packed(8, 2, cv2.COLOR_YUV2RGB_YUY2),
    'yuv422_yuy2': _Packed(8, 2, cv2.COLOR_YUV2RGB_YUY2),
}
# A luma plane, then a plane of interleaved chroma: bytes in all, as a share of the luma plane.
_PLANAR = {'nv12': 1.5, 'nv21': 1.5, 'nv24': 3}
_OUTPUTS = {
    'mono8': (np.uint8, ()), 'rgb8': (np.uint8, (3,)),
    '16UC1': (np.uint16, ()), '32FC1': (np.float32, ()),
}

ENCODINGS = (*_PACKED, *_PLANAR)
"""What ``to_rgb`` converts without cv_bridge."""


def to_rgb(msg: Image) -> np.ndarray:
    """
    Return the picture of a message as contiguous RGB, uint8 (H, W, 3).

    For ``rgb8`` without padding the array is a writable view of ``msg.data``: copy it before
    drawing on it. 16 bits become 8 as in cv_bridge, ``round(value * 255 / 65535)``; YUV is
    BT.601 with limited range. Encodings that are not in ``ENCODINGS`` are converted by cv_bridge
    where it works. Raises ``BadImage`` for an empty picture, a ``step`` shorter than a row, data
    shorter than the step and the height ask for, an encoding that nobody converts, and an odd
    size of subsampled YUV.
    """
    if not msg.height or not msg.width:
        raise BadImage(f'the size is {msg.width}x{msg.height}, a picture needs at least 1x1')
    if msg.encoding in _PLANAR:
        return _planar_to_rgb(msg)
    if msg.encoding not in _PACKED:
        return _cv_bridge_to_rgb(msg)
    bits, channels, code = _PACKED[msg.encoding]
    if channels == 2 and msg.width % 2:
        raise BadImage(f'{msg.encoding} needs an even width, this one is {msg.width}')
    rows = _rows(msg, msg.width * channels * bits // 8)
    if bits == 16:
        order = '>' if msg.is_bigendian else '<'
        rows = np.ascontiguousarray(rows).view(f'{order}u2').astype(np.uint16, copy=False)
    shape = (msg.height, msg.width, channels) if channels > 1 else (msg.height, msg.width)
    return _finish(rows.reshape(shape), code)


def compressed_to_rgb(msg: CompressedImage) -> np.ndarray:
    """
    Return the picture of a compressed message as contiguous RGB, uint8 (H, W, 3).

    Reads what ``cv2.imdecode`` reads (JPEG, PNG, TIFF, ...) with 8 or 16 bits; alpha is dropped.
    The order of the channels follows image_transport's ``format`` ('rgb8; jpeg compressed bgr8',
    or just 'jpeg'), and a Bayer mosaic in a PNG is demosaiced. An EXIF orientation is ignored:
    the camera_info describes the picture as it was taken. Raises ``BadImage`` for depth images
    and for data that is cut off or cannot be decoded.
    """
    source, _, packing = (part.strip() for part in msg.format.partition(';'))
    if 'compresseddepth' in msg.format.lower() or source in ('16UC1', '32FC1'):
        raise BadImage(f'format {msg.format!r} is a depth image, not a picture')
    data = bytes(msg.data)
    if not data:
        raise BadImage(f'the data is empty (format {msg.format!r})')
    if _is_cut_off(data):
        raise BadImage(f'the data is cut off after {len(data)} bytes (format {msg.format!r})')
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        picture = None
    if picture is None:
        raise BadImage(f'OpenCV cannot decode the {len(data)} bytes of format {msg.format!r}')
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    if picture.dtype not in (np.uint8, np.uint16) or channels not in (1, 3, 4):
        raise BadImage(f'format {msg.format!r} holds {channels} channels of {picture.dtype}, '
                       'a picture has 1, 3 or 4 of 8 or 16 bits')
    colours = 'mono'
    if channels == 1 and source.startswith('bayer_') and 'mono' not in packing:
        colours = source.rstrip('0123456789')
    elif channels > 1:
        # Without a named order (TIFF) the bytes were written in the order of the source.
        named = re.search('compressed (bgr|rgb)', packing)
        order = named[1] if named else source[:3] if packing else 'bgr'
        colours = ('rgb' if order == 'rgb' else 'bgr') + 'a' * (channels == 4)
    if colours not in _COLOURS:
        raise BadImage(f'format {msg.format!r} has an unknown Bayer pattern')
    return _finish(picture, _COLOURS[colours][1])


def depth_message(depth: np.ndarray, header: Header, encoding: str) -> Image:
    """
    Return the message of a depth map (H, W) in metres along the optical axis (REP 118).

    NaN, infinity, zero and negative values are invalid: NaN in ``32FC1`` and 0 in ``16UC1``,
    which holds whole millimetres. What those cannot hold, above 65.535 m or rounding to 0 mm,
    becomes 0 there. ``depth`` and ``header`` are left as they are. Raises ``ValueError`` for
    another encoding or shape.
    """
    depth = np.asarray(depth, np.float32)
    if encoding == '32FC1':
        valid = (depth > 0) & (depth < np.inf)
        if not valid.all():
            depth = np.where(valid, depth, np.float32(np.nan))
    elif encoding == '16UC1':
        valid = (depth > 0) & (depth <= np.float32(65.535))
        depth = np.rint(np.where(valid, depth, 0) * np.float32(1000)).astype(np.uint16)
    else:
        raise ValueError(f'depth is published as 32FC1 or 16UC1, not as {encoding!r}')
    return image_message(depth, header, encoding)


def image_message(array: np.ndarray, header: Header, encoding: str) -> Image:
    """
    Return the message of an array, its rows without padding, in the machine's byte order.

    ``mono8`` takes uint8 (H, W), ``rgb8`` uint8 (H, W, 3), ``32FC1`` float32 (H, W) and ``16UC1``
    uint16 (H, W). The array is copied, the header is shared. Raises ``ValueError`` for another
    encoding, type or shape: nothing is cast.
    """
    if encoding not in _OUTPUTS:
        raise ValueError(f'encoding {encoding!r} is none of {", ".join(_OUTPUTS)}')
    dtype, channels = _OUTPUTS[encoding]
    if array.dtype.newbyteorder('=') != dtype or array.ndim < 2 or array.shape[2:] != channels:
        raise ValueError(f'{encoding} takes {np.dtype(dtype)} (H, W{", 3" * len(channels)}), '
                         f'not {array.dtype} {array.shape}')
    array = np.ascontiguousarray(array, dtype)
    msg = Image()
    msg.header = header
    msg.height, msg.width = array.shape[:2]
    msg.encoding = encoding
    msg.is_bigendian = int(sys.byteorder == 'big')
    msg.step = array[0].nbytes
    # Assigning bytes, a list or an array of numbers takes up to 40 ms for each VGA picture.
    msg.data.frombytes(array.reshape(-1).view(np.uint8))
    return msg


def _rows(msg: Image, row_bytes: int, planes: float = 1) -> np.ndarray:
    """Return the bytes of the rows without their padding, a view; more planes follow as rows."""
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
    """Return 8-bit contiguous RGB of a picture of 8 or 16 bits in another order of colours."""
    if code in _DEMOSAICING and min(picture.shape) < 3:
        # Below that OpenCV returns black without a word.
        raise BadImage(f'a Bayer mosaic of {picture.shape[1]}x{picture.shape[0]} is too small')
    if code is not None:
        picture = cv2.cvtColor(picture, code)
    if picture.dtype == np.uint16:
        picture = cv2.convertScaleAbs(picture, alpha=255 / 65535)
    return np.ascontiguousarray(picture)


def _planar_to_rgb(msg: Image) -> np.ndarray:
    """Return RGB of NV12, NV21 and NV24, whose chroma has the luma's bytes per line, or twice."""
    width, height = msg.width, msg.height
    if msg.encoding != 'nv24':
        if width % 2 or height % 2:
            raise BadImage(f'{msg.encoding} needs an even width and height, this one is '
                           f'{width}x{height}')
        code = cv2.COLOR_YUV2RGB_NV12 if msg.encoding == 'nv12' else cv2.COLOR_YUV2RGB_NV21
        rows = _rows(msg, width, _PLANAR[msg.encoding])
        return cv2.cvtColor(np.ascontiguousarray(rows), code)
    luma = _rows(msg, width, _PLANAR['nv24'])[:height]
    chroma = np.frombuffer(msg.data, np.uint8, 2 * msg.step * height, msg.step * height)
    chroma = chroma.reshape(height, 2 * msg.step)[:, :2 * width].reshape(height, width, 2)
    # OpenCV has no code for NV24: as UYVY with every pixel twice it has the same coefficients.
    doubled = np.stack([chroma[..., 0], luma, chroma[..., 1], luma], axis=-1)
    rgb = cv2.cvtColor(doubled.reshape(height, 2 * width, 2), cv2.COLOR_YUV2RGB_UYVY)
    return np.ascontiguousarray(rgb[:, ::2])


def _cv_bridge_to_rgb(msg: Image) -> np.ndarray:
    """Return RGB of an encoding that is not ours, from cv_bridge."""
    known = f'supported without cv_bridge: {", ".join(ENCODINGS)}'
    fault = cv_bridge_fault()
    if fault:
        raise BadImage(f'encoding {msg.encoding!r} is not supported and cv_bridge was not asked: '
                       f'{fault}; {known}')
    from cv_bridge import CvBridge
    # CvBridgeError is a TypeError, errors of its C++ side are RuntimeErrors; the others are what
    # its Python side stumbles over with an OpenCV or numpy that it was not written for.
    errors = (cv2.error, AttributeError, KeyError, RuntimeError, TypeError, ValueError)
    bridge = CvBridge()
    try:
        dtype, channels = bridge.encoding_to_dtype_with_channels(msg.encoding)
        row_bytes = msg.width * channels * np.dtype(dtype).itemsize
    except errors as error:
        raise _refused(msg.encoding, error, known) from error
    rows = np.ascontiguousarray(_rows(msg, row_bytes))
    packed = Image(height=msg.height, width=msg.width, encoding=msg.encoding,
                   is_bigendian=msg.is_bigendian, step=row_bytes)
    packed.data.frombytes(rows.reshape(-1))
    try:
        rgb = np.ascontiguousarray(bridge.imgmsg_to_cv2(packed, 'rgb8'))
    except errors as error:
        raise _refused(msg.encoding, error, known) from error
    if rgb.dtype != np.uint8 or rgb.shape != (msg.height, msg.width, 3):
        raise BadImage(f'cv_bridge made {rgb.dtype} {rgb.shape} of encoding {msg.encoding!r}')
    return rgb


def _refused(encoding: str, error: Exception, known: str) -> BadImage:
    """Return the error for an encoding that cv_bridge does not convert."""
    reason = ' '.join(f'{type(error).__name__}: {error}'.split())
    return BadImage(f'cv_bridge cannot convert encoding {encoding!r} ({reason}); {known}')


# A marker of JPEG is ff and a code; in entropy-coded data ff is followed by 00 or a restart.
_JPEG_MARKER = re.compile(rb'\xff([^\x00\xff\xd0-\xd7])', re.DOTALL)
_PNG_END = b'\x00\x00\x00\x00IEND\xaeB`\x82'


def _is_cut_off(data: bytes) -> bool:
    """Return whether a JPEG or PNG lacks its end, which OpenCV may paint over in grey."""
    if data.startswith(b'\x89PNG\r\n\x1a\n'):
        return _PNG_END not in data
    if not data.startswith(b'\xff\xd8'):
        return False
    position = 2
    # From segment to segment: a thumbnail inside one has an end marker of its own.
    while marker := _JPEG_MARKER.search(data, position):
        if marker[1] in (b'\xd9', b'\xd8'):
            return marker[1] == b'\xd8'
        position = marker.end() + int.from_bytes(data[marker.end():marker.end() + 2], 'big')
    return True
