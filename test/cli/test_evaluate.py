# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_evaluate`` as its user has it: a child process, files and an exit code."""

import importlib.util
import json
from pathlib import Path

import cv2
from jrn_perception import networks, weights
from jrn_perception.cli.evaluate import main
from jrn_perception.evaluation.measures.metrics import METRICS
from jrn_perception.networks.interface import MUTE_VALUES
import numpy as np
import pytest

NETWORK = ('--weights', 'random', '--height', '64', '--device', 'cpu')
ROOMS = ('--reader', 'scenes', '--limit', '3')
TWO_ROOMS = ('--reader', 'scenes', '--limit', '2')

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ('matplotlib', 'rich')),
    reason="needs matplotlib and rich: pip install '.[evaluate]'")


def read(path):
    # json's own reader takes NaN; a robot's may not.
    return json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))


def test_dataset_end_to_end_twice_with_the_same_bytes(spawn, tmp_path):
    outputs = []
    for name in 'ab':
        child = spawn('evaluate', 'dataset', '--variant', 'cat1', *NETWORK, *ROOMS,
                      '--json', tmp_path / f'{name}.json', '--per-image')
        assert child.wait(300) == 0, child.output
        outputs.append(child.output)
    assert outputs[0] == outputs[1]
    for text in ('jrn cat1 on scenes: 3 frames, 0 damaged, labels nyu5, crop none', 'rel(sqr)',
                 'mean IoU (%)', 'furniture', '2-3 m', 'scene-2', 'inputs', 'gain'):
        assert text in outputs[0]
    assert (tmp_path / 'a.json').read_bytes() == (tmp_path / 'b.json').read_bytes()
    document = read(tmp_path / 'a.json')
    assert document['network']['sha256'] == 'random-0'
    assert set(document['versions']) == {'jrn_perception', 'python', 'numpy', 'torch', 'opencv'}
    assert [image['name'][:7] for image in document['images']] == ['scene-0', 'scene-1', 'scene-2']
    for side in ('output', 'inputs'):
        assert set(document[side]['pooled']) == set(METRICS)
        assert list(document[side]['classes']) == ['ground', 'vertical', 'ceiling', 'furniture',
                                                   'object']
    for name in METRICS:
        new, old = (document[side]['pooled'][name]['value'] for side in ('output', 'inputs'))
        low, high = document['gain'][name]['interval']
        assert document['gain'][name]['value'] == pytest.approx(new - old)
        assert low <= new - old <= high


def test_the_calibration_and_its_plot(tmp_path, capsys):
    plot = tmp_path / 'new' / 'reliability.png'
    document = run_dataset(tmp_path, '--reliability', str(plot))
    assert plot.read_bytes()[:8] == b'\x89PNG\r\n\x1a\n'
    found, = (line for line in capsys.readouterr().out.splitlines() if 'ECE of confidence' in line)
    for side in ('output', 'inputs'):
        assert f'{document["calibration"][side]["ece"]["value"]:.4f}' in found
        assert len(document['calibration'][side]['bins']) == 15
    assert f'{document["calibration"]["gain"]["value"]:+.4f}' in found


def test_influence_end_to_end_twice_with_the_same_bytes(spawn, tmp_path):
    for name in 'ab':
        child = spawn('evaluate', 'influence', '--variants', 'cat1', 'cat5', *NETWORK, *TWO_ROOMS,
                      '--output', tmp_path / name)
        assert child.wait(300) == 0, child.output
    assert 'ω D→S′, noise' in child.output and 'cat5' in child.output
    files = {path.name for path in (tmp_path / 'a').iterdir()}
    assert files == {'influence.json', 'influence.md', 'depth_to_semantics.png',
                     'semantics_to_depth.png'}
    for name in files:
        assert (tmp_path / 'a' / name).read_bytes() == (tmp_path / 'b' / name).read_bytes(), name
    document = read(tmp_path / 'a' / 'influence.json')
    assert list(document['variants']) == ['cat1', 'cat5']
    for item in document['variants'].values():
        # The input is smaller than in training; random weights do not tell their focal length.
        scale = pytest.approx((64 * 96 / (288 * 384)) ** 0.5)
        assert item['focal_correction'] == {'frames': 2, 'scale': scale,
                                            'range': [scale, scale]}
        for direction, accuracy in (('depth_to_semantics', 'mean_iou'),
                                    ('semantics_to_depth', 'minus_rel_sqr')):
            assert tuple(item[direction]) == MUTE_VALUES
            for omega in item[direction].values():
                both = item[accuracy]['value']
                assert omega['total']['value'] == pytest.approx(both - omega['muted']['value'])
                assert len(omega['classes']) == 5 and len(omega['bins']) == 8
    table = (tmp_path / 'a' / 'influence.md').read_text()
    assert '| cat1 | coupled |' in table and '7.59 |' in table and '-0.40 |' in table


def test_the_plot_shows_the_mute_value_that_is_asked_for(tmp_path):
    run = ('influence', '--variants', 'cat1', *NETWORK, '--reader', 'scenes', '--limit', '1')
    for name in ('zero', 'noise'):
        assert main([*run, '--plot-value', name, '--output', str(tmp_path / name)]) == 0
    for file, same in (('influence.json', True), ('depth_to_semantics.png', False)):
        first, second = ((tmp_path / name / file).read_bytes() for name in ('zero', 'noise'))
        assert (first == second) is same


def test_a_variant_that_the_paper_does_not_have(tmp_path):
    assert main(['influence', '--variants', 'cat1_nyu40', *NETWORK, '--reader', 'scenes',
                 '--limit', '1', '--output', str(tmp_path)]) == 0
    item = read(tmp_path / 'influence.json')['variants']['cat1_nyu40']
    assert item['paper'] is None and item['computation'] == 'coupled'
    assert '| cat1_nyu40 | coupled |' in (tmp_path / 'influence.md').read_text()


def run_dataset(tmp_path, *options):
    path = tmp_path / 'result.json'
    assert main(['dataset', '--variant', 'cat1', *NETWORK, '--reader', 'scenes', '--limit', '1',
                 '--json', str(path), *options]) == 0
    return read(path)


@pytest.mark.parametrize('options, entry, value', [
    (('--crop', 'nyu'), 'crop', '45:471,41:601'),
    (('--crop', '100:300,50:450'), 'crop', '100:300,50:450'),
    (('--cap', '3'), 'cap', 3.0),
    (('--clamp', '0.5:8'), 'clamp', [0.5, 8.0]),
])
def test_options_change_the_result_and_are_recorded(tmp_path, options, entry, value):
    plain, other = run_dataset(tmp_path), run_dataset(tmp_path, *options)
    assert other['protocol'][entry] == value != plain['protocol'][entry]
    assert other['output']['pooled']['rel'] != plain['output']['pooled']['rel']


def test_a_network_of_forty_classes_on_five(tmp_path):
    network = ('--architecture', 'hydranet', '--variant', 'nyu40')
    forty, five = run_dataset(tmp_path, *network), run_dataset(tmp_path, *network, '--labels',
                                                               'nyu5')
    assert (forty['protocol']['labels'], five['protocol']['labels']) == ('nyu40', 'nyu5')
    assert (len(forty['output']['classes']), len(five['output']['classes'])) == (40, 5)
    assert 'inputs' not in five and 'gain' not in five


def test_a_network_of_one_task(tmp_path, capsys):
    document = run_dataset(tmp_path, '--architecture', 'depth', '--variant', 'mobilenetv2')
    assert document['output']['pooled']['mean_iou']['value'] is None
    assert document['output']['pooled']['rms']['value'] > 0
    assert 'mean IoU' not in capsys.readouterr().out


def test_weights_files_are_recorded_by_sha256(tmp_path):
    spec = networks.find('depth', 'mobilenetv2')
    card = weights.save(spec.build(), weights.Card('depth', 'mobilenetv2'),
                        tmp_path / 'mine.safetensors')
    document = run_dataset(tmp_path, '--architecture', 'depth', '--variant', 'mobilenetv2',
                           '--weights', str(tmp_path / 'mine.safetensors'),
                           '--backend', 'torch')
    assert document['network']['sha256'] == card.sha256


def test_real_frames_through_the_command(data_dir, tmp_path):
    path = tmp_path / 'nyu.json'
    assert main(['dataset', '--variant', 'cat1', *NETWORK, '--data', str(data_dir / 'nyuv2'),
                 '--split', 'val', '--limit', '2', '--json', str(path)]) == 0
    document = read(path)
    assert document['protocol']['crop'] == '45:471,41:601'
    assert document['output']['pixels']['depth'] == 2 * 426 * 560
    assert document['source']['frames'] == 2 and document['source']['split'] == 'val'


def test_a_plot_without_matplotlib_is_refused_at_once(monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec',
                        lambda name: None if name == 'matplotlib' else find(name))
    assert main(['dataset', *ROOMS, '--reliability', 'x.png']) == 1
    assert capsys.readouterr().err == (
        "jrn_evaluate: matplotlib is missing: pip install '.[evaluate]'\n")


def test_a_missing_extra_is_named(monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    assert main(['influence', *ROOMS]) == 1
    assert capsys.readouterr().err == (
        "jrn_evaluate: matplotlib, rich is missing: pip install '.[evaluate]'\n")


@pytest.mark.parametrize('arguments, text', [
    ((), 'COMMAND'),
    (('dataset', '--reader', 'imagenet'), 'invalid choice'),
    (('dataset',), 'needs --data'),
    (('dataset', '--data', '/nowhere'), 'no such split'),
    (('dataset', *ROOMS, '--weights', '/nowhere.safetensors'), 'no such weights file'),
    (('dataset', *ROOMS, '--weights', 'random', '--variant', 'cat7'), 'unknown variant'),
    (('dataset', *ROOMS, *NETWORK, '--crop', 'eigen'), 'y0:y1,x0:x1'),
    (('dataset', *ROOMS, *NETWORK, '--crop', '0:9999,0:10'), 'does not fit'),
    (('dataset', *ROOMS, *NETWORK, '--cap', '-1'), 'cap -1.0'),
    (('dataset', *ROOMS, *NETWORK, '--range', 'lidar'), 'choose from points:N, line, image'),
    (('dataset', *ROOMS, *NETWORK, '--range-noise', '0.1'), 'need --range'),
    (('dataset', *ROOMS, *NETWORK, '--range', 'line', '--range-outliers', '1'), 'from 0 to 1'),
    (('bag', '/nowhere', '--range-extrinsics', '0 0 0 0 0 0 1'), 'needs --range'),
    (('dataset', *ROOMS, *NETWORK, '--labels', 'nyu41'), 'unknown label set'),
    (('dataset', *ROOMS, *NETWORK, '--labels', 'kitti6'), 'cannot be compared'),
    (('dataset', *ROOMS, *NETWORK, '--precision', 'fp16'), 'needs a CUDA device'),
    (('dataset', *ROOMS, *NETWORK, '--json', '.'), '--json: . is a folder; name a file'),
    (('dataset', *ROOMS, *NETWORK, '--architecture', 'depth', '--reliability', 'x.png'),
     '--reliability: the network predicts no labels'),
    (('dataset', *ROOMS, *NETWORK, '--reliability', '.'), '--reliability: . is a folder'),
    (('influence', *ROOMS, '--weights', '/nowhere'), 'jrn_sum60.safetensors: no such'),
    (('influence', *ROOMS, '--variants', 'cat7'), 'invalid choice'),
])
def test_mistakes_get_one_line_and_an_exit_code(arguments, text, capsys):
    expected = 1
    try:
        code = main(list(arguments))
    except SystemExit as end:  # The command line cannot be parsed.
        expected, code = 2, end.code
    captured = capsys.readouterr()
    assert code == expected and text in captured.err
    assert captured.err.count('\n') == 1 and 'Traceback' not in captured.err
    assert captured.out == ''


def test_a_file_that_cannot_be_written_does_not_cost_the_numbers(tmp_path, capsys):
    if not Path('/dev/full').exists():
        pytest.skip('no /dev/full, a disk that is always full')
    arguments = ['dataset', '--variant', 'cat1', *NETWORK, *TWO_ROOMS, '--json']
    assert main([*arguments, '/dev/full']) == 1
    captured = capsys.readouterr()
    assert 'mean IoU (%)' in captured.out
    assert '/dev/full' in captured.err and captured.err.count('\n') == 1
    # A place that is known to be impossible costs no time.
    (tmp_path / 'file').touch()
    with pytest.raises(SystemExit) as ended:
        main([*arguments, str(tmp_path / 'file' / 'result.json')])
    captured = capsys.readouterr()
    assert ended.value.code == 2 and captured.out == ''
    assert f'{tmp_path}/file' in captured.err and captured.err.count('\n') == 1


def test_a_damaged_sample_stops_or_is_counted(tmp_path, capsys, data_dir):
    source, target = data_dir / 'nyuv2', tmp_path / 'nyuv2'
    names = (source / 'val.txt').read_text().split()[:2]
    for folder, end in (('rgb', 'jpg'), ('depth_mm', 'png'), ('label40', 'png')):
        (target / folder).mkdir(parents=True)
        for name in names:
            (target / folder / f'{name}.{end}').symlink_to(source / folder / f'{name}.{end}')
    (target / 'val.txt').write_text('\n'.join(names))
    broken = target / 'depth_mm' / f'{names[0]}.png'
    broken.unlink()
    run = ['dataset', '--variant', 'cat1', *NETWORK, '--data', str(target)]
    assert main(run) == 1
    assert f'{names[0]}.png: missing' in capsys.readouterr().err
    path = tmp_path / 'result.json'
    assert main([*run, '--skip-damaged', '--json', str(path)]) == 0
    assert '1 frames, 1 damaged' in capsys.readouterr().out
    (damaged,) = read(path)['source']['damaged']
    assert damaged['index'] == 0 and f'{names[0]}.png: missing' in damaged['reason']


def test_frames_with_classes_of_ones_own_measure_depth(tmp_path, capsys):
    for part, suffix in (('rgb', 'jpg'), ('depth_mm', 'png'), ('labels', 'png')):
        (tmp_path / part).mkdir()
        values = {'rgb': np.full((48, 64, 3), 90, np.uint8), 'labels': np.ones((48, 64), np.uint8),
                  'depth_mm': np.full((48, 64), 2000, np.uint16)}[part]
        for name in ('a', 'b'):
            assert cv2.imwrite(str(tmp_path / part / f'{name}.{suffix}'), values)
    (tmp_path / 'val.txt').write_text('a\nb\n')
    (tmp_path / 'dataset.json').write_text('{"classes": ["floor", "pallet"]}')
    own = ('dataset', *NETWORK, '--architecture', 'hydranet', '--reader', 'folder', '--data',
           str(tmp_path))
    assert main([*own, '--json', str(tmp_path / 'out.json')]) == 0
    note = 'labels of the network (nyu40) and of the data set (custom) cannot be compared'
    assert f'note: {note}' in capsys.readouterr().err
    document = read(tmp_path / 'out.json')
    assert document['notes'][0].startswith(note)
    assert document['notes'][0].endswith('depth alone is compared')
    assert document['output']['pooled']['rel']['value'] > 0
    assert document['output']['pooled']['mean_iou']['value'] is None
    assert document['output']['pixels'] == {'depth': 2 * 48 * 64, 'labels': 0}
    # Without depth there is nothing to measure, and labels were asked for.
    for changes in (('--architecture', 'semantics'), ('--reliability', str(tmp_path / 'x.png')),
                    ('--labels', 'nyu40')):
        assert main([*own, *changes]) == 1
        assert note in capsys.readouterr().err
    for name in ('a', 'b'):
        (tmp_path / 'depth_mm' / f'{name}.png').unlink()
    assert main([*own]) == 1
    assert note in capsys.readouterr().err
