# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
Compressed messages for thin links, in the formats of image_transport_plugins.

The plug-ins ``compressed`` and ``compressedDepth`` read them in rviz and in ``republish``.
"""

from __future__ import annotations

import cv2
from jrn_perception.messages.maps import compress_depth
from jrn_perception.ros.parameters.settings import Settings
import numpy as np
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header


def compressed_depth(depth: np.ndarray, header: Header, settings: Settings) -> CompressedImage:
    """Return metres (H, W) as compressedDepth, in the settings' depth_encoding; 0 = invalid."""
    data = compress_depth(depth, settings.depth_encoding, settings.png_level,
                          settings.compressed_depth_quantization, settings.compressed_depth_max)
    return _message(data, header, f'{settings.depth_encoding}; compressedDepth png')


def compressed_ids(ids: np.ndarray, header: Header, settings: Settings) -> CompressedImage:
    """Return class ids, uint8 (H, W), as a PNG, which keeps every id."""
    return _message(_png(ids, settings), header, 'mono8; png compressed ')


def compressed_picture(rgb: np.ndarray, header: Header, settings: Settings) -> CompressedImage:
    """Return a picture, uint8 RGB (H, W, 3), in the settings' compressed_format."""
    bgr = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR)
    if settings.compressed_format == 'png':
        data = _png(bgr, settings)
    else:
        quality = (cv2.IMWRITE_JPEG_QUALITY, settings.jpeg_quality)
        data = cv2.imencode('.jpg', bgr, quality)[1].tobytes()
    return _message(data, header, f'rgb8; {settings.compressed_format} compressed bgr8')


def _png(array: np.ndarray, settings: Settings) -> bytes:
    level = cv2.IMWRITE_PNG_COMPRESSION, settings.png_level
    return cv2.imencode('.png', array, level)[1].tobytes()


def _message(data: bytes, header: Header, layout: str) -> CompressedImage:
    message = CompressedImage(header=header, format=layout)
    message.data.frombytes(data)
    return message
