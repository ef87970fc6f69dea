# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""ScanNet, in folders as the owner's SensReader and archives leave them."""

import cv2
from jrn_perception.datasets.decoding import DamagedSampleError
from jrn_perception.datasets.registry import open_dataset
from jrn_perception.datasets.scannet import LABEL_MAP, read_label_map, ScanNet
from jrn_perception.datasets.subsets import Undamaged
from jrn_perception.labels import NYU40, SCANNET20
import numpy as np
import pytest

# Small, in the proportions of 1296x968 and 640x480.
COLOUR, DEPTH = (121, 162), (60, 80)
MILLIMETRES = np.random.default_rng(3).integers(1, 9000, DEPTH).astype(np.uint16)
MILLIMETRES[10:14, 20:24] = 0
# Ids beyond 255 need the 16 bits; one name holds an inch sign.
TABLE = """id\traw_category\tcategory\tcount\tnyu40id\teigen13id\tnyuClass
1\twall\twall\t8277\t1\t12\twall
2\tchair\tchair\t4646\t5\t4\tchair
1163\t27" monitor\tobject\t1\t40\t7\totherprop
1357\tvacuum\tvacuum\t2\t\t7\totherprop
99\tmirror\tmirror\t349\t19\t7\tmirror
"""
IDS = np.random.default_rng(4).choice(np.array((0, 1, 2, 1163, 1357, 99), np.uint16), COLOUR)
TO_NYU40 = {0: 255, 1: 0, 2: 4, 1163: 39, 1357: 255, 99: 18}
INTRINSIC = """1170.187988 0.000000 647.750000 0.000000
0.000000 1170.187988 483.750000 0.000000
0.000000 0.000000 1.000000 0.000000
0.000000 0.000000 0.000000 1.000000
"""


@pytest.fixture
def root(tmp_path):
    for scene in ('scene0000_00', 'scene0001_00'):
        folder = tmp_path / 'scans' / scene
        for part in ('color', 'depth', 'label-filt', 'intrinsic', 'pose'):
            (folder / part).mkdir(parents=True)
        for n in (0, 20, 100):
            cv2.imwrite(str(folder / f'color/{n}.jpg'),
                        np.full((*COLOUR, 3), (30, 60, 200), np.uint8))
            cv2.imwrite(str(folder / f'depth/{n}.png'), MILLIMETRES)
        for n in (0, 10, 20, 30, 100):  # Of every frame, not of the exported ones only.
            cv2.imwrite(str(folder / f'label-filt/{n}.png'), IDS)
        (folder / 'intrinsic/intrinsic_color.txt').write_text(INTRINSIC)
    (tmp_path / LABEL_MAP).write_text(TABLE)
    (tmp_path / 'scannetv2_val.txt').write_text('scene0001_00\n')
    return tmp_path


def nearest(array, size):
    """Return, for each pixel of `size`, the values in `array` next to its centre: 1, 2 or 4."""
    def candidates(count, length):
        position = (np.arange(count) + 0.5) * length / count - 0.5
        return np.floor(position + 0.499).astype(int), np.ceil(position - 0.499).astype(int)

    rows, columns = candidates(size[0], array.shape[0]), candidates(size[1], array.shape[1])
    return [array[np.ix_(r.clip(0, array.shape[0] - 1), c.clip(0, array.shape[1] - 1))]
            for r in rows for c in columns]


def test_every_pixel(root):
    frames = ScanNet(root)
    assert len(frames) == 6
    assert frames.labels is NYU40
    assert [f.name for f in frames][:4] == [
        'scene0000_00/0', 'scene0000_00/20', 'scene0000_00/100', 'scene0001_00/0']
    frame = frames[0]
    assert frame.rgb.shape == (*COLOUR, 3)
    assert np.abs(frame.rgb.astype(int) - (200, 60, 30)).max() <= 3, 'JPEG'
    assert frame.depth.shape == COLOUR and frame.depth.dtype == np.float32
    millimetres = np.nan_to_num(frame.depth * 1000).round().astype(int)
    assert np.any([millimetres == c for c in nearest(MILLIMETRES, COLOUR)], axis=0).all()
    assert np.isnan(frame.depth).any() and not (frame.depth == 0).any()
    assert frame.labels.dtype == np.uint8
    assert frame.labels.ravel().tolist() == [TO_NYU40[i] for i in IDS.flat]
    assert frame.camera_matrix.tolist() == [
        [1170.187988, 0, 647.75], [0, 1170.187988, 483.75], [0, 0, 1]]


def test_labels_of_the_depth_camera_s_size_grow_by_nearest_neighbour(root):
    ids = np.full(DEPTH, 1, np.uint16)
    ids[:, 40:] = 1163
    cv2.imwrite(str(root / 'scans/scene0000_00/label-filt/0.png'), ids)
    labels = ScanNet(root)[0].labels
    assert labels.shape == COLOUR
    assert (labels[:, :81] == 0).all() and (labels[:, 81:] == 39).all()


def test_depth_of_the_owner_s_sizes_is_not_shifted(root):
    ramp = np.arange(640, dtype=np.uint16) + 1
    folder = root / 'scans/scene0000_00'
    cv2.imwrite(str(folder / 'depth/0.png'), np.tile(ramp, (480, 1)))
    cv2.imwrite(str(folder / 'color/0.jpg'), np.zeros((968, 1296, 3), np.uint8))
    cv2.imwrite(str(folder / 'label-filt/0.png'), np.zeros((968, 1296), np.uint16))
    depth = ScanNet(root)[0].depth
    # Pixel centres of both pictures, on the scale of the smaller one.
    position = (np.arange(1296) + 0.5) * 640 / 1296 - 0.5
    assert np.abs((depth[500] * 1000 - 1) - position).max() <= 0.501


def test_the_20_classes_of_the_benchmark(root):
    frames = open_dataset('scannet20', root)
    assert frames.labels is SCANNET20
    assert SCANNET20.names[-1] == 'otherfurniture' and SCANNET20.names[12] == 'desk'
    expected = {**dict.fromkeys(TO_NYU40, 255), 1: 0, 2: SCANNET20.names.index('chair')}
    assert frames[0].labels.ravel().tolist() == [expected[i] for i in IDS.flat]
    with pytest.raises(ValueError, match="'nyu5'"):
        ScanNet(root, labels='nyu5')


def test_splits(root):
    frames = open_dataset('scannet', root, 'val')
    assert [f.name for f in frames] == ['scene0001_00/0', 'scene0001_00/20', 'scene0001_00/100']
    with pytest.raises(FileNotFoundError, match='scannetv2_train.txt: no such split'):
        ScanNet(root, 'train')
    (root / 'scannetv2_val.txt').write_text('scene0007_00\nscene0001_00\n')
    tolerant = Undamaged(ScanNet(root, 'val'), 'skip')
    assert len(list(tolerant)) == 3
    assert list(tolerant.damaged) == [0]
    assert 'scene0007_00: no frames' in tolerant.damaged[0]
    (root / 'scannetv2_val.txt').write_text('scene0007_00\n')
    with pytest.raises(FileNotFoundError, match='scans: should hold'):
        ScanNet(root, 'val')


def test_without_labels_or_their_table(root):
    (root / LABEL_MAP).unlink()
    with pytest.raises(FileNotFoundError, match='combined.tsv: missing'):
        ScanNet(root)
    for folder in root.glob('scans/*/label-filt'):
        folder.rename(folder.with_name('label'))
    frames = ScanNet(root)
    assert frames.labels is None
    assert frames[0].labels is None and frames[0].depth is not None


@pytest.mark.parametrize('part', ['color/20.jpg', 'depth/20.png', 'label-filt/20.png'])
def test_damage_is_named(root, part):
    path = root / 'scans/scene0000_00' / part
    path.write_bytes(path.read_bytes()[:-30])
    frames = ScanNet(root)
    with pytest.raises(DamagedSampleError, match=f'scene0000_00/{part}: cut off'):
        frames[1]
    path.unlink()
    frames = ScanNet(root)
    assert len(frames) == 6
    with pytest.raises(DamagedSampleError, match=f'scene0000_00/{part}: missing'):
        frames[1]


def test_what_does_not_fit_is_damage(root):
    folder = root / 'scans/scene0000_00'
    frames = ScanNet(root)
    cv2.imwrite(str(folder / 'depth/0.png'), MILLIMETRES.T)
    with pytest.raises(DamagedSampleError, match='depth/0.png: is 60x80, its picture 162x121'):
        frames[0]
    cv2.imwrite(str(folder / 'label-filt/20.png'), np.full(COLOUR, 3, np.uint16))
    with pytest.raises(DamagedSampleError, match='label-filt/20.png: 19602 pixels .* 3 among'):
        frames[1]
    (folder / 'intrinsic/intrinsic_color.txt').write_text('1 2 3')
    with pytest.raises(DamagedSampleError, match='intrinsic_color.txt: not a 4x4'):
        frames[2]
    (folder / 'intrinsic/intrinsic_color.txt').unlink()
    assert frames[2].camera_matrix is None


@pytest.mark.parametrize('text, message', [
    ('', 'no columns'), ('raw\tnyu40id\nwall\t1\n', 'no columns'),
    (TABLE + 'x\tbed\tbed\t1\t4\t1\tbed\n', "line 7: id 'x'"),
    (TABLE + '7\tbed\n', "line 7: id '7' and nyu40id None"),
    (TABLE + '7\tbed\tbed\t1\t41\t1\tbed\n', 'line 7: id 7 or nyu40id 41 is out of range'),
    (TABLE + '70000\tbed\tbed\t1\t4\t1\tbed\n', 'line 7: id 70000')])
def test_a_damaged_table_is_refused(tmp_path, text, message):
    path = tmp_path / LABEL_MAP
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_label_map(path)
