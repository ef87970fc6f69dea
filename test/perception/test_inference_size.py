# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The size of the network's input, and the scale of depth for camera and size."""

from dataclasses import replace
import math

from jrn_perception import labels, weights
from jrn_perception.networks.interface import Maps
from jrn_perception.perception import Perception, Prediction
from jrn_perception.perception.backends.torch import (
    to_arrays,
)
import numpy as np
import pytest
from small_networks import blocks, load, picture


def sized(height=0, width=0, trained=(288, 384)):
    perception = Perception.__new__(Perception)
    perception._requested = height, width
    perception.card = weights.Card('depth', '', input_size=trained)
    return perception.inference_size


@pytest.mark.parametrize('picture_size, expected', [
    ((480, 640), (288, 384)), ((640, 480), (384, 288)), ((1080, 1920), (256, 448)),
    ((288, 384), (288, 384)), ((33, 47), (288, 384)), ((350, 1200), (192, 608))])
def test_sizes_keep_the_aspect_and_the_number_of_pixels(picture_size, expected):
    found = sized()(*picture_size)
    assert found == expected
    assert found[0] % 32 == found[1] % 32 == 0
    assert math.prod(found) == pytest.approx(288 * 384, rel=0.1)
    assert found[0] / found[1] == pytest.approx(picture_size[0] / picture_size[1], rel=0.12)


@pytest.mark.parametrize('requested, picture_size, expected', [
    ((96, 0), (480, 640), (96, 128)), ((0, 128), (480, 640), (96, 128)),
    ((96, 0), (640, 480), (96, 64)), ((0, 640), (350, 1200), (192, 640)),
    ((100, 201), (480, 640), (100, 201))])
def test_requested_sizes(requested, picture_size, expected):
    assert sized(*requested)(*picture_size) == expected


def test_a_request_of_one_side_never_gives_nothing():
    assert sized(height=32)(1000, 10) == (32, 32)
    assert sized(width=32)(10, 1000) == (32, 32)


@pytest.mark.parametrize('size', [(-1, 0), (0, -32)])
def test_a_negative_size_is_refused(size):
    with pytest.raises(ValueError, match='inference size .*: 0 .the trained size. or positive'):
        load('depth', height=size[0], width=size[1])


def test_the_trained_size_is_the_cards():
    assert sized(trained=(96, 128))(480, 640) == (96, 128)
    assert load('depth').inference_size(480, 640) == weights.Card('depth', '').input_size


def test_an_odd_requested_size_runs():
    prediction = load('hydranet', height=67, width=101)(picture())
    assert prediction.depth.shape == (120, 160)
    prediction = load('jrn', 'cat1', height=67, width=101)(picture())
    assert prediction.labels.shape == (120, 160)


def with_focal_length(focal_length, trained=(96, 128), **options):
    loaded = weights.load('depth', weights='random')
    card = replace(loaded.card, focal_length=focal_length, input_size=trained)
    return Perception(replace(loaded, card=card), device='cpu', **options)


@pytest.mark.parametrize('size, focal_length, expected', [
    ((96, 128), (100, 110), 1),            # the camera of training
    ((480, 640), (500, 550), 1),           # in more pixels
    ((96, 128), (200, 220), 2),            # twice the magnification: twice as far
    ((480, 640), (250, 275), 0.5),
    ((96, 128), (400, 110), 2)])           # a pixel that is not square
def test_depth_follows_the_focal_length(size, focal_length, expected):
    perception = with_focal_length((100, 110))
    assert perception.depth_scale(size, focal_length) == pytest.approx(expected)
    rgb = picture(*size)
    np.testing.assert_allclose(perception(rgb, focal_length=focal_length).depth,
                               expected * perception(rgb).depth, rtol=1e-5)


def test_a_crop_shows_the_same_depth_as_the_whole():
    perception = with_focal_length((100, 100))
    whole = perception.depth_scale((480, 640), (500, 500))
    # The middle half keeps its focal length, and is enlarged twice as much for the network.
    assert perception.depth_scale((240, 320), (500, 500)) == pytest.approx(2 * whole)


def test_weights_that_do_not_tell_their_focal_length_leave_depth_alone():
    assert with_focal_length(None).depth_scale((480, 640), (1, 1)) == 1


@pytest.mark.parametrize('trained', [None, (100, 100)])
@pytest.mark.parametrize('size, expected', [
    ({}, 1), ({'height': 192, 'width': 256}, 2), ({'height': 48, 'width': 64}, 0.5),
    ({'height': 96, 'width': 512}, 2)])
def test_depth_follows_the_inputs_size_where_no_camera_is_known(trained, size, expected):
    """In an input of twice the length and width things look twice as near as they are."""
    perception = with_focal_length(trained, **size)
    assert perception.depth_scale((480, 640)) == pytest.approx(expected)
    prediction = perception(picture(96, 128))
    assert prediction.depth_scale == pytest.approx(expected)


def test_the_camera_of_training_and_no_camera_are_scaled_alike():
    perception = with_focal_length((100, 110), height=192, width=256)
    known = perception.depth_scale((480, 640), (500, 550))
    assert known == pytest.approx(perception.depth_scale((480, 640))) == pytest.approx(2)


def test_the_inputs_of_a_jrn_are_scaled_with_it():
    maps = to_arrays(Maps(blocks(1), blocks(5), inputs=Maps(blocks(1, seed=1), blocks(5))))
    plain, scaled = (Prediction(maps, (6, 8), labels.NYU5, scale) for scale in (1., 3.))
    np.testing.assert_allclose(scaled.depth, 3 * plain.depth)
    np.testing.assert_allclose(scaled.inputs.depth, 3 * plain.inputs.depth)
    assert np.array_equal(scaled.labels, plain.labels)


def test_a_smaller_input_of_the_same_network_keeps_scale_and_size():
    loaded = weights.load('hydranet', weights='random')
    full = Perception(loaded, device='cpu', height=96, width=192)
    smaller = full.smaller(2 / 3)
    assert smaller.backend is full.backend
    assert smaller.inference_size(480, 640) == (64, 128)
    assert full.inference_size(480, 640) == (96, 192)
    rgb = np.zeros((60, 80, 3), np.uint8)
    assert smaller(rgb).depth.shape == (60, 80)
    # Under half of the pixels of a known camera, things are as many metres away.
    assert smaller.depth_scale((60, 80)) == pytest.approx(full.depth_scale((60, 80)) * 2 / 3)


def test_a_network_in_coarser_classes_says_what_its_predictions_say_folded():
    perception = Perception(weights.load('hydranet', weights='random'), device='cpu', height=64)
    rgb = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    folded = perception.folded(labels.NYU5)
    assert folded.backend is perception.backend
    assert (folded.label_set, perception.label_set) == (labels.NYU5, labels.NYU40)
    expected = perception(rgb).folded(labels.fold_matrix(labels.NYU40, labels.NYU5), labels.NYU5)
    found = folded(rgb)
    assert found.label_set is labels.NYU5
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_array_equal(found.confidence, expected.confidence)
    np.testing.assert_array_equal(found.depth, expected.depth)
    assert perception.folded(labels.NYU40) is perception
    with pytest.raises(ValueError, match='no map from label set nyu40 to kitti6'):
        perception.folded(labels.KITTI6)
