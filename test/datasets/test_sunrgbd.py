# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""SUN RGB-D, in folders as the owner's two archives leave them."""

import pickle

import cv2
from jrn_perception.datasets.decoding import DamagedSampleError
from jrn_perception.datasets.registry import open_dataset, open_to_train
from jrn_perception.datasets.subsets import Undamaged
from jrn_perception.datasets.sunrgbd import (
    decode_depth,
    LABEL_FILE,
    META_FILE,
    SPLIT_FILE,
    SUNRGBD,
)
from jrn_perception.labels import NYU40, SUNRGBD37
import numpy as np
import pytest

h5py = pytest.importorskip('h5py', reason="h5py is missing: pip install '.[evaluate]'")
savemat = pytest.importorskip('scipy.io', reason="scipy is missing: pip install '.[evaluate]'"
                              ).savemat

NYU, BERKELEY = 'kv1/NYUdata/NYU0001', 'kv1/b3dodata/img_0063'
KINECT2 = 'kv2/kinect2data/000065_2014-05-16_20-14-38_260595134347_rgbf000121-resize'
REALSENSE, XTION = ('realsense/lg/2014_10_21-18_16_30-1311000073',
                    'xtion/sun3ddata/brown_bm_1/brown_bm_1/0000001-000000000000')
# In the order of the labels, which is no alphabetical order.
FRAMES = (KINECT2, NYU, XTION, BERKELEY, REALSENSE)
# Each camera's pictures have another size.
SIZES = {KINECT2: (53, 73), NYU: (42, 56), XTION: (44, 59), BERKELEY: (42, 56),
         REALSENSE: (53, 68)}
TRAIN, TEST = (KINECT2, NYU, XTION), (BERKELEY, REALSENSE)


def depth_of(name):
    """Return millimetres, with a hole."""
    depth = (1000 + np.arange(np.prod(SIZES[name]))).reshape(SIZES[name]).astype(np.uint16)
    depth[3:5, 7] = 0
    return depth


def ids_of(name):
    return ((FRAMES.index(name) + np.arange(np.prod(SIZES[name]))) % 38).reshape(
        SIZES[name]).astype(np.uint16)


def write_frame(folder, name):
    for part in ('image', 'depth_bfx', 'depth', 'extrinsics', 'annotation2Dfinal'):
        (folder / part).mkdir(parents=True)
    # Depth and colour of some cameras differ in the time that names them.
    cv2.imwrite(str(folder / 'image/0000001-000000000000.jpg'),
                np.full((*SIZES[name], 3), (30, 60, 200), np.uint8))
    millimetres = depth_of(name)
    cv2.imwrite(str(folder / 'depth_bfx/0000001-000000033369.png'),
                (millimetres << 3) | (millimetres >> 13))
    (folder / 'intrinsics.txt').write_text(
        '529.500000 0.000000 365.000000 \n0.000000 529.250000 265.000000 \n0 0 1 \n')


def write_toolbox(root):
    for path in (SPLIT_FILE, META_FILE):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
    # Folders of the authors' disk, some with doubled or final slashes.
    splits = {key: np.array([f'/n/fs/sun3d/data/SUNRGBD/{name}' for name in names], object)[None]
              for key, names in (('alltrain', TRAIN), ('alltest', TEST))}
    splits['alltrain'][0, 2] = splits['alltrain'][0, 2].replace('SUNRGBD/', 'SUNRGBD//') + '/'
    savemat(root / SPLIT_FILE, splits)
    meta = np.array([[(f'SUNRGBD/{name}', np.eye(3), '') for name in FRAMES]],
                    [('sequenceName', object), ('K', object), ('sensorType', object)])
    savemat(root / META_FILE, {'SUNRGBDMeta': meta})
    with h5py.File(root / LABEL_FILE, 'w', userblock_size=512) as file:
        cells = file.create_dataset('SUNRGBD2Dseg/seglabel', (len(FRAMES), 1), h5py.ref_dtype)
        for number, name in enumerate(FRAMES):
            cells[number, 0] = file.create_dataset(f'#refs#/{number}', data=ids_of(name).T).ref


@pytest.fixture
def root(tmp_path):
    for name in FRAMES:
        write_frame(tmp_path / 'SUNRGBD' / name, name)
    write_toolbox(tmp_path)
    return tmp_path


def test_the_rotation_of_the_bits_is_undone():
    # 1234 mm = 0b0000010011010010, rotated to the left by 3: 0b0010011010010000 = 9872. 8000 mm
    # is 64000 and 8001 mm 64008; 8193 mm, whose highest bit wraps around, is 9.
    encoded = np.array([[9872, 64000, 64008, 9, 0, 8]], np.uint16)
    metres = decode_depth(encoded)
    assert metres.dtype == np.float32
    np.testing.assert_allclose(metres[0], [1.234, 8, np.nan, np.nan, np.nan, 0.001], rtol=1e-6)


def test_every_pixel(root):
    frames = pickle.loads(pickle.dumps(SUNRGBD(root, 'all+nyu')))
    assert frames.labels == NYU40
    assert frames.names == sorted(FRAMES)
    for frame in frames:
        assert frame.rgb.shape == (*SIZES[frame.name], 3)
        assert np.abs(frame.rgb.astype(int) - (200, 60, 30)).max() <= 3, 'JPEG'
        millimetres = depth_of(frame.name).astype(np.float32)
        millimetres[millimetres == 0] = np.nan
        assert frame.depth.dtype == np.float32
        np.testing.assert_allclose(frame.depth, millimetres / 1000, rtol=1e-6)
        ids = ids_of(frame.name).astype(int)
        assert frame.labels.dtype == np.uint8
        assert np.array_equal(frame.labels, np.where(ids, ids - 1, 255))
        assert frame.camera_matrix.tolist() == [[529.5, 0, 365], [0, 529.25, 265], [0, 0, 1]]


def test_frames_of_nyu_are_left_out_unless_asked_for(root):
    assert SUNRGBD(root, 'train').names == [KINECT2, XTION]
    assert SUNRGBD(root, 'train+nyu').names == [KINECT2, NYU, XTION]
    assert SUNRGBD(root).names == [BERKELEY, REALSENSE], 'the test split'
    assert NYU not in SUNRGBD(root, 'all').names
    assert len(SUNRGBD(root, 'all')) == 4
    with pytest.raises(ValueError, match="no split 'val'; there are train, test, all, and each"):
        SUNRGBD(root, 'val')
    with pytest.raises(ValueError, match='name the split to learn from; sunrgbd has train, test'):
        open_to_train('sunrgbd', root, None)


def test_label_sets(root):
    assert open_dataset('sunrgbd', root).labels is NYU40
    frames = open_dataset('sunrgbd37', root, 'train')
    assert frames.labels is SUNRGBD37
    assert frames[0].labels.max() == 255
    assert np.unique(frames[0].labels).tolist() == [*range(37), 255]
    with pytest.raises(ValueError, match="'nyu5'"):
        SUNRGBD(root, labels='nyu5')


def test_without_the_toolbox_there_is_depth_alone(root):
    for path in (SPLIT_FILE, META_FILE, LABEL_FILE):
        (root / path).unlink()
    frames = SUNRGBD(root, 'all')
    assert frames.labels is None and len(frames) == 4
    assert frames[0].labels is None and frames[0].depth is not None
    with pytest.raises(FileNotFoundError, match='allsplit.mat: missing'):
        SUNRGBD(root, 'train')


def test_labels_need_the_names_of_their_frames(root):
    (root / META_FILE).unlink()
    with pytest.raises(FileNotFoundError, match='SUNRGBDMeta.mat: missing'):
        SUNRGBD(root)


def test_wrong_folders_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='should hold SUNRGBD/ and SUNRGBDtoolbox/'):
        SUNRGBD(tmp_path)
    (tmp_path / 'SUNRGBD').mkdir()
    with pytest.raises(FileNotFoundError, match='holds no frames'):
        SUNRGBD(tmp_path, 'all')


@pytest.mark.parametrize('file', [SPLIT_FILE, META_FILE, LABEL_FILE])
@pytest.mark.parametrize('kept', [0, 60, 0.5])
def test_a_damaged_toolbox_is_refused(root, file, kept):
    data = (root / file).read_bytes()
    (root / file).write_bytes(data[:int(kept * len(data)) if kept == 0.5 else kept])
    with pytest.raises(ValueError, match=f'{file}: not a whole (MATLAB 5|HDF5) file'):
        SUNRGBD(root)


def test_another_toolbox_is_refused(root):
    savemat(root / META_FILE, {'SUNRGBDMeta': np.array([[(1,)]], [('K', object)])})
    with pytest.raises(ValueError, match='SUNRGBDMeta has no sequenceName'):
        SUNRGBD(root)
    meta = np.array([[(f'SUNRGBD/{KINECT2}',)] * 2], [('sequenceName', object)])
    savemat(root / META_FILE, {'SUNRGBDMeta': meta[:, :1]})
    with pytest.raises(ValueError, match='labels of 5 frames, .*SUNRGBDMeta.mat names 1'):
        SUNRGBD(root)
    savemat(root / SPLIT_FILE, {'alltest': np.array([[]], object)})
    with pytest.raises(ValueError, match='not a whole MATLAB 5 file with alltrain'):
        SUNRGBD(root, 'train')


@pytest.mark.parametrize('part', ['image/0000001-000000000000.jpg',
                                  'depth_bfx/0000001-000000033369.png'])
def test_damaged_pictures_are_named(root, part):
    path = root / 'SUNRGBD' / KINECT2 / part
    frames = SUNRGBD(root, 'train')
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(DamagedSampleError, match=f'{path.name}: cut off'):
        frames[0]
    path.with_name(f'another{path.suffix}').write_bytes(whole)
    with pytest.raises(DamagedSampleError, match=f'{path.parent.name}: holds 2 pictures'):
        frames[0]
    for found in path.parent.iterdir():
        found.unlink()
    with pytest.raises(DamagedSampleError, match=f'{path.parent.name}: holds no pictures'):
        frames[0]
    tolerant = Undamaged(SUNRGBD(root, 'train'), 'skip')
    assert [frame.name for frame in tolerant] == [XTION]


def test_damaged_intrinsics_are_named(root):
    path = root / 'SUNRGBD' / KINECT2 / 'intrinsics.txt'
    frames = SUNRGBD(root, 'train')
    for text, message in (('529.5 0 365', 'not a 3x3 matrix'), ('a ' * 9, 'not a 3x3 matrix'),
                          ('0 ' * 9, 'must be positive')):
        path.write_text(text)
        with pytest.raises(DamagedSampleError, match=f'intrinsics.txt: .*{message}'):
            frames[0]
    path.unlink()
    with pytest.raises(DamagedSampleError, match='intrinsics.txt: missing'):
        frames[0]


def test_what_does_not_fit_is_damage(root):
    with h5py.File(root / LABEL_FILE, 'r+') as file:
        file['#refs#/0'][0, 0] = 38
        del file['#refs#/2']
        file['SUNRGBD2Dseg/seglabel'][2, 0] = file.create_dataset(
            '#refs#/other', data=ids_of(XTION)).ref
        file['SUNRGBD2Dseg/seglabel'][3, 0] = file.create_dataset(
            '#refs#/half', data=ids_of(BERKELEY).T + 0.5).ref
    with pytest.raises(DamagedSampleError, match=f'frame {KINECT2}: 1 pixels .* 38 among'):
        SUNRGBD(root, 'train')[0]
    with pytest.raises(DamagedSampleError, match=f'frame {XTION}: labels have the shape'):
        SUNRGBD(root, 'train')[1]
    with pytest.raises(DamagedSampleError, match=f'frame {BERKELEY}: labels are not whole'):
        SUNRGBD(root)[0]
    extra = 'kv1/b3dodata/img_9999'
    SIZES[extra] = (10, 20)
    try:
        write_frame(root / 'SUNRGBD' / extra, extra)
    finally:
        del SIZES[extra]
    frames = SUNRGBD(root, 'all')
    with pytest.raises(DamagedSampleError, match='img_9999: .*SUNRGBDMeta.mat does not name it'):
        frames[frames.names.index(extra)]


def test_doubles_are_labels_too(root):
    with h5py.File(root / LABEL_FILE, 'r+') as file:
        file['SUNRGBD2Dseg/seglabel'][0, 0] = file.create_dataset(
            '#refs#/double', data=ids_of(KINECT2).T.astype(float)).ref
    ids = ids_of(KINECT2).astype(int)
    assert np.array_equal(SUNRGBD(root, 'train')[0].labels, np.where(ids, ids - 1, 255))
