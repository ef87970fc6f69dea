# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_evaluate bag`` and ``record`` as their user has them."""

import base64
import importlib.util
import json
from pathlib import Path
import re
import sqlite3
from xml.etree import ElementTree

import cv2
from jrn_perception.cli.evaluate import main
from jrn_perception.recordings.reader import Recording
from jrn_perception.sources import sample
import numpy as np
import pytest

NETWORK = ('--variant', 'cat1', '--weights', 'random', '--height', '64', '--device', 'cpu')
TRUTH = ('--depth', sample.DEPTH_TOPIC, '--labels', sample.LABEL_TOPIC)

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None
        for name in ('jinja2', 'matplotlib', 'rich', 'rosbags')),
    reason="needs jinja2, matplotlib, rich and rosbags: pip install '.[evaluate]'")


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp('bag') / 'sample'
    sample.write_sample(path, 5, size=(96, 128))
    return path


def read(path):
    # json's own reader takes NaN; a robot's may not.
    return json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))


def test_the_sample_twice_with_the_same_bytes(spawn, bag, tmp_path):
    for name in 'ab':
        child = spawn('evaluate', 'bag', bag, *NETWORK, *TRUTH,
                      '--json', tmp_path / f'{name}.json', '--html', tmp_path / f'{name}.html')
        assert child.wait(300) == 0, child.output
    for text in ('jrn cat1 on sample: 5 frames of /camera/image_raw/compressed, 0 damaged, 5 with '
                 'depth, 5 with labels', 'rel(sqr)', 'mean IoU (%)', 'furniture', '2-3 m', 'gain',
                 'labels that change', 'inference', 'wall / network', '10.00'):
        assert text in child.output, text
    assert (tmp_path / 'a.json').read_bytes() == (tmp_path / 'b.json').read_bytes()
    document = read(tmp_path / 'a.json')
    assert document['partial'] is False and document['reason'] is None
    assert document['source']['labels'] == {
        'topic': sample.LABEL_TOPIC, 'type': 'sensor_msgs/msg/CompressedImage', 'messages': 5,
        'set': 'nyu40', 'without_class': []}
    # Nothing in it is of this machine's clock.
    assert 'timings' not in document and 'wall' not in (tmp_path / 'a.json').read_text()


def test_the_report_is_one_file_with_plots_and_pictures(bag, tmp_path):
    assert main(['bag', str(bag), *NETWORK, *TRUTH, '--worst', '2',
                 '--html', str(tmp_path / 'report.html')]) == 0
    page = (tmp_path / 'report.html').read_text()
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert sources and all(source.startswith('data:image/') for source in sources)
    assert 'url(' not in page and '<script' not in page
    plots = [base64.b64decode(source.partition(',')[2]) for source in sources
             if source.startswith('data:image/svg+xml')]
    assert len(plots) == 6  # Two errors, two drifts, latency, classes.
    for plot in plots:
        assert ElementTree.fromstring(plot).tag.endswith('svg')
    pictures = [cv2.imdecode(np.frombuffer(base64.b64decode(source.partition(',')[2]), np.uint8),
                             cv2.IMREAD_COLOR) for source in sources
                if source.startswith('data:image/jpeg')]
    # Picture, depth, true depth, labels, true labels of two frames by two measures.
    assert [picture.shape for picture in pictures] == [(240, 320, 3)] * 20
    assert all(picture.std() > 1 for picture in pictures)
    for text in ('true depth', 'true labels', 'rel, worst 2', 'pixel accuracy (%), worst 1',
                 'postprocess', 'frames per second'):
        assert text in page, text


def test_options_change_the_result(bag, tmp_path):
    def pooled(*options):
        path = tmp_path / 'result.json'
        assert main(['bag', str(bag), *NETWORK, *TRUTH, '--json', str(path), *options]) == 0
        return read(path)

    plain = pooled()
    for options, key, value in ((('--crop', '10:90,10:90'), 'crop', '10:90,10:90'),
                                (('--cap', '2.5'), 'cap', 2.5),
                                (('--clamp', '0.5:8'), 'clamp', [0.5, 8.0])):
        other = pooled(*options)
        assert other['protocol'][key] == value != plain['protocol'][key]
        assert other['output']['pooled']['rel'] != plain['output']['pooled']['rel']
    assert pooled('--limit', '2')['source']['frames'] == 2
    sure, unsure = (pooled('--confidence', p)['semantics']['low_confidence_share']
                    for p in ('0', '1'))
    assert sure == 0 and unsure > 0.9
    names = {str(index): name for index, name in enumerate(('wall', 'floor'))}
    (tmp_path / 'map.json').write_text(json.dumps(names))
    mapped = pooled('--label-map', str(tmp_path / 'map.json'))
    assert mapped['output']['pixels']['labels'] < plain['output']['pixels']['labels']
    assert any('which has no name' in note for note in mapped['notes'])
    assert pooled('--image', sample.IMAGE_TOPIC) == plain


def test_record_end_to_end(spawn, bag, tmp_path):
    child = spawn('evaluate', 'record', bag, tmp_path / 'out', *NETWORK, '--topics',
                  sample.IMAGE_TOPIC, sample.CAMERA_INFO_TOPIC)
    assert child.wait(300) == 0, child.output
    assert f'{tmp_path}/out: results for 5 pictures' in child.output
    with Recording(tmp_path / 'out') as recording:
        assert {topic.name: topic.count for topic in recording.topics.values()} == {
            sample.IMAGE_TOPIC: 5, sample.CAMERA_INFO_TOPIC: 5, '/depth': 5, '/semantics': 5,
            '/label_info': 1}
    # Its own results, taken for the truth, are met: pairing, encodings and all. (One thread rounds
    # otherwise than two.)
    path = tmp_path / 'self.json'
    assert main(['bag', str(tmp_path / 'out'), *NETWORK, '--depth', '/depth', '--labels',
                 '/semantics', '--json', str(path)]) == 0
    document = read(path)
    assert document['output']['pooled']['mean_iou'] == 100
    assert document['output']['pooled']['rms'] == pytest.approx(0, abs=1e-5)


def test_record_for_viewers(bag, tmp_path, capsys):
    pytest.importorskip('rerun')
    rrd = tmp_path / 'out.rrd'
    assert main(['record', str(bag), str(tmp_path / 'out'), *NETWORK, '--colors',
                 '--rrd', str(rrd), '--color-range', '0.5', '4']) == 0
    printed = capsys.readouterr().out
    assert '/depth_color' in printed and 'depth in colours from 0.5 to 4 m' in printed
    assert f'{rrd}: 5 pictures, 5 of them with points' in printed
    assert rrd.read_bytes()[:3] == b'RRF'


def test_partial_results_are_kept_and_said(tmp_path, capsys):
    bag = tmp_path / 'bag'
    sample.write_sample(bag, 5, size=(96, 128), storage='sqlite3')
    with sqlite3.connect(bag / 'bag.db3') as connection:
        (topic,) = connection.execute('SELECT id FROM topics WHERE name = ?',
                                      (sample.IMAGE_TOPIC,)).fetchone()
        rows = connection.execute('SELECT id, data FROM messages WHERE topic_id = ?',
                                  (topic,)).fetchall()
        connection.execute('UPDATE messages SET data = ? WHERE id = ?',
                           (rows[3][1][:8], rows[3][0]))
    code = main(['bag', str(bag), *NETWORK, *TRUTH, '--json', str(tmp_path / 'r.json'),
                 '--html', str(tmp_path / 'r.html')])
    captured = capsys.readouterr()
    assert code == 3
    document = read(tmp_path / 'r.json')
    # The damaged picture alone is missing.
    assert document['partial'] is True and document['source']['frames'] == 4
    reason = f'1 pictures were left out, the first: {sample.IMAGE_TOPIC}@1700000000.200000000: '
    assert document['reason'].startswith(reason) and 'cannot be decoded' in document['reason']
    assert captured.err.count('\n') == 1 and f'jrn_evaluate: partial: {reason}' in captured.err
    assert 'PARTIAL' in captured.out
    assert '<p class="partial">Partial: ' in (tmp_path / 'r.html').read_text()
    assert main(['record', str(bag), str(tmp_path / 'out'), *NETWORK]) == 3
    assert 'partial: 1 pictures have no results' in capsys.readouterr().err


@pytest.mark.parametrize('arguments, text', [
    (('bag',), 'arguments are required: DIR'),
    (('bag', '/nowhere', *NETWORK), '/nowhere: no such recording'),
    (('bag', 'BAG', *NETWORK, '--image', '/nothing'), "no image topic '/nothing'"),
    (('bag', 'BAG', *NETWORK, '--label-map', 'x.json'), '--label-map needs --labels'),
    (('bag', 'BAG', *NETWORK, '--labels', sample.LABEL_TOPIC, '--label-map', '/no.json'),
     '/no.json: No such file'),
    (('bag', 'BAG', *NETWORK, '--confidence', '2'), '--confidence is from 0 to 1'),
    (('bag', 'BAG', *NETWORK, '--tolerance', '-1'), 'tolerance -1'),
    (('bag', 'BAG', *NETWORK, '--label-set', 'nyu41'), 'unknown label set'),
    (('bag', 'BAG', '--weights', '/nowhere.safetensors'), 'no such weights file'),
    (('bag', 'BAG', *NETWORK, '--json', '.'), '--json: . is a folder; name a file'),
    (('bag', 'BAG', *NETWORK, '--html', '.'), '--html: . is a folder; name a file'),
    (('record', 'BAG', 'BAG', *NETWORK), 'exists already'),
    (('record', 'BAG', '/tmp/new', *NETWORK, '--color-range', '1', '4'),
     '--color-range needs --colors or --rrd'),
    (('record', 'BAG'), 'arguments are required: OUTPUT'),
])
def test_mistakes_get_one_line_and_an_exit_code(arguments, text, bag, capsys):
    expected = 1
    try:
        code = main([str(bag) if item == 'BAG' else item for item in arguments])
    except SystemExit as end:  # The command line cannot be parsed.
        expected, code = 2, end.code
    captured = capsys.readouterr()
    assert code == expected and text in captured.err
    assert captured.err.count('\n') == 1 and 'Traceback' not in captured.err
    assert captured.out == ''


@pytest.mark.parametrize('option', ['--json', '--html'])
def test_a_file_that_cannot_be_written_does_not_cost_the_numbers(bag, tmp_path, capsys, option):
    if not Path('/dev/full').exists():
        pytest.skip('no /dev/full, a disk that is always full')
    assert main(['bag', str(bag), *NETWORK, *TRUTH, option, '/dev/full']) == 1
    captured = capsys.readouterr()
    assert 'mean IoU (%)' in captured.out
    assert '/dev/full' in captured.err and captured.err.count('\n') == 1
    # A place that is known to be impossible costs no time.
    (tmp_path / 'file').touch()
    with pytest.raises(SystemExit) as ended:
        main(['bag', str(bag), *NETWORK, *TRUTH, option, str(tmp_path / 'file' / 'r')])
    captured = capsys.readouterr()
    assert ended.value.code == 2 and captured.out == ''
    assert f'{tmp_path}/file' in captured.err and captured.err.count('\n') == 1


@pytest.mark.parametrize('storage, suffix', [('mcap', 'mcap'), ('sqlite3', 'db3')])
def test_what_a_killed_recorder_left_is_evaluated(tmp_path, capsys, storage, suffix):
    bag = tmp_path / 'bag'
    sample.write_sample(bag, 5, size=(96, 128), storage=storage)
    file = bag / f'bag.{suffix}'
    size = int(0.7 * file.stat().st_size)
    file.write_bytes(file.read_bytes()[:size])
    (bag / 'metadata.yaml').unlink()
    assert main(['bag', str(bag), *NETWORK, *TRUTH, '--json', str(tmp_path / 'r.json')]) == 3
    captured = capsys.readouterr()
    reason = f'{file}: breaks off at byte '
    assert captured.err.count('\n') == 1 and f'jrn_evaluate: partial: {reason}' in captured.err
    document = read(tmp_path / 'r.json')
    assert document['partial'] is True and document['reason'].startswith(reason)
    assert 'its recorder was killed' in document['reason']
    assert 1 <= document['source']['frames'] < 5
    assert main(['record', str(bag), str(tmp_path / 'out'), *NETWORK]) == 3
    assert f'partial: {reason}' in capsys.readouterr().err
    with Recording(tmp_path / 'out') as recording:
        assert recording.topics['/depth'].count == document['source']['frames']
        assert not recording.breaks_off


def test_nothing_but_the_name_of_a_recording(tmp_path, capsys):
    file = tmp_path / 'cut.mcap'
    file.write_bytes(b'')
    assert main(['bag', str(file), *NETWORK]) == 1
    error = capsys.readouterr().err
    assert f'{file}: damaged or no rosbag2 recording' in error and error.count('\n') == 1


def test_the_correction_for_the_camera_can_be_turned_off(bag, tmp_path, capsys):
    def correction(*options):
        path = tmp_path / 'result.json'
        assert main(['bag', str(bag), *NETWORK, '--limit', '1', '--json', str(path),
                     *options]) == 0
        return read(path)['protocol']['focal_correction']

    # Untrained weights have no focal length of training; their input is smaller than in training.
    scale = pytest.approx((64 * 96 / (288 * 384)) ** 0.5)
    one = {'topic': sample.CAMERA_INFO_TOPIC, 'frames': 1, 'scale': scale,
           'range': [scale, scale]}
    assert correction() == correction('--camera-info', sample.CAMERA_INFO_TOPIC) == one
    assert correction('--no-focal-correction') is None
    capsys.readouterr()
    assert main(['bag', str(bag), *NETWORK, '--no-focal-correction', '--camera-info', '/x']) == 1
    assert capsys.readouterr().err == (
        'jrn_evaluate: --camera-info has no use with --no-focal-correction\n')


def test_a_missing_extra_is_named(monkeypatch, capsys, bag):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    assert main(['bag', str(bag)]) == 1
    assert capsys.readouterr().err == (
        'jrn_evaluate: jinja2, matplotlib, rich, rosbags is missing: '
        "pip install '.[evaluate]'\n")
