# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The table of what the node publishes, from a real prediction."""

from dataclasses import replace
from importlib import import_module

from jrn_perception import drawing, labels, perception
import numpy as np
import pytest

pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")
outputs = import_module('jrn_perception.ros.outputs')
parameters = import_module('jrn_perception.ros.parameters.settings')
Intrinsics = import_module('jrn_perception.messages.camera_info').Intrinsics
Header = import_module('std_msgs.msg').Header
BY_NAME = {output.name: output for output in outputs.OUTPUTS}
HEADER = Header(frame_id='camera')
ENCODINGS = {'depth': '32FC1', 'semantics': 'mono8', 'confidence': '32FC1',
             'influence/depth': '32FC1', 'influence/semantics': '32FC1',
             'depth_confidence': '32FC1',
             'depth_color': 'rgb8', 'semantics_color': 'rgb8', 'overlay': 'rgb8',
             'influence/depth_color': 'rgb8', 'influence/semantics_color': 'rgb8',
             'normals': '32FC3', 'normals_color': 'rgb8',
             'points/semantics': 'mono8', 'points/confidence': 'mono8'}
# The formats of the compressed topics.
COMPRESSED = {'depth/compressedDepth': '32FC1; compressedDepth png',
              'semantics/compressed': 'mono8; png compressed ',
              'depth_color/compressed': 'rgb8; jpeg compressed bgr8',
              'semantics_color/compressed': 'rgb8; jpeg compressed bgr8',
              'overlay/compressed': 'rgb8; jpeg compressed bgr8'}
CLOUD = ('points', 'points/semantics', 'points/confidence')


@pytest.fixture(scope='module')
def network():
    loaded = perception.Perception.load('jrn', 'cat1', weights_file='random', height=64, width=96)
    loaded.card = replace(loaded.card, depth_deviation=(-2.0, 1.0, 0.0, 0.5, 0.0, 0.0))
    return loaded


@pytest.fixture
def result_of(network, tools):
    def make(depth_range=(0.1, 10.0), **changes):
        settings = parameters.Settings(
            **{row.name: row.default for row in parameters.PARAMETERS} | changes)
        rgb = tools.picture(seed=3)
        maps = network.infer(network.preprocess(rgb)[None], perception.SetUp(influence=True))
        prediction = network.postprocess(maps, rgb.shape[:2])
        # Metres at this size of the input, not of the training's.
        prediction.depth_range = tuple(limit / prediction.depth_scale for limit in depth_range)
        return outputs.Result(outputs.Frame(rgb, prediction, HEADER,
                                            Intrinsics(50.0, 55.0, 31.0, 22.0)), settings)
    return make


@pytest.mark.parametrize('name', ENCODINGS)
def test_an_output_has_its_encoding_the_pictures_size_and_the_header(result_of, tools, name):
    message = BY_NAME[name].make(result_of())
    assert message.encoding == ENCODINGS[name]
    assert (message.height, message.width) == (48, 64)
    assert message.header is HEADER
    assert tools.array_of(message).any()


@pytest.mark.parametrize('name', COMPRESSED)
def test_a_compressed_output_has_its_format_and_shows_its_topic(result_of, tools, name):
    result = result_of()
    message, plain = BY_NAME[name].make(result), BY_NAME[name.rpartition('/')[0]].make(result)
    assert message.format == COMPRESSED[name] and message.header is HEADER
    found, expected = tools.array_of(message), tools.array_of(plain)
    if name == 'depth/compressedDepth':
        held = (expected < 10) & (expected > 0.1518)
        assert held.mean() > 0.4 and np.array_equal(np.isfinite(found), held)
        assert (np.abs(found - expected)[held] <= (expected ** 2 / 10090)[held] + 1e-5).all()
    elif name == 'semantics/compressed':
        np.testing.assert_array_equal(found, expected)
    else:
        assert np.abs(found.astype(int) - expected).mean() < 12
        lossless = BY_NAME[name].make(result_of(compressed_format='png'))
        assert lossless.format == 'rgb8; png compressed bgr8'
        np.testing.assert_array_equal(tools.array_of(lossless), expected)


def test_the_table_is_the_documented_one():
    assert set(BY_NAME) == {*ENCODINGS, *COMPRESSED, 'points'}
    assert {name for name, output in BY_NAME.items() if output.picture} == {
        'depth_color', 'semantics_color', 'overlay', 'influence/depth_color',
        'influence/semantics_color', 'normals_color', 'depth_color/compressed',
        'semantics_color/compressed', 'overlay/compressed'}
    assert {name for name, output in BY_NAME.items() if output.transport} == set(COMPRESSED)
    assert {name for name, output in BY_NAME.items() if output.influence} == {
        'influence/depth', 'influence/semantics', 'influence/depth_color',
        'influence/semantics_color'}
    assert {name for name, output in BY_NAME.items() if output.cloud} == {
        *CLOUD, 'normals', 'normals_color'}
    assert {name for name, output in BY_NAME.items() if output.metric} == {
        'depth', 'depth_confidence', 'depth_color', 'influence/depth', 'influence/depth_color',
        'points', 'normals', 'normals_color', 'depth/compressedDepth', 'depth_color/compressed'}
    assert {name for name, output in BY_NAME.items() if not output.optional} == {
        'depth', 'semantics', 'confidence'}
    assert all(output.meaning for output in outputs.OUTPUTS)


def test_what_is_data_is_reliable_and_two_deep():
    reliable = import_module('rclpy.qos').ReliabilityPolicy.RELIABLE
    assert all(output.qos.reliability == reliable for output in outputs.OUTPUTS)
    assert {name for name, output in BY_NAME.items() if output.qos.depth == 1} == {
        'depth_color', 'semantics_color', 'overlay', 'influence/depth_color',
        'influence/semantics_color', 'normals_color', 'depth_color/compressed',
        'semantics_color/compressed', 'overlay/compressed'}
    assert {output.qos.depth for output in outputs.OUTPUTS} == {1, 2}


@pytest.mark.parametrize('stride', [1, 5])
def test_mask_confidence_and_points_are_of_the_same_pixels(result_of, tools, stride):
    middle = float(np.median(result_of().prediction.depth))
    result = result_of(points_stride=stride, confidence_threshold=0.21, min_depth=middle,
                       confidence_encoding='32FC1')
    cloud, mask, confidence = (BY_NAME[name].make(result) for name in CLOUD)
    assert all(message.header is HEADER for message in (cloud, mask, confidence))
    points = tools.points_of(cloud)
    assert points.shape == (-(-48 // stride), -(-64 // stride))
    np.testing.assert_array_equal(points['z'], result.depth[::stride, ::stride])
    np.testing.assert_array_equal(points['class'], result.labels[::stride, ::stride])
    np.testing.assert_array_equal(tools.array_of(mask), points['class'])
    np.testing.assert_array_equal(tools.array_of(confidence), np.rint(255 * points['confidence']))
    assert np.isnan(points['z']).any() and np.isfinite(points['z']).any()


def test_the_temperature_of_the_card_reaches_every_confidence_and_the_threshold(network, tools):
    settings = parameters.Settings(
        **{row.name: row.default for row in parameters.PARAMETERS} | {'confidence_threshold': 0.3})
    rgb = tools.picture(seed=3)
    maps = network.infer(network.preprocess(rgb)[None])
    found = []
    for temperature in (1.0, 0.1):
        prediction = network.with_temperature(temperature).postprocess(maps, rgb.shape[:2])
        result = outputs.Result(outputs.Frame(rgb, prediction, HEADER,
                                              Intrinsics(50.0, 55.0, 31.0, 22.0)), settings)
        confidence, byte, mask = (tools.array_of(BY_NAME[name].make(result)) for name in (
            'confidence', 'points/confidence', 'semantics'))
        np.testing.assert_array_equal(confidence, prediction.confidence)
        np.testing.assert_array_equal(byte, np.rint(255 * confidence))
        np.testing.assert_array_equal(
            tools.points_of(BY_NAME['points'].make(result))['confidence'], confidence)
        np.testing.assert_array_equal(mask == 255, confidence < 0.3)
        found.append((prediction.labels, confidence, mask))
    (labels_of, plain, unsure), (same, sharp, sure) = found
    np.testing.assert_array_equal(labels_of, same)
    assert (sharp > plain).all() and (unsure == 255).sum() > (sure == 255).sum()


def test_limits_not_set_are_those_of_the_weights(result_of):
    full = result_of().prediction.depth
    low, middle, high = (float(value) for value in np.quantile(full, (0.2, 0.5, 0.8)))
    for settings, expected in (({}, (low, high)), ({'min_depth': middle}, (middle, high)),
                               ({'max_depth': middle}, (low, middle))):
        depth = result_of((low, high), **settings).depth
        np.testing.assert_array_equal(
            np.isnan(depth), (full < expected[0]) | (full > expected[1]))


def test_what_several_outputs_share_is_computed_once(result_of, monkeypatch):
    calls = []
    for name in ('valid_depth', 'confident_labels'):
        original = getattr(perception.Prediction, name)
        monkeypatch.setattr(
            perception.Prediction, name, lambda *arguments, name=name, original=original: (
                calls.append(name), original(*arguments))[1])
    result = result_of(confidence_threshold=0.1)
    for output in outputs.OUTPUTS:
        output.make(result)
    assert sorted(calls) == ['confident_labels', 'valid_depth']


def test_raw_and_compressed_pictures_are_drawn_once(result_of, monkeypatch):
    calls = []
    for name in ('colourise_depth', 'overlay'):
        original = getattr(drawing, name)
        monkeypatch.setattr(drawing, name, lambda *arguments, name=name, draw=original: (
            calls.append(name), draw(*arguments))[1])
    result = result_of()
    for output in outputs.OUTPUTS:
        output.make(result)
    assert sorted(calls) == ['colourise_depth', 'overlay']


def test_unlabelled_pixels_are_black_and_those_of_the_picture_in_the_overlay(result_of, tools):
    confidence = result_of().prediction.confidence
    result = result_of(confidence_threshold=float(np.median(confidence)))
    unsure = confidence < np.median(confidence)
    assert 0 < unsure.sum() < unsure.size
    ids, colours, overlay = (tools.array_of(BY_NAME[name].make(result))
                             for name in ('semantics', 'semantics_color', 'overlay'))
    assert (ids[unsure] == 255).all()
    assert not colours[unsure].any()
    np.testing.assert_array_equal(overlay[unsure], result.rgb[unsure])
    np.testing.assert_array_equal(
        colours[~unsure], np.array(labels.NYU5.colours, np.uint8)[ids[~unsure]])


def test_making_pictures_leaves_the_prediction_and_the_picture_alone(result_of):
    result = result_of(min_depth=1.0, confidence_threshold=0.2)
    before = [array.copy() for array in (
        result.rgb, result.prediction.depth, result.prediction.labels,
        result.prediction.confidence)]
    for output in outputs.OUTPUTS:
        output.make(result)
    for array, copy in zip((result.rgb, result.prediction.depth, result.prediction.labels,
                            result.prediction.confidence), before):
        np.testing.assert_array_equal(array, copy)
