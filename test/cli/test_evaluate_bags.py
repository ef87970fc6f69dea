# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_evaluate bags`` as its user has it."""

import argparse
import importlib.util
import json
import time

from fleet_runs import finished, NETWORK, results, TRUTH, write_fleet
from jrn_perception.cli import program
from jrn_perception.cli.evaluate import main
from jrn_perception.cli.fleet_options import network_of
from jrn_perception.sources import sample
import pytest

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None
        for name in ('jinja2', 'matplotlib', 'rich', 'rosbags')),
    reason="needs jinja2, matplotlib, rich and rosbags: pip install '.[evaluate]'")


@pytest.fixture(scope='module')
def fleet(tmp_path_factory):
    return write_fleet(tmp_path_factory.mktemp('fleet'), 5)


@pytest.fixture(scope='module')
def measured(fleet, tmp_path_factory):
    """Return the results of the fleet, measured in one process."""
    output = tmp_path_factory.mktemp('measured') / 'out'
    assert main(['bags', str(fleet), '--output', str(output), *NETWORK, *TRUTH,
                 '--jobs', '1']) == 0
    return output


def test_sources_are_found_from_other_working_directories(tmp_path, monkeypatch):
    (tmp_path / 'depth.onnx').touch()
    monkeypatch.chdir(tmp_path)
    parser = argparse.ArgumentParser()
    program.add_network(parser)
    found = network_of(parser.parse_args([
        '--depth-source', 'depth.onnx', '--semantics-source', 'owner/name']))
    assert found.depth_source == str(tmp_path / 'depth.onnx')
    assert found.semantics_source == 'owner/name' and found.weights_file == ''
    # No folder of this name is meant.
    (tmp_path / 'network').mkdir()
    assert network_of(parser.parse_args([])).depth_source == 'network'


def test_a_fleet_again_in_two_processes_has_the_same_results(fleet, measured, tmp_path, capsys):
    arguments = ['bags', str(fleet / 'robot*'), '--output', str(tmp_path / 'out'), *NETWORK,
                 *TRUTH, '--jobs', '2']
    assert main(arguments) == 0
    text = capsys.readouterr().out
    for part in ('5 recordings measured, 10 frames in ', 'jrn cat1 on 5 recordings: 5 measured',
                 '0 were measured before', 'worst recordings', 'robot0/00', 'rel(sqr)',
                 'written: results.jsonl, fleet.json, fleet.html'):
        assert part in text, part
    assert results(tmp_path / 'out') == results(measured)
    before = finished(tmp_path / 'out')
    assert len(before) == 5
    assert main(arguments) == 0
    assert '0 recordings measured, 0 frames in' in capsys.readouterr().out
    assert finished(tmp_path / 'out') == before and results(tmp_path / 'out') == results(measured)
    lines = [json.loads(line) for line in (measured / 'results.jsonl').open()]
    assert [line['recording'] for line in lines] == [
        'robot0/00', 'robot0/04', 'robot1/01', 'robot2/02', 'robot3/03']
    assert all((measured / line['result']).is_file() for line in lines)


def test_a_part_of_each_recording_with_a_range_sensor(fleet, tmp_path, capsys):
    output = tmp_path / 'out'
    assert main(['bags', str(fleet / 'robot[01]'), '--output', str(output), *NETWORK, *TRUTH,
                 '--jobs', '1', '--range', sample.DEPTH_TOPIC, '--duration', '0.01']) == 0
    assert f'range {sample.DEPTH_TOPIC}' in capsys.readouterr().out
    total = json.loads((output / 'fleet.json').read_text())
    rows = [json.loads((output / json.loads(line)['result']).read_text())
            for line in (output / 'results.jsonl').open()]
    # Only the first of two pictures is within the time.
    assert [row['source']['frames'] for row in rows] == [1, 1, 1]
    for key in ('frames', 'used', 'rejected'):
        assert total['range'][key] == sum(row['range'][key] for row in rows)
    assert total['range']['frames'] == 3
    gain = total['range']['pooled']['rms'] - total['output']['pooled']['rms']
    # The sensor is the truth itself, the network anything.
    assert total['range']['gain']['rms'] == pytest.approx(gain) and gain < -0.3
    assert f'range {sample.DEPTH_TOPIC}' in (output / 'fleet.html').read_text()


def test_faults_thresholds_and_reports(fleet, tmp_path, capsys):
    (tmp_path / 'damaged.mcap').write_bytes(b'nothing')
    (tmp_path / 'fleet.txt').write_text(f'damaged.mcap\n{fleet}/robot0\nmissing/bag\n')
    (tmp_path / 't.json').write_text('{"rel": {"min": 0, "pass_rate": 0.6}}')
    arguments = ['bags', str(tmp_path / 'fleet.txt'), '--output', str(tmp_path / 'out'),
                 *NETWORK, *TRUTH, '--jobs', '1', '--reports', '--thresholds',
                 str(tmp_path / 't.json')]
    assert main(arguments) == 4
    captured = capsys.readouterr()
    errors = captured.err.splitlines()
    assert len(errors) == 3 and 'Traceback' not in captured.err
    assert all(error.startswith('jrn_evaluate: failed: ') for error in errors[:2])
    assert 'damaged.mcap: damaged or no rosbag2 recording' in errors[0]
    assert errors[1].endswith(f': {tmp_path}/missing/bag: no such file or folder')
    assert errors[2].startswith('jrn_evaluate: threshold missed: rel: 2 of 4 recordings pass, '
                                '60.0% are required; not ')
    assert '4 recordings: 2 measured, 0 of them partially, 2 failed' in captured.out
    assert len(list((tmp_path / 'out' / 'recordings').glob('*.html'))) == 2
    (tmp_path / 't.json').write_text('{"rel": {"min": 0, "pass_rate": 0.5}}')
    assert main(arguments) == 3
    (tmp_path / 'fleet.txt').write_text('damaged.mcap\n')
    capsys.readouterr()
    assert main(arguments) == 1
    assert 'none of 1 recordings could be measured, the first: damaged.mcap: ' in (
        capsys.readouterr().err)


def test_neither_ctrl_c_nor_kill_9_loses_what_was_finished(spawn, measured, fleet, tmp_path):
    arguments = ('bags', fleet, '--output', tmp_path, *NETWORK, *TRUTH, '--jobs', '1')

    def start(count):
        child = spawn('evaluate', *arguments)
        deadline = time.monotonic() + 120
        while len(finished(tmp_path)) < count:
            assert time.monotonic() < deadline and child.process.poll() is None, child.output
            time.sleep(0.02)
        return child

    child = start(1)
    assert child.stop() == 130
    assert 'recordings; the same command continues' in child.output
    assert 'Traceback' not in child.output
    first = finished(tmp_path)
    lines = (tmp_path / 'results.jsonl').read_text().splitlines()
    assert 1 <= len(lines) <= len(first) < 5 and not (tmp_path / 'fleet.json').exists()
    child = start(len(first) + 1)
    child.process.kill()
    assert child.wait() == -9
    second = finished(tmp_path)
    assert main(list(map(str, arguments))) == 0
    last = finished(tmp_path)
    assert first.items() <= second.items() <= last.items() and len(last) == 5
    assert results(tmp_path) == results(measured)


@pytest.mark.parametrize('arguments, text', [
    (('FLEET',), 'required: --output'),
    (('FLEET', '--output', 'OUT', '--shard', '2/2'), "shard '2/2': expected I/N"),
    (('FLEET', '--output', 'OUT', '--shard', '0/2', '--thresholds', 'x.json'),
     '--thresholds has no use with --shard'),
    (('FLEET', '--output', 'OUT', '--thresholds', '/no.json'), '/no.json'),
    (('/nowhere', '--output', 'OUT'), '/nowhere: no such file or folder'),
    (('FLEET', '--output', 'OUT', '--weights', '/no.safetensors'), 'no such weights file'),
    (('FLEET', '--output', 'OUT', '--jobs', '-1'), '--jobs -1: at least 1'),
    (('FLEET', '--output', 'OUT', '--jobs', '2', '--ray', 'auto'), '--jobs has no use with --ray'),
    (('FLEET', '--output', 'OUT', '--ray', 'auto', '--dask', 'x'), 'on Ray or on Dask, not on'),
    (('FLEET', '--output', 'OUT', '--worst', '-1'), '--worst -1: not below 0'),
    (('nothing://x', '--output', 'OUT'), 'Protocol not known')])
def test_mistakes_get_one_line_and_an_exit_code(arguments, text, fleet, tmp_path, capsys):
    names = {'FLEET': str(fleet), 'OUT': str(tmp_path / 'out')}
    expected = 1
    try:
        code = main(['bags', *(names.get(word, word) for word in arguments)])
    except SystemExit as end:  # The command line cannot be parsed.
        expected, code = 2, end.code
    captured = capsys.readouterr()
    assert code == expected and text in captured.err
    assert captured.err.count('\n') == 1 and 'Traceback' not in captured.err
    assert not (tmp_path / 'out').exists()
