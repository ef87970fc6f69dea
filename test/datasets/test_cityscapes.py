# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Cityscapes, in folders as the owner's packages unpack."""

import json
import shutil

import cv2
from jrn_perception.datasets.cityscapes import Cityscapes
from jrn_perception.datasets.decoding import DamagedSampleError
from jrn_perception.datasets.registry import open_dataset
from jrn_perception.labels import CITYSCAPES19
import numpy as np
import pytest

NAME = 'bochum_000000_000313'
NOISE = np.random.default_rng(2)
PICTURE = NOISE.integers(0, 256, (8, 16, 3), np.uint8)
IDS = NOISE.integers(0, 34, (8, 16)).astype(np.uint8)
IDS[0, :3] = 7, 33, 3
DISPARITY = NOISE.integers(2, 32257, (8, 16)).astype(np.uint16)
DISPARITY[1, :3] = 0, 1, 257
CAMERA = {'extrinsic': {'baseline': 0.209313, 'pitch': 0.038, 'roll': 0., 'x': 1.7, 'y': 0.1,
                        'yaw': -0.0195, 'z': 1.22},
          'intrinsic': {'fx': 2262.52, 'fy': 2265.3017905988554, 'u0': 1096.98, 'v0': 513.137}}


def path_of(root, part, suffix, name=NAME, split='val'):
    path = root / part / split / name.split('_')[0] / f'{name}_{suffix}'
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture
def root(tmp_path):
    for name in (NAME, 'aachen_000001_000019'):
        cv2.imwrite(str(path_of(tmp_path, 'leftImg8bit', 'leftImg8bit.png', name)),
                    PICTURE[..., ::-1])
        cv2.imwrite(str(path_of(tmp_path, 'gtFine', 'gtFine_labelIds.png', name)), IDS)
        cv2.imwrite(str(path_of(tmp_path, 'gtFine', 'gtFine_instanceIds.png', name)),
                    IDS.astype(np.uint16) * 1000)
        cv2.imwrite(str(path_of(tmp_path, 'disparity', 'disparity.png', name)), DISPARITY)
        path_of(tmp_path, 'camera', 'camera.json', name).write_text(json.dumps(CAMERA))
    return tmp_path


def test_every_pixel(root):
    frames = open_dataset('cityscapes', root, 'val')
    assert isinstance(frames, Cityscapes)
    assert len(frames) == 2
    assert frames.labels is CITYSCAPES19
    assert [frame.name for frame in frames] == ['aachen_000001_000019', NAME]
    frame = frames[1]
    assert np.array_equal(frame.rgb, PICTURE)
    assert frame.labels.dtype == np.uint8
    assert frame.labels[0, :3].tolist() == [0, 18, 255]
    evaluated = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
    expected = [evaluated.index(i) if i in evaluated else 255 for i in IDS.flat]
    assert frame.labels.ravel().tolist() == expected
    assert frame.depth.dtype == np.float32
    assert np.argwhere(np.isnan(frame.depth)).tolist() == [[1, 0], [1, 1]]
    assert frame.depth[1, 2] == pytest.approx(0.209313 * 2262.52, rel=1e-6), 'disparity 1 pixel'
    known = DISPARITY > 1
    metres = 0.209313 * 2262.52 / ((DISPARITY[known].astype(float) - 1) / 256)
    assert np.allclose(frame.depth[known], metres, rtol=1e-6)
    assert frame.camera_matrix.tolist() == [
        [2262.52, 0, 1096.98], [0, 2265.3017905988554, 513.137], [0, 0, 1]]


def test_packages_that_are_not_installed(root):
    shutil.rmtree(root / 'disparity')
    frame = Cityscapes(root)[0]
    assert frame.depth is None and frame.labels is not None
    assert frame.camera_matrix is not None
    shutil.rmtree(root / 'camera')
    assert Cityscapes(root)[0].camera_matrix is None
    shutil.rmtree(root / 'gtFine')
    with pytest.raises(FileNotFoundError, match='gtFine/val or disparity/val'):
        Cityscapes(root)
    with pytest.raises(FileNotFoundError, match='leftImg8bit/train'):
        Cityscapes(root, 'train')


def test_depth_without_labels_needs_the_camera(root):
    shutil.rmtree(root / 'gtFine')
    frames = Cityscapes(root)
    assert frames.labels is None
    assert frames[0].labels is None and frames[0].depth is not None
    shutil.rmtree(root / 'camera')
    with pytest.raises(FileNotFoundError, match='no camera/val'):
        Cityscapes(root)


@pytest.mark.parametrize('part, suffix', [
    ('leftImg8bit', 'leftImg8bit.png'), ('gtFine', 'gtFine_labelIds.png'),
    ('disparity', 'disparity.png'), ('camera', 'camera.json')])
def test_damage_is_named(root, part, suffix):
    path = path_of(root, part, suffix)
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(DamagedSampleError, match=f'{NAME}_{suffix}: (cut off|not a camera)'):
        Cityscapes(root)[1]
    path.unlink()
    frames = Cityscapes(root)
    assert len(frames) == 2
    with pytest.raises(DamagedSampleError, match=f'{NAME}_{suffix}: missing'):
        frames[1]
    assert frames[0].depth is not None


@pytest.mark.parametrize('part, suffix, wrong, message', [
    ('gtFine', 'gtFine_labelIds.png', IDS[:4, :8], 'is 8x4, its picture is 16x8'),
    ('gtFine', 'gtFine_labelIds.png', np.full((8, 16), 77, np.uint8), '128 pixels with ids'),
    ('disparity', 'disparity.png', DISPARITY[:, 1:], 'is 15x8'),
    ('disparity', 'disparity.png', DISPARITY.astype(np.uint8), 'is uint8')])
def test_what_does_not_fit_is_damage(root, part, suffix, wrong, message):
    cv2.imwrite(str(path_of(root, part, suffix)), wrong)
    with pytest.raises(DamagedSampleError, match=f'{suffix}: {message}'):
        Cityscapes(root)[1]


@pytest.mark.parametrize('text', [
    '[]', '{"intrinsic": {"fx": 1}}', json.dumps(CAMERA).replace('2262.52', '0'),
    json.dumps(CAMERA).replace('0.209313', 'NaN')])
def test_a_camera_without_its_numbers_is_damage(root, text):
    path_of(root, 'camera', 'camera.json').write_text(text)
    with pytest.raises(DamagedSampleError, match='camera.json: '):
        Cityscapes(root)[1]
