# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Conversions between ROS image messages and arrays.

``messages.images`` decodes pictures; encodings that are not in its table go to cv_bridge.
"""

from __future__ import annotations

from copy import copy
import sys

import cv2
from jrn_perception.messages import images
from jrn_perception.messages.images import BadImage, compressed_to_rgb, ENCODINGS
from jrn_perception.ros.conversions.cv_bridge_probe import cv_bridge_fault
import numpy as np
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header

__all__ = ('BadImage', 'compressed_to_rgb', 'depth_message', 'ENCODINGS', 'image_message',
           'to_rgb', 'with_header')

_OUTPUTS = {
    'mono8': (np.uint8, ()), 'rgb8': (np.uint8, (3,)), 'bgr8': (np.uint8, (3,)),
    '16UC1': (np.uint16, ()), '32FC1': (np.float32, ()), '32FC3': (np.float32, (3,)),
}


def to_rgb(msg: Image) -> np.ndarray:
    """
    Return the picture of a message as contiguous RGB, uint8 (H, W, 3).

    For ``rgb8`` without padding this is a writable view of ``msg.data``: copy it before drawing
    on it. cv_bridge, where it works, converts the encodings that are not in ``ENCODINGS``. Raises
    ``BadImage``.
    """
    if msg.encoding in ENCODINGS or not msg.height or not msg.width:
        return images.to_rgb(msg)
    return _cv_bridge_to_rgb(msg)


def depth_message(depth: np.ndarray, header: Header, encoding: str,
                  infinite: bool = False) -> Image:
    """
    Return the message of a depth map (H, W) in metres along the optical axis (REP 118).

    NaN, infinity, zero and negative values are invalid: NaN in ``32FC1`` and 0 in ``16UC1``,
    which holds whole millimetres. If ``infinite``, infinities stay in ``32FC1`` (REP 117). Depth
    that ``16UC1`` cannot hold, above 65.535 m or rounding to 0 mm, becomes 0 there. ``depth`` and
    ``header`` do not change. Raises ``ValueError`` for a different encoding or shape.
    """
    depth = np.asarray(depth, np.float32)
    if encoding == '32FC1':
        valid = (depth > 0) & (depth < np.inf)
        if infinite:
            valid |= np.isinf(depth)
        if not valid.all():
            depth = np.where(valid, depth, np.float32(np.nan))
    elif encoding == '16UC1':
        depth = images.to_millimetres(depth)
    else:
        raise ValueError(f'depth is published as 32FC1 or 16UC1, not as {encoding!r}')
    return image_message(depth, header, encoding)


def image_message(array: np.ndarray, header: Header, encoding: str) -> Image:
    """
    Return the message of an array, its rows without padding, in the machine's byte order.

    ``mono8`` takes uint8 (H, W), ``rgb8`` and ``bgr8`` uint8 (H, W, 3), ``32FC1`` float32 (H, W)
    and ``16UC1`` uint16 (H, W). The array is copied, the header is shared. Raises ``ValueError``
    for a different encoding, type or shape: nothing is cast.
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
    # Assigning bytes, a list or an array of numbers takes up to 40 ms for a VGA picture.
    msg.data.frombytes(array.reshape(-1).view(np.uint8))
    return msg


def _cv_bridge_to_rgb(msg: Image) -> np.ndarray:
    """Return RGB from cv_bridge, for an encoding that ``messages.images`` does not know."""
    known = f'supported without cv_bridge: {", ".join(ENCODINGS)}'
    fault = cv_bridge_fault()
    if fault:
        raise BadImage(f'encoding {msg.encoding!r} is not supported and cv_bridge was not asked: '
                       f'{fault}; {known}')
    from cv_bridge import CvBridge
    # CvBridgeError is a TypeError, errors of its C++ side are RuntimeErrors. With an OpenCV or
    # numpy that it was not written for, its Python side raises the others.
    errors = (cv2.error, AttributeError, KeyError, RuntimeError, TypeError, ValueError)
    bridge = CvBridge()
    try:
        dtype, channels = bridge.encoding_to_dtype_with_channels(msg.encoding)
        row_bytes = msg.width * channels * np.dtype(dtype).itemsize
    except errors as error:
        raise _refused(msg.encoding, error, known) from error
    rows = np.ascontiguousarray(images.rows_of(msg, row_bytes))
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


def with_header(message: CameraInfo, header: Header) -> CameraInfo:
    """Return ``message`` with the header of the image that it belongs to."""
    matched = copy(message)
    matched.header = header
    return matched
