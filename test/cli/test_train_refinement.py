# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_train jrn`` with 40 classes and for a depth camera, and the study of all variants."""

import importlib.util
import json
from pathlib import Path
import shutil

from jrn_perception import labels, weights
from jrn_perception.cli import evaluate
from jrn_perception.perception import Perception
import pytest
from train_runs import perceive, refused, TINY, train

pipeline = pytest.importorskip('jrn_perception.training.pipeline',
                               reason="needs pip install '.[train]'")
INPUTS = ('depth_mobilenetv2', 'semantics_mobilenetv2')
OPTIONS = '{"output_stride": 4, "residual": true, "geometry": true}'


@pytest.fixture
def begun(trained, tmp_path):
    """Return a folder that holds only the single-task networks."""
    folder = tmp_path / 'begun'
    folder.mkdir()
    for name in INPUTS:
        for suffix in ('safetensors', 'json'):
            shutil.copy(trained / f'{name}.{suffix}', folder)
    return folder


def test_forty_classes(frames, begun):
    assert train('jrn', frames, begun, *TINY, '--variant', 'cat1', '--classes', '40') == 0
    path = begun / 'jrn_cat1_nyu40.safetensors'
    card = weights.check(path, 'jrn', 'cat1_nyu40')
    assert card.labels == 'nyu40' and card.training['recipe']['logit_adjustment'] == 0.3
    _, prediction = perceive(path, 'jrn', 'cat1_nyu40')
    assert prediction.label_set == labels.NYU40
    assert prediction.depth.shape == prediction.labels.shape == (60, 80)


def test_five_classes_have_no_adjustment(trained):
    card = weights.read_card(trained / 'jrn_cat1.safetensors')
    assert card.training['recipe']['logit_adjustment'] == 0 and card.sources == {}


def test_a_depth_camera(frames, begun, tmp_path, capsys):
    path = begun / 'depth_mobilenetv2.json'
    depth_card = json.loads(path.read_text())
    path.write_text(json.dumps(depth_card | {'focal_length': None}))
    assert train('jrn', frames, begun, *TINY, '--variant', 'cat1', '--depth-input', 'sensor',
                 '--options', OPTIONS) == 1
    assert 'geometry needs the focal length' in capsys.readouterr().err
    path.write_text(json.dumps(depth_card))
    assert train('jrn', frames, begun, *TINY, '--variant', 'cat1', '--depth-input', 'sensor',
                 '--options', OPTIONS) == 0
    path = begun / 'jrn_cat1.safetensors'
    card = weights.check(path, 'jrn', 'cat1')
    assert card.sources == {'depth': 'sensor'}
    assert card.options == {'output_stride': 4, 'residual': True, 'geometry': True,
                            'validity': True}
    assert card.metrics['holes']['rms'] > 0 and 'holes, nearest neighbour' in card.metrics
    jrn = Perception.load('jrn', 'cat1', weights_file=str(path), device='cpu',
                          backend='torch', depth_source='sensor')
    assert jrn.warnings == ()
    assert jrn.backend.network.refine.focal_length.tolist() == pytest.approx(
        depth_card['focal_length'], rel=1e-3)
    capsys.readouterr()
    arguments = ('dataset', '--variant', 'cat1', '--weights', str(path), '--data', str(frames),
                 '--split', 'val', '--depth-source', 'sensor', '--device', 'cpu')
    file = tmp_path / 'found.json'
    assert evaluate.main([*arguments, '--simulate-sensor', '0', '--json', str(file)]) == 0
    assert 'output minus nearest neighbour' in capsys.readouterr().out
    document = json.loads(file.read_text())
    assert document['completion']['output']['rms']['value'] == pytest.approx(
        card.metrics['holes']['rms'], abs=1e-3)
    assert evaluate.main(arguments) == 1
    assert '--simulate-sensor SEED' in capsys.readouterr().err


@pytest.mark.parametrize('arguments, message', [
    (('depth', '--classes', '40'), '--classes: has no use for depth'),
    (('jrn', '--depth-input', 'lidar'), '--depth-input lidar: choose from network, sensor')])
def test_what_cannot_be_trained_is_refused(frames, begun, capsys, arguments, message):
    refused(capsys, message, *arguments, '--data', frames, '--output', begun, *TINY)


def test_a_sensor_is_not_simulated_for_nobody(frames, capsys):
    assert evaluate.main(['dataset', '--architecture', 'hydranet', '--data', str(frames),
                          '--split', 'val', '--simulate-sensor', '0', '--device', 'cpu']) == 1
    assert 'no source of this network reads a sensor' in capsys.readouterr().err


@pytest.fixture(scope='module')
def study():
    """Return the program of ``make study``."""
    path = Path(__file__).parents[2] / 'tools' / 'study.py'
    spec = importlib.util.spec_from_file_location('study_program', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_study(frames, begun, study, tmp_path, monkeypatch, capsys):
    pytest.importorskip('matplotlib')
    output = tmp_path / 'study'
    arguments = ['--data', str(frames), '--inputs', str(begun), '--output', str(output),
                 '--seeds', '2', '--variant', 'cat5', '--variant', 'cat1',
                 '--set', 'epochs=1', '--set', 'batch_size=2',
                 '--set', 'input_size=[64,96]', '--set', 'views=1']
    assert study.main(arguments) == 0
    document = json.loads((output / 'study.json').read_text())
    assert document['seeds'] == [0, 1] and set(document['variants']) == {'cat5', 'cat1'}
    assert document['recipe']['options'] == {'output_stride': 2, 'residual': False}
    assert document['recipe']['depth_power'] == 1
    cat5 = document['variants']['cat5']
    assert len(cat5['metrics']['rms']) == 2 and cat5['metrics']['rms'][0] != (
        cat5['metrics']['rms'][1])
    assert set(cat5['depth_to_semantics']) == {'zero', 'mean', 'noise'}
    for seed in (0, 1):
        found = json.loads((output / f'seed{seed}' / 'influence.json').read_text())
        assert found['variants']['cat5']['depth_to_semantics']['mean']['total']['value'] == (
            cat5['depth_to_semantics']['mean']['values'][seed])
    page = (output / 'study.md').read_text()
    assert '| paper: cat5 | 0.160 |' in page and '| cat1 | coupled |' in page
    assert page.count('\n| cat5 |') == 3 and '+7.59' in page
    # Nothing is done twice; what is missing is done again.
    monkeypatch.setattr(study.train, 'main', lambda _: pytest.fail('trained again'))
    (output / 'seed1' / 'influence.json').unlink()
    assert study.main(arguments) == 0
    assert (output / 'study.md').read_text() == page
    # Runs of another recipe are no part of it.
    path = output / 'seed1' / 'jrn_cat1.json'
    card = json.loads(path.read_text())
    card['training']['recipe']['epochs'] = 7
    path.write_text(json.dumps(card))
    capsys.readouterr()
    assert study.main(arguments) == 1
    assert 'differ in recipe, frames or inputs' in capsys.readouterr().err


@pytest.mark.slow
def test_folds_are_trained_first_and_once(frames, begun, tmp_path, capsys):
    pytest.importorskip('tflite', reason="needs pip install '.[train]'")
    import tflite_graphs
    graph = tmp_path / 'encoder.tflite'
    graph.write_bytes(tflite_graphs.graph(tflite_graphs.mobilenet('int8')))
    changes = ('epochs=1', 'batch_size=2', 'input_size=[64,96]', 'crop=[48,64]', 'start=ade20k')
    small = [word for change in changes for word in ('--fold-set', change)]
    arguments = (*TINY, '--variant', 'cat1', '--folds', '2', '--encoder', str(graph), *small)
    assert train('jrn', frames, begun, *arguments) == 0
    card = weights.read_card(begun / 'jrn_cat1.safetensors')
    folds = [weights.read_card(begun / f'fold{part}' / 'hydranet_nyu40.safetensors')
             for part in (1, 2)]
    assert card.training['folds'] == [['1/2', folds[0].sha256], ['2/2', folds[1].sha256]]
    assert [fold.training['frames'] for fold in folds] == [2, 2]
    assert folds[0].training['recipe']['epochs'] == 1
    times = [path.stat().st_mtime_ns for path in sorted(begun.glob('fold*/*.safetensors'))]
    assert train('jrn', frames, begun, *arguments) == 0
    assert times == [path.stat().st_mtime_ns for path in sorted(begun.glob('fold*/*.safetensors'))]
    for words, message in ((('--folds', '1'), '--folds 1: at least 2'),
                           (('--fold-set', 'epochs=1'), '--folds 0: at least 2'),
                           (('--folds', '2', '--hold-out', '1/2'), '--hold-out: --folds holds'),
                           (('--folds', '2', '--fold', 'a'), 'choose one')):
        refused(capsys, message, 'jrn', '--data', frames, '--output', begun, *TINY, *words)
    refused(capsys, '--folds: has no use for depth', 'depth', '--data', frames, '--folds', '2',
            '--output', begun)
