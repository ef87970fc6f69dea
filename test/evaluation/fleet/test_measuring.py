# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A fleet measured in parts is one long recording; results are kept, faults do not spread."""

from dataclasses import replace
import json
import shutil

from jrn_perception.cli.fleet_options import print_warnings
from jrn_perception.evaluation.recordings.bag import evaluate_bag
from jrn_perception.evaluation.recordings.session import Request
from jrn_perception.evaluation.reports.bag_document import bag_document
from jrn_perception.evaluation.reports.documents import write
from jrn_perception.fleet.engine import Engine, Network
from jrn_perception.fleet.remote import Store
from jrn_perception.recordings.reader import Recording
from jrn_perception.recordings.writer import Writer
from jrn_perception.sources import sample
import numpy as np
import pytest

pytest.importorskip('rosbags.rosbag2')
measuring = pytest.importorskip('jrn_perception.evaluation.fleet.measuring',
                                reason="needs pip install '.[evaluate]'")
fleet_module = pytest.importorskip('jrn_perception.evaluation.fleet.fleet')
thresholds = pytest.importorskip('jrn_perception.evaluation.fleet.thresholds')
documents = pytest.importorskip('jrn_perception.evaluation.fleet.document')
fleet_document, lines = documents.fleet_document, documents.lines
judge, read_thresholds = thresholds.judge, thresholds.read_thresholds

COUNT = 6
NETWORK = Network('jrn', 'cat1', 'random', device='cpu', height=64)
REQUEST = Request(depth=sample.DEPTH_TOPIC, labels=sample.LABEL_TOPIC, worst=2)


def part(path, output, wanted):
    """Write the frames ``wanted`` of a recording."""
    with Recording(path) as recording, Writer(output) as writer:
        writer.add_copy(path, list(recording.topics))
        seen = dict.fromkeys(recording.topics, -1)
        for record in recording.records():
            seen[record.topic.name] += 1
            if seen[record.topic.name] in wanted or record.topic.name == sample.LABEL_INFO_TOPIC:
                writer.write_copy(record.topic.name, record.stamp_ns, record.data)
    return output


@pytest.fixture(scope='module')
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp('whole') / 'bag'
    sample.write_sample(path, COUNT, size=(96, 128))
    return path


def test_a_depth_camera_that_recordings_do_not_give_is_refused(whole, tmp_path):
    network = replace(NETWORK, depth_source='sensor')
    row = measuring.measure(measuring.Task('bag', str(whole), network, REQUEST, str(tmp_path)))
    assert row.fatal and "'sensor' reads a depth camera" in row.reason


@pytest.fixture(scope='module')
def parts(whole, tmp_path_factory):
    """Return two recordings that together have the frames of the whole."""
    folder = tmp_path_factory.mktemp('parts')
    return [part(whole, folder / f'part{at}', range(at, end)) for at, end in ((0, 2), (2, COUNT))]


def tasks_of(paths, output, **changes):
    return [replace(measuring.Task(path.name, str(path), NETWORK, REQUEST, str(output)), **changes)
            for path in paths]


def measure(tasks):
    return [measuring.measure(task) for task in tasks]


def test_the_totals_are_those_of_one_long_recording(whole, parts, tmp_path):
    rows = measure(tasks_of(parts, tmp_path))
    assert [(row.name, row.state, row.reason) for row in rows] == [
        ('part0', 'done', ''), ('part2', 'done', '')]
    fleet = fleet_module.total(rows, Store(str(tmp_path)))
    found = fleet_document(fleet)
    perception = NETWORK.load()
    evaluation = evaluate_bag(perception, whole, REQUEST)
    expected = bag_document(evaluation, perception)
    for key in ('output', 'inputs', 'gain', 'depth', 'semantics', 'network'):
        assert found[key] == expected[key], key
    assert found['source']['frames'] == COUNT == found['source']['with_depth']
    assert found['source']['names_sha256'] == expected['source']['names_sha256']
    # The first frame of the second part has nothing before it.
    assert found['drift']['depth']['pairs'] == COUNT - 2
    named = {frame['frame'] for frames in found['worst'].values() for frame in frames}
    assert all(name.startswith(('part0: ', 'part2: ')) for name in named)
    scores = [[frame['value'] for frame in document['worst']['rel']]
              for document in (found, expected)]
    assert scores[0] == scores[1]
    # The pictures of a worst frame are small files, not the arrays of the evaluation.
    for worst in fleet.total.totals.worst['rel'].ranked():
        assert [caption for caption, _ in worst.content][0] == 'picture'
        assert all(data.startswith(b'\xff\xd8') for _, data in worst.content)


def test_the_result_of_a_recording_is_the_document_of_jrn_evaluate_bag(parts, tmp_path):
    row, = measure(tasks_of(parts[:1], tmp_path))
    perception = NETWORK.load()
    document = bag_document(evaluate_bag(perception, parts[0], REQUEST), perception)
    write(document, tmp_path / 'expected.json')
    assert (tmp_path / 'recordings' / f'{row.key}.json').read_bytes() == (
        tmp_path / 'expected.json').read_bytes()


def test_what_is_done_is_done_once(parts, tmp_path, monkeypatch):
    tasks = tasks_of(parts, tmp_path / 'out')
    first = measure(tasks)
    asked = []
    monkeypatch.setattr(measuring, 'evaluate_bag', lambda *arguments: asked.append(
        arguments[1].name) or evaluate_bag(*arguments))
    again = measure(tasks)
    assert not asked and [row.skipped for row in again] == [True, True]
    assert [replace(row, skipped=False) for row in again] == first
    # A copy has the same content; another request or other weights are another result.
    copy = shutil.copytree(parts[0], tmp_path / 'copy')
    assert measure(tasks_of([copy], tmp_path / 'out'))[0].skipped and not asked
    others = [{'request': replace(REQUEST, confidence=0.7)}, {'page': True},
              {'network': replace(NETWORK, threads=2)}]
    for change in others:
        assert not measure(tasks_of(parts[:1], tmp_path / 'out', **change))[0].skipped
    assert asked == ['part0'] * 3
    # A process that was killed before its json was written has not finished.
    (tmp_path / 'out' / 'recordings' / f'{first[1].key}.json').unlink()
    assert measure(tasks)[1] == first[1] and asked[3:] == ['part2']
    # Other content under the same name.
    shutil.rmtree(copy)
    shutil.copytree(parts[1], copy)
    assert measure(tasks_of([copy], tmp_path / 'out'))[0].key == first[1].key


def test_one_damaged_recording_does_not_end_the_rest(parts, tmp_path):
    damaged, half = tmp_path / 'damaged.mcap', tmp_path / 'half.mcap'
    damaged.write_bytes(b'nothing')
    content = (parts[1] / 'part2.mcap').read_bytes()
    half.write_bytes(content[:len(content) * 2 // 3])
    rows = measure(tasks_of([damaged, parts[0], tmp_path / 'missing', half], tmp_path / 'out'))
    assert [row.state for row in rows] == ['failed', 'done', 'failed', 'partial']
    assert f'{damaged}: damaged or no rosbag2 recording' in rows[0].reason
    assert rows[2].reason == f'{tmp_path}/missing: no such file or folder'
    assert 'breaks off at byte' in rows[3].reason
    fleet = fleet_module.total(rows, Store(str(tmp_path / 'out')))
    document = fleet_document(fleet)
    assert document['partial'] is True
    assert [document['source'][key] for key in ('recordings', 'measured', 'failed', 'partial')
            ] == [4, 2, 2, 1]
    found = [json.loads(line) for line in lines(rows).splitlines()]
    assert [line['state'] for line in found] == [row.state for row in rows]
    assert found[1]['rel'] == rows[1].document['output']['pooled']['rel'] > 0
    assert 'rel' not in found[0] and found[1]['frames'] == 2


def test_recordings_of_other_classes_are_named_and_left_apart(parts, tmp_path):
    rows = measure(tasks_of(parts[:1], tmp_path))
    rows += measure(tasks_of(parts[1:], tmp_path, request=replace(REQUEST, labels='')))
    fleet = fleet_module.total(rows, Store(str(tmp_path)))
    assert fleet.apart == ['part2: the totals are of different comparisons: their label sets or '
                           'networks differ']
    document = fleet_document(fleet)
    assert document['partial'] is True and document['notes'][0] == fleet.apart[0]
    assert document['source']['frames'] == 2


def test_a_network_that_cannot_be_loaded_ends_the_fleet(parts, tmp_path):
    tasks = tasks_of(parts, tmp_path, network=replace(NETWORK, weights_file='/nowhere'))
    with pytest.raises(ValueError, match='/nowhere: no such weights file'):
        fleet_module.measure_fleet(tasks, Engine(1))
    assert not list(tmp_path.iterdir())


def test_warnings_of_the_network_are_printed_once(parts, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(NETWORK.load(), 'warnings', ('openvino is not installed',))
    rows = measure(tasks_of([*parts, tmp_path / 'missing'], tmp_path))
    print_warnings(rows)
    assert capsys.readouterr().err == 'warning: openvino is not installed\n'


def test_a_missing_part_of_the_results_is_named(parts, tmp_path):
    rows = measure(tasks_of(parts[:1], tmp_path))
    (tmp_path / 'recordings' / f'{rows[0].key}.totals').unlink()
    with pytest.raises(ValueError, match='that all machines share'):
        fleet_module.total(rows, Store(str(tmp_path)))


def test_thresholds_judge_every_recording(parts, tmp_path):
    rows = measure(tasks_of([*parts, tmp_path / 'missing'], tmp_path / 'out'))
    first, second = (row.document['output']['pooled']['rms'] for row in rows[:2])
    low, high = sorted((first, second))
    bound = (low + high) / 2
    (tmp_path / 't.json').write_text(json.dumps({
        'rms': {'max': bound, 'pass_rate': 0.3}, 'mean_iou': {'min': 0, 'max': 100},
        'pixel_accuracy': {'min': 0, 'pass_rate': 0.6}, 'depth_drift': {'max': 1e9}}))
    found = judge(read_thresholds(tmp_path / 't.json'), rows)
    assert [(verdict.passed, verdict.recordings, verdict.met) for verdict in found] == [
        (1, 3, True), (2, 3, False), (2, 3, True), (2, 3, False)]
    # A recording that could not be measured does not pass.
    assert found[1].missed == ('missing',)
    assert found[0].rate == pytest.approx(1 / 3)
    document = fleet_document(fleet_module.total(rows, Store(str(tmp_path / 'out'))), found)
    assert document['thresholds'][0] == {
        'metric': 'rms', 'min': None, 'max': bound, 'pass_rate': 0.3, 'rate': found[0].rate,
        'met': True, 'missed': list(found[0].missed)}


@pytest.mark.parametrize('content, text', [
    ('{', 'not json'), ('[]', 'expected an object'), ('{}', 'expected an object'),
    ('{"rmse": {"max": 1}}', "unknown metric 'rmse'"), ('{"rms": 1}', 'rms: expected min, max'),
    ('{"rms": {"maximum": 1}}', 'rms: expected min, max'),
    ('{"rms": {"pass_rate": 1}}', 'rms: expected min, max'),
    ('{"rms": {"max": "1"}}', 'max is a number, not "1"'),
    ('{"rms": {"max": 1, "pass_rate": 95}}', 'pass_rate is above 0 and at most 1, not 95')])
def test_faulty_thresholds_are_named(tmp_path, content, text):
    (tmp_path / 't.json').write_text(content)
    with pytest.raises(ValueError, match='t.json: .*') as raised:
        read_thresholds(tmp_path / 't.json')
    assert text in str(raised.value)


def test_the_pass_rate_is_of_whole_recordings():
    threshold = read_one({'max': 1.0, 'pass_rate': 0.29})
    verdict = judge([threshold], [row_of(index, 0.5 if index < 29 else 2.0)
                                  for index in range(100)])[0]
    assert verdict.passed == 29 and verdict.met  # 0.29 * 100 is 28.999999999999996.
    assert not threshold.passes(None) and not threshold.passes(np.nan)


def read_one(bounds):
    return thresholds.Threshold('rms', None, bounds['max'], bounds['pass_rate'])


def row_of(index, rms):
    document = {'output': {'pooled': {'rms': rms}}, 'drift': {'depth': {'mean': None},
                                                              'labels': {'mean': None}}}
    return measuring.Row(f'r{index}', '', 'done', document=document)
