# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Compressed pictures to arrays, with real sensor_msgs messages."""

from importlib import import_module
import struct

import cv2
import numpy as np
import pytest
from test_images import HEADER, random_rgb, same, sensor_msgs

images = import_module('jrn_perception.ros.conversions.images')
CompressedImage = sensor_msgs.CompressedImage


def smooth_rgb(height=48, width=64):
    y, x = np.mgrid[0:1:height * 1j, 0:1:width * 1j]
    return np.stack([255 * x, 255 * y, 90 + 60 * x], axis=-1).astype(np.uint8)


def compressed(data, form):
    msg = CompressedImage(header=HEADER, format=form)
    msg.data.frombytes(bytes(data))
    return msg


def encode(extension, picture, *options):
    done, data = cv2.imencode(extension, picture, options)
    assert done
    return data.tobytes()


JPEG = encode('.jpg', smooth_rgb()[..., ::-1], cv2.IMWRITE_JPEG_QUALITY, 95)
PROGRESSIVE = encode('.jpg', smooth_rgb()[..., ::-1], cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
RESTARTS = encode('.jpg', smooth_rgb()[..., ::-1], cv2.IMWRITE_JPEG_RST_INTERVAL, 2)
# A segment as cameras write it, orientation "turn by 90 degrees", and a thumbnail's last bytes.
EXIF = b'Exif\0\0' + struct.pack('>2sHIHHHIHHI', b'MM', 42, 8, 1, 0x112, 3, 1, 6, 0, 0) + (
    b'thumbnail \xff\xd8\xff\xd9')
TURNED = JPEG[:2] + b'\xff\xe1' + struct.pack('>H', len(EXIF) + 2) + EXIF + JPEG[2:]
PNG = encode('.png', smooth_rgb()[..., ::-1])


@pytest.mark.parametrize('form', ['jpeg', 'jpg', '', 'rgb8; jpeg compressed bgr8',
                                  'bgr8; jpeg compressed bgr8', 'yuv422; jpeg compressed bgr8'])
@pytest.mark.parametrize('data', [JPEG, PROGRESSIVE, RESTARTS, TURNED],
                         ids=['baseline', 'progressive', 'restarts', 'turned'])
def test_jpeg(data, form):
    rgb = images.compressed_to_rgb(compressed(data, form))
    assert rgb.dtype == np.uint8
    assert rgb.flags.c_contiguous
    np.testing.assert_allclose(rgb.astype(int), smooth_rgb(), atol=6)


@pytest.mark.parametrize('tail', [b'\0' * 4096, b'\0', b'\xff\xd8 of the frame before'])
def test_bytes_behind_the_end_of_a_jpeg(tail):
    whole = images.compressed_to_rgb(compressed(JPEG, 'jpeg'))
    same(images.compressed_to_rgb(compressed(JPEG + tail, 'jpeg')), whole)


@pytest.mark.parametrize('tail', [b'', b'\0' * 4096], ids=['bare', 'zeros'])
@pytest.mark.parametrize('part', [0.02, 0.3, 0.5, 0.7, 0.9, 0.99, -3, -2, -1])
@pytest.mark.parametrize('data', [JPEG, PROGRESSIVE, RESTARTS, TURNED, PNG],
                         ids=['baseline', 'progressive', 'restarts', 'turned', 'png'])
def test_cut_off_data(data, part, tail):
    cut = data[:part if part < 0 else int(len(data) * part)]
    with pytest.raises(images.BadImage) as caught:
        images.compressed_to_rgb(compressed(cut + tail, 'jpeg'))
    assert str(caught.value) == (
        f"the data is cut off after {len(cut + tail)} bytes (format 'jpeg')")


def test_a_cut_off_frame_with_the_next_one_behind_it():
    # Large enough that taking its first bytes for the length of a segment stays inside it.
    following = encode('.jpg', random_rgb(479, 641))
    with pytest.raises(images.BadImage, match='the data is cut off after'):
        images.compressed_to_rgb(compressed(JPEG[:-200] + following, 'jpeg'))


def test_fill_bytes_before_the_end_of_a_jpeg():
    whole = images.compressed_to_rgb(compressed(JPEG, 'jpeg'))
    filled = JPEG[:-2] + b'\xff\xff' + JPEG[-2:]
    same(images.compressed_to_rgb(compressed(filled, 'jpeg')), whole)


@pytest.mark.parametrize('alpha', [False, True])
@pytest.mark.parametrize('bits', [8, 16])
def test_png_of_colours(bits, alpha):
    rgb = random_rgb(479, 641)
    stored = rgb[..., [2, 1, 0, 1][:4 if alpha else 3]]
    if bits == 16:
        stored = stored.astype(np.uint16) * 257
    data = encode('.png', stored)
    for form in ('png', f'rgb{bits}; png compressed bgr{bits}'):
        same(images.compressed_to_rgb(compressed(data, form)), rgb)


def test_png_and_jpeg_of_grey():
    grey = random_rgb(479, 641)[..., 0]
    expected = np.stack([grey] * 3, -1)
    eight, sixteen = encode('.png', grey), encode('.png', grey.astype(np.uint16) * 257)
    same(images.compressed_to_rgb(compressed(eight, 'mono8; png compressed ')), expected)
    same(images.compressed_to_rgb(compressed(sixteen, 'mono16; png compressed ')), expected)
    flat = encode('.jpg', np.full((9, 9), 77, np.uint8))
    rgb = images.compressed_to_rgb(compressed(flat, 'bayer_rggb8; jpeg compressed mono8'))
    same(rgb, np.full((9, 9, 3), 77))


def test_a_mosaic_in_a_png_is_demosaiced():
    mosaic = np.full((8, 8), 100, np.uint8)
    mosaic[0::2, 0::2], mosaic[1::2, 1::2] = 200, 50
    data = encode('.png', mosaic)
    rgb = images.compressed_to_rgb(compressed(data, 'bayer_rggb8; png compressed '))
    same(rgb, np.broadcast_to(np.uint8([200, 100, 50]), (8, 8, 3)))
    with pytest.raises(images.BadImage, match='has an unknown Bayer pattern'):
        images.compressed_to_rgb(compressed(data, 'bayer_xyz8; png compressed '))


def test_the_format_names_the_order():
    rgb = random_rgb(6, 8)
    # image_transport's TIFF holds the bytes of the message: of rgb8, red where blue should be.
    tiff_of_rgb, tiff_of_bgr = encode('.tiff', rgb), encode('.tiff', rgb[..., ::-1])
    for data, form in ((tiff_of_rgb, 'rgb8; tiff compressed '),
                       (tiff_of_bgr, 'bgr8; tiff compressed '), (tiff_of_bgr, 'tiff'),
                       (encode('.png', rgb), 'bgr8; png compressed rgb8')):
        same(images.compressed_to_rgb(compressed(data, form)), rgb)


@pytest.mark.parametrize('data, form, reason', [
    (b'', 'jpeg', "the data is empty (format 'jpeg')"),
    (b'no picture', 'jpeg',
     "the data is no picture that OpenCV can decode, 10 bytes (format 'jpeg')"),
    (b'\xff\xd8\xff\xd9', 'jpeg',
     "the data is no picture that OpenCV can decode, 4 bytes (format 'jpeg')"),
    (PNG, '16UC1; compressedDepth png',
     "format '16UC1; compressedDepth png' is a depth image, not a picture"),
    (PNG, '32FC1; compressedDepth',
     "format '32FC1; compressedDepth' is a depth image, not a picture"),
    (PNG, '16UC1; png compressed ',
     "format '16UC1; png compressed ' is a depth image, not a picture"),
    (encode('.tiff', np.ones((3, 3), np.float32)), 'tiff',
     "format 'tiff' holds 1 channels of float32, a picture has 1, 3 or 4 of 8 or 16 bits"),
])
def test_compressed_rejections(data, form, reason):
    with pytest.raises(images.BadImage) as caught:
        images.compressed_to_rgb(compressed(data, form))
    assert str(caught.value) == reason
