# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The shipped weights for a depth camera: chosen with it, and as good as when they were made."""

from golden_metrics import about, measured, TOLERANCE
from jrn_perception import weights
from jrn_perception.datasets.nyuv2 import CROP, NYUv2
from jrn_perception.datasets.sensor import DepthCamera, WithSensor
from jrn_perception.evaluation.measures.comparison import evaluate, Protocol
from jrn_perception.evaluation.measures.frames import SceneFrames
from jrn_perception.perception import Perception
import numpy as np
import pytest

FILE = weights.SHIPPED / 'jrn_sum60_sensor.safetensors'
GOLDEN = {'output': {'mean_iou': 81.6815, 'rms': 0.1002, 'rel': 0.0152},
          'inputs': {'mean_iou': 80.6467, 'rms': 0.0965, 'rel': 0.0128}}


@pytest.fixture(scope='module')
def perception():
    return Perception.load('jrn', 'sum60', device='cpu', depth_source='sensor')


def test_the_file_is_sound_small_and_tells_its_training():
    card = weights.check(FILE, 'jrn', 'sum60')
    everything = [*weights.shipped().values(), FILE]
    assert FILE not in weights.shipped().values()
    assert sum(path.stat().st_size for path in everything) < 40e6
    assert card.sources == {'depth': 'sensor'}
    assert [part for part, _ in card.training['folds']] == ['1/2', '2/2']
    assert card.metrics['images'] == 116


def test_it_is_chosen_with_a_depth_camera_and_only_then(perception):
    assert perception.source == str(FILE)
    assert not any('learned from' in warning for warning in perception.warnings)
    plain = Perception.load('jrn', 'sum60', device='cpu', backend='torch')
    assert plain.source == str(weights.SHIPPED / 'jrn_sum60.safetensors')
    # No such file is shipped of the other variants.
    other = Perception.load('jrn', 'cat1', device='cpu', backend='torch', depth_source='sensor')
    assert other.source == str(weights.SHIPPED / 'jrn_cat1.safetensors')
    named = Perception.load('jrn', 'sum60', device='cpu', backend='torch', depth_source='sensor',
                            weights_file=str(weights.SHIPPED / 'jrn_sum60.safetensors'))
    assert named.source == plain.source


def test_a_named_runtime_that_cannot_run_it_says_so(cache):
    pytest.importorskip('onnxruntime')
    found = Perception.load('jrn', 'sum60', device='cpu', backend='onnxruntime',
                            depth_source='sensor')
    assert found.source == str(weights.SHIPPED / 'jrn_sum60.safetensors')
    assert found.warnings[0] == ('jrn_sum60_sensor.safetensors has learned from a depth camera, '
                                 'but only backend torch runs it, backend is onnxruntime')


def test_golden_metrics_on_drawn_rooms_with_a_simulated_camera(perception):
    found = evaluate(perception, WithSensor(SceneFrames(4)), Protocol())
    assert measured(found.output) == about(GOLDEN['output'])
    assert measured(found.inputs) == about(GOLDEN['inputs'])


def test_a_camera_that_sees_nothing_leaves_the_networks_depth(perception):
    blind = WithSensor(SceneFrames(1), DepthCamera(blind=1.0))[0]
    assert not np.isfinite(blind.measured).any()
    found = perception(blind.rgb, measured=blind.measured)
    assert np.isfinite(found.depth).all()
    alone = Perception.load('depth', device='cpu', backend='torch')(blind.rgb)
    ratio = np.abs(np.log(found.depth / alone.depth))
    assert np.median(ratio) < 0.1


@pytest.mark.slow
def test_the_cards_numbers_are_those_of_the_validation_frames(perception, data_dir):
    card = weights.read_card(FILE)
    found = evaluate(perception, WithSensor(NYUv2(data_dir / 'nyuv2', 'val')), Protocol(crop=CROP))
    for name, table in (('output', found.output), ('inputs', found.inputs)):
        assert measured(table) == about({
            metric: card.metrics[name][metric] for metric in TOLERANCE})


@pytest.mark.slow
def test_with_a_camera_that_has_gone_blind_it_is_about_as_good_as_its_inputs(perception, data_dir):
    frames = WithSensor(NYUv2(data_dir / 'nyuv2', 'val'), DepthCamera(blind=1.0))
    found = evaluate(perception, frames, Protocol(crop=CROP))
    # docs/results.md has these numbers.
    for table, expected in ((found.output, {'mean_iou': 62.8, 'rms': 0.598, 'rel': 0.159}),
                            (found.inputs, {'mean_iou': 62.3, 'rms': 0.599, 'rel': 0.155})):
        assert measured(table) == about(expected)
