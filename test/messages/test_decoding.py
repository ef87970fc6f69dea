# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The one decoder of pictures: whole files come back, damaged files raise DecodingError."""

from pathlib import Path

import cv2
from jrn_perception.messages.decoding import decode, DecodingError, is_cut_off
import numpy as np
import pytest

PACKAGE = Path(__file__).resolve().parents[2] / 'jrn_perception'
PICTURE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)


def encoded(suffix, picture=PICTURE):
    return cv2.imencode(suffix, picture)[1].tobytes()


@pytest.mark.parametrize('suffix', ['.png', '.tiff', '.bmp'])
def test_a_lossless_file_comes_back(suffix):
    np.testing.assert_array_equal(decode(encoded(suffix)), PICTURE)


def test_depth_of_16_bits_stays_unless_the_flags_say_otherwise():
    depth = PICTURE[..., 0].astype(np.uint16) * 250
    np.testing.assert_array_equal(decode(encoded('.png', depth)), depth)
    colour = decode(encoded('.png', depth), cv2.IMREAD_COLOR)
    assert colour.dtype == np.uint8 and colour.shape == (20, 30, 3)


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
@pytest.mark.parametrize('missing', [1, 5, 100])
def test_a_file_without_its_end_is_refused(suffix, missing):
    data = encoded(suffix)[:-missing]
    assert is_cut_off(data) and not is_cut_off(encoded(suffix))
    with pytest.raises(DecodingError, match=f'^cut off after {len(data)} bytes$'):
        decode(data)


@pytest.mark.parametrize('data', [b'', b'no picture', b'\xff\xd8\xff\xd9'])
def test_other_data_is_refused(data):
    with pytest.raises(DecodingError,
                       match=f'^no picture that OpenCV can decode, {len(data)} bytes$'):
        decode(data)


def test_no_other_module_calls_opencvs_decoder():
    calls = [path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob('*.py')
             if 'cv2.imdecode(' in path.read_text()]
    assert calls == ['messages/decoding.py']
