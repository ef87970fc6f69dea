# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""KITTI depth and semantics, in folders as the owner's archives unpack."""

import cv2
from jrn_perception.datasets.decoding import DamagedSampleError
from jrn_perception.datasets.kitti import KITTIDepth, KITTISemantics
from jrn_perception.datasets.registry import open_dataset
from jrn_perception.labels import CITYSCAPES19
import numpy as np
import pytest

DRIVE = '2011_09_26_drive_0002_sync'
NOISE = np.random.default_rng(1)
PICTURE = NOISE.integers(0, 256, (7, 11, 3), np.uint8)
DEPTH = NOISE.integers(1, 65536, (7, 11)).astype(np.uint16)
DEPTH[2, 3], DEPTH[4, 5], DEPTH[6, 7] = 0, 256, 21760
CALIBRATION = """calib_time: 09-Jan-2012 13:57:47
corner_dist: 9.950000e-02
P_rect_00: 1 0 2 0 0 1 3 0 0 0 1 0
S_rect_02: 1.242000e+03 3.750000e+02
P_rect_02: 721.5377 0 609.5593 44.85728 0 721.5 172.854 0.2163791 0 0 1 2.745884e-03
"""


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if array.ndim == 3:
        array = array[..., ::-1]
    assert cv2.imwrite(str(path), array)
    return path


@pytest.fixture
def depth_root(tmp_path):
    truth = tmp_path / 'val' / DRIVE / 'proj_depth' / 'groundtruth'
    raw = tmp_path / '2011_09_26' / DRIVE / 'image_02' / 'data'
    for n in (5, 6):
        write(truth / 'image_02' / f'{n:010d}.png', DEPTH)
        write(truth / 'image_03' / f'{n:010d}.png', DEPTH)
    for n in range(8):  # The raw data starts before the depth and ends after it.
        write(raw / f'{n:010d}.png', np.roll(PICTURE, n, axis=1))
    (tmp_path / '2011_09_26' / 'calib_cam_to_cam.txt').write_text(CALIBRATION)
    return tmp_path


def test_every_pixel_of_depth(depth_root):
    frames = KITTIDepth(depth_root)
    assert len(frames) == 2, 'the left camera only'
    assert frames.labels is None
    frame = frames[1]
    assert frame.name == f'{DRIVE}/0000000006'
    assert np.array_equal(frame.rgb, np.roll(PICTURE, 6, axis=1))
    assert frame.labels is None
    assert frame.depth.dtype == np.float32
    assert np.argwhere(np.isnan(frame.depth)).tolist() == [[2, 3]]
    assert frame.depth[4, 5] == 1
    assert frame.depth[6, 7] == 85
    known = DEPTH > 0
    assert np.array_equal(frame.depth[known], DEPTH[known] / np.float32(256))
    assert frame.camera_matrix.tolist() == [
        [721.5377, 0, 609.5593], [0, 721.5, 172.854], [0, 0, 1]]


def test_raw_data_elsewhere_and_without_calibration(depth_root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp('raw')
    (depth_root / '2011_09_26').rename(elsewhere / '2011_09_26')
    (elsewhere / '2011_09_26' / 'calib_cam_to_cam.txt').unlink()
    with pytest.raises(DamagedSampleError, match=r'2011_09_26.*0000000005.png: missing'):
        open_dataset('kitti_depth', depth_root)[0]
    frame = KITTIDepth(depth_root, 'val', raw=elsewhere)[0]
    assert np.array_equal(frame.rgb, np.roll(PICTURE, 5, axis=1))
    assert frame.camera_matrix is None


def test_damaged_depth_is_named(depth_root):
    with pytest.raises(FileNotFoundError, match='train: holds no'):
        KITTIDepth(depth_root, 'train')
    frames = KITTIDepth(depth_root)
    calibration = depth_root / '2011_09_26' / 'calib_cam_to_cam.txt'
    for text in ('P_rect_02: 1 2 3', 'P_rect_02: a b c', '\xff'):
        calibration.write_text(text, encoding='latin-1')
        with pytest.raises(DamagedSampleError, match='calib_cam_to_cam.txt: holds no line'):
            frames[0]
    calibration.unlink()
    path = frames.paths[0]
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DamagedSampleError, match='image_02/0000000005.png: cut off'):
        frames[0]
    write(path, DEPTH.astype(np.uint8))
    with pytest.raises(DamagedSampleError, match='is uint8'):
        frames[0]
    write(path, DEPTH[:6])
    with pytest.raises(DamagedSampleError, match='is 11x6, its picture is 11x7'):
        frames[0]
    path.unlink()
    with pytest.raises(DamagedSampleError, match='missing'):
        frames[0]


@pytest.fixture
def semantic_root(tmp_path):
    ids = np.full((7, 11), 255, np.uint8)
    ids.flat[:34] = range(34)
    for n in range(2):
        write(tmp_path / 'training' / 'image_2' / f'{n:06d}_10.png', PICTURE)
        write(tmp_path / 'training' / 'image_2' / f'{n:06d}_11.png', PICTURE)
        write(tmp_path / 'training' / 'semantic' / f'{n:06d}_10.png', ids)
    return tmp_path


def test_every_id_of_semantics(semantic_root):
    frames = open_dataset('kitti_semantics', semantic_root)
    assert isinstance(frames, KITTISemantics)
    assert len(frames) == 2, 'not the second pictures of scene flow'
    assert frames.labels is CITYSCAPES19
    frame = frames[1]
    assert frame.name == '000001_10'
    assert np.array_equal(frame.rgb, PICTURE)
    assert frame.depth is None
    assert frame.labels.dtype == np.uint8
    found = {i: CITYSCAPES19.names[c] for i, c in enumerate(frame.labels.flat) if c != 255}
    assert found == {
        7: 'road', 8: 'sidewalk', 11: 'building', 12: 'wall', 13: 'fence', 17: 'pole',
        19: 'traffic light', 20: 'traffic sign', 21: 'vegetation', 22: 'terrain', 23: 'sky',
        24: 'person', 25: 'rider', 26: 'car', 27: 'truck', 28: 'bus', 31: 'train',
        32: 'motorcycle', 33: 'bicycle'}


def test_damaged_semantics_is_named(semantic_root):
    with pytest.raises(FileNotFoundError, match='training: should hold'):
        KITTISemantics(semantic_root / 'training')
    folder = semantic_root / 'training'
    write(folder / 'semantic' / '000000_10.png', np.full((7, 11), 34, np.uint8))
    with pytest.raises(DamagedSampleError, match='semantic/000000_10.png: 77 pixels .* 34 among'):
        KITTISemantics(semantic_root)[0]
    write(folder / 'semantic' / '000000_10.png', np.zeros((7, 12), np.uint8))
    with pytest.raises(DamagedSampleError, match='is 12x7'):
        KITTISemantics(semantic_root)[0]
    (folder / 'semantic' / '000000_10.png').unlink()
    (folder / 'image_2' / '000001_10.png').unlink()
    frames = KITTISemantics(semantic_root)
    assert len(frames) == 2, 'half a sample is missed'
    with pytest.raises(DamagedSampleError, match='semantic/000000_10.png: missing'):
        frames[0]
    with pytest.raises(DamagedSampleError, match='image_2/000001_10.png: missing'):
        frames[1]
