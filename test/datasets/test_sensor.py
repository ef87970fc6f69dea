# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The simulated depth camera: where it is blind, and how its errors grow."""

from jrn_perception.datasets.sensor import DepthCamera, WithSensor
from jrn_perception.frame import Frame
import numpy as np
import pytest

GREY = np.full((96, 128, 3), 120, np.uint8)
# Nothing is lost without a visible reason.
PLAIN = DepthCamera(patches=0.0)
INSIDE = np.s_[8:-8, 16:-8]


def wall(metres, shape=(96, 128)):
    return np.full(shape, metres, np.float32)


def measure(rgb=GREY, depth=None, camera=PLAIN, seed=0, focal_length=100.0):
    return camera.measure(rgb, wall(2) if depth is None else depth,
                          np.random.default_rng(seed), focal_length)


def holes(measured):
    return np.isnan(measured[INSIDE]).mean()


def test_a_grey_wall_is_measured():
    measured = measure()
    assert measured.dtype == np.float32 and measured.shape == (96, 128)
    assert holes(measured) == 0
    assert np.abs(measured[INSIDE] - 2).mean() < 0.1
    # One view of two does not see the left of the picture.
    assert np.isnan(measured[:, 0]).all() and np.isnan(measured[0]).all()


@pytest.mark.parametrize('rgb, depth', [
    (np.full_like(GREY, 5), wall(2)), (np.full_like(GREY, 255), wall(2)), (GREY, wall(0.3)),
    (GREY, wall(9)), (GREY, wall(np.nan))], ids=['dark', 'specular', 'near', 'far', 'unknown'])
def test_what_such_a_camera_does_not_see(rgb, depth):
    assert holes(measure(rgb, depth)) > 0.9


def test_a_saturated_colour_is_no_highlight():
    red = np.zeros_like(GREY)
    red[..., 0] = red[..., 1] = 255
    assert holes(measure(red)) < 0.1


def test_thin_things_and_what_near_things_cover():
    depth = wall(3)
    depth[:, 60] = 1
    assert np.isnan(measure(depth=depth)[INSIDE][:, 60 - 16]).all()
    depth = wall(3)
    depth[:, 60:100] = 1
    measured = measure(depth=depth)[INSIDE]
    # 4 pixels of disparity more than the wall has, on the left; columns are counted from 16.
    assert np.isnan(measured[:, 42:44]).all() and np.isfinite(measured[:, 30:39]).all()
    assert np.isfinite(measured[:, 50:80]).all() and np.isfinite(measured[:, 90:]).all()


def test_steps_grow_with_the_square_of_the_distance():
    def steps(metres):
        ramp = np.tile(np.linspace(metres, 1.2 * metres, 128, dtype=np.float32), (96, 1))
        camera = DepthCamera(patches=0.0, far=50.0)
        found = np.unique(measure(depth=ramp, camera=camera, focal_length=400.0)[INSIDE])
        return np.diff(found[np.isfinite(found)]).mean()
    assert steps(4.0) / steps(2.0) == pytest.approx(4, rel=0.3)
    assert steps(2.0) == pytest.approx(2.2 ** 2 * 0.125 / (400 * 0.06), rel=0.3)


def test_dropped_frames_and_patches():
    blind = DepthCamera(blind=0.5)
    share = np.mean([np.isnan(measure(camera=blind, seed=seed)).all() for seed in range(60)])
    assert 0.3 < share < 0.7
    patches = [holes(measure(camera=DepthCamera(patches=0.1), seed=seed)) for seed in range(40)]
    assert 0.05 < np.mean(patches) < 0.15


def test_frames_are_measured_alike_each_time(room):
    frame = room(0).render(height=96, width=128)

    class Two(list):
        labels, depth_range = None, (0.5, 10.0)
    frames = WithSensor(Two((frame, frame)), seed=3)
    assert len(frames) == 2 and frames.labels is None and frames.depth_range == (0.5, 10.0)
    first = frames[0].measured
    np.testing.assert_array_equal(first, frames[0].measured)
    assert not np.array_equal(first, frames[1].measured, equal_nan=True)
    known = np.isfinite(first)
    assert 0.3 < known.mean() < 0.98
    assert np.abs(first - frame.depth)[known].mean() < 0.2
    with pytest.raises(ValueError, match='frame dark: has no depth to simulate a depth camera on'):
        WithSensor(Two((Frame(GREY, 'dark'),)))[0]
