# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A card states preprocessing, precision, and the temperature of the confidence."""

from dataclasses import asdict, fields, replace
import json
import shutil

from jrn_perception import networks, weights
from jrn_perception.perception import Perception
from jrn_perception.weights import Card, Preprocessing, WeightsError
from jrn_perception.weights.card import INTERPOLATIONS
import pytest

# Caffe's, and nothing as in the default.
FOREIGN = Preprocessing(
    mean=(103.939, 116.779, 123.68), std=(1.0, 2.0, 1.0), value_range=(0.0, 255.0),
    channels='bgr', shrink='linear', enlarge='cubic', multiple_of=14)


@pytest.fixture
def file(tmp_path):
    """Return the path of a sound file of a small network."""
    path = tmp_path / 'jrn_cat1.safetensors'
    weights.save(networks.find('jrn', 'cat1').build(), Card('jrn', 'cat1', 'nyu5'), path)
    return path


def edit(path, **changes):
    """Change entries of the card beside ``path``."""
    card = path.with_suffix('.json')
    card.write_text(json.dumps(json.loads(card.read_text()) | changes))


def refused(path, message):
    with pytest.raises(WeightsError) as caught:
        weights.read_card(path)
    assert str(caught.value) == f'{path.with_suffix(".json")}: {message}'


def test_the_default_is_what_the_networks_of_this_package_were_trained_with():
    assert asdict(Preprocessing()) == {
        'mean': (0.485, 0.456, 0.406), 'std': (0.229, 0.224, 0.225), 'value_range': (0.0, 1.0),
        'channels': 'rgb', 'shrink': 'area', 'enlarge': 'linear', 'multiple_of': 32}


def test_a_card_without_the_entry_has_the_default(file):
    card = file.with_suffix('.json')
    content = json.loads(card.read_text())
    del content['preprocessing'], content['precision']
    card.write_text(json.dumps(content))
    found = weights.read_card(file)
    assert (found.preprocessing, found.precision) == (Preprocessing(), 'auto')


@pytest.mark.parametrize('path', weights.shipped().values(), ids=lambda path: path.stem)
def test_shipped_networks_have_the_default(path):
    assert weights.read_card(path).preprocessing == Preprocessing()


def test_a_written_card_contains_it(file):
    content = json.loads(file.with_suffix('.json').read_text())
    assert content['preprocessing'] == {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(Preprocessing()).items()}
    assert content['precision'] == 'auto'


def test_a_foreign_networks_own_comes_back(file):
    card = replace(weights.read_card(file), preprocessing=FOREIGN, precision='fp32')
    assert all(getattr(FOREIGN, entry.name) != entry.default for entry in fields(Preprocessing))
    weights.write_card(card, file)
    assert weights.read_card(file) == card
    assert weights.check(file) == card


def test_entries_that_are_left_out_have_their_defaults(file):
    edit(file, preprocessing={'channels': 'bgr', 'std': [1, 1, 1]})
    assert weights.read_card(file).preprocessing == Preprocessing(channels='bgr', std=(1, 1, 1))


@pytest.mark.parametrize('name, value, shown', [
    ('mean', [0.5, 0.5], '(0.5, 0.5)'), ('mean', 0.5, '0.5'), ('mean', ['0', '0', '0'], None),
    ('mean', [0.5, 0.5, float('nan')], '(0.5, 0.5, nan)'), ('std', [1, 0, 1], '(1, 0, 1)'),
    ('std', [1, 1, -1], '(1, 1, -1)'), ('std', [1, 1, float('inf')], '(1, 1, inf)'),
    ('value_range', [1, 0], '(1, 0)'), ('value_range', [1, 1], '(1, 1)'),
    ('value_range', 255, '255'), ('channels', 'grb', "'grb'"), ('channels', 3, '3'),
    ('shrink', 'area2', "'area2'"), ('enlarge', None, 'None'), ('multiple_of', 0, '0'),
    ('multiple_of', 1.5, '1.5'), ('multiple_of', True, 'True')])
def test_an_impossible_entry_is_refused_by_file_and_name(file, name, value, shown):
    edit(file, preprocessing={name: value})
    refused(file, f'preprocessing.{name} cannot be {shown or tuple(value)!s}')


def test_unknown_entries_are_refused(file):
    edit(file, preprocessing={'gamma': 2.2, 'colour': 'rgb', 'mean': [0, 0, 0]})
    refused(file, "unknown entries ['preprocessing.colour', 'preprocessing.gamma']")


@pytest.mark.parametrize('value, shown', [(7, '7'), ([1, 2], '[1, 2]'), (None, 'None')])
def test_an_entry_of_another_kind_is_refused(file, value, shown):
    edit(file, preprocessing=value)
    refused(file, f'preprocessing cannot be {shown}')


@pytest.mark.parametrize('value', ['fp16', 'half', 32, None])
def test_an_impossible_precision_is_refused(file, value):
    edit(file, precision=value)
    refused(file, f'precision cannot be {value!r}')


def test_the_interpolations_are_opencvs():
    cv2 = pytest.importorskip('cv2')
    assert all(hasattr(cv2, f'INTER_{name.upper()}') for name in INTERPOLATIONS)


def test_the_cards_precision_is_that_of_auto():
    loaded = weights.load('jrn', 'cat1', 'random')
    foreign = replace(loaded, card=replace(loaded.card, precision='bf16'))
    assert Perception(loaded, 'cpu').precision == 'fp32'
    assert Perception(foreign, 'cpu').precision == 'bf16'
    assert Perception(foreign, 'cpu', 'fp32').precision == 'fp32'


@pytest.mark.parametrize('task', ['depth', 'semantics'])
def test_a_jrn_is_fed_the_image_of_its_input_networks(tmp_path, task):
    for path in ('depth_mobilenetv2', 'semantics_mobilenetv2', 'jrn_cat1'):
        for suffix in ('safetensors', 'json'):
            shutil.copy(weights.SHIPPED / f'{path}.{suffix}', tmp_path)
    jrn = str(tmp_path / 'jrn_cat1.safetensors')
    weights.load('jrn', 'cat1', jrn)
    edit(tmp_path / f'{task}_mobilenetv2.safetensors', preprocessing={'channels': 'bgr'})
    with pytest.raises(WeightsError, match=f'{task}_mobilenetv2.safetensors: its preprocessing '
                       'differs from the preprocessing of jrn_cat1.safetensors'):
        weights.load('jrn', 'cat1', jrn)


@pytest.mark.parametrize('value', [0, -1.5, '1.5', True, None, [1.5], float('nan'), float('inf')])
def test_an_impossible_temperature_is_refused(file, value):
    edit(file, temperature=value)
    refused(file, f'temperature cannot be {value!r}')


def test_a_temperature_comes_back_and_is_one_without_the_entry(file):
    assert json.loads(file.with_suffix('.json').read_text())['temperature'] == 1
    weights.write_card(replace(weights.read_card(file), temperature=1.4873), file)
    assert weights.check(file).temperature == 1.4873
    edit(file, temperature=2)  # A whole number.
    assert weights.check(file).temperature == 2
    card = file.with_suffix('.json')
    content = json.loads(card.read_text())
    del content['temperature']
    card.write_text(json.dumps(content))
    assert weights.read_card(file).temperature == 1
