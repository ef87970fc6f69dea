# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""
The organised cloud: position, class and confidence of each pixel's point.

It serves readers that pair the points of a cloud with the pixels of a mask one by one, as Nav2's
semantic_segmentation_layer does.
"""

from __future__ import annotations

import sys

from jrn_perception.messages.camera_info import Intrinsics
from jrn_perception.messages.lens import rays
import numpy as np
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import Header

# Names and types are the ones of the cloud in which Nav2's layer shows its own tiles: x, y, z and
# confidence as FLOAT32, class as UINT8. PCL's point types also have `confidence` as float32.
# Confidence has the scale of the topic `confidence`, 0..1; the layer reads 0..255 from a separate
# image, not from the cloud. A step of 20 bytes keeps every float aligned.
POINT = np.dtype({
    'names': ('x', 'y', 'z', 'confidence', 'class'),
    'formats': (np.float32, np.float32, np.float32, np.float32, np.uint8),
    'offsets': (0, 4, 8, 12, 16), 'itemsize': 20})
_TYPES = {np.dtype(np.float32): PointField.FLOAT32, np.dtype(np.uint8): PointField.UINT8}
_FIELDS = [PointField(name=name, offset=offset, datatype=_TYPES[kind], count=1)
           for name, (kind, offset) in POINT.fields.items()]


def decimate(array: np.ndarray, stride: int) -> np.ndarray:
    """Return a view of every ``stride``-th row and column of (H, W), beginning with the first."""
    return array[::stride, ::stride]


def cloud_message(depth: np.ndarray, labels: np.ndarray, confidence: np.ndarray,
                  intrinsics: Intrinsics, header: Header, stride: int = 1) -> PointCloud2:
    """
    Return the cloud of all pixels, or of every ``stride``-th row and column.

    It has ceil(H / stride) rows of ceil(W / stride) points, as ``decimate`` picks them.
    ``depth``: float32 (H, W), metres along the optical axis. ``labels``: uint8 (H, W), 255 for
    unlabelled. ``confidence``: float32 (H, W), 0..1. ``intrinsics``: in pixels of these maps.
    ``header``: the picture's, whose frame is an optical one (REP 103: x to the right, y down, z
    forward). Where depth is not a positive number, and where the lens has no ray, x, y and z are
    NaN; class and confidence remain. Raises ``ValueError`` for maps of different sizes and for a
    stride below 1.
    """
    if depth.ndim != 2 or not depth.shape == labels.shape == confidence.shape:
        raise ValueError(f'a cloud needs maps of one size (H, W), not depth {depth.shape}, '
                         f'labels {labels.shape} and confidence {confidence.shape}')
    if stride < 1:
        raise ValueError(f'stride {stride}: every first, second, ... pixel, so at least 1')
    x_per_z, y_per_z = rays(intrinsics, depth.shape, stride)
    z = decimate(depth, stride)
    z = np.where((z > 0) & (z < np.inf) & np.isfinite(x_per_z), z, np.float32(np.nan))
    points = np.zeros(z.shape, POINT)
    np.multiply(z, x_per_z, out=points['x'])
    np.multiply(z, y_per_z, out=points['y'])
    points['z'] = z
    points['confidence'] = decimate(confidence, stride)
    points['class'] = decimate(labels, stride)
    message = PointCloud2(
        header=header, height=z.shape[0], width=z.shape[1], fields=list(_FIELDS),
        is_bigendian=sys.byteorder == 'big', point_step=POINT.itemsize,
        row_step=POINT.itemsize * z.shape[1], is_dense=False)
    # Assigning bytes takes ten times as long.
    message.data.frombytes(points.reshape(-1).view(np.uint8))
    return message
