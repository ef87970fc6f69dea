# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""ADE20K as its scene parsing benchmark, ADEChallengeData2016."""

import cv2
from jrn_perception.datasets.ade20k import ADE20K, nyu40_table, read_scenes, ROOMS
from jrn_perception.datasets.decoding import DamagedSampleError
from jrn_perception.datasets.nyuv2_mat import class_map
from jrn_perception.datasets.registry import open_dataset, open_to_train
from jrn_perception.labels import ADE20K150, ADE20K_COUNTERPARTS, NYU40
import numpy as np
import pytest

SCENES = """ADE_train_00000001 airport_terminal
ADE_train_00000002 bedroom
ADE_train_00000003 kitchen
ADE_val_00000001 bathroom
"""
NAMES, COUNTERPARTS = ADE20K150.names, ADE20K_COUNTERPARTS
# Other, wall, building, sofa, stove, flag.
IDS = np.array([[0, 1, 2], [24, 72, 150]], np.uint8).repeat(10, 0).repeat(10, 1)


@pytest.fixture
def root(tmp_path):
    for part, prefix, count in (('training', 'train', 3), ('validation', 'val', 1)):
        for folder in ('images', 'annotations'):
            (tmp_path / folder / part).mkdir(parents=True)
        for n in range(1, count + 1):
            cv2.imwrite(str(tmp_path / f'images/{part}/ADE_{prefix}_{n:08d}.jpg'),
                        np.full((20, 30, 3), (30, 60, 200), np.uint8))
            cv2.imwrite(str(tmp_path / f'annotations/{part}/ADE_{prefix}_{n:08d}.png'), IDS)
    (tmp_path / 'sceneCategories.txt').write_text(SCENES)
    return tmp_path


def test_a_frame(root):
    frames = ADE20K(root, 'training')
    assert len(frames) == 3 and frames.labels is NYU40
    frame = frames[0]
    assert frame.name == 'ADE_train_00000001'
    assert np.abs(frame.rgb.astype(int) - (200, 60, 30)).max() <= 3, 'JPEG'
    assert frame.labels.dtype == np.uint8
    names = [NYU40.names.index(name) for name in ('wall', 'sofa', 'otherstructure', 'otherprop')]
    wall, sofa, structure, prop = names
    assert frame.labels[5::10, 5::10].tolist() == [[255, wall, 255], [sofa, structure, prop]]
    assert frame.depth is None and frame.camera_matrix is None


def test_splits(root):
    assert ADE20K(root).names == ['ADE_val_00000001']
    assert ADE20K(root, 'training-indoor').names == ['ADE_train_00000002', 'ADE_train_00000003']
    assert len(open_dataset('ade20k', root, 'validation-indoor')) == 1
    with pytest.raises(ValueError, match="no split 'val'; there are training, validation, and"):
        ADE20K(root, 'val')
    with pytest.raises(ValueError, match='name the split to learn from; ade20k has training'):
        open_to_train('ade20k', root, None)


def test_the_names_are_those_of_the_benchmark():
    # From objectInfo150.txt: the order of the ids fixes the whole table.
    assert len(NAMES) == len(set(NAMES)) == 150
    known = {1: 'wall', 4: 'floor', 6: 'ceiling', 8: 'bed', 9: 'windowpane', 16: 'table',
             20: 'chair', 24: 'sofa', 46: 'counter', 51: 'refrigerator', 66: 'toilet',
             90: 'television receiver', 116: 'bag', 131: 'screen', 145: 'bulletin board',
             150: 'flag'}
    assert {number: NAMES[number - 1] for number in known} == known


def test_counterparts():
    table = nyu40_table()
    assert table.shape == (151,) and table.dtype == np.int16
    assert table[0] == 255, 'other'
    found = {name: NYU40.names[table[1 + NAMES.index(name)]] for name in (
        'windowpane', 'armchair', 'rug', 'blind', 'chest of drawers', 'book', 'countertop',
        'refrigerator', 'television receiver', 'coffee table', 'glass')}
    assert found == {
        'windowpane': 'window', 'armchair': 'chair', 'rug': 'floor mat', 'blind': 'blinds',
        'chest of drawers': 'dresser', 'book': 'books', 'countertop': 'counter',
        'refrigerator': 'refridgerator', 'television receiver': 'television',
        'coffee table': 'otherfurniture', 'glass': 'otherprop'}
    for name in ('sky', 'building', 'tree', 'road', 'car', 'seat', 'poster', 'tent'):
        assert table[1 + NAMES.index(name)] == 255
    assert set(np.unique(table)) == {
        *(NYU40.names.index(name) for name in COUNTERPARTS), 255}


def test_counterparts_follow_the_894_names_of_nyu_depth_v2():
    table, own = nyu40_table(), class_map()
    differing = {name for number, name in enumerate(NAMES, 1)
                 if name in own and own[name] != table[number]}
    assert differing == {'book', 'rug', 'glass', 'case', 'car', 'tent'}


def test_every_class_has_one_counterpart():
    given = [name for names in COUNTERPARTS.values() for name in names]
    assert len(given) == len(set(given)) == 89
    assert set(given) <= set(NAMES) and set(COUNTERPARTS) <= set(NYU40.names)


def test_rooms_are_indoors():
    assert {'bedroom', 'living_room', 'kitchen', 'bathroom', 'home_office'} <= ROOMS
    assert not ROOMS & {'street', 'mountain_snowy', 'building_facade', 'skyscraper'}


def test_wrong_folders_are_refused(root, tmp_path):
    with pytest.raises(FileNotFoundError, match='absent: should hold images/validation/N.jpg'):
        ADE20K(tmp_path / 'absent')
    with pytest.raises(FileNotFoundError, match='should hold images/training/N.jpg'):
        ADE20K(root / 'images', 'training')
    (root / 'annotations' / 'validation').rename(root / 'annotations' / 'val')
    with pytest.raises(FileNotFoundError, match='annotations/validation/N.png'):
        ADE20K(root)
    (root / 'sceneCategories.txt').write_text(SCENES.replace('bedroom', 'street').replace(
        'kitchen', 'street'))
    with pytest.raises(FileNotFoundError, match='no pictures of rooms in training'):
        ADE20K(root, 'training-indoor')
    (root / 'sceneCategories.txt').unlink()
    with pytest.raises(FileNotFoundError, match='sceneCategories.txt: missing'):
        ADE20K(root, 'training-indoor')
    assert len(ADE20K(root, 'training')) == 3


@pytest.mark.parametrize('text, message', [
    ('ADE_train_00000001 attic\nADE_train_00000002\n', "line 2: .* not 'ADE_train_00000002'"),
    ('ADE_train_00000001 living room\n', 'line 1: expected a picture')])
def test_damaged_scenes_are_refused(tmp_path, text, message):
    (tmp_path / 'sceneCategories.txt').write_text(text)
    with pytest.raises(ValueError, match=f'sceneCategories.txt: {message}'):
        read_scenes(tmp_path / 'sceneCategories.txt')


def test_a_picture_without_a_scene_is_an_error(root):
    (root / 'sceneCategories.txt').write_text('\n'.join(SCENES.splitlines()[:2]) + '\n\n')
    with pytest.raises(ValueError, match='has no line for ADE_train_00000003'):
        ADE20K(root, 'training-indoor')


@pytest.mark.parametrize('part', ['images/training/ADE_train_00000002.jpg',
                                  'annotations/training/ADE_train_00000002.png'])
def test_damage_is_named(root, part):
    path = root / part
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DamagedSampleError, match=f'{part}: cut off'):
        ADE20K(root, 'training')[1]
    path.unlink()
    frames = ADE20K(root, 'training')
    assert len(frames) == 3
    with pytest.raises(DamagedSampleError, match=f'{part}: missing'):
        frames[1]


def test_what_does_not_fit_is_damage(root):
    frames = ADE20K(root, 'training')
    path = root / 'annotations/training/ADE_train_00000001.png'
    cv2.imwrite(str(path), IDS.T)
    with pytest.raises(DamagedSampleError, match='00000001.png: is 20x30, its picture is 30x20'):
        frames[0]
    cv2.imwrite(str(path), np.where(IDS == 2, 151, IDS).astype(np.uint8))
    with pytest.raises(DamagedSampleError, match='00000001.png: 100 pixels .* 151 among'):
        frames[0]
