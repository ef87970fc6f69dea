# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""NYU-Depth v2 as folders of pictures, written here and, where they are, the real ones."""

import cv2
from jrn_perception.datasets.decoding import DamagedSampleError
from jrn_perception.datasets.nyuv2 import CAMERA_MATRIX, CROP, NYUv2, NYUv2DepthOnly
from jrn_perception.labels import NYU40
import numpy as np
import pytest

RGB = (200, 100, 50)
DEPTH = np.arange(48, dtype=np.uint16).reshape(6, 8) * 211  # 0 to 9917 mm
IDS = np.arange(48, dtype=np.uint8).reshape(6, 8) % 41


@pytest.fixture
def folder(tmp_path):
    for name in ('rgb', 'depth_mm', 'label40'):
        (tmp_path / name).mkdir()
    for name in ('0007', '0003'):
        cv2.imwrite(str(tmp_path / f'rgb/{name}.jpg'),
                    np.full((6, 8, 3), RGB[::-1], np.uint8))
        cv2.imwrite(str(tmp_path / f'depth_mm/{name}.png'), DEPTH)
        cv2.imwrite(str(tmp_path / f'label40/{name}.png'), IDS)
    (tmp_path / 'fit.txt').write_text('0007\n0003\n')
    return tmp_path


def test_every_pixel(folder):
    frames = NYUv2(folder, 'fit')
    assert len(frames) == 2
    assert [frame.name for frame in frames] == ['0007', '0003'], "the list's order"
    frame = frames[0]
    assert frame.rgb.dtype == np.uint8
    assert np.abs(frame.rgb.astype(int) - RGB).max() <= 3, 'JPEG'
    assert frame.depth.dtype == np.float32
    assert np.isnan(frame.depth[0, 0])
    assert np.array_equal(frame.depth.ravel()[1:], DEPTH.ravel()[1:] / np.float32(1000))
    assert frame.labels.dtype == np.uint8
    assert frame.labels.ravel().tolist() == [(255, *range(40))[i] for i in IDS.ravel()]
    # 8x6 of 640x480.
    np.testing.assert_allclose(frame.camera_matrix[:2], CAMERA_MATRIX[:2] / 80)
    assert frames.labels is NYU40


def test_a_split_that_is_not_there_or_empty(folder):
    with pytest.raises(FileNotFoundError, match='val.txt: no such split'):
        NYUv2(folder, 'val')
    (folder / 'val.txt').write_text('\n')
    with pytest.raises(ValueError, match='val.txt: names no frames'):
        NYUv2(folder, 'val')


@pytest.mark.parametrize('part', ['rgb/0007.jpg', 'depth_mm/0007.png', 'label40/0007.png'])
def test_damage_is_named(folder, part):
    path = folder / part
    data = path.read_bytes()
    path.write_bytes(data[:len(data) // 2])
    with pytest.raises(DamagedSampleError, match=f'{part}: '):
        NYUv2(folder, 'fit')[0]
    path.unlink()
    with pytest.raises(DamagedSampleError, match=f'{part}: missing'):
        NYUv2(folder, 'fit')[0]
    assert NYUv2(folder, 'fit')[1].name == '0003'


@pytest.mark.parametrize('part, wrong, message', [
    ('depth_mm', np.ones((6, 9), np.uint16), 'is 9x6, its picture is 8x6'),
    ('depth_mm', np.ones((6, 8), np.uint8), 'is uint8'),
    ('label40', np.ones((8, 6), np.uint8), 'is 6x8, its picture is 8x6'),
    ('label40', np.full((6, 8), 41, np.uint8), '48 pixels with ids .* 41 among them'),
])
def test_what_does_not_fit_is_damage(folder, part, wrong, message):
    cv2.imwrite(str(folder / part / '0007.png'), wrong)
    with pytest.raises(DamagedSampleError, match=f'{part}/0007.png: {message}'):
        NYUv2(folder, 'fit')[0]


def test_frames_with_depth_only(tmp_path):
    (tmp_path / 'bathroom_0001').mkdir()
    cv2.imwrite(str(tmp_path / 'bathroom_0001/12.jpg'), np.full((240, 320, 3), 9, np.uint8))
    stored = np.full((240, 320), 51, np.uint8)
    stored[3, 4], stored[5, 6] = 0, 255
    cv2.imwrite(str(tmp_path / 'bathroom_0001/12.png'), stored)
    frames = NYUv2DepthOnly(tmp_path)
    assert len(frames) == 1
    assert frames.labels is None
    frame = frames[0]
    assert frame.name == 'bathroom_0001/12'
    assert frame.labels is None
    assert np.isnan(frame.depth[3, 4])
    assert frame.depth[5, 6] == pytest.approx(10)
    assert frame.depth[0, 0] == pytest.approx(2)
    assert np.isnan(frame.depth).sum() == 1
    assert np.allclose(frame.camera_matrix[:2], CAMERA_MATRIX[:2] / 2)
    cv2.imwrite(str(tmp_path / 'bathroom_0001/12.png'), stored[:-1])
    with pytest.raises(DamagedSampleError, match='12.png: is 320x239'):
        frames[0]
    with pytest.raises(FileNotFoundError, match='holds no'):
        NYUv2DepthOnly(tmp_path / 'bathroom_0001')


def test_the_real_frames(data_dir):
    splits = {split: NYUv2(data_dir / 'nyuv2', split) for split in ('train', 'fit', 'val')}
    assert {split: len(frames) for split, frames in splits.items()} == {
        'train': 795, 'fit': 679, 'val': 116}
    assert sorted(splits['fit'].names + splits['val'].names) == splits['train'].names
    ids = set()
    for index in (0, 40, 80, 115):
        frame = splits['val'][index]
        assert frame.rgb.shape == (480, 640, 3)
        assert frame.depth.shape == frame.labels.shape == (480, 640)
        inside = frame.depth[CROP]
        assert np.isfinite(inside).all()
        assert 0.5 < inside.min() < inside.max() <= 10
        ids |= set(np.unique(frame.labels).tolist())
    assert ids <= {*range(40), 255}
    assert 255 in ids and {0, 1} < ids, 'walls and floors'
    first = splits['val'][0]
    assert first.name == '0003'
    # The white rim of the picture lies outside the crop.
    assert first.rgb[0, 0].min() > 200 and first.rgb[CROP].mean() < 200


def test_the_real_frames_with_depth_only(data_dir):
    if not (data_dir / 'nyuv2_depth_only').is_dir():
        pytest.skip(f'no nyuv2_depth_only in {data_dir}')
    frames = NYUv2DepthOnly(data_dir / 'nyuv2_depth_only')
    assert len(frames) == 1457
    frame = frames[700]
    assert frame.rgb.shape == (240, 320, 3)
    assert 0.3 < np.nanmedian(frame.depth) < 6
