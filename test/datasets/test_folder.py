# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""One's own frames: what a folder of them says, and what is wrong with it."""

import json
import shutil
import struct
import zlib

import cv2
from jrn_perception.datasets.decoding import DamagedSampleError
from jrn_perception.datasets.folder import Folder
from jrn_perception.datasets.registry import open_dataset
from jrn_perception.datasets.subsets import held_out, require_undamaged, Undamaged
from jrn_perception.labels import NYU40
import numpy as np
import pytest

DESCRIPTION = {'classes': ['floor', 'pallet'], 'focal_length': [10, 12.5],
               'depth_range': [0.3, 20]}


@pytest.fixture
def root(tmp_path):
    """Return a folder with a frame of all, one of depth, one of labels and one of neither."""
    for name in ('rgb', 'depth_mm', 'labels'):
        (tmp_path / name).mkdir()
    colour = np.full((6, 8, 3), (10, 20, 30), np.uint8)
    for name, suffix in (('all', 'jpg'), ('depth', 'png'), ('labels', 'jpg'), ('none', 'jpg')):
        cv2.imwrite(str(tmp_path / f'rgb/{name}.{suffix}'), colour)
    millimetres = np.full((6, 8), 2500, np.uint16)
    millimetres[0, 0] = 0
    ids = np.full((6, 8), 2, np.uint8)
    ids[0] = 0
    for name in ('all', 'depth'):
        cv2.imwrite(str(tmp_path / f'depth_mm/{name}.png'), millimetres)
    for name in ('all', 'labels'):
        cv2.imwrite(str(tmp_path / f'labels/{name}.png'), ids)
    (tmp_path / 'val.txt').write_text('all\ndepth\nlabels\n')
    (tmp_path / 'dataset.json').write_text(json.dumps(DESCRIPTION))
    return tmp_path


def describe(root, **changes):
    content = {k: v for k, v in (DESCRIPTION | changes).items() if v is not ...}
    (root / 'dataset.json').write_text(json.dumps(content))


def test_a_frame_has_the_annotations_that_there_are(root):
    frames = open_dataset('folder', root, 'val')
    assert len(frames) == 3
    whole, depth, labels = frames
    assert whole.depth[0, 1] == 2.5 and np.isnan(whole.depth[0, 0])
    assert whole.labels[0, 0] == 255 and whole.labels[1, 0] == 1
    assert whole.rgb[2, 2].tolist() == [30, 20, 10]
    assert depth.labels is None and depth.depth is not None
    assert labels.depth is None and labels.labels is not None
    assert frames.labels.names == ('floor', 'pallet')
    assert np.diag(whole.camera_matrix).tolist() == [10, 12.5, 1]
    # Of parts of it, too.
    for part in (*held_out(frames, 1, 2), Undamaged(frames, 'skip').selection()):
        assert (part.labels, part.depth_range) == (frames.labels, (0.3, 20))


def test_what_is_not_known_of_the_camera_is_not_made_up(root):
    describe(root, focal_length=..., depth_range=...)
    frames = Folder(root)
    assert frames[0].camera_matrix is None and frames.depth_range is None


def test_classes_may_be_those_of_nyu(root):
    describe(root, classes='nyu40')
    assert Folder(root).labels == NYU40


def test_a_frame_without_annotation_or_picture_is_damaged(root):
    (root / 'val.txt').write_text('none\nabsent\n')
    frames = Folder(root)
    with pytest.raises(DamagedSampleError, match='none.png is neither in depth_mm/ nor in labels'):
        frames[0]
    with pytest.raises(DamagedSampleError, match='absent.jpg: missing, and so is absent.png'):
        frames[1]


def test_metres_that_were_meant_as_millimetres_are_damaged(root):
    cv2.imwrite(str(root / 'depth_mm/all.png'), np.full((6, 8), 4, np.uint16))
    with pytest.raises(DamagedSampleError, match='all.png: its farthest depth is 4 mm; are'):
        Folder(root)[0]
    # Nothing measured is no mistake.
    cv2.imwrite(str(root / 'depth_mm/all.png'), np.zeros((6, 8), np.uint16))
    assert np.isnan(Folder(root)[0].depth).all()


def test_pictures_that_do_not_fit_are_damaged(root):
    cv2.imwrite(str(root / 'labels/all.png'), np.full((6, 8), 3, np.uint8))
    with pytest.raises(DamagedSampleError, match='48 pixels with ids that the data set does not'):
        Folder(root)[0]
    cv2.imwrite(str(root / 'depth_mm/depth.png'), np.ones((5, 8), np.uint16))
    with pytest.raises(DamagedSampleError, match='depth.png: is 8x5, its picture is 8x6'):
        Folder(root)[1]


@pytest.mark.parametrize('changes, message', [
    ({'classes': ...}, 'expected an object with classes'),
    ({'colour': 1}, 'expected an object with classes'),
    ({'classes': 'indoor'}, 'a list of names, or "nyu40"'),
    ({'classes': ['floor', 7]}, 'a list of names'),
    ({'classes': ['floor', 'floor']}, "two classes are called 'floor'"),
    ({'classes': []}, 'between 1 and 254 classes'),
    ({'focal_length': 600}, 'focal_length cannot be 600: expected two positive numbers'),
    ({'focal_length': [600, -1]}, 'two positive numbers'),
    ({'depth_range': [5, 1]}, 'the smaller one first'),
])
def test_a_description_that_is_wrong_says_where(root, changes, message):
    describe(root, **changes)
    with pytest.raises(ValueError, match=f'dataset.json.*{message}'):
        Folder(root)


def test_what_is_missing_is_named(root):
    with pytest.raises(FileNotFoundError, match='fit.txt: no such split.*should hold rgb/'):
        Folder(root, 'fit')
    (root / 'dataset.json').write_text('{')
    with pytest.raises(ValueError, match='not json'):
        Folder(root)
    (root / 'dataset.json').unlink()
    with pytest.raises(FileNotFoundError, match='dataset.json: missing'):
        Folder(root)
    (root / 'dataset.json').write_text(json.dumps(DESCRIPTION))
    (root / 'val.txt').write_text('')
    with pytest.raises(ValueError, match='names no frames'):
        Folder(root)


def png(ids, kind, bits, *chunks):
    """Return a PNG with these values in ``bits`` bits: kind 0 grey, 3 palette, 4 grey + alpha."""
    def chunk(name, content):
        return (struct.pack('>I', len(content)) + name + content
                + struct.pack('>I', zlib.crc32(name + content)))

    planes = np.stack([ids, np.full_like(ids, 128)], -1) if kind == 4 else ids[..., None]
    values = planes.reshape(len(ids), -1)
    digits = np.unpackbits(values[..., None], axis=-1)[..., 8 - bits:].reshape(len(ids), -1)
    rows = np.packbits(digits, axis=1)
    data = b''.join(b'\0' + row.tobytes() for row in rows)
    head = struct.pack('>IIBBBBB', ids.shape[1], ids.shape[0], bits, kind, 0, 0, 0)
    return b''.join([b'\x89PNG\r\n\x1a\n', chunk(b'IHDR', head),
                     *(chunk(*item) for item in chunks), chunk(b'IDAT', zlib.compress(data)),
                     chunk(b'IEND', b'')])


PALETTE = (b'PLTE', bytes(range(9, 9 + 3 * 4)) + bytes(3 * 252))


@pytest.mark.parametrize('kind, bits, chunks', [
    (3, 1, [(b'PLTE', b'\0\0\0\x80\0\0')]), (3, 2, [(b'PLTE', bytes(range(12)))]),
    (3, 4, [(b'PLTE', bytes(48)), (b'tRNS', b'\0')]), (3, 8, [PALETTE]),
    (3, 8, [(b'gAMA', struct.pack('>I', 45455)), PALETTE, (b'tRNS', bytes(256))]),
    (0, 1, []), (0, 2, []), (0, 4, []), (0, 8, []), (4, 8, [])])
def test_masks_hold_ids_and_no_colours(root, kind, bits, chunks):
    ids = np.zeros((6, 8), np.uint8)
    ids[1:3] = 1
    ids[3:] = min(2, 2 ** bits - 1)
    # Of 8 bits a mask can say "no class".
    ids[0, 0] = 255 if bits == 8 else 0
    (root / 'labels/all.png').write_bytes(png(ids, kind, bits, *chunks))
    expected = np.where(ids == 0, 255, ids.astype(int) - 1)
    expected[0, 0] = 255
    np.testing.assert_array_equal(open_dataset('folder', root, 'val')[0].labels, expected)


def test_a_mask_of_colours_is_named(root):
    cv2.imwrite(str(root / 'labels/all.png'), np.zeros((6, 8, 3), np.uint8))
    with pytest.raises(DamagedSampleError, match='labels/all.png: is uint8 .6, 8, 3., expected '
                       'one channel of uint8'):
        open_dataset('folder', root, 'val')[0]


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-le'])
def test_names_and_encodings_of_split_files(root, encoding):
    names = ('living room 1', 'a b', 'Küche')
    for name in names:
        for part, suffix in (('rgb', 'jpg'), ('labels', 'png')):
            shutil.copy(root / part / f'all.{suffix}', root / part / f'{name}.{suffix}')
    text = '\r\n'.join(['', *names, '  '])
    mark = '\ufeff' if encoding == 'utf-16-le' else ''
    (root / 'val.txt').write_bytes((mark + text).encode(encoding))
    (root / 'dataset.json').write_bytes((mark + json.dumps(DESCRIPTION)).encode(encoding))
    frames = open_dataset('folder', root, 'val')
    assert [frame.name for frame in frames] == list(names)
    assert all(frame.labels is not None for frame in frames)


@pytest.mark.parametrize('data', ['Küche\n'.encode('latin-1'), 'a\n'.encode('utf-16-le')])
@pytest.mark.parametrize('name', ['val.txt', 'dataset.json'])
def test_another_encoding_is_named_with_its_cure(root, data, name):
    (root / name).write_bytes(data)
    with pytest.raises(ValueError, match=f'{name}: is not a text in UTF-8, save it as such'):
        open_dataset('folder', root, 'val')


@pytest.mark.parametrize('suffix', ['JPG', 'jpeg', 'JPEG', 'PNG'])
def test_suffixes_in_any_case(root, suffix):
    (root / 'rgb/all.jpg').rename(root / f'rgb/all.{suffix}')
    (root / 'labels/all.png').rename(root / 'labels/all.PNG')
    (root / 'depth_mm/all.png').rename(root / 'depth_mm/all.Png')
    frame = open_dataset('folder', root, 'val')[0]
    assert frame.labels is not None and frame.depth is not None


def test_a_frame_in_a_folder_below(root):
    for part, suffix in (('rgb', 'jpg'), ('labels', 'png')):
        (root / part / 'scene 1').mkdir()
        (root / part / f'all.{suffix}').rename(root / part / f'scene 1/all.{suffix}')
    (root / 'val.txt').write_text('scene 1/all\n')
    assert open_dataset('folder', root, 'val')[0].name == 'scene 1/all'


def test_a_pointer_of_git_lfs(root):
    (root / 'rgb/all.jpg').write_text('version https://git-lfs.github.com/spec/v1\nsize 5\n')
    with pytest.raises(DamagedSampleError, match='rgb/all.jpg: a pointer of Git LFS, not the '
                       'picture: run `git lfs pull`'):
        open_dataset('folder', root, 'val')[0]
    shutil.copy(root / 'rgb/all.jpg', root / 'val.txt')
    with pytest.raises(ValueError, match='val.txt: is a pointer of Git LFS, not the text'):
        open_dataset('folder', root, 'val')


def test_all_damaged_frames_are_named_at_once(root):
    (root / 'val.txt').write_text('all\nnone\ndepth\nnothing\n')
    frames = open_dataset('folder', root, 'val')
    with pytest.raises(DamagedSampleError, match='^2 of 4 samples are damaged: .*none.png is '
                       'neither in.*; .*nothing.jpg: missing'):
        require_undamaged(frames)
    require_undamaged([frames[0]])
