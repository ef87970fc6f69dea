# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Messages to arrays and back, with real sensor_msgs messages."""

import array
from importlib import import_module
import sys

import numpy as np
import pytest

sensor_msgs = pytest.importorskip(
    'sensor_msgs.msg', reason='needs the ROS messages (pip install ros-sensor-msgs)')
images = import_module('jrn_perception.ros.conversions.images')
cv_bridge_fault = import_module('jrn_perception.ros.conversions.cv_bridge_probe').cv_bridge_fault
Time = import_module('builtin_interfaces.msg').Time
Header = import_module('std_msgs.msg').Header
Image = sensor_msgs.Image

SIZES = [(1, 1), (1, 4), (5, 1), (6, 8), (479, 641)]
HEADER = Header(stamp=Time(sec=7, nanosec=9), frame_id='camera')


def message(rows, width, encoding, padding=0, is_bigendian=0):
    """Return the message of uint8 rows, each followed by bytes that nobody may read."""
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=171)
    msg = Image(header=HEADER, height=len(rows), width=width, encoding=encoding,
                step=rows.shape[1], is_bigendian=is_bigendian)
    msg.data.frombytes(rows.tobytes())
    return msg


def random_rgb(height, width):
    return np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)


def bt601(y, u, v):
    """Return RGB of limited-range BT.601 by its definition (ITU-R BT.601-7, 2.5)."""
    y, u, v = (plane.astype(float) for plane in (y, u, v))
    y, u, v = (y - 16) * 255 / 219, (u - 128) * 255 / 224, (v - 128) * 255 / 224
    rgb = np.stack([y + 1.402 * v, y - 0.344136 * u - 0.714136 * v, y + 1.772 * u], axis=-1)
    return rgb.clip(0, 255)


def same(actual, expected):
    assert actual.dtype == np.uint8
    assert actual.flags.c_contiguous
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize('padding', [0, 1, 7])
@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('encoding, order', [
    ('rgb8', [0, 1, 2]), ('bgr8', [2, 1, 0]), ('rgba8', [0, 1, 2, 1]), ('bgra8', [2, 1, 0, 1]),
    ('8UC3', [2, 1, 0]), ('8UC4', [2, 1, 0, 1])])
def test_orders_of_colours_give_one_picture(encoding, order, size, padding):
    rgb = random_rgb(*size)
    rows = rgb[..., order].reshape(size[0], -1)
    same(images.to_rgb(message(rows, size[1], encoding, padding)), rgb)


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('encoding', ['mono8', '8UC1'])
def test_grey_is_repeated(encoding, size, padding):
    grey = random_rgb(*size)[..., 0]
    same(images.to_rgb(message(grey, size[1], encoding, padding)), np.stack([grey] * 3, -1))


@pytest.mark.parametrize('is_bigendian', [0, 1])
@pytest.mark.parametrize('padding', [0, 3])
def test_all_values_of_mono16(is_bigendian, padding):
    values = np.arange(65536).reshape(256, 256)
    rows = values.astype('>u2' if is_bigendian else '<u2').view(np.uint8)
    rgb = images.to_rgb(message(rows, 256, 'mono16', padding, is_bigendian))
    # cv_bridge scales by 255 / 65535 and rounds; a shift by 8 bits would differ.
    same(rgb, np.stack([(values + 128) // 257] * 3, -1))


@pytest.mark.parametrize('is_bigendian', [0, 1])
@pytest.mark.parametrize('encoding, order', [
    ('rgb16', [0, 1, 2]), ('bgr16', [2, 1, 0]), ('rgba16', [0, 1, 2, 1]),
    ('bgra16', [2, 1, 0, 1])])
def test_sixteen_bits_of_colour(encoding, order, is_bigendian):
    rgb = random_rgb(5, 7)
    wide = (rgb.astype(int) * 257)[..., order]
    wide = np.ascontiguousarray(wide, '>u2' if is_bigendian else '<u2')
    rows = wide.view(np.uint8).reshape(5, -1)
    same(images.to_rgb(message(rows, 7, encoding, 1, is_bigendian)), rgb)


@pytest.mark.parametrize('bits, is_bigendian', [(8, 0), (16, 0), (16, 1)])
@pytest.mark.parametrize('size', [(6, 8), (7, 9), (479, 641)])
@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_mosaic_of_one_colour(pattern, size, bits, is_bigendian):
    colour = {'r': 200, 'g': 100, 'b': 50}
    mosaic = np.empty(size, int)
    for index, filter_colour in enumerate(pattern):
        mosaic[index // 2::2, index % 2::2] = colour[filter_colour]
    if bits == 16:
        mosaic = (mosaic * 257).astype('>u2' if is_bigendian else '<u2').view(np.uint8)
    msg = message(mosaic.astype(np.uint8), size[1], f'bayer_{pattern}{bits}', 3, is_bigendian)
    same(images.to_rgb(msg), np.broadcast_to(np.uint8([200, 100, 50]), (*size, 3)))


@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize('encoding, y_first', [
    ('yuv422', False), ('uyvy', False), ('yuv422_yuy2', True), ('yuyv', True)])
def test_yuv_of_two_pixels_with_one_chroma(encoding, y_first, padding):
    rng = np.random.default_rng(3)
    y = rng.integers(16, 236, (5, 8), np.uint8)
    u, v = rng.integers(60, 200, (2, 5, 4), np.uint8)
    packed = np.empty((5, 8, 2), np.uint8)
    packed[..., 0 if y_first else 1] = y
    packed[:, 0::2, 1 if y_first else 0] = u
    packed[:, 1::2, 1 if y_first else 0] = v
    rgb = images.to_rgb(message(packed.reshape(5, 16), 8, encoding, padding))
    np.testing.assert_allclose(rgb, bt601(y, u.repeat(2, 1), v.repeat(2, 1)), atol=1.6)


@pytest.mark.parametrize('padding', [0, 3])
@pytest.mark.parametrize('encoding, shrink', [('nv12', 2), ('nv21', 2), ('nv24', 1)])
def test_yuv_in_planes(encoding, shrink, padding):
    rng = np.random.default_rng(4)
    height, width = (6, 8) if shrink == 2 else (5, 7)
    y = rng.integers(16, 236, (height, width), np.uint8)
    u, v = rng.integers(60, 200, (2, height // shrink, width // shrink), np.uint8)
    msg = message(y, width, encoding, padding)
    chroma = np.stack([v, u] if encoding == 'nv21' else [u, v], -1).reshape(len(u), -1)
    extra = padding if shrink == 2 else 2 * padding
    msg.data.frombytes(np.pad(chroma, ((0, 0), (0, extra))).tobytes())
    rgb = images.to_rgb(msg)
    assert rgb.flags.c_contiguous
    u, v = (plane.repeat(shrink, 0).repeat(shrink, 1) for plane in (u, v))
    np.testing.assert_allclose(rgb, bt601(y, u, v), atol=1.6)


def test_rgb8_is_a_view_and_padded_rgb8_is_not():
    rgb = random_rgb(4, 5)
    msg = message(rgb.reshape(4, 15), 5, 'rgb8')
    padded = message(rgb.reshape(4, 15), 5, 'rgb8', 1)
    assert np.shares_memory(images.to_rgb(msg), np.frombuffer(msg.data, np.uint8))
    assert not np.shares_memory(images.to_rgb(padded), np.frombuffer(padded.data, np.uint8))


def test_data_behind_the_picture_is_left_alone():
    rgb = random_rgb(4, 5)
    msg = message(rgb.reshape(4, 15), 5, 'rgb8')
    msg.data.frombytes(b'more')
    same(images.to_rgb(msg), rgb)


@pytest.mark.parametrize('changes, reason', [
    ({'height': 0}, 'the size is 6x0, a picture needs at least 1x1'),
    ({'width': 0}, 'the size is 0x4, a picture needs at least 1x1'),
    ({'step': 17}, 'step 17 is shorter than a row of 6 rgb8 pixels, 18 bytes'),
    ({'step': 0}, 'step 0 is shorter than a row of 6 rgb8 pixels, 18 bytes'),
    ({'height': 5}, 'the data has 72 bytes; rgb8 with step 18 and height 5 has 90'),
    ({'data': array.array('B')}, 'the data has 0 bytes; rgb8 with step 18 and height 4 has 72'),
    ({'encoding': 'nv12'}, 'the data has 72 bytes; nv12 with step 18 and height 4 has 108'),
    ({'encoding': 'nv24'}, 'the data has 72 bytes; nv24 with step 18 and height 4 has 216'),
    ({'encoding': 'yuv422', 'width': 5}, 'yuv422 needs an even width, this width is 5'),
    ({'encoding': 'nv21', 'height': 3},
     'nv21 needs an even width and height, this size is 6x3'),
    ({'encoding': 'bayer_rggb8', 'height': 2}, 'a Bayer mosaic of 6x2 is too small'),
])
def test_rejections(changes, reason):
    msg = message(random_rgb(4, 6).reshape(4, 18), 6, 'rgb8')
    for name, value in changes.items():
        setattr(msg, name, value)
    with pytest.raises(images.BadImage) as caught:
        images.to_rgb(msg)
    assert str(caught.value) == reason


@pytest.mark.parametrize('encoding', ['', 'RGB8', '16UC1', '32FC1', 'h264'])
def test_an_encoding_that_is_none_of_ours(encoding):
    if not cv_bridge_fault():
        pytest.skip('this machine has a working cv_bridge, which is asked instead')
    msg = message(random_rgb(4, 6).reshape(4, 18), 6, encoding)
    with pytest.raises(images.BadImage) as caught:
        images.to_rgb(msg)
    text = str(caught.value)
    assert text.startswith(f'encoding {encoding!r} is not supported and cv_bridge was not asked:')
    assert '\n' not in text
    assert all(name in text for name in images.ENCODINGS)


DEPTH = np.array([[0.0006, 0.4999, 1.2345, 65.535], [np.nan, np.inf, -np.inf, -1],
                  [0, 10, 2.0004, 0.001]])
VALID = np.array([[1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 1, 1]], bool)


@pytest.mark.parametrize('dtype', [np.float32, np.float64, '>f4'])
def test_invalid_depth_is_nan_in_metres_and_zero_in_millimetres(dtype):
    depth = DEPTH.astype(dtype)
    kept = depth.copy()
    metres = images.depth_message(depth, HEADER, '32FC1')
    millimetres = images.depth_message(depth, HEADER, '16UC1')
    np.testing.assert_array_equal(depth, kept)
    assert (metres.encoding, metres.step, millimetres.encoding, millimetres.step) == (
        '32FC1', 16, '16UC1', 8)
    values = np.frombuffer(metres.data, np.float32).reshape(3, 4)
    whole = np.frombuffer(millimetres.data, np.uint16).reshape(3, 4)
    np.testing.assert_array_equal(~np.isnan(values), VALID)
    np.testing.assert_array_equal(whole != 0, VALID)
    np.testing.assert_array_equal(values[VALID], DEPTH[VALID].astype(np.float32))
    np.testing.assert_array_equal(
        whole, [[1, 500, 1234, 65535], [0, 0, 0, 0], [0, 10000, 2000, 1]])


def test_depth_that_millimetres_cannot_hold():
    msg = images.depth_message(np.array([[65.5351, 1e38, 0.0004, 3]]), HEADER, '16UC1')
    assert np.frombuffer(msg.data, np.uint16).tolist() == [0, 0, 0, 3000]
    msg = images.depth_message(np.array([[65.6]]), HEADER, '32FC1')
    assert np.frombuffer(msg.data, np.float32)[0] == np.float32(65.6)


def test_infinities_stay_in_metres_where_they_are_wanted():
    depth = np.array([[np.inf, -np.inf, np.nan, 0.0, -1.0, 2.0]], np.float32)
    msg = images.depth_message(depth, HEADER, '32FC1', infinite=True)
    np.testing.assert_array_equal(
        np.frombuffer(msg.data, '<f4'), [np.inf, -np.inf, np.nan, np.nan, np.nan, 2])
    msg = images.depth_message(depth, HEADER, '16UC1', infinite=True)
    assert np.frombuffer(msg.data, '<u2').tolist() == [0, 0, 0, 0, 0, 2000]


@pytest.mark.parametrize('encoding, dtype, channels', [
    ('mono8', np.uint8, ()), ('rgb8', np.uint8, (3,)), ('32FC1', np.float32, ()),
    ('16UC1', np.uint16, ())])
@pytest.mark.parametrize('size', SIZES)
def test_message_of_an_array(size, encoding, dtype, channels):
    values = np.random.default_rng(1).integers(0, 255, (*size, *channels)).astype(dtype)
    twice = np.repeat(np.repeat(values, 2, 0), 2, 1)
    swapped = values.astype(values.dtype.newbyteorder())
    for given in (values, twice[::2, ::2], swapped):
        msg = images.image_message(given, HEADER, encoding)
        assert msg.header is HEADER
        assert (msg.height, msg.width, msg.encoding) == (*size, encoding)
        assert msg.step * msg.height == len(msg.data) == values.nbytes
        assert msg.is_bigendian == (sys.byteorder == 'big')
        assert bytes(msg.data) == values.tobytes()
    assert HEADER == Header(stamp=Time(sec=7, nanosec=9), frame_id='camera')


@pytest.mark.parametrize('values, encoding, reason', [
    (np.zeros((2, 2)), 'mono8', r'mono8 takes uint8 \(H, W\), not float64 \(2, 2\)'),
    (np.zeros((2, 2), np.int8), 'mono8', 'not int8'),
    (np.zeros((2, 2), np.float64), '32FC1', 'takes float32'),
    (np.zeros((2, 2, 4), np.uint8), 'rgb8', r'takes uint8 \(H, W, 3\), not uint8 \(2, 2, 4\)'),
    (np.zeros((2, 2, 1), np.uint8), 'mono8', r'not uint8 \(2, 2, 1\)'),
    (np.zeros(4, np.uint8), 'mono8', r'not uint8 \(4,\)'),
    (np.zeros((2, 2), np.uint8), 'mono16', "'mono16' is none of mono8, rgb8, bgr8, 16UC1, 32FC1"),
])
def test_arrays_that_do_not_fit_the_encoding(values, encoding, reason):
    with pytest.raises(ValueError, match=reason):
        images.image_message(values, HEADER, encoding)


def test_depth_in_another_encoding():
    with pytest.raises(ValueError, match="32FC1 or 16UC1, not as 'mono8'"):
        images.depth_message(DEPTH, HEADER, 'mono8')


def test_through_the_serialisation():
    serialization = pytest.importorskip('rclpy.serialization', reason='needs rclpy')
    rgb = random_rgb(479, 641)
    msg = images.image_message(rgb, HEADER, 'rgb8')
    back = serialization.deserialize_message(serialization.serialize_message(msg), Image)
    assert back == msg
    same(images.to_rgb(back), rgb)


def test_another_header_leaves_the_original_alone():
    info = sensor_msgs.CameraInfo(header=Header(frame_id='old'), width=640)
    matched = images.with_header(info, HEADER)
    assert (info.header.frame_id, matched.header) == ('old', HEADER)
    matched.header = info.header
    assert matched == info
