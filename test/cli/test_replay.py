# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_replay`` with a real node, player and recording, against ``jrn_evaluate bag``."""

import importlib.util
import json
from pathlib import Path
import shutil
import sys
import time

from jrn_perception.cli import replay_processes
from jrn_perception.cli.replay import main
from jrn_perception.recordings.reader import COMPRESSED, IMAGE, Topic
from jrn_perception.recordings.writer import Writer
from jrn_perception.sources import sample
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ('matplotlib', 'rich', 'rosbags')),
    reason="needs matplotlib, rich and rosbags: pip install '.[evaluate]'")

FRAMES = 12
TRUTH = ('--depth', sample.DEPTH_TOPIC, '--labels', sample.LABEL_TOPIC)
NETWORK = ('-p', 'variant:=cat1', '-p', 'weights:=random', '-p', 'inference_height:=64',
           '-p', 'device:=cpu')


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    path = tmp_path_factory.mktemp('bag') / 'sample'
    sample.write_sample(path, FRAMES, size=(120, 160))
    return path


def assert_close(found, expected, where=''):
    """Hold two documents against each other, numbers to 1e-6."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), where
        for key, value in expected.items():
            assert_close(found[key], value, f'{where}/{key}')
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for index, value in enumerate(expected):
            assert_close(found[index], value, f'{where}/{index}')
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, abs=1e-6, rel=1e-6), where
    else:
        assert found == expected, where


def parameters_of(node):
    """Return what a measurement changes of a running node."""
    from jrn_perception.ros.playback.evaluator import Evaluator
    import rclpy
    rclpy.init()
    try:
        with Evaluator() as evaluator:
            return evaluator.get_parameters_of(
                node, ['min_depth', 'max_depth', 'confidence_threshold', 'focal_correction'])
    finally:
        rclpy.try_shutdown()


def test_each_parameter_of_the_node_is_kept_neutral_or_changes_no_result():
    parameters = pytest.importorskip('jrn_perception.ros.parameters.settings',
                                     reason='needs rclpy')
    from jrn_perception.cli.replay import NETWORK_PARAMETERS, NEUTRAL
    from jrn_perception.evaluation.recordings.replay import PARAMETERS
    harmless = {
        'mute_value',  # Without mute.
        'range_inputs', 'range_max_age', 'range_extrinsics',  # Anchoring is off.
        'rectified',  # So is the correction for the focal length.
        'confidence_encoding',  # Each answer of another encoding is refused.
        'image_transport', 'points_stride', 'points_confidence', 'autostart', 'enabled', 'lazy',
        'overlay_alpha', 'depth_colormap', 'max_processing_time_ms', 'max_silence_s', 'labels',
        # The topics that are compressed are not read.
        'compressed_format', 'jpeg_quality', 'png_level', 'compressed_depth_max',
        'compressed_depth_quantization'}
    assert set(parameters.BY_NAME) == {*NETWORK_PARAMETERS, *NEUTRAL, *PARAMETERS, *harmless}


def test_without_loss_it_is_the_evaluation_of_the_bag(ros_domain, spawn, bag, tmp_path):
    child = spawn('replay', bag, *TRUTH, '--lossless', '--json', tmp_path / 'replay.json',
                  '--ros-args', *NETWORK)
    assert child.wait(300) == 0, child.output
    other = spawn('evaluate', 'bag', bag, *TRUTH, '--variant', 'cat1', '--weights', 'random',
                  '--height', '64', '--device', 'cpu', '--json', tmp_path / 'bag.json')
    assert other.wait(300) == 0, other.output
    found, expected = (json.loads((tmp_path / f'{name}.json').read_text())
                       for name in ('replay', 'bag'))
    assert expected['source']['frames'] == FRAMES
    live = found.pop('replay')
    assert live['frames'] == {'sent': FRAMES, 'processed': FRAMES, 'dropped': 0}
    assert 0 < live['stages_ms']['end to end']['mean'] <= live['stages_ms']['end to end'][
        'largest']
    for key in ('inputs', 'gain'):  # Of these the node says nothing.
        del expected[key]
    del found['notes'], expected['notes']
    assert_close(found, expected)
    for text in (f'jrn cat1 on sample: {FRAMES} frames of {sample.IMAGE_TOPIC}, 0 damaged, '
                 f'{FRAMES} with depth, {FRAMES} with labels', 'mean IoU (%)', 'furniture',
                 'labels that change', 'sent', 'processed', 'dropped', 'end to end'):
        assert text in child.output, text


def test_at_the_recorded_pace_every_picture_is_accounted_for(ros_domain, spawn, bag, tmp_path):
    child = spawn('replay', bag, *TRUTH, '--player', 'jrn_play', '--namespace', '/front', '--json',
                  tmp_path / 'replay.json', '--ros-args', *NETWORK, '-p', 'depth_source:=sensor')
    assert child.wait(300) == 0, child.output
    found = json.loads((tmp_path / 'replay.json').read_text())
    assert found['network']['sources'] == {'depth': 'sensor', 'semantics': 'network'}
    frames = found['replay']['frames']
    assert frames['sent'] == FRAMES == frames['processed'] + frames['dropped']
    assert frames['processed'] == found['source']['frames'] == found['source']['with_depth'] > 0
    assert found['partial'] is False
    assert f'reading {sample.IMAGE_TOPIC}' in child.output


def test_a_player_that_fails_is_replaced_where_the_choice_is_ours(
        ros_domain, spawn, bag, tmp_path, monkeypatch):
    # A ros2 command whose bag play fails, as it does without the storage plugin of a recording.
    for name in ('ros2bag', 'rosbag2_py'):
        if importlib.util.find_spec(name):
            pytest.skip('`ros2 bag play` is installed')
        (tmp_path / f'{name}.py').touch()
    (tmp_path / 'ros2').write_text('#!/bin/sh\nexit 3\n')
    (tmp_path / 'ros2').chmod(0o755)
    monkeypatch.setenv('PATH', str(tmp_path), prepend=':')
    monkeypatch.setenv('PYTHONPATH', str(tmp_path), prepend=':')
    asked = spawn('replay', str(bag), *TRUTH, '--player', 'ros2bag', '--ros-args', *NETWORK)
    assert asked.wait() == 1, asked.output
    assert 'ros2bag ended with exit code 3' in asked.output
    file = tmp_path / 'results.json'
    child = spawn('replay', str(bag), *TRUTH, '--json', str(file), '--ros-args', *NETWORK)
    assert child.wait() == 0, child.output
    assert 'jrn_replay: ros2bag ended with exit code 3; playing with jrn_play' in child.output
    assert json.loads(file.read_text())['replay']['frames']['sent'] == FRAMES


def test_a_node_that_runs_already(ros_domain, spawn, bag):
    node = spawn('node', '--ros-args', *NETWORK, '-p', 'use_sim_time:=true',
                 '-p', 'image_transport:=compressed', '-p', 'mute:=depth', '-p', 'max_depth:=5.0',
                 '-r', f'image/compressed:={sample.IMAGE_TOPIC}', '-r', '__ns:=/back')
    node.wait_for('reading')
    child = spawn('replay', bag, *TRUTH, '--lossless', '--node', '/back/jrn_perception')
    assert child.wait(300) == 0, child.output
    assert f'{FRAMES} with depth' in child.output
    assert 'note: the node runs with mute depth' in child.output
    assert node.process.poll() is None
    assert parameters_of('/back/jrn_perception') == {
        'min_depth': 0.0, 'max_depth': 5.0, 'confidence_threshold': 0.0, 'focal_correction': True}


def test_a_node_is_left_as_it_was_when_it_cannot_be_measured(ros_domain, spawn, bag):
    node = spawn('node', '--ros-args', '-p', 'architecture:=hydranet', *NETWORK[2:],
                 '-p', 'min_depth:=0.5', '-p', 'max_depth:=5.0', '-p', 'confidence_threshold:=0.3')
    node.wait_for('reading')
    child = spawn('replay', bag, *TRUTH, '--label-set', 'nyu5', '--node', '/jrn_perception')
    assert child.wait(120) == 1
    assert 'jrn_replay: the node publishes ids of nyu40: to compare them as nyu5' in child.output
    assert parameters_of('/jrn_perception') == {
        'min_depth': 0.5, 'max_depth': 5.0, 'confidence_threshold': 0.3, 'focal_correction': True}


def test_a_file_that_cannot_be_written_does_not_cost_the_numbers(ros_domain, spawn, bag):
    if not Path('/dev/full').exists():
        pytest.skip('no /dev/full, a disk that is always full')
    child = spawn('replay', bag, *TRUTH, '--lossless', '--json', '/dev/full', '--ros-args',
                  *NETWORK)
    assert child.wait(300) == 1
    assert 'mean IoU (%)' in child.output and 'end to end' in child.output
    assert '/dev/full' in child.output and 'Traceback' not in child.output


def test_a_folder_is_no_file_to_write(bag, capsys):
    with pytest.raises(SystemExit) as end:
        main([str(bag), '--json', '.'])
    assert end.value.code == 2
    assert '--json: . is a folder; name a file' in capsys.readouterr().err
    # A place that is known to be impossible costs no time.
    with pytest.raises(SystemExit):
        main([str(bag), '--json', str(bag / 'metadata.yaml' / 'r.json')])
    assert 'metadata.yaml/r.json cannot be written' in capsys.readouterr().err


def test_ctrl_c_keeps_what_was_measured_and_ends_all(ros_domain, spawn, bag, tmp_path):
    child = spawn('replay', bag, *TRUTH, '--player', 'jrn_play', '--speed', '0.1', '--json',
                  tmp_path / 'replay.json', '--ros-args', *NETWORK)
    import rclpy
    from sensor_msgs.msg import Image
    rclpy.init()
    try:
        node, heard = rclpy.create_node('ear'), []
        node.create_subscription(Image, '/depth', heard.append, 10)
        deadline = time.monotonic() + 120
        while len(heard) < 3:  # By then the first has been measured.
            assert child.process.poll() is None and time.monotonic() < deadline, child.output
            rclpy.spin_once(node, timeout_sec=0.2)
        node.destroy_node()
    finally:
        rclpy.try_shutdown()
    code = child.stop()
    assert code == 3, child.output
    assert 'partial: stopped by Ctrl-C' in child.output
    assert 'Traceback' not in child.output
    # Node and player write to the same pipe: it ends when they have.
    assert not child._reader.is_alive()
    assert json.loads((tmp_path / 'replay.json').read_text())['partial'] is True


def test_a_node_that_refuses(ros_domain, spawn, bag):
    child = spawn('replay', bag, '--ros-args', '-p', 'variant:=nonsense')
    assert child.wait(120) == 1
    assert 'jrn_replay: jrn_node ended with exit code 1' in child.output
    assert 'Traceback' not in child.output


@pytest.mark.parametrize('arguments, text', [
    (('/nowhere',), '/nowhere: no such recording'),
    (('BAG', '--image', '/nothing'), "no image topic '/nothing'"),
    (('BAG', '--depth', '/nothing'), "no messages of '/nothing'"),
    (('BAG', '--label-map', 'x.json'), '--label-map needs --labels'),
    (('BAG', '--speed', '0'), '--speed 0: a positive number'),
    (('BAG', '--speed', 'nan'), '--speed nan: a positive number'),
    (('BAG', '--lossless', '--player', 'ros2bag'), '--lossless waits for results'),
    (('BAG', '--namespace', 'front'), 'front: begins with /'),
    (('BAG', '--node', '/a', '--namespace', '/b'), '--node: ROS arguments and the namespace'),
    (('BAG', '--node', '/a', '--ros-args', '-p', 'x:=1'), '--node: ROS arguments'),
])
def test_mistakes_get_one_line_and_exit_code_1(arguments, text, bag, capsys):
    pytest.importorskip('rclpy')
    assert main([str(bag) if item == 'BAG' else item for item in arguments]) == 1
    captured = capsys.readouterr()
    assert text in captured.err and captured.err.count('\n') == 1
    assert captured.out == ''


def test_what_the_node_publishes_is_not_played_to_it(tmp_path, capsys):
    pytest.importorskip('rclpy')
    with Writer(tmp_path / 'bag') as writer:
        header = writer.header(10**18, 'camera')
        for topic in ('/image', '/depth'):
            writer.add(topic, IMAGE)
        writer.write('/image', 10**18, writer.image(header, np.zeros((8, 8, 3), np.uint8), 'rgb8'))
        writer.write('/depth', 10**18, writer.image(header, np.ones((8, 8), np.float32), '32FC1'))
    assert main([str(tmp_path / 'bag')]) == 1
    assert 'has /depth itself, which the node publishes' in capsys.readouterr().err


def test_the_player_is_ros2_bag_where_there_is_one(monkeypatch):
    monkeypatch.setattr(shutil, 'which', lambda name: None)
    assert {replay_processes.choose_player(name) for name in ('auto', 'jrn_play')} == {'jrn_play'}
    with pytest.raises(ValueError, match='`ros2 bag play` is not installed'):
        replay_processes.choose_player('ros2bag')
    monkeypatch.setattr(shutil, 'which', lambda name: f'/opt/ros/{name}')
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: object())
    assert [replay_processes.choose_player(name) for name in replay_processes.PLAYERS] == [
        'ros2bag', 'ros2bag', 'jrn_play']
    monkeypatch.setattr(importlib.util, 'find_spec',
                        lambda name: None if name == 'ros2bag' else object())
    assert replay_processes.choose_player('auto') == 'jrn_play'


def test_both_players_get_the_same_order():
    arguments = Path('bag'), ['/a', '/b'], 0.5, 3, Path('qos.yaml')
    ours = replay_processes.player_command('jrn_play', *arguments)
    assert ours[:3] == [sys.executable, '-m', 'jrn_perception.cli.play']
    from jrn_perception.cli.play import parser
    options = parser().parse_args(ours[3:])
    assert (options.source, options.topic, options.speed, options.wait_for_subscribers) == (
        'bag', ['/a', '/b'], 0.5, 3)
    assert options.as_recorded and options.clock and options.reliable
    theirs = replay_processes.player_command('ros2bag', *arguments)
    assert theirs[:4] == ['ros2', 'bag', 'play', 'bag']
    assert theirs[-3:] == ['--topics', '/a', '/b']
    for option, value in (('--clock', '50'), ('--rate', '0.5'),
                          ('--qos-profile-overrides-path', 'qos.yaml')):
        assert theirs[theirs.index(option) + 1] == value


@pytest.mark.parametrize('msgtype, name, transport', [
    (IMAGE, 'image', 'raw'), (COMPRESSED, 'image/compressed', 'compressed')])
def test_the_node_reads_the_recorded_topic(msgtype, name, transport):
    command = replay_processes.node_command(Topic('/eye', msgtype, 1), '/front',
                                            ['-p', 'lazy:=false'])
    assert command[:3] == [sys.executable, '-m', 'jrn_perception.cli.node']
    for part in (f'{name}:=/eye', '__ns:=/front', 'use_sim_time:=true', 'lazy:=false',
                 f'image_transport:={transport}'):
        assert part in command
