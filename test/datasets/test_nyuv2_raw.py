# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The raw recordings of NYU-Depth v2, as folders of dumps that the tests write."""

import pickle

from jrn_perception.datasets.decoding import DamagedSampleError
from jrn_perception.datasets.nyuv2 import CAMERA_MATRIX
from jrn_perception.datasets.nyuv2_raw import (
    NYUv2Raw,
    project,
    read_pgm,
    read_ppm,
    to_metres,
)
from jrn_perception.datasets.registry import open_dataset, open_to_train
from jrn_perception.datasets.subsets import Undamaged
import numpy as np
import pytest

GREY = np.full((480, 640, 3), 90, np.uint8)
# A wall at 351.3 / (1092.5 - 917) = 2.0017 m.
WALL = np.full((480, 640), 917, np.uint16)
# As the recordings name their files: seconds, then the Kinect's clock.
COLOURS = ('r-1294886360.208451-2996770081.ppm', 'r-1294886360.300000-2999999999.ppm')
DEPTHS = ('d-1294886360.186556-2995096231.pgm', 'd-1294886360.254225-2996000000.pgm',
          'd-1294886360.254226-2997000000.pgm', 'd-1294886360.900000-2998000000.pgm')
ACCELERATION = 'a-1294886360.190000-2995096231.dump'


def write_ppm(path, rgb=GREY):
    path.write_bytes(b'P6 640 480 255\n' + rgb.tobytes())


def write_pgm(path, disparity=WALL):
    path.write_bytes(b'P5 640 480 65535\n' + disparity.astype('<u2').tobytes())


def write_scene(folder, index=True):
    folder.mkdir()
    for name in COLOURS:
        write_ppm(folder / name)
    for name in DEPTHS:
        write_pgm(folder / name)
    (folder / ACCELERATION).write_bytes(b'\0' * 16)
    if index:
        (folder / 'INDEX.txt').write_text('\n'.join((ACCELERATION, *COLOURS, *DEPTHS)) + '\n')


@pytest.fixture
def root(tmp_path):
    for scene in ('bedroom_0001', 'kitchen_0004', 'study_0002'):
        write_scene(tmp_path / scene)
    (tmp_path / 'held_out.txt').write_text('kitchen_0004\nnot_downloaded_0001\n')
    return tmp_path


def test_disparity_becomes_metres():
    disparity = np.array([[0, 599, 600, 741, 917, 1057, 1058, 1092, 1093, 2047, 65535]], np.uint16)
    metres = to_metres(disparity)
    assert metres.dtype == np.float32
    # 351.3 / 492.5, 351.3 / 351.5, 351.3 / 175.5 and 351.3 / 35.5, by hand.
    expected = [np.nan, np.nan, 0.713299, 0.999431, 2.001709, 9.895775, *[np.nan] * 5]
    np.testing.assert_allclose(metres[0], expected, rtol=1e-5)


def test_a_point_is_projected_into_the_colour_camera():
    depth = np.full((480, 640), np.nan, np.float32)
    depth[99, 199] = 2.
    # In MATLAB's numbers pixel (200, 100), so that by hand
    # X = (200 - 313.0447587) / 582.6244817 * 2 = -0.3880535
    # Y = (100 - 238.4438963) / 582.6910327 * 2 = -0.4751880
    # In the colour camera, with the transposed rotation,
    # x =  0.9999780 X - 0.0050360 Y - 0.0043197 * 2 - 0.0250319 = -0.4193230
    # y =  0.0050518 X + 0.9999805 Y + 0.0036662 * 2 + 0.0002934 = -0.4695132
    # z =  0.0043012 X - 0.0036880 Y + 0.9999839 * 2 - 0.0006624 =  1.9993888
    # column = 518.8579012 x / z + 325.5824494 = 216.76
    # row    = 519.4696111 y / z + 253.7361663 = 131.75
    projected = project(depth)
    assert np.argwhere(np.isfinite(projected)).tolist() == [[132 - 1, 217 - 1]]
    assert projected[131, 216] == 2 and projected.dtype == np.float32


def test_the_nearest_of_several_points_stays():
    # The depth camera has the smaller angle, so that neighbouring pixels of it coincide.
    near, both = np.full((480, 640), np.nan, np.float32), np.full((480, 640), 3., np.float32)
    near[::2, ::2] = both[::2, ::2] = 2.5
    alone, together = project(near), project(both)
    covered = np.isfinite(alone)
    assert covered.sum() > 50000
    assert (together[covered] == 2.5).all()
    assert set(together[np.isfinite(together) & ~covered]) == {3.}


def test_points_beside_the_picture_are_left_out():
    depth = np.full((480, 640), np.nan, np.float32)
    # So near that the colour camera, 2.5 cm to the side, looks past the left edge.
    depth[240, 0] = 0.05
    assert np.isnan(project(depth)).all()


def test_dumps_are_read_as_they_are_stored(tmp_path):
    ramp = (np.arange(480 * 640) % 2048).reshape(480, 640).astype(np.uint16)
    write_pgm(tmp_path / 'd.pgm', ramp)
    assert np.array_equal(read_pgm(tmp_path / 'd.pgm'), ramp)
    # The file's first pixels, 0 and 1, are little-endian.
    assert (tmp_path / 'd.pgm').read_bytes()[17:21] == b'\0\0\1\0'
    colours = np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8)
    write_ppm(tmp_path / 'r.ppm', colours)
    assert np.array_equal(read_ppm(tmp_path / 'r.ppm'), colours)


def test_frames_are_pairs_nearest_in_time(root):
    frames = NYUv2Raw(root)
    assert len(frames) == 12
    assert frames.labels is None
    # 254225 is nearer to 208451, 254226 to 300000; the last one has only the last picture.
    assert [colour for _, _, colour in frames.names[:4]] == [
        COLOURS[0], COLOURS[0], COLOURS[1], COLOURS[1]]
    assert [depth for _, depth, _ in frames.names[:4]] == list(DEPTHS)


def test_of_two_equally_near_pictures_the_later_counts(tmp_path):
    folder = tmp_path / 'den_0001'
    folder.mkdir()
    for name in ('r-10.000000-1.ppm', 'r-10.500000-2.ppm', 'd-10.250000-3.pgm'):
        (folder / name).touch()
    assert NYUv2Raw(tmp_path).names == [('den_0001', 'd-10.250000-3.pgm', 'r-10.500000-2.ppm')]


def test_a_frame(root):
    frame = pickle.loads(pickle.dumps(NYUv2Raw(root)))[4]
    assert frame.name == 'kitchen_0004/d-1294886360.186556-2995096231'
    assert frame.rgb.shape == (480, 640, 3) and frame.rgb.dtype == np.uint8
    assert (frame.rgb[240, 320] == 90).all()
    assert (frame.rgb[0, 0] == 255).all(), 'undistortion leaves a white rim'
    assert frame.depth.shape == (480, 640) and frame.depth.dtype == np.float32
    known = frame.depth[np.isfinite(frame.depth)]
    assert known.size > 200000
    np.testing.assert_allclose(known, 2.001709, rtol=1e-6)
    assert np.isnan(frame.depth[:, :5]).all(), 'the depth camera sees less'
    assert frame.labels is None
    assert np.array_equal(frame.camera_matrix, CAMERA_MATRIX)


def test_undistortion_keeps_the_centre_and_mixes_no_disparities(root):
    disparity = WALL.copy()
    disparity[:, 320:] = 1000
    disparity[:, 318:320] = 2047
    write_pgm(root / 'bedroom_0001' / DEPTHS[0], disparity)
    depth = NYUv2Raw(root)[0].depth
    found = np.unique(depth[np.isfinite(depth)])
    np.testing.assert_allclose(found, [351.3 / 175.5, 351.3 / 92.5], rtol=1e-6)


def test_scenes_can_be_chosen_or_left_out(root):
    def scenes(split):
        return sorted({scene for scene, _, _ in NYUv2Raw(root, split).names})

    assert scenes('all') == ['bedroom_0001', 'kitchen_0004', 'study_0002']
    assert scenes('not-held_out') == ['bedroom_0001', 'study_0002']
    (root / 'mine.txt').write_text('study_0002\n')
    assert scenes('mine') == ['study_0002']
    assert len(open_dataset('nyuv2_raw', root)) == 12
    assert len(open_to_train('nyuv2_raw', root, 'not-held_out')) == 8
    with pytest.raises(ValueError, match='name the split to learn from; nyuv2_raw has all, NAME'):
        open_to_train('nyuv2_raw', root, None)
    for split in ('absent', 'not-absent'):
        with pytest.raises(FileNotFoundError, match='absent.txt: no such split'):
            NYUv2Raw(root, split)
    (root / 'empty.txt').write_text('')
    with pytest.raises(ValueError, match='empty.txt: names no frames'):
        NYUv2Raw(root, 'not-empty')


def test_every_nth_picture_of_each_scene(root):
    frames = NYUv2Raw(root, 'not-held_out/3')
    assert [(scene, depth) for scene, depth, _ in frames.names] == [
        (scene, DEPTHS[n]) for scene in ('bedroom_0001', 'study_0002') for n in (0, 3)]
    assert NYUv2Raw(root, 'all/1').names == NYUv2Raw(root).names
    for split in ('all/', 'all/0', 'all/x', 'all/-2'):
        with pytest.raises(ValueError, match=f'split {split}: expected NAME or NAME/N'):
            NYUv2Raw(root, split)


def test_without_an_index_the_folder_is_listed(tmp_path):
    write_scene(tmp_path / 'cafe_0001', index=False)
    (tmp_path / 'cafe_0001' / 'notes.txt').write_text('not a dump')
    assert len(NYUv2Raw(tmp_path)) == 4


def test_wrong_folders_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match='should hold <scene>/r-'):
        NYUv2Raw(tmp_path)
    (tmp_path / 'bedroom_0001').mkdir()
    (tmp_path / 'bedroom_0001' / DEPTHS[0]).touch()
    with pytest.raises(FileNotFoundError, match='should hold <scene>/r-'):
        NYUv2Raw(tmp_path)


def test_damage_is_named(root):
    folder = root / 'bedroom_0001'
    frames = NYUv2Raw(root)
    for name, index in ((DEPTHS[0], 0), (COLOURS[1], 3)):
        path = folder / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-1])
        with pytest.raises(DamagedSampleError, match=f'{name}: cut off or too long'):
            frames[index]
        # Some dumps of the real recordings are empty.
        path.write_bytes(b'')
        with pytest.raises(DamagedSampleError, match=f'{name}: does not begin with P'):
            frames[index]
        path.write_bytes(whole.replace(b'640', b'320', 1))
        with pytest.raises(DamagedSampleError, match=f'{name}: does not begin with P'):
            frames[index]
        path.unlink()
        with pytest.raises(DamagedSampleError, match=f'{name}: missing'):
            NYUv2Raw(root)[index]
        path.mkdir()
        with pytest.raises(DamagedSampleError, match=f'{name}: Is a directory'):
            frames[index]
        path.rmdir()


def test_a_scene_without_frames_is_damage(root):
    (root / 'mine.txt').write_text('not_downloaded_0001\nstudy_0002\n')
    tolerant = Undamaged(NYUv2Raw(root, 'mine'), 'skip')
    assert len(list(tolerant)) == 4
    assert list(tolerant.damaged) == [0]
    assert 'not_downloaded_0001: no frames' in tolerant.damaged[0]
