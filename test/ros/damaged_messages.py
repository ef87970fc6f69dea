# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Messages of all input types, whole and damaged, as strategies of hypothesis."""

from array import array
import struct

import cv2
from hypothesis import strategies as some
from jrn_perception.messages.images import ENCODINGS
from jrn_perception.messages.maps import compress_depth
import numpy as np
from sensor_msgs.msg import (
    CameraInfo,
    CompressedImage,
    Image,
    LaserScan,
    PointCloud2,
    PointField,
    Range,
)

HEIGHT, WIDTH = 12, 16
COUNTS = some.sampled_from((0, 1, 2, 3, 11, 12, 13, 16, 47, 48, 64, 255, 65_536, 2 ** 31 - 1,
                            2 ** 31, 2 ** 32 - 1))
BYTES = some.integers(0, 255)
FLOATS = some.one_of(
    some.floats(width=32), some.sampled_from((0.0, -0.0, 1e-38, -1.0, 3.4e38, 1e-45)))
DOUBLES = some.one_of(some.floats(), some.sampled_from((0.0, -1.0, 50.0, 1e300, 1e-300)))
NAMES = some.one_of(some.sampled_from((
    '', 'x', 'y', 'z', 'rgb8', 'rgb7', 'RGB8', '16UC1', '32FC1', '64FC1', 'mono8', '8UC2',
    'bayer_x8', 'jpeg', 'png', 'rgb8; png compressed rgb8', 'bayer_rggb8; png compressed ',
    '16UC1; compressedDepth png', '32FC1; compressedDepth png', '32FC1; compressedDepth rvl',
    'plumb_bob', 'equidistant', 'rational_polynomial', 'two\nlines')),
    some.text('ab8;\n\x00 ', max_size=12))


def picture(kind=np.uint8, channels=3):
    """Return a small array of coarse patches, (HEIGHT, WIDTH, channels)."""
    values = np.random.default_rng(0).integers(0, np.iinfo(kind).max, (3, 4, channels), kind)
    return np.repeat(np.repeat(values, 4, 0), 4, 1)


def with_data(message, data):
    message.data = array('B', bytes(data))
    return message


def depth():
    values = (picture(np.uint16, 1)[..., 0] / 10_000).astype(np.float32)
    values[:2] = np.nan
    return values


def images():
    """Return a picture in each encoding."""
    return [with_data(Image(height=HEIGHT, width=WIDTH, encoding=encoding, step=8 * WIDTH),
                      bytes(range(256)) * (3 * 8 * WIDTH * HEIGHT // 256 + 1))
            for encoding in (*ENCODINGS, '8SC1')]


def depth_images():
    return [with_data(Image(height=HEIGHT, width=WIDTH, encoding=encoding,
                            step=WIDTH * values.itemsize), values.tobytes())
            for encoding, values in (('32FC1', depth()), ('16UC1', picture(np.uint16, 1)),
                                     ('mono16', picture(np.uint16, 1)))]


def compressed_images():
    """Return pictures and depth in files."""
    files = [(layout, cv2.imencode(suffix, values)[1].tobytes()) for layout, suffix, values in (
        ('jpeg', '.jpg', picture()), ('rgb8; jpeg compressed bgr8', '.jpg', picture()),
        ('png', '.png', picture()), ('16UC1; png compressed ', '.png', picture(np.uint16, 1)),
        ('bayer_rggb8; png compressed ', '.png', picture(channels=1)),
        ('rgba8; png compressed bgra8', '.png', picture(channels=4)),
        ('tiff', '.tiff', picture()), ('bmp', '.bmp', picture()), ('webp', '.webp', picture()))]
    files += [(f'{encoding}; compressedDepth png', compress_depth(depth(), encoding))
              for encoding in ('16UC1', '32FC1')]
    return [with_data(CompressedImage(format=layout), data) for layout, data in files]


def camera_infos():
    k = [50.0, 0, 8, 0, 50, 6, 0, 0, 1]
    p = [50.0, 0, 8, 0, 0, 50, 6, 0, 0, 0, 1, 0]
    return [CameraInfo(height=HEIGHT, width=WIDTH, distortion_model=model, d=d, k=k, p=p)
            for model, d in (('plumb_bob', [0.1, -0.2, 0.001, 0.002, 0.3]), ('plumb_bob', []),
                             ('rational_polynomial', [0.1] * 8),
                             ('equidistant', [0.1, 0.01, 0.0, 0.0]))]


def clouds():
    values = np.random.default_rng(1).normal(2, 1, (6, 4)).astype('<f4')
    values[0, 0] = np.nan
    fields = [PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
              for index, name in enumerate(('x', 'y', 'z', 'intensity'))]
    return [with_data(PointCloud2(height=height, width=6 // height, fields=fields, point_step=16,
                                  row_step=16 * (6 // height)), values.tobytes())
            for height in (1, 2)]


def scans():
    return [LaserScan(angle_min=-1.0, angle_max=1.0, angle_increment=0.5, range_min=0.1,
                      range_max=10.0, ranges=[1.0, 2.0, float('inf'), float('nan'), 3.0])]


def ranges():
    return [Range(min_range=0.1, max_range=4.0, range=2.0, field_of_view=0.4)]


@some.composite
def bytes_of(draw, data):
    """Draw ``data`` with bytes cut, changed, added or exchanged for a run of others."""
    data = bytearray(data)
    for _ in range(draw(some.integers(1, 3))):
        place = draw(some.integers(0, max(0, len(data) - 1)))
        damage = draw(some.sampled_from(('cut', 'change', 'add', 'numbers', 'none')))
        if damage == 'cut':
            del data[place:]
        elif damage == 'change' and data:
            data[place] = draw(BYTES)
        elif damage == 'add':
            data += bytes([draw(BYTES)]) * draw(some.integers(1, 40))
        elif damage == 'numbers':
            data[place:place + 8] = struct.pack('<d', draw(DOUBLES))
        elif damage == 'none':
            data.clear()
    return bytes(data)


@some.composite
def value_of(draw, kind, before):
    """Draw a value for a field of the type ``kind``, as messages declare their fields."""
    if kind == 'sequence<uint8>':
        return array('B', draw(bytes_of(bytes(before))))
    if kind == 'sequence<sensor_msgs/PointField>':
        fields = [PointField(name=draw(NAMES), offset=draw(COUNTS), datatype=draw(BYTES),
                             count=draw(COUNTS)) for _ in range(draw(some.integers(0, 2)))]
        return draw(some.permutations([*before, *fields]))[:draw(some.integers(0, 5))]
    if kind == 'sensor_msgs/RegionOfInterest':
        return type(before)(x_offset=draw(COUNTS), y_offset=draw(COUNTS), height=draw(COUNTS),
                            width=draw(COUNTS), do_rectify=draw(some.booleans()))
    if kind.startswith('sequence<'):
        numbers = FLOATS if 'float' in kind else DOUBLES
        return draw(some.lists(numbers, max_size=15))
    if '[' in kind:
        values = [float(value) for value in before]
        for _ in range(draw(some.integers(1, 3))):
            values[draw(some.integers(0, len(values) - 1))] = draw(DOUBLES)
        return values
    return draw({'uint32': COUNTS, 'uint8': BYTES, 'string': NAMES, 'boolean': some.booleans(),
                 'float': FLOATS, 'double': DOUBLES}[kind])


@some.composite
def damaged(draw, messages):
    """Draw one of ``messages``, with up to three of its fields and perhaps its stamp changed."""
    whole = draw(some.sampled_from(messages))
    kinds = whole.get_fields_and_field_types()
    message = type(whole)(**{name: getattr(whole, name) for name in kinds if name != 'header'})
    names = sorted(set(kinds) - {'header'})
    for name in draw(some.lists(some.sampled_from(names), max_size=3, unique=True)):
        before = getattr(message, name)
        kind = kinds[name]
        if kind == 'double' and type(message) is not CameraInfo:
            kind = 'float'
        setattr(message, name, draw(value_of(kind, before)))
    return message
