# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_calibrate`` writes a fitted temperature into a card, and nothing else anywhere."""

from dataclasses import replace
import json
import shutil

import cv2
from jrn_perception import networks, weights
from jrn_perception.cli.calibrate import main
from jrn_perception.evaluation.measures.frames import SceneFrames
from jrn_perception.perception.deviation import FEATURES
import numpy as np
import pytest


@pytest.fixture(scope='module')
def rooms(tmp_path_factory):
    """Return a folder with three drawn rooms in the layout of nyuv2."""
    root = tmp_path_factory.mktemp('rooms')
    for folder in ('rgb', 'depth_mm', 'label40'):
        (root / folder).mkdir()
    for index, frame in enumerate(SceneFrames(3)):
        name = f'{index:04d}'
        cv2.imwrite(str(root / 'rgb' / f'{name}.jpg'), frame.rgb[..., ::-1])
        cv2.imwrite(str(root / 'depth_mm' / f'{name}.png'),
                    np.nan_to_num(1000 * frame.depth).astype(np.uint16))
        cv2.imwrite(str(root / 'label40' / f'{name}.png'), frame.labels + np.uint8(1))
    (root / 'val.txt').write_text('0000\n0001\n')
    (root / 'other.txt').write_text('0002\n')
    return root


@pytest.fixture
def file(tmp_path):
    """Return a copy of the shipped HydraNet, temperature 1, no deviation of depth."""
    path = tmp_path / 'mine.safetensors'
    shutil.copy(weights.SHIPPED / 'hydranet_nyu40.safetensors', path)
    card = weights.read_card(weights.SHIPPED / 'hydranet_nyu40.safetensors')
    weights.write_card(replace(card, temperature=1.0, depth_deviation=None), path)
    return path


def test_the_temperature_is_written_with_where_it_comes_from(file, rooms, capsys):
    tensors, before = file.read_bytes(), weights.read_card(file)
    assert main([str(file), '--data', str(rooms), '--device', 'cpu']) == 0
    card = weights.check(file)
    assert file.read_bytes() == tensors
    found = card.metrics['calibration']
    assert (found['reader'], found['split'], found['images']) == ('nyuv2', 'val', 2)
    assert found['pixels'] > 100_000 and 0 < found['ece'] < 1 and 0 < found['ece_before'] < 1
    assert replace(before, temperature=card.temperature, metrics=card.metrics) == card
    assert before.metrics['output'] == card.metrics['output']
    assert capsys.readouterr().out == (
        f'{file}: temperature {card.temperature:g} (was 1), ECE {found["ece"]:.4f} '
        f'(was {found["ece_before"]:.4f}) on 2 frames\n')
    # The fit does not start from the temperature that is there.
    assert main([str(file), '--data', str(rooms), '--device', 'cpu']) == 0
    again = weights.read_card(file)
    assert again.temperature == card.temperature
    assert again.metrics['calibration'] == found | {'ece_before': found['ece']}


def test_the_deviation_of_depth_is_written_alone(file, rooms, capsys):
    before = weights.read_card(file)
    assert main([str(file), '--data', str(rooms), '--device', 'cpu', '--depth']) == 0
    card = weights.check(file)
    assert len(card.depth_deviation) == len(FEATURES)
    assert card.metrics['depth_deviation'] == {
        'reader': 'nyuv2', 'split': 'val', 'images': 2, 'pixels': 4000}
    assert replace(before, depth_deviation=card.depth_deviation, metrics=card.metrics) == card
    assert capsys.readouterr().out == (
        f'{file}: deviation of depth fitted to 4000 pixels of 2 frames\n')


def test_a_new_temperature_removes_the_deviation_that_depends_on_it(file, rooms, capsys):
    arguments = [str(file), '--data', str(rooms), '--device', 'cpu']
    assert main([*arguments, '--depth']) == 0
    assert main(arguments) == 0
    card = weights.check(file)
    assert card.depth_deviation is None and 'depth_deviation' not in card.metrics
    assert 'is removed: fit it again with --depth' in capsys.readouterr().out
    assert main([*arguments, '--depth']) == 0
    fitted = weights.check(file)
    # The same temperature again removes nothing.
    assert main(arguments) == 0
    assert weights.check(file).depth_deviation == fitted.depth_deviation is not None


def test_split_and_crop_are_used(file, rooms):
    temperatures = []
    for options in ((), ('--split', 'other'), ('--crop', '0:200,0:300')):
        assert main([str(file), '--data', str(rooms), '--device', 'cpu', *options]) == 0
        temperatures.append(weights.read_card(file).temperature)
    assert len(set(temperatures)) == 3


def test_no_temperature_is_written_where_none_fits(tmp_path, rooms, capsys):
    # The frames of the fit are labelled at random.
    spec, path = networks.find('hydranet'), tmp_path / 'random.safetensors'
    weights.save(spec.build(), weights.Card.of(spec, spec.labels, input_size=(64, 96)), path)
    noise = tmp_path / 'noise'
    shutil.copytree(rooms, noise)
    for label in (noise / 'label40').iterdir():
        drawn = np.random.default_rng(0).integers(1, 41, (480, 640), np.uint8)
        cv2.imwrite(str(label), drawn)
    text = path.with_suffix('.json').read_text()
    assert main([str(path), '--data', str(noise), '--device', 'cpu']) == 1
    assert 'jrn_calibrate: no temperature between 0.1 and 10 fits' in capsys.readouterr().err
    assert path.with_suffix('.json').read_text() == text


@pytest.mark.parametrize('arguments, message', [
    (('/nowhere.safetensors',), '/nowhere.safetensors: no such weights file'),
    ((str(weights.SHIPPED / 'depth_mobilenetv2.safetensors'),), 'predicts no labels'),
    ((str(weights.SHIPPED / 'onnx' / 'hydranet_nyu40.onnx'),), 'and export it again'),
    ((str(weights.SHIPPED / 'hydranet_nyu40.safetensors'), '--split', 'none'), 'no such split'),
    ((str(weights.SHIPPED / 'hydranet_nyu40.safetensors'), '--crop', '1'), 'y0:y1,x0:x1')])
def test_what_cannot_be_calibrated_is_named(rooms, capsys, arguments, message):
    assert main([*arguments, '--data', str(rooms), '--device', 'cpu']) == 1
    error = capsys.readouterr().err
    assert error.startswith('jrn_calibrate: ') and message in error and error.count('\n') == 1


def test_a_bad_temperature_is_refused_with_file_and_entry(file, rooms, capsys):
    card = file.with_suffix('.json')
    card.write_text(json.dumps(json.loads(card.read_text()) | {'temperature': 0}))
    assert main([str(file), '--data', str(rooms)]) == 1
    assert f'{card}: temperature cannot be 0' in capsys.readouterr().err
