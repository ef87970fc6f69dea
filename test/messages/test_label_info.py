# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Which label set the names of a recording mean."""

import json

from jrn_perception.labels import CITYSCAPES19, custom, LABEL_SETS, NYU40, SCANNET20
from jrn_perception.messages import label_info
import numpy as np
import pytest

NYU5 = LABEL_SETS['nyu5']


def test_all_names_of_a_set_are_that_set():
    for labels, wanted in ((NYU40, NYU5), (NYU5, NYU40), (CITYSCAPES19, NYU40), (NYU40, NYU40)):
        ids = label_info.match(dict(enumerate(labels.names)), [wanted])
        assert ids.labels == labels
        np.testing.assert_array_equal(ids.table[:len(labels)], np.arange(len(labels)))
        assert (ids.table[len(labels):] == 255).all()
        assert ids.missing == ()


def test_names_that_several_sets_have_are_those_of_the_wanted_set():
    names = dict(enumerate(SCANNET20.names))
    assert label_info.match(names, [SCANNET20]).labels == SCANNET20
    # nyu5 has none of them (but nyu40, which folds into it, has all).
    assert label_info.match({0: 'bed', 1: 'door'}, [NYU5]).labels == NYU40


def test_other_ids_spellings_and_classes():
    names = {0: 'background', 3: 'Floor_Mat', 9: 'WALL', 10: 'unicorn', 255: 'wall'}
    ids = label_info.match(names, [NYU40])
    assert ids.labels == NYU40 and ids.missing == ('unicorn',)
    expected = np.full(256, 255)
    expected[[3, 9]] = NYU40.names.index('floor mat'), NYU40.names.index('wall')
    np.testing.assert_array_equal(ids.table, expected)


def test_spelling_makes_no_difference_in_classes_of_ones_own():
    own = custom(('Floor', 'Pallet_Jack', 'person'))
    for names in (own.names, ('floor', 'pallet jack', 'Person')):
        ids = label_info.match(dict(enumerate(names)), [own])
        assert ids.labels == own and ids.missing == ()
        assert ids.table[:4].tolist() == [0, 1, 2, 255]


def test_no_known_name():
    with pytest.raises(ValueError, match='classes unicorn: no label set has any of them'):
        label_info.match({1: 'unicorn'}, [NYU5])


def test_names_of_a_file(tmp_path):
    path = tmp_path / 'map.json'
    path.write_text(json.dumps({'0': 'wall', '7': 'floor'}))
    assert label_info.read_names(path) == {0: 'wall', 7: 'floor'}


@pytest.mark.parametrize('text', ['', '[]', '{}', '{"a": "wall"}', '{"0": 5}', '{"256": "wall"}'])
def test_a_file_that_is_no_map(tmp_path, text):
    path = tmp_path / 'map.json'
    path.write_text(text)
    with pytest.raises(ValueError, match='map.json: expected json like'):
        label_info.read_names(path)
    with pytest.raises(ValueError, match='nothing.json: No such file'):
        label_info.read_names(tmp_path / 'nothing.json')


def test_label_info_messages():
    pytest.importorskip('rosbags')
    store = label_info.typestore()
    types = store.types
    header = types['std_msgs/msg/Header'](types['builtin_interfaces/msg/Time'](1, 2), 'here')
    classes = [types[label_info.VISION_CLASS](4, 'bed'), types[label_info.VISION_CLASS](300, 'x')]
    msg = types[label_info.LABEL_INFO](header, classes, 0.5)
    data = bytes(store.serialize_cdr(msg, label_info.LABEL_INFO))
    assert label_info.names_of(data) == {4: 'bed', 300: 'x'}
    with pytest.raises(ValueError, match='cannot be decoded'):
        label_info.names_of(data[:20])
