# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Depth and label messages by hand: padding, byte order, quantisation, and what is refused."""

import struct
from types import SimpleNamespace
import zlib

import cv2
from jrn_perception.messages.images import BadImage
from jrn_perception.messages.maps import compress_depth, to_depth, to_labels
import numpy as np
import pytest

MILLIMETRES = np.array(((0, 1, 1500), (65535, 700, 2)), np.uint16)
METRES = np.array(((np.nan, 0.001, 1.5), (65.535, 0.7, 0.002)), np.float32)


def raw(array, encoding, padding=0, bigendian=0):
    array = array.astype(array.dtype.newbyteorder('>' if bigendian else '<'))
    rows = [row.tobytes() + b'\x7f' * padding for row in array]
    return SimpleNamespace(height=array.shape[0], width=array.shape[1], encoding=encoding,
                           is_bigendian=bigendian, step=len(rows[0]), data=b''.join(rows))


def packed(data, layout):
    return SimpleNamespace(format=layout, data=np.frombuffer(data, np.uint8))


def png(array):
    return cv2.imencode('.png', array)[1].tobytes()


@pytest.mark.parametrize('bigendian', [0, 1])
@pytest.mark.parametrize('padding', [0, 5])
def test_raw_depth(padding, bigendian):
    found = to_depth(raw(MILLIMETRES, '16UC1', padding, bigendian))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, METRES, rtol=1e-6)
    metres = METRES.copy()
    metres[1] = -1, np.inf, 0
    found = to_depth(raw(metres, '32FC1', padding, bigendian))
    np.testing.assert_array_equal(found, [[np.nan, metres[0, 1], 1.5], [np.nan] * 3])


@pytest.mark.parametrize('layout', ['16UC1; compressedDepth', '16UC1; compressedDepth png'])
def test_compressed_depth_of_millimetres_is_exact(layout):
    data = compress_depth(METRES)
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(data[12:], np.uint8), -1),
                                  MILLIMETRES)
    np.testing.assert_allclose(to_depth(packed(data, layout)), METRES, rtol=1e-6)


def test_a_plain_png_of_16_bits_is_millimetres():
    found = to_depth(packed(png(MILLIMETRES), '16UC1; png compressed '))
    np.testing.assert_allclose(found, METRES, rtol=1e-6)


def test_compressed_depth_of_metres_is_inverse_depth():
    # A = 100 * 101, B = 1 - A / 10 m: the parameters of image_transport's own default.
    inverse = np.array(((0, 1, 1010, 9092),), np.uint16)
    data = struct.pack('<iff', 0, 10100, -1009) + png(inverse)
    found = to_depth(packed(data, '32FC1; compressedDepth png'))
    np.testing.assert_allclose(found, [[np.nan, 10, 10100 / 2019, 10100 / 10101]], rtol=1e-6)


def test_compressed_depth_of_metres_comes_back_to_its_step():
    depth = np.linspace(0.16, 9.99, 500, dtype=np.float32).reshape(20, 25)
    found = to_depth(packed(compress_depth(depth, '32FC1'), '32FC1; compressedDepth png'))
    # One step of inverse depth, 1 / 10100, is depth ** 2 / 10100 metres.
    assert (np.abs(found - depth) <= 1.01 * depth ** 2 / 10100 + 1e-5).all()
    beyond = np.array(((0, np.nan, np.inf, -1, 10.5, 0.1),), np.float32)
    found = to_depth(packed(compress_depth(beyond, '32FC1'), '32FC1; compressedDepth png'))
    assert np.isnan(found).all()


# What image_transport_plugins writes: compressed_depth_image_transport/src/codec.cpp.


def test_the_bytes_of_metres_are_the_plug_ins():
    # depthQuantA / depth + depthQuantB, cut to an integer; NaN and depthMax itself are 0.
    depth = np.array(((1.0, 2.5, np.nan, 10.0, 9.999, 0.16),), np.float32)
    data = compress_depth(depth, '32FC1', 3)
    # ConfigHeader: the enum INV_DEPTH, then the float32 numbers 10100 and -1009.
    assert data[:12].hex() == '00000000' '00d01d46' '00407cc4'
    values = np.array(((9091, 3031, 0, 0, 1, 62116),), np.uint16)
    expected = cv2.imencode('.png', values, (cv2.IMWRITE_PNG_COMPRESSION, 3))[1]
    assert data[12:] == expected.tobytes()


@pytest.mark.parametrize('quantisation, reach', [(75.3, 4.2), (150.0, 100.0), (1.0, 1.0)])
def test_the_numbers_of_metres_are_float32_as_in_the_plug_in(quantisation, reach):
    depth = np.linspace(0.4, 1.2 * reach, 600, dtype=np.float32).reshape(20, 30)
    data = compress_depth(depth, '32FC1', 3, quantisation, reach)
    one, depth_z0, depth_max = np.float32(1), np.float32(quantisation), np.float32(reach)
    quant_a = depth_z0 * (depth_z0 + one)
    quant_b = one - quant_a / depth_max
    assert data[:12] == struct.pack('<iff', 0, quant_a, quant_b)
    values = [[int(quant_a / metres + quant_b) if metres < depth_max else 0 for metres in row]
              for row in depth]
    assert max(map(max, values)) < 2 ** 16
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(data[12:], np.uint8), -1), values)
    # And back as its decoder: depthQuantA / (value - depthQuantB), NaN for 0.
    expected = [[quant_a / (np.float32(value) - quant_b) if value else np.nan for value in row]
                for row in values]
    np.testing.assert_array_equal(to_depth(packed(data, '32FC1; compressedDepth png')), expected)


def test_the_bytes_of_millimetres_are_the_plug_ins():
    # Above depth_max * 1000 is 0; depth_max itself stays.
    depth = np.array(((1.5, 10.0, 10.001, np.nan),), np.float32)
    data = compress_depth(depth, '16UC1', 3, reach=10.0)
    values = np.array(((1500, 10000, 0, 0),), np.uint16)
    expected = cv2.imencode('.png', values, (cv2.IMWRITE_PNG_COMPRESSION, 3))[1]
    assert data == bytes(12) + expected.tobytes()
    # 100 m do not fit into 16 bits of millimetres; the plug-in would keep less than 34.465 m.
    far = compress_depth(np.full((2, 2), 60, np.float32), reach=100.0)
    assert (to_depth(packed(far, '16UC1; compressedDepth png')) == 60).all()


@pytest.mark.parametrize('msg, text', [
    (raw(MILLIMETRES.astype(np.uint8), 'mono8'), "'mono8' does not hold depth"),
    (SimpleNamespace(height=0, width=3, encoding='16UC1'), 'the size is 3x0'),
    (SimpleNamespace(height=2, width=3, encoding='16UC1', step=6, data=b'0', is_bigendian=0),
     'the data has 1 bytes'),
    (packed(b'12345', '16UC1; compressedDepth'), '5 bytes are too few for compressedDepth'),
    (packed(b'0' * 30, '16UC1; compressedDepth rvl'), 'not rvl'),
    (packed(b'0' * 30, '16UC1; compressedDepth png'), 'no picture that OpenCV can decode'),
    (packed(compress_depth(METRES)[:-9], '16UC1; compressedDepth png'), 'cut off'),
    (packed(struct.pack('<iff', 7, 1, 1) + png(MILLIMETRES), '32FC1; compressedDepth'), 'kind 7'),
    (packed(struct.pack('<iff', 0, 1, 1) + png(np.zeros((4, 4), np.uint8)),
            '16UC1; compressedDepth'), 'holds uint8'),
    (packed(png(np.zeros((4, 4, 3), np.uint8)), 'png'), 'one channel of 16 bits'),
    (packed(b'', 'png'), 'no picture that OpenCV can decode, 0 bytes'),
])
def test_what_is_no_depth(msg, text):
    with pytest.raises(BadImage, match=text):
        to_depth(msg)


def test_labels_with_a_palette_are_its_indices():
    ids = np.repeat(np.arange(4, dtype=np.uint8), 6).reshape(4, 6)
    whole = png(ids)
    # The same pixels, called indices of a palette.
    head = b'IHDR' + whole[16:24] + b'\x08\x03\0\0\0'
    palette = b'PLTE' + bytes(range(100, 112))
    data = whole[:12] + head + struct.pack('>I', zlib.crc32(head))
    data += struct.pack('>I', 12) + palette + struct.pack('>I', zlib.crc32(palette)) + whole[33:]
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED).ndim == 3
    np.testing.assert_array_equal(to_labels(packed(data, 'mono8; png compressed ')), ids)


def test_labels():
    ids = np.array(((0, 7, 255), (39, 40, 1)), np.uint8)
    for msg in (raw(ids, 'mono8', 3), raw(ids, '8UC1'), packed(png(ids), 'mono8; png compressed')):
        found = to_labels(msg)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, ids)
    with pytest.raises(BadImage, match='JPEG'):
        to_labels(packed(cv2.imencode('.jpg', ids)[1].tobytes(), 'mono8; jpeg compressed '))
    with pytest.raises(BadImage, match='labels are one channel of 8 bits'):
        to_labels(packed(png(ids.astype(np.uint16)), 'mono16; png compressed'))
    with pytest.raises(BadImage, match="'rgb8' does not hold labels"):
        to_labels(raw(ids, 'rgb8'))
