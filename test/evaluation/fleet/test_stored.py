# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Stored totals come back to the last bit, and foreign bytes run nothing."""

from array import array
import json
import pickle

from jrn_perception.fleet.remote import Store
from jrn_perception.labels import LabelSet, NYU5
import numpy as np
import pytest

stored = pytest.importorskip('jrn_perception.evaluation.fleet.stored',
                             reason="needs pip install '.[evaluate]'")
measuring = pytest.importorskip('jrn_perception.evaluation.fleet.measuring')


class Hostile:
    """What a pickle runs when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), 'w')


def test_values_come_back_with_their_types():
    value = {'a': (1, 2.5, None, True, 'text', {3, 4}), 7: [b'\xff\x00', bytearray(b'ab')],
             'labels': NYU5, 'nothing': ()}
    found = stored.from_bytes(stored.to_bytes(value))
    assert found == value
    assert [type(each) for each in found[7]] == [bytes, bytearray]
    assert type(found['labels']) is LabelSet


def test_numbers_come_back_to_the_last_bit():
    generator = np.random.default_rng(0)
    numbers = [*generator.normal(size=100), float('nan'), float('inf'), 5e-324]
    for made in (np.array(numbers), np.float32(numbers), array('d', numbers)):
        found = stored.from_bytes(stored.to_bytes(made))
        assert type(found) is type(made)
        assert found.tobytes() == made.tobytes()
    assert np.array(stored.from_bytes(stored.to_bytes(numbers))).tobytes() == (
        np.array(numbers).tobytes())


def test_objects_of_other_classes_are_not_stored():
    with pytest.raises(TypeError, match='Hostile'):
        stored.to_bytes(Hostile('x'))
    with pytest.raises((TypeError, ValueError)):
        stored.to_bytes(np.array([None]))


@pytest.mark.parametrize('data', [
    b'', b'\xff\xfe', b'{', b'[]', b'["Popen",["list",["true"]]]', b'["ndarray","AAAA"]',
    b'["array","d","AAA="]', b'["dict",5]', b'[' * 100_000, b'["LabelSet",["dict",[]]]x'])
def test_foreign_bytes_are_refused_in_one_line(data):
    with pytest.raises(ValueError, match='is not what a worker wrote') as caught:
        stored.from_bytes(data)
    assert '\n' not in str(caught.value)


def test_a_pickle_in_the_folder_of_results_runs_nothing(tmp_path):
    store = Store(str(tmp_path))
    for data in (pickle.dumps(Hostile(tmp_path / 'run')), json.dumps('text').encode()):
        store.write('recordings/abc.totals', data)
        with pytest.raises(ValueError, match=r'abc\.totals: .*; delete it') as caught:
            measuring.read_part(store, 'abc')
        assert '\n' not in str(caught.value)
    assert not (tmp_path / 'run').exists()
