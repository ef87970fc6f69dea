# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Label sets and the maps between them."""

from jrn_perception import labels
from jrn_perception.labels import fold_matrix, LabelSet, map_labels, UNLABELLED
import numpy as np
import pytest

every_set = pytest.mark.parametrize('label_set', labels.LABEL_SETS.values(), ids=lambda s: s.name)


@pytest.mark.parametrize('name, size', [
    ('nyu40', 40), ('nyu5', 5), ('kitti6', 6), ('nyu40_kitti6', 46)])
def test_sizes(name, size):
    label_set = labels.LABEL_SETS[name]
    assert label_set.name == name
    assert len(label_set) == len(label_set.names) == len(label_set.colours) == size


@every_set
def test_names_and_colours_tell_classes_apart(label_set):
    assert len(set(label_set.names)) == len(label_set)
    assert all(0 <= value <= 255 for colour in label_set.colours for value in colour)
    assert all(len(colour) == 3 for colour in label_set.colours)
    # The joint set of two data sets has the palettes of both, which share colours.
    if label_set is not labels.NYU40_KITTI6:
        assert len(set(label_set.colours)) == len(label_set)


@every_set
def test_colourise_shows_each_class_and_leaves_the_rest_black(label_set):
    ids = np.array([[0, len(label_set) - 1, UNLABELLED]], np.uint8)
    picture = label_set.palette()[ids]
    assert picture.dtype == np.uint8 and picture.shape == (1, 3, 3)
    assert tuple(picture[0, 0]) == label_set.colours[0]
    assert tuple(picture[0, 1]) == label_set.colours[-1]
    assert tuple(picture[0, 2]) == (0, 0, 0)
    assert not label_set.palette()[len(label_set):].any()


def test_nyu40_has_the_published_palette():
    # PASCAL VOC: the bits of the id go to red, green and blue from the top down; black is free.
    assert labels.NYU40.colours[:4] == ((128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128))
    assert labels.NYU40.colours[20] == (128, 64, 128)
    assert (0, 0, 0) not in labels.NYU40.colours


def test_the_joint_channels_are_nyu_then_kitti():
    assert labels.NYU40_KITTI6.names[:40] == labels.NYU40.names
    assert labels.NYU40_KITTI6.names[40:] == labels.KITTI6.names == (
        'sky', 'building', 'road', 'sidewalk', 'vegetation', 'car')


def test_counts_of_the_five_categories():
    assert np.bincount(labels.NYU40_TO_NYU5).tolist() == [1, 9, 1, 14, 15]


@pytest.mark.parametrize('category, members', [
    ('ground', {'floor'}),
    ('ceiling', {'ceiling'}),
    ('vertical', {'wall', 'door', 'window', 'counter', 'blinds', 'curtain', 'shower curtain',
                  'whiteboard', 'otherstructure'}),
    ('furniture', {'cabinet', 'bed', 'chair', 'sofa', 'table', 'bookshelf', 'desk', 'shelves',
                   'dresser', 'refridgerator', 'night stand', 'toilet', 'bathtub',
                   'otherfurniture'})])
def test_members_of_the_five_categories(category, members):
    ids = np.flatnonzero(labels.NYU40_TO_NYU5 == labels.NYU5.names.index(category))
    assert {labels.NYU40.names[i] for i in ids} == members


def test_folding_matrix_sums_each_class_once():
    matrix = fold_matrix(labels.NYU40, labels.NYU5)
    assert matrix.shape == (5, 40) and matrix.dtype == np.float32
    assert set(np.unique(matrix)) == {0, 1}
    assert (matrix.sum(0) == 1).all()
    assert (matrix.argmax(0) == labels.NYU40_TO_NYU5).all()


def test_a_set_folds_to_itself_unchanged():
    assert (fold_matrix(labels.NYU5, labels.NYU5) == np.eye(5)).all()


def test_sun_rgbd_has_the_first_37_classes_of_nyu40():
    assert len(labels.SUNRGBD37) == 37
    assert labels.SUNRGBD37.names[0] == 'wall' and labels.SUNRGBD37.names[36] == 'bag'
    ids = np.array([[0, 36, 37, 38, 39, 255]], np.uint8)
    assert map_labels(ids, labels.NYU40_TO_SUNRGBD37).tolist() == [[0, 36, 255, 255, 255, 255]]
    matrix = fold_matrix(labels.NYU40, labels.SUNRGBD37)
    assert matrix.shape == (37, 40) and matrix.dtype == np.float32
    assert (matrix[:, :37] == np.eye(37)).all() and not matrix[:, 37:].any()
    assert (fold_matrix(labels.SUNRGBD37, labels.NYU5)
            == fold_matrix(labels.NYU40, labels.NYU5)[:, :37]).all()


@pytest.mark.parametrize('source, target', [
    (labels.NYU5, labels.NYU40), (labels.KITTI6, labels.NYU5), (labels.NYU40, labels.KITTI6),
    (labels.SUNRGBD37, labels.NYU40)])
def test_an_unknown_fold_is_refused(source, target):
    with pytest.raises(ValueError, match=f'from label set {source.name} to {target.name}'):
        fold_matrix(source, target)


def test_mapping_labels_keeps_what_is_unlabelled():
    ids = np.array([[0, 1, 21, 39], [40, 200, 254, 255]], np.uint8)
    mapped = map_labels(ids, labels.NYU40_TO_NYU5)
    assert mapped.dtype == np.uint8
    assert mapped.tolist() == [[1, 0, 2, 4], [255] * 4]


@pytest.mark.parametrize('names, colours, message', [
    (('a', 'b'), ((0, 0, 0),), '2 names, 1 colours'),
    ((), (), 'between 1 and 254 classes'),
    (tuple(map(str, range(255))), ((1, 2, 3),) * 255, 'between 1 and 254 classes')])
def test_an_impossible_label_set_is_refused(names, colours, message):
    with pytest.raises(ValueError, match=f'odd: {message}'):
        LabelSet('odd', names, colours)
