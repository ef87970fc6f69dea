# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The table of readers, the policy for damaged samples, and the reading of pictures."""

import builtins
import sys

import cv2
from jrn_perception.datasets.decoding import DamagedSampleError, read_colour, read_map, translate
from jrn_perception.datasets.nyuv2 import NYUv2
from jrn_perception.datasets.registry import open_dataset, READERS
from jrn_perception.datasets.subsets import held_out, Undamaged
from jrn_perception.labels import LABEL_SETS, NYU40
import numpy as np
import pytest


@pytest.fixture
def folder(tmp_path):
    """Return a folder in the layout of the NYU frames, 0001 to 0004; 0002 and 0003 are damaged."""
    for name in ('rgb', 'depth_mm', 'label40'):
        (tmp_path / name).mkdir()
    for n in range(1, 5):
        cv2.imwrite(str(tmp_path / f'rgb/{n:04d}.jpg'), np.full((6, 8, 3), n, np.uint8))
        cv2.imwrite(str(tmp_path / f'depth_mm/{n:04d}.png'), np.full((6, 8), n, np.uint16))
        cv2.imwrite(str(tmp_path / f'label40/{n:04d}.png'), np.full((6, 8), n, np.uint8))
    (tmp_path / 'val.txt').write_text('0001\n0002\n0003\n0004\n')
    (tmp_path / 'depth_mm/0002.png').unlink()
    path = tmp_path / 'label40/0003.png'
    path.write_bytes(path.read_bytes()[:-9])
    return tmp_path


def test_skipping_yields_the_sound_names_the_damaged_and_warns_once(folder, told):
    messages = told('jrn_perception.datasets.subsets')
    frames = Undamaged(NYUv2(folder), 'skip')
    assert [frame.name for frame in frames] == ['0001', '0004']
    assert list(frames.damaged) == [1, 2]
    assert 'depth_mm/0002.png: missing' in frames.damaged[1]
    assert 'label40/0003.png: cut off' in frames.damaged[2]
    assert frames.labels is NYU40
    assert len(frames) == 4
    [message] = messages
    assert message.startswith('2 of 4 samples damaged and left out:')
    assert '0002.png' in message and '0003.png' in message
    assert [frame.name for frame in frames] == ['0001', '0004'], 'a second time'
    assert len(frames.damaged) == 2


def test_raising_ends_at_the_first(folder):
    names = []
    with pytest.raises(DamagedSampleError, match='0002.png: missing'):
        names.extend(frame.name for frame in Undamaged(NYUv2(folder)))
    iterator = iter(Undamaged(NYUv2(folder), 'raise'))
    assert next(iterator).name == '0001'


def test_sound_data_is_not_talked_about(folder, told):
    messages = told('jrn_perception.datasets.subsets')
    (folder / 'val.txt').write_text('0001\n0004\n')
    frames = Undamaged(NYUv2(folder), 'skip')
    assert [frame.name for frame in frames] == ['0001', '0004']
    assert not messages
    assert frames.report() == '0 of 2 samples damaged and left out'


def test_nothing_left_is_an_error_also_when_skipping(folder):
    (folder / 'val.txt').write_text('0002\n0003\n')
    with pytest.raises(DamagedSampleError, match='2 of 2 samples'):
        list(Undamaged(NYUv2(folder), 'skip'))


def test_a_selection_gives_access_in_any_order(folder):
    selection = Undamaged(NYUv2(folder), 'skip').selection()
    assert len(selection) == 2
    assert selection[1].name == '0004'
    assert selection[-2].name == '0001'
    assert selection.labels is NYU40
    with pytest.raises(IndexError):
        selection[2]
    with pytest.raises(DamagedSampleError, match='0002'):
        Undamaged(NYUv2(folder), 'raise').selection()


def test_a_long_report_names_the_first_ten(folder):
    (folder / 'val.txt').write_text('\n'.join(['0001'] + [f'{n}' for n in range(100, 130)]))
    frames = Undamaged(NYUv2(folder), 'skip')
    list(frames)
    report = frames.report()
    assert report.startswith('30 of 31')
    assert '109.jpg' in report and '110.jpg' not in report
    assert report.endswith('and 20 more')


def test_other_errors_are_not_damage(folder):
    class Broken(NYUv2):

        def __getitem__(self, index):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(Undamaged(Broken(folder), 'skip'))


def test_an_unknown_policy_is_refused(folder):
    with pytest.raises(ValueError, match="'ignore'"):
        Undamaged(NYUv2(folder), 'ignore')


def test_every_entry_names_a_reader_with_labels():
    for name, entry in READERS.items():
        if entry.module == 'nyuv2_mat':
            pytest.importorskip('h5py', reason="h5py is missing: pip install '.[evaluate]'")
        with pytest.raises((FileNotFoundError, ValueError), match='absent'):
            open_dataset(name, 'absent', 'val' if entry.splits else None)


def test_opening_by_name(folder):
    frames = open_dataset('nyuv2', folder, 'val')
    assert isinstance(frames, NYUv2)
    assert frames[0].name == '0001'
    assert open_dataset('nyuv2', folder).names == frames.names
    with pytest.raises(ValueError, match='nyuv3.*nyuv2, '):
        open_dataset('nyuv3', folder)
    with pytest.raises(ValueError, match="no splits.*'val'"):
        open_dataset('nyuv2_depth_only', folder, 'val')


def test_a_missing_extra_is_named(monkeypatch, tmp_path):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name == 'h5py':
            raise ModuleNotFoundError("No module named 'h5py'", name='h5py')
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, 'jrn_perception.datasets.nyuv2_mat', raising=False)
    monkeypatch.delitem(sys.modules, 'h5py', raising=False)
    monkeypatch.setattr(builtins, '__import__', without)
    (tmp_path / 'nyu_depth_v2_labeled.mat').touch()
    with pytest.raises(ModuleNotFoundError, match=r"h5py: pip install '\.\[eval"):
        open_dataset('nyuv2_mat', tmp_path)


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
@pytest.mark.parametrize('kept', [0, 1, 20, 0.5, -12, -1])
def test_a_picture_that_is_cut_off_is_named_whatever_opencv_makes_of_it(
        tmp_path, suffix, kept, monkeypatch):
    path = tmp_path / f'picture{suffix}'
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    data = cv2.imencode(suffix, noise)[1].tobytes()
    path.write_bytes(data[:int(kept * len(data)) if kept == 0.5 else kept])
    # OpenCV 4 decodes what there is; 5 refuses. Beyond the signature neither is asked.
    if kept not in (0, 1):
        monkeypatch.setattr(cv2, 'imdecode', lambda data, flags: noise)
    with pytest.raises(DamagedSampleError, match=f'picture{suffix}: (cut off|no picture)'):
        read_colour(path)


def test_pictures_come_as_rgb_and_ignore_an_orientation(tmp_path):
    picture = np.zeros((20, 30, 3), np.uint8)
    picture[:, :15] = (250, 10, 20)
    data = cv2.imencode('.jpg', picture[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 100))[1].tobytes()
    # An EXIF segment (little-endian TIFF with one entry): orientation 6, turned by 90 degrees.
    exif = b'Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0'
    segment = b'\xff\xe1' + (len(exif) + 2).to_bytes(2, 'big') + exif
    path = tmp_path / 'turned.jpg'
    path.write_bytes(data[:2] + segment + data[2:])
    assert cv2.imread(str(path)).shape == (30, 20, 3), 'the segment is understood'
    rgb = read_colour(path)
    assert rgb.shape == (20, 30, 3)
    assert np.abs(rgb[:, :7].astype(int) - (250, 10, 20)).max() <= 3


def test_what_is_no_picture_is_named(tmp_path):
    path = tmp_path / 'picture.png'
    with pytest.raises(DamagedSampleError, match='picture.png: missing'):
        read_colour(path)
    path.mkdir()
    with pytest.raises(DamagedSampleError, match='picture.png: Is a directory'):
        read_colour(path)
    path.rmdir()
    path.write_text('<html>404</html>')
    with pytest.raises(DamagedSampleError, match='picture.png: no picture'):
        read_colour(path)


def test_a_map_has_one_channel_of_the_right_type(tmp_path):
    path = tmp_path / 'map.png'
    cv2.imwrite(str(path), np.full((4, 5), 300, np.uint16))
    assert (read_map(path, np.uint16) == 300).all()
    assert read_map(path, np.uint8, np.uint16).dtype == np.uint16
    with pytest.raises(DamagedSampleError, match='map.png: is uint16.*one channel of uint8'):
        read_map(path, np.uint8)
    cv2.imwrite(str(path), np.zeros((4, 5, 3), np.uint16))
    with pytest.raises(DamagedSampleError, match='one channel'):
        read_map(path, np.uint16)


def test_ids_that_the_data_set_does_not_have_are_damage():
    table = np.array((255, 0, -1, 7), np.int16)
    ids = np.array(((0, 1), (3, 3)), np.uint16)
    classes = translate(ids, table, 'here')
    assert classes.dtype == np.uint8
    assert classes.tolist() == [[255, 0], [7, 7]]
    for wrong in (2, 4, 65535):
        ids[1, 1] = wrong
        with pytest.raises(DamagedSampleError, match=f'here: 1 pixels.* {wrong} among'):
            translate(ids, table, 'here')


def test_label_sets_are_found_by_name():
    assert {'cityscapes19', 'scannet20', 'nyu40'} <= set(LABEL_SETS)
    assert len(LABEL_SETS['cityscapes19']) == 19
    assert len(LABEL_SETS['scannet20']) == 20


def test_parts_are_runs_that_make_up_the_whole(folder):
    (folder / 'val.txt').write_text('0001\n0004\n' * 5)
    frames = NYUv2(folder)
    seen = []
    for part in (1, 2, 3):
        rest, held = held_out(frames, part, 3)
        assert sorted(rest.indices + held.indices) == list(range(10))
        assert held.indices == tuple(range(held.indices[0], held.indices[-1] + 1))
        assert rest.labels is held.labels is NYU40
        seen += held.indices
    assert seen == list(range(10))


def test_parts_of_many_frames_have_runs_from_all_over(folder):
    (folder / 'val.txt').write_text('0001\n' * 100)
    _, held = held_out(NYUv2(folder), 2, 2)
    assert held.indices == (*range(20, 40), *range(60, 80))


@pytest.mark.parametrize('part, parts', [(0, 2), (3, 2), (1, 0)])
def test_a_part_that_does_not_exist_is_refused(folder, part, parts):
    with pytest.raises(ValueError, match=f'part {part}/{parts}'):
        held_out(NYUv2(folder), part, parts)
