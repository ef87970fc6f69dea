# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A robot's recording -> labelled frames -> fine-tuned weights -> before and after."""

from dataclasses import replace
import importlib.util
import json

import cv2
from jrn_perception.cli.distill import main as distill
from jrn_perception.cli.evaluate import main as evaluate
from jrn_perception.cli.train import main as train
from jrn_perception.datasets.folder import Folder
from jrn_perception.datasets.nyuv2 import NYUv2
from jrn_perception.messages.maps import compress_depth
from jrn_perception.recordings.reader import CAMERA_INFO, COMPRESSED
from jrn_perception.recordings.writer import Writer
from jrn_perception.sources import sample
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in (
        'jinja2', 'jsonargparse', 'lightning', 'matplotlib', 'rich', 'rosbags', 'torchmetrics')),
    reason="needs pip install '.[evaluate,train]'")

IMAGE, INFO = '/camera/image_raw/compressed', '/camera/camera_info'
DEPTH = '/camera/aligned_depth_to_color/image_raw/compressedDepth'
SIZE = (240, 320)


def write_recording(path, frames):
    """Write frames as the topics of an RGB-D camera, half their size, 10 a second."""
    with Writer(path) as writer:
        for topic, msgtype in ((IMAGE, COMPRESSED), (INFO, CAMERA_INFO), (DEPTH, COMPRESSED)):
            writer.add(topic, msgtype)
        for index, frame in enumerate(frames):
            stamp = sample.START_NS + index * 10**8
            header = writer.header(stamp, 'camera')
            rgb = cv2.resize(frame.rgb, SIZE[::-1], interpolation=cv2.INTER_AREA)
            depth = cv2.resize(frame.depth, SIZE[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
            camera = np.diag((0.5, 0.5, 1.)) @ frame.camera_matrix
            jpeg = cv2.imencode('.jpg', rgb[..., ::-1])[1].tobytes()
            for topic, msg in (
                    (INFO, writer.camera_info(header, SIZE, camera)),
                    (IMAGE, writer.compressed(header, jpeg, 'rgb8; jpeg compressed bgr8')),
                    (DEPTH, writer.compressed(header, compress_depth(depth),
                                              '16UC1; compressedDepth png'))):
                writer.write(topic, stamp, msg)


def test_the_command_makes_a_data_set_of_recordings(tmp_path, capsys):
    for seed in (1, 2):
        sample.write_sample(tmp_path / 'bags' / f'r{seed}', 3, seed, (96, 128))
    (tmp_path / 'bags' / 'damaged.mcap').write_bytes(b'nothing')
    arguments = ['bags', str(tmp_path / 'bags'), str(tmp_path / 'out'), '--depth',
                 sample.DEPTH_TOPIC, '--every', '2', '--weights', 'random', '--device', 'cpu',
                 '--height', '64', '--jobs', '1', '--threshold', '0']
    assert distill(arguments) == 3
    captured = capsys.readouterr()
    assert (f'{tmp_path}/out: 4 frames of 2 recordings (0 of them written before); the teacher '
            'labelled 4 frames (100 % of their pixels) and gave 0 their depth; 0 pictures '
            'without depth or labels were left out\n') == captured.out
    assert captured.err.count('\n') == 1
    assert captured.err.startswith('jrn_distill: failed: damaged.mcap: ')
    assert len(Folder(tmp_path / 'out', 'fit')) == 2 == len(Folder(tmp_path / 'out', 'val'))
    assert distill(arguments) == 3
    assert '4 frames of 2 recordings (2 of them written before)' in capsys.readouterr().out


@pytest.mark.parametrize('arguments, text', [
    (('bags', '/nowhere', 'OUT'), '/nowhere: no such file or folder'),
    (('bags', 'BAG', 'OUT', '--every', '0'), '--every 0: at least 1'),
    (('bags', 'BAG', 'OUT', '--label-map', 'x'), '--label-map needs --labels'),
    (('bags', 'BAG', 'OUT', '--range-extrinsics', '0 0 0 0 0 0 1'),
     '--range-extrinsics needs --depth'),
    (('bags', 'BAG', 's3://out'), 's3://out: the data set is written to a folder, not to a URL'),
    (('bags', 'BAG', 'BAG'), 'holds frames of another kind'),
    (('bags', 'BAG', 'OUT', '--weights', '/nowhere'), 'no such weights file')])
def test_mistakes_get_one_line(arguments, text, tmp_path, capsys):
    bag = tmp_path / 'bag'
    bag.mkdir()
    for name in ('one.mcap', 'all.txt'):
        (bag / name).touch()
    names = {'BAG': str(bag), 'OUT': str(tmp_path / 'out')}
    assert distill([names.get(word, word) for word in arguments]) == 1
    error = capsys.readouterr().err
    assert error.startswith('jrn_distill: ') and text in error and error.count('\n') == 1


def turned(frame):
    """Return the frame as a camera sees it that hangs upside down."""
    matrix = frame.camera_matrix.copy()
    matrix[:2, 2] = (640, 480) - matrix[:2, 2]
    return replace(frame, rgb=np.ascontiguousarray(frame.rgb[::-1, ::-1]),
                   depth=np.ascontiguousarray(frame.depth[::-1, ::-1]), camera_matrix=matrix)


@pytest.mark.slow
def test_from_a_recording_of_real_frames_to_better_weights(data_dir, tmp_path):
    # Frames that the shipped weights were not trained on. Every third one is kept for the end.
    frames = NYUv2(data_dir / 'nyuv2', 'val')
    for name, wanted in (('morning', (1, 2)), ('evening', (0,))):
        write_recording(tmp_path / name, [
            turned(frames[place]) for place in range(60) if place % 3 in wanted])

    def measured(name, *network):
        path = tmp_path / f'{name}.json'
        assert evaluate(['bag', str(tmp_path / 'evening'), '--depth', DEPTH, '--json', str(path),
                         '--architecture', 'hydranet', '--device', 'cpu', *network]) == 0
        return json.loads(path.read_text())['output']['pooled']

    before = measured('before')
    assert distill(['bags', str(tmp_path / 'morning'), str(tmp_path / 'mydata'), '--depth', DEPTH,
                    '--device', 'cpu', '--jobs', '1']) == 0
    assert train(['hydranet', '--reader', 'folder', '--data', str(tmp_path / 'mydata'),
                  '--output', str(tmp_path / 'runs'), '--start', 'shipped', '--epochs', '8'
                  ]) == 0
    after = measured('after', '--weights', str(tmp_path / 'runs' / 'hydranet_nyu40.safetensors'))
    assert before['rms'] > 1 and after['rms'] < 0.9 * before['rms']
    assert after['delta1'] > before['delta1'] + 0.05 and after['rel'] < before['rel']
