# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Depth is metric for the focal length that the camera says it has."""

from dataclasses import replace

from jrn_perception import weights
from jrn_perception.perception import Perception
from jrn_perception.rooms.scenes import Scene
import numpy as np
import pytest

# Of a 640x480 Kinect, and what is left of it at the input of the network.
KINECT = (518.9, 519.5)
TRAINED = (KINECT[0] * 96 / 640, KINECT[1] * 64 / 480)


@pytest.fixture(scope='module')
def perception():
    """Return an untrained network that says it was trained behind a Kinect, at 64x96."""
    loaded = weights.load('hydranet', weights='random')
    card = replace(loaded.card, input_size=(64, 96), focal_length=TRAINED)
    return Perception(replace(loaded, card=card), 'cpu', height=64, width=96)


@pytest.fixture(scope='module')
def rgb():
    """Return a picture."""
    return Scene(1).render(height=120, width=160).rgb


@pytest.mark.parametrize('size, focal_length, scale', [
    ((480, 640), KINECT, 1.0),
    # A resized picture of the same camera: nothing changes.
    ((240, 320), (KINECT[0] / 2, KINECT[1] / 2), 1.0),
    # The middle of the picture: fills the input, so that all things look twice as near.
    ((240, 320), KINECT, 2.0),
    # A wide lens: all things look smaller, so farther than they are.
    ((480, 640), (KINECT[0] / 2, KINECT[1] / 2), 0.5),
])
def test_scale_follows_the_focal_length_at_the_networks_input(perception, size, focal_length,
                                                              scale):
    assert perception.depth_scale(size, focal_length) == pytest.approx(scale, rel=1e-6)


def test_depth_is_scaled_and_nothing_else(perception, rgb):
    plain = perception(rgb)
    wide = perception(rgb, focal_length=(KINECT[0] / 8, KINECT[1] / 8))
    np.testing.assert_allclose(wide.depth, plain.depth * 0.5, rtol=1e-5)
    np.testing.assert_array_equal(wide.labels, plain.labels)
    np.testing.assert_array_equal(wide.confidence, plain.confidence)


def test_the_unrefined_depth_of_a_jrn_is_scaled_like_the_refined(rgb):
    loaded = weights.load('jrn', 'cat1', weights='random')
    card = replace(loaded.card, input_size=(64, 96), focal_length=TRAINED)
    jrn = Perception(replace(loaded, card=card), 'cpu', height=64, width=96)
    plain, wide = jrn(rgb), jrn(rgb, focal_length=(KINECT[0] / 8, KINECT[1] / 8))
    np.testing.assert_allclose(wide.inputs.depth, plain.inputs.depth * 0.5, rtol=1e-5)


def test_weights_that_do_not_tell_their_focal_length_leave_depth_alone(rgb):
    unknown = Perception.load('hydranet', weights_file='random', device='cpu', height=64, width=96)
    assert unknown.depth_scale((480, 640), (100., 100.)) == unknown.depth_scale((480, 640))
