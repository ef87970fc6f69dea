# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The camera's height above the floor gives the scale of depth, or says why it does not."""

import math

from jrn_perception.perception.anchoring import scale_from_floor
import numpy as np
import pytest

CAMERA = np.array(((500., 0, 320), (0, 500, 240), (0, 0, 1)))
COLUMNS, ROWS = np.meshgrid(np.arange(640), np.arange(480))
RAYS = np.stack(((COLUMNS - 320) / 500, (ROWS - 240) / 500, np.ones((480, 640))), -1)
FLOOR, WALL = 1, 0


def room(height, pitch=20.0, scale=1.0):
    """Return depth and labels of a floor, a wall 4 m ahead, and the direction up."""
    angle = math.radians(pitch)
    up = np.array((0, -math.cos(angle), -math.sin(angle)))
    floor = height / np.maximum(-(RAYS @ up), 1e-6)
    labels = np.where(floor < 4, FLOOR, WALL).astype(np.uint8)
    return (scale * np.where(floor < 4, floor, 4)).astype(np.float32), labels, up


def test_the_known_height_gives_the_scale():
    depth, labels, up = room(1.2, scale=0.8)
    found = scale_from_floor(depth, labels, (FLOOR,), CAMERA, 1.2)
    assert found.scale == pytest.approx(1.25, rel=1e-3)
    assert found.height == pytest.approx(0.96, rel=1e-3)
    np.testing.assert_allclose(found.normal, up, atol=1e-3)
    assert found.tilt == pytest.approx(20, abs=0.1)
    assert scale_from_floor(depth, labels, (FLOOR,), CAMERA, 1.2, up).tilt < 0.1


def test_noise_and_things_that_are_labelled_floor_do_not_move_the_scale():
    depth, labels, up = room(1.2, scale=0.8)
    depth *= np.exp(0.03 * np.random.default_rng(0).standard_normal(depth.shape))
    depth[350:400, 100:250] *= 0.6
    for known in (None, up):
        found = scale_from_floor(depth, labels, (FLOOR,), CAMERA, 1.2, known)
        assert found.ratio == pytest.approx(1.25, rel=0.02)
        # A rough floor is believed in part, more of it where gravity is known.
        assert 1.02 < found.scale < 1.25
    assert found.scale > scale_from_floor(depth, labels, (FLOOR,), CAMERA, 1.2).scale


def test_a_floor_that_does_not_tell_gives_a_reason():
    depth, labels, up = room(1.2)
    without = scale_from_floor(depth, np.zeros_like(labels), (FLOOR,), CAMERA, 1.2)
    assert (without.scale, without.reason) == (None, 'no floor is seen')
    strip = np.where((ROWS > 400) & (ROWS < 430), FLOOR, WALL).astype(np.uint8)
    assert 'narrow' in scale_from_floor(depth, strip, (FLOOR,), CAMERA, 1.2).reason
    # Stairs: three treads, 0.4 m apart.
    stairs = depth * (1 + 0.35 * (ROWS // 40 % 3)).astype(np.float32)
    assert 'in one plane' in scale_from_floor(stairs, labels, (FLOOR,), CAMERA, 1.2).reason
    # A ramp of 20 degrees, where gravity is known.
    ramp = scale_from_floor(depth, labels, (FLOOR,), CAMERA, 1.2, np.array((0., -1, 0)))
    assert 'tilted by 20 degrees' in ramp.reason
    assert ramp.scale is None
    assert 'above' not in ramp.reason
    assert '1.20 m below' in scale_from_floor(depth, labels, (FLOOR,), CAMERA, 9.0).reason


def test_a_height_that_is_not_positive_is_refused():
    depth, labels, _ = room(1.2)
    with pytest.raises(ValueError, match='camera height 0'):
        scale_from_floor(depth, labels, (FLOOR,), CAMERA, 0)
