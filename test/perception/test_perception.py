# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Pictures in, depth and labels out: sizes, refusals, laziness, devices, precision."""

from dataclasses import replace
import math

import cv2
from jrn_perception import labels, weights
from jrn_perception.networks.interface import Maps
from jrn_perception.perception import ArrayMaps, Perception, Prediction
from jrn_perception.perception import prediction as module
from jrn_perception.perception.backends.torch import (
    to_arrays,
)
import numpy as np
import pytest
from small_networks import blocks, load, picture, SMALL
import torch
from torch.nn import functional

SIZES = [(480, 640), (481, 639), (640, 480), (350, 1200), (33, 47), (1, 1)]


@pytest.mark.parametrize('height, width', SIZES)
@pytest.mark.parametrize('name', ['jrn', 'hydranet'])
def test_outputs_have_the_pictures_size(name, height, width, request):
    perception = request.getfixturevalue(name)
    prediction = perception(picture(height, width))
    classes = len(perception.label_set)
    for result in (prediction, prediction.inputs) if name == 'jrn' else (prediction,):
        assert result.depth.shape == result.labels.shape == result.confidence.shape == (
            height, width)
        assert result.depth.dtype == result.confidence.dtype == np.float32
        assert result.labels.dtype == np.uint8
        assert np.isfinite(result.depth).all()
        assert result.labels.max() < classes
        assert 1 / classes * 0.999 <= result.confidence.min() and result.confidence.max() <= 1
        assert result.label_set is perception.label_set


def test_the_picture_is_seen(jrn, hydranet):
    for perception in (jrn, hydranet):
        first, second = perception(picture()), perception(picture(seed=1))
        assert len(np.unique(first.labels)) > 1
        assert (first.labels != second.labels).any()
        assert np.abs(first.depth - second.depth).max() > 1e-3


def test_depth_of_an_untrained_network_is_that_of_a_room():
    prediction = load('hydranet', liven=False)(picture())
    assert 0.1 < prediction.depth.min() and prediction.depth.max() < 10
    assert 1.5 < prediction.depth.mean() < 4


def test_the_same_picture_twice_gives_the_same_output(jrn, hydranet):
    for perception in (jrn, hydranet):
        first, second = perception(picture()), perception(picture())
        for name in ('depth', 'labels', 'confidence'):
            assert np.array_equal(getattr(first, name), getattr(second, name))


def test_views_of_an_array_are_the_picture_they_show(hydranet):
    rgb = picture()
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    padded = np.zeros((120, 170, 3), np.uint8)
    padded[:, :160] = rgb
    expected = hydranet(rgb).depth
    frozen = rgb.copy()
    frozen.flags.writeable = False
    for view in (bgr[..., ::-1], padded[:, :160], np.asfortranarray(rgb), frozen):
        assert np.array_equal(hydranet(view).depth, expected)
    assert not np.array_equal(hydranet(bgr).depth, expected)


def test_a_picture_of_the_inference_size_is_only_normalised(hydranet):
    rgb = picture(96, 128)
    assert np.array_equal(hydranet.preprocess(rgb), rgb)
    image = hydranet.backend.normalise(rgb[None])
    expected = (rgb / 255 - (0.485, 0.456, 0.406)) / (0.229, 0.224, 0.225)
    assert image.shape == (1, 3, 96, 128)
    assert image.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(image[0].permute(1, 2, 0), expected, atol=1e-5)


def test_a_larger_picture_is_averaged(hydranet):
    rgb = np.zeros((288, 384, 3), np.uint8)
    # One pixel of nine, and not the middle one.
    rgb[::3, ::3] = 180
    image = hydranet.preprocess(rgb)
    assert image.shape == (96, 128, 3) and (image == 20).all()
    expected = (20 / 255 - 0.485) / 0.229
    found = hydranet.backend.normalise(image[None])[0, 0].numpy()
    assert found == pytest.approx(expected, abs=1e-4)


def test_stages_in_a_row_are_the_call(jrn):
    rgb = picture()
    by_hand = jrn.postprocess(jrn.infer(jrn.preprocess(rgb)[None]), rgb.shape[:2])
    assert np.array_equal(by_hand.depth, jrn(rgb).depth)


def test_folded_batch_norms_say_the_same():
    loaded = weights.load('hydranet', weights='random')
    rgb = picture(96, 128)
    perception = load('hydranet', liven=False, **SMALL)
    with torch.inference_mode():
        expected = loaded.network(perception.backend.normalise(rgb[None]))
    maps = perception.infer(perception.preprocess(rgb)[None])
    np.testing.assert_allclose(maps.depth, expected.depth[:, 0], atol=1e-3, rtol=1e-3)
    np.testing.assert_allclose(maps.semantics, expected.semantics.permute(0, 2, 3, 1), atol=1e-3,
                               rtol=1e-3)


def test_a_card_states_the_preprocessing_of_its_network():
    loaded = weights.load('hydranet', weights='random')
    foreign = weights.Preprocessing(mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7),
                                    value_range=(-1.0, 1.0), channels='bgr', shrink='nearest',
                                    multiple_of=48)
    card = replace(loaded.card, preprocessing=foreign, input_size=(96, 144))
    perception = Perception(replace(loaded, card=card), 'cpu')
    rgb = picture(192, 288)
    small = perception.preprocess(rgb)
    assert perception.inference_size(200, 288) == (96, 144)
    assert np.array_equal(small, cv2.resize(rgb, (144, 96), interpolation=cv2.INTER_NEAREST)[
        ..., ::-1])
    expected = (small / 127.5 - 1 - (0.1, 0.2, 0.3)) / (0.5, 0.6, 0.7)
    image = perception.backend.normalise(small[None])
    np.testing.assert_allclose(image[0].permute(1, 2, 0), expected, atol=1e-5)


def test_at_the_networks_resolution_nothing_is_interpolated():
    logits, depth = 3 * blocks(40), 2 + blocks(1, seed=1)
    prediction = Prediction(to_arrays(Maps(depth, logits)), (6, 8), labels.NYU40)
    assert np.array_equal(prediction.depth, depth[0, 0])
    assert np.array_equal(prediction.labels, logits.argmax(1)[0])
    np.testing.assert_allclose(prediction.confidence, logits.softmax(1).amax(1)[0], atol=1e-6)


def full_resolution(maps, size, align=False):
    return functional.interpolate(maps, size, mode='bilinear', align_corners=align)


@pytest.mark.parametrize('size', [(480, 640), (61, 83)])
def test_few_classes_are_decided_at_full_resolution(size):
    logits = 3 * blocks(5, 24, 32)
    prediction = Prediction(to_arrays(Maps(semantics=logits)), size, labels.NYU5)
    expected = full_resolution(logits, size).argmax(1)[0].numpy()
    # Rounding decides where two classes are equal.
    assert (prediction.labels == expected).mean() > 0.9999


def test_many_classes_are_decided_close_to_full_resolution():
    logits = functional.interpolate(4 * blocks(40), (72, 96), mode='bicubic')
    prediction = Prediction(to_arrays(Maps(semantics=logits)), (480, 640), labels.NYU40)
    exact = full_resolution(logits, (480, 640)).argmax(1)[0].numpy()
    nearest = functional.interpolate(logits.argmax(1)[None].float(), (480, 640),
                                     mode='nearest-exact')[0, 0].numpy()
    differing = (prediction.labels != exact).mean()
    assert 0 < differing < 0.5 * (nearest != exact).mean()


@pytest.mark.parametrize('coarse', [(3, 4), (5, 7), (36, 48)])
@pytest.mark.parametrize('size', [(198, 264), (72, 96), (73, 100), (480, 640)])
def test_decisions_at_borders_are_those_of_all_enlarged_logits(coarse, size):
    logits = functional.interpolate(4 * blocks(40, *coarse), (72, 96), mode='bilinear')
    logits = np.ascontiguousarray(logits[0].permute(1, 2, 0).numpy())
    expected = cv2.resize(logits, size[::-1], interpolation=cv2.INTER_LINEAR).argmax(2)
    found = module._decide(logits, logits.argmax(2), size)
    assert found.dtype == np.uint8 and found.shape == size
    # Rounding decides where two classes are equal.
    assert (found == expected).mean() > 0.9999


def test_copied_decisions_are_those_of_the_nearest_pixel(monkeypatch):
    monkeypatch.setattr(module, 'LOGIT_BUDGET', 1)
    logits = 9 * torch.eye(3)[None, :, None]
    prediction = Prediction(to_arrays(Maps(semantics=logits)), (1, 4), labels.NYU5)
    # Centres of the four lie at -0.125, 0.625, 1.375 and 2.125 of the three.
    assert prediction.labels.tolist() == [[0, 1, 1, 2]]


def test_the_work_on_logits_is_bounded(monkeypatch):
    sizes = []
    enlarge = module._enlarge

    def watch(array, size, smooth):
        sizes.append(math.prod(size) * (array.shape[2] if array.ndim == 3 else 0))
        return enlarge(array, size, smooth)
    monkeypatch.setattr(module, '_enlarge', watch)
    for size in SIZES + [(2160, 3840)]:
        prediction = Prediction(to_arrays(Maps(semantics=blocks(40, 72, 96))), size, labels.NYU40)
        assert prediction.labels.shape == size
    assert max(sizes) <= 1.05 * module.LOGIT_BUDGET


def test_depth_is_interpolated_smoothly_and_centred():
    depth = torch.tensor([[1., 3.]])[None, None]
    prediction = Prediction(to_arrays(Maps(depth)), (1, 4), None)
    np.testing.assert_allclose(prediction.depth, [[1, 1.5, 2.5, 3]], atol=1e-6)


def test_outputs_lie_where_the_network_saw_them():
    """A step in the maps must be in the middle of all outputs, half pixels included."""
    logits = torch.zeros(1, 5, 4, 8)
    logits[:, 1, :, :4] = logits[:, 3, :, 4:] = 5
    depth = torch.ones(1, 1, 4, 8)
    depth[..., 4:] = 2
    prediction = Prediction(to_arrays(Maps(depth, logits)), (40, 80), labels.NYU5)
    assert (prediction.labels[:, :40] == 1).all() and (prediction.labels[:, 40:] == 3).all()
    np.testing.assert_allclose(prediction.depth + prediction.depth[:, ::-1], 3, atol=1e-6)
    np.testing.assert_allclose(prediction.confidence, prediction.confidence[:, ::-1], atol=1e-6)


def test_nothing_is_computed_before_it_is_read(monkeypatch):
    computed = []
    enlarge = module._enlarge
    monkeypatch.setattr(module, '_enlarge', lambda *a, **k: computed.append(1) or enlarge(*a, **k))
    maps = to_arrays(Maps(blocks(1), blocks(5), inputs=Maps(blocks(1), blocks(5))))
    prediction = Prediction(maps, (60, 80), labels.NYU5)
    assert prediction.inputs is prediction.inputs
    assert not computed
    assert prediction.depth is prediction.depth
    assert len(computed) == 1
    assert prediction.labels is prediction.labels
    assert prediction.confidence is prediction.confidence
    before = len(computed)
    assert prediction.inputs.labels is prediction.inputs.labels
    assert len(computed) > before


@pytest.mark.parametrize('architecture, has', [
    ('depth', (True, False)), ('semantics', (False, True)), ('hydranet', (True, True))])
def test_what_a_network_does_not_predict_is_none(architecture, has):
    prediction = load(architecture, **SMALL)(picture())
    found = [value is not None for value in (
        prediction.depth, prediction.labels, prediction.confidence)]
    assert found == [has[0], has[1], has[1]]
    assert prediction.inputs is None
    assert (prediction.label_set is not None) == has[1]


def test_normals_have_length_one_and_the_pictures_size(hydranet):
    three = load('hydranet', 'nyu40_normals', **SMALL)
    prediction = three(picture(61, 83))
    assert prediction.normals.shape == (61, 83, 3) and prediction.normals.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(prediction.normals, axis=2), 1, atol=1e-4)
    # The direction is the network's own.
    raw = three.infer(picture(96, 128)[None]).normals[:, 5:6, 7:8]
    seen = three.postprocess(ArrayMaps(normals=raw), (4, 4)).normals[0, 0]
    np.testing.assert_allclose(seen, raw[0, 0, 0] / np.linalg.norm(raw), atol=1e-4)
    assert hydranet(picture()).normals is None


def test_the_inputs_of_a_jrn_are_unrefined(jrn):
    rgb = picture()
    prediction = jrn(rgb)
    with torch.inference_mode():
        image = jrn.backend.normalise(jrn.preprocess(rgb)[None])
        expected = jrn.backend.network.depth(image).depth
    np.testing.assert_allclose(
        prediction.inputs.depth,
        Prediction(to_arrays(Maps(expected)), rgb.shape[:2], None, prediction.depth_scale).depth,
        atol=1e-4)
    assert np.abs(prediction.depth - prediction.inputs.depth).max() > 0.01
    assert prediction.inputs.inputs is None
    total = np.exp(prediction._maps.inputs.semantics).sum(3)
    np.testing.assert_allclose(total, 1, atol=1e-5)


@pytest.mark.parametrize('value', ['zero', 'mean', 'noise'])
@pytest.mark.parametrize('mute', ['depth', 'semantics'])
def test_a_jrn_can_be_muted(jrn, mute, value):
    rgb = picture()
    full, muted = jrn(rgb), jrn(rgb, mute, value)
    assert np.abs(full.depth - muted.depth).max() > 1e-3
    assert np.array_equal(full.inputs.depth, muted.inputs.depth)
    assert np.array_equal(full.inputs.labels, muted.inputs.labels)


def test_what_cannot_be_muted_is_refused(jrn, hydranet):
    with pytest.raises(ValueError, match="mute 'depth': hydranet has no such input; only a jrn"):
        hydranet(picture(), mute='depth')
    with pytest.raises(ValueError, match="mute 'colour': choose from none, depth, semantics"):
        jrn(picture(), mute='colour')
    with pytest.raises(ValueError, match="mute_value 'loud': choose from zero, mean, noise"):
        jrn(picture(), mute='depth', mute_value='loud')


@pytest.mark.parametrize('array', [
    np.zeros((8, 8, 3)), np.zeros((8, 8, 3), np.int8), np.zeros((8, 8), np.uint8),
    np.zeros((8, 8, 4), np.uint8), np.zeros((3, 8, 8), np.uint8), np.zeros((0, 8, 3), np.uint8),
    np.zeros((8, 0, 3), np.uint8), np.zeros((1, 8, 8, 3), np.uint8)],
    ids=lambda array: f'{array.dtype}{array.shape}')
def test_what_is_no_picture_is_refused(hydranet, array):
    with pytest.raises(ValueError, match=r'a picture is uint8 \(H, W, 3\), got ') as caught:
        hydranet(array)
    assert str(array.shape) in str(caught.value) and str(array.dtype) in str(caught.value)


def test_load_passes_on_what_it_is_told(tmp_path):
    perception = Perception.load('hydranet', 'kitti6', weights_file='random', device='cpu',
                                 precision='bf16', height=64, width=96)
    assert perception.card.variant == 'kitti6' and perception.source == 'random'
    assert perception.label_set.name == 'kitti6'
    assert (perception.precision, perception.device.type) == ('bf16', 'cpu')
    assert perception.inference_size(480, 640) == (64, 96)
    with pytest.raises(weights.WeightsError, match='no such weights file'):
        Perception.load('jrn', weights_file=str(tmp_path / 'x.safetensors'))
    with pytest.raises(ValueError, match='unknown architecture'):
        Perception.load('resnet', weights_file='random')


def test_warm_up_runs_a_picture(hydranet, monkeypatch):
    seen = []
    infer = hydranet.infer
    monkeypatch.setattr(hydranet, 'infer', lambda image, *a: seen.append(image.shape) or infer(
        image, *a))
    hydranet.warm_up()
    assert seen == [(1, 96, 128, 3)]
    assert hydranet.gpu_memory_mb() == 0


def test_valid_depth_is_inside_the_networks_limits_or_those_given():
    depth = np.array([[0.05, 0.1, 5, 10, 10.01, np.nan, np.inf, -np.inf]], np.float32)
    prediction = Prediction.of_arrays(depth, None, None, None, depth_range=(0.1, 10))
    limited = prediction.valid_depth()
    assert limited.dtype == np.float32
    assert limited is not depth
    np.testing.assert_array_equal(
        limited, np.float32([[np.nan, 0.1, 5, 10, np.nan, np.nan, np.nan, np.nan]]))
    assert depth[0, 0] == np.float32(0.05)
    np.testing.assert_array_equal(np.isfinite(prediction.valid_depth(min_depth=4, max_depth=8)),
                                  depth == 5)
    assert Prediction(ArrayMaps(), (1, 8), None).valid_depth() is None


def test_the_networks_limits_are_scaled_as_its_depth_is():
    depth = np.float32([[0.1, 0.3, 29, 31]])
    prediction = Prediction.of_arrays(depth, None, None, None, 3.0, (0.1, 10))
    assert prediction.depth_limits() == pytest.approx((0.3, 30))
    assert prediction.depth_limits(1, 0) == pytest.approx((1, 30))
    np.testing.assert_array_equal(np.isfinite(prediction.valid_depth()),
                                  [[False, True, True, False]])


def test_labels_below_the_threshold_are_unlabelled():
    prediction = Prediction.of_arrays(
        np.ones((1, 3)), np.array([[0, 1, 2]], np.uint8),
        np.array([[0.2, 0.5, 0.9]], np.float32), labels.NYU5)
    assert prediction.confident_labels(0) is prediction.labels
    limited = prediction.confident_labels(0.5)
    assert limited.dtype == np.uint8
    assert limited.tolist() == [[255, 1, 2]]
    assert prediction.confident_labels(1).tolist() == [[255, 255, 255]]
    assert prediction.labels.tolist() == [[0, 1, 2]]
