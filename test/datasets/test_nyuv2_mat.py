# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""nyu_depth_v2_labeled.mat as MATLAB writes it, with some of its 1449 frames filled in."""

from collections import Counter
from pathlib import Path
import pickle
import shutil

from jrn_perception.datasets.decoding import DamagedSampleError
from jrn_perception.datasets.registry import open_dataset
from jrn_perception.datasets.subsets import Undamaged
from jrn_perception.labels import NYU40
import numpy as np
import pytest

h5py = pytest.importorskip('h5py', reason="h5py is missing: pip install '.[evaluate]'")

from jrn_perception.datasets.nyuv2_mat import (  # noqa: E402, I100
    class_map,
    NYUv2Mat,
    scene_names,
    split_numbers,
)

FILLED = (1, 3, 1449)
ROWS, COLUMNS = np.mgrid[:480, :640]


def picture(number):
    """Return what frame `number` shows, (480, 640, 3): every axis tells itself apart."""
    return np.stack((ROWS % 256, COLUMNS % 256, np.full_like(ROWS, number % 256)),
                    axis=-1).astype(np.uint8)


def depth(number):
    return (0.7 + ROWS * 0.01 + COLUMNS * 0.001 + number * 1e-4).astype(np.float32)


def labels(number):
    return ((ROWS * 640 + COLUMNS + number) % 895).astype(np.uint16)


def write_text(file, name, text):
    """Write a MATLAB text into an open file; return the reference that a cell holds."""
    units = np.frombuffer(text.encode('utf-16-le'), np.uint16)[:, None]
    return file.create_dataset(name, data=units).ref


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    """Return the path of a file with the datasets, types and axes of the official one."""
    path = tmp_path_factory.mktemp('official') / 'nyu_depth_v2_labeled.mat'
    # MATLAB 7.3 puts 512 bytes of its own before the HDF5 file, and stores its axes in reverse.
    with h5py.File(path, 'w', userblock_size=512) as file:
        options = {'compression': 'gzip', 'compression_opts': 1}
        images = file.create_dataset('images', (1449, 3, 640, 480), 'u1',
                                     chunks=(1, 3, 640, 480), **options)
        depths, ids = (file.create_dataset(name, (1449, 640, 480), kind, chunks=(1, 640, 480),
                                           **options)
                       for name, kind in (('depths', 'f4'), ('labels', 'u2')))
        for number in FILLED:
            images[number - 1] = picture(number).transpose(2, 1, 0)
            depths[number - 1] = depth(number).T
            ids[number - 1] = labels(number).T
        names = file.create_dataset('names', (1, 894), h5py.ref_dtype)
        for column, name in enumerate(class_map()):
            names[0, column] = write_text(file, f'#refs#/{column}', name)
        scenes, raw = (file.create_dataset(name, (1, 1449), h5py.ref_dtype)
                       for name in ('scenes', 'rawDepthFilenames'))
        # The first two frames, of the test split, show one kitchen; frame 3, of val, an office.
        kitchen, office, other = (write_text(file, f'#refs#/{name}', name)
                                  for name in ('kitchen_0004', 'office_0002', 'cafe_0001a'))
        dump = write_text(file, '#refs#/d', 'kitchen_0004b/d-1294439279.346737-2905.pgm')
        scenes[0], raw[0] = [other] * 1449, [other] * 1449
        scenes[0, :3], raw[0, :3] = [kitchen, kitchen, office], [dump, kitchen, office]
    with path.open('r+b') as stream:
        stream.write(b'MATLAB 7.3 MAT-file, Platform: GLNXA64'.ljust(128))
    return path


@pytest.fixture
def mat(written, tmp_path):
    """Return the path of a copy that a test may damage."""
    return Path(shutil.copy(written, tmp_path))


def test_every_pixel_of_every_axis(mat):
    frames = NYUv2Mat(mat, 'all')
    assert len(frames) == 1449
    assert frames.labels is NYU40
    table = np.array((255, *class_map().values()))
    for number in FILLED:
        frame = frames[number - 1]
        assert frame.name == f'{number:04d}'
        assert frame.rgb.dtype == np.uint8
        assert np.array_equal(frame.rgb, picture(number))
        assert frame.depth.dtype == np.float32
        assert np.array_equal(frame.depth, depth(number))
        assert frame.labels.dtype == np.uint8
        assert np.array_equal(frame.labels, table[labels(number)])
        for array in (frame.rgb, frame.depth, frame.labels):
            assert array.flags.c_contiguous
        assert frame.camera_matrix.shape == (3, 3)
    assert frames[-1].name == '1449'
    with pytest.raises(IndexError):
        frames[1449]


def test_the_file_is_found_in_its_folder_and_by_name(mat):
    assert open_dataset('nyuv2_mat', mat.parent, 'train')[0].name == '0003'
    assert open_dataset('nyuv2_mat', mat)[0].name == '0001', 'the test split'


def test_worker_processes_may_have_the_reader(mat):
    frames = pickle.loads(pickle.dumps(NYUv2Mat(mat, 'val')))
    assert np.array_equal(frames[0].depth, depth(3))


def test_scenes_are_folders_of_the_raw_recordings(mat):
    assert scene_names(mat, 'val') == ['cafe_0001a', 'office_0002']
    assert scene_names(mat.parent, 'test') == ['cafe_0001a', 'kitchen_0004', 'kitchen_0004b']
    assert scene_names(mat, 'test', 'val') == [
        'cafe_0001a', 'kitchen_0004', 'kitchen_0004b', 'office_0002']
    with pytest.raises(ValueError, match="no split 'eigen'"):
        scene_names(mat, 'eigen')
    with h5py.File(mat, 'r+') as file:
        del file['scenes']
    with pytest.raises(ValueError, match='scenes has 0 entries'):
        scene_names(mat, 'test')


def test_no_depth_is_nan(mat):
    with h5py.File(mat, 'r+') as file:
        # MATLAB's (row 5, column 7) and others, as HDF5 has them.
        file['depths'][0, 7, 5] = 0
        file['depths'][0, 8, 5] = -1
        file['depths'][0, 9, 5] = np.inf
    frame = NYUv2Mat(mat, 'all')[0]
    assert np.argwhere(np.isnan(frame.depth)).tolist() == [[5, 7], [5, 8], [5, 9]]


def test_splits():
    numbers = {split: split_numbers(split) for split in ('train', 'test', 'fit', 'val', 'all')}
    assert {split: len(n) for split, n in numbers.items()} == {
        'train': 795, 'test': 654, 'fit': 679, 'val': 116, 'all': 1449}
    assert sorted(numbers['train'] + numbers['test']) == list(range(1, 1450))
    assert sorted(numbers['fit'] + numbers['val']) == list(numbers['train'])
    assert numbers['test'][:4] == (1, 2, 9, 14)
    with pytest.raises(ValueError, match="'eigen'; there are train, test"):
        split_numbers('eigen')


@pytest.mark.parametrize('split', ['train', 'fit', 'val'])
def test_splits_are_those_of_the_folder_layout(data_dir, split):
    listed = (data_dir / 'nyuv2' / f'{split}.txt').read_text().split()
    assert [f'{n:04d}' for n in split_numbers(split)] == listed


def test_the_map_from_894_names_to_40_classes():
    table = class_map()
    assert len(table) == 894
    assert list(table)[:3] == ['book', 'bottle', 'cabinet']
    assert list(table)[893] == 'torah'
    counts = Counter(NYU40.names[i] for i in table.values())
    assert len(counts) == 40
    assert counts['otherprop'] == 707
    assert counts['otherfurniture'] == 82
    assert counts['otherstructure'] == 68
    # The other 37 classes are single names of the 894.
    single = {name: NYU40.names[i] for name, i in table.items()
              if not NYU40.names[i].startswith('other')}
    assert len(single) == 37
    assert {name: own for name, own in single.items() if name != own} == {}


def test_another_file_is_refused(mat, tmp_path):
    with pytest.raises(FileNotFoundError, match='absent.mat: missing'):
        NYUv2Mat(tmp_path / 'absent.mat')
    with h5py.File(mat, 'r+') as file:
        file['#refs#/16'][0] = ord('R')  # refridgerator
    with pytest.raises(ValueError, match="'Refridgerator' where .* 'refridgerator'"):
        NYUv2Mat(mat)
    with h5py.File(mat, 'r+') as file:
        del file['names']
    with pytest.raises(ValueError, match='0 names'):
        NYUv2Mat(mat)
    with h5py.File(mat, 'r+') as file:
        del file['depths']
        file.create_dataset('depths', (1449, 480, 640), 'f4')
    with pytest.raises(ValueError, match=r'depths is \(1449, 480, 640\)'):
        NYUv2Mat(mat)
    mat.write_bytes(b'MATLAB 5.0 MAT-file')
    with pytest.raises(ValueError, match='not a whole HDF5 file'):
        NYUv2Mat(mat)


def test_a_file_that_is_cut_off_is_refused(mat):
    data = mat.read_bytes()
    mat.write_bytes(data[:len(data) * 2 // 3])
    with pytest.raises(ValueError, match='nyu_depth_v2_labeled.mat: not a whole HDF5 file'):
        NYUv2Mat(mat)


def test_damage_inside_is_named(mat):
    frames = NYUv2Mat(mat, 'all')
    with h5py.File(mat, 'r+') as file:
        file['labels'][0, 0, 0] = 895
        chunk = file['images'].id.get_chunk_info_by_coord((2, 0, 0, 0))
    with mat.open('r+b') as stream:
        stream.seek(chunk.byte_offset + 20)
        stream.write(b'\xa5' * 40)
    with pytest.raises(DamagedSampleError, match='frame 1: 1 pixels with ids .* 895 among'):
        frames[0]
    with pytest.raises(DamagedSampleError, match='labeled.mat: frame 3: '):
        frames[2]
    tolerant = Undamaged(frames, 'skip')
    assert next(iter(tolerant)).name == '0002'
    assert list(tolerant.damaged) == [0]
