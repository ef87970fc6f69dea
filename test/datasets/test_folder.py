# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""One's own frames: what a folder of them says, and what is wrong with it."""

import json

import cv2
from jrn_perception.datasets.decoding import DamagedSampleError
from jrn_perception.datasets.folder import Folder
from jrn_perception.datasets.registry import open_dataset
from jrn_perception.datasets.subsets import held_out, Undamaged
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
