# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Measured depth with holes: resized, completed, used as a scale, and in front of the JRN."""

from jrn_perception.frame import Frame
from jrn_perception.perception import Perception
from jrn_perception.perception.inputs.interface import SourceError, Unmeasured
from jrn_perception.perception.inputs.measured import (
    check_registered,
    complete,
    Measured,
    nearest,
    scaled,
    shrink,
    smooth_field,
)
from jrn_perception.perception.stream import stream
import numpy as np
import pytest

NAN = np.nan


def array(rows):
    return np.array(rows, np.float32)


def ramp(height=48, width=64, low=1.0, high=5.0):
    return np.linspace(low, high, height * width, dtype=np.float32).reshape(height, width)


def test_holes_do_not_pull_their_neighbours_down():
    depth = array([[2, 2, 0, NAN], [2, 2, NAN, 4], [1, 0, 6, 6], [0, 0, 6, 8]])
    found = shrink(depth, (2, 2))
    np.testing.assert_allclose(found.depth, [[2, 4], [1, 6.5]])
    np.testing.assert_allclose(found.validity, [[1, 0.25], [0.25, 1]])
    nothing = shrink(np.zeros((4, 4), np.float32), (2, 2))
    assert np.isnan(nothing.depth).all() and not nothing.validity.any()
    same = shrink(depth, (4, 4))
    np.testing.assert_array_equal(same.depth, np.where(depth > 0, depth, NAN))


def test_completion_scales_the_prediction_to_the_measurement():
    truth = ramp()
    predicted = truth / 1.5
    measured = truth.copy()
    measured[10:30, 20:50] = NAN
    found = complete(shrink(measured, truth.shape), predicted)
    np.testing.assert_allclose(found, truth, rtol=1e-3)
    # Where the sensor is blind, the prediction is all there is.
    blind = complete(shrink(np.full_like(truth, NAN), truth.shape), predicted)
    np.testing.assert_allclose(blind, predicted, rtol=1e-6)
    # A factor that changes across the picture is followed.
    factor = np.linspace(1, 2, truth.shape[1], dtype=np.float32)
    found = complete(shrink(np.where(np.isnan(measured), NAN, truth * factor), truth.shape),
                     truth)
    np.testing.assert_allclose(found, truth * factor, rtol=0.12)


def test_a_smooth_field_is_exact_for_a_constant_and_zero_without_weights():
    weights = np.zeros((37, 53), np.float32)
    assert not smooth_field(np.ones_like(weights), weights).any()
    weights[5, 7] = weights[30, 40] = 1
    np.testing.assert_allclose(smooth_field(np.full_like(weights, 0.7), weights), 0.7, rtol=1e-4)


def test_nearest_neighbours_fill_holes():
    found = nearest(array([[1, NAN, NAN, NAN, 5], [NAN] * 5]))
    assert found[0].tolist()[:2] == [1, 1] and found[0].tolist()[3:] == [5, 5]
    assert set(found[1].tolist()) == {1, 5}
    assert np.isnan(nearest(array([[NAN, NAN]]))).all()


@pytest.mark.parametrize('unit, values', [
    ('relative', lambda depth: (depth - 0.5) / 3), ('disparity', lambda depth: 2 / depth + 0.1)])
def test_scale_and_shift_are_fitted_without_the_wrong_pixels(unit, values):
    truth = ramp()
    measured = truth.copy()
    measured[:, ::3] = NAN
    measured[4:8, 10:20] *= 4
    found = scaled(values(truth), unit, shrink(measured, truth.shape))
    np.testing.assert_allclose(found, truth, rtol=2e-3)
    few = np.full_like(truth, NAN)
    few[0, :49] = truth[0, :49]
    with pytest.raises(Unmeasured, match='needs 50 measured pixels for its scale, there are 49'):
        scaled(values(truth), unit, shrink(few, truth.shape))
    with pytest.raises(Unmeasured, match='does not rise'):
        scaled(np.ones_like(truth), unit, shrink(truth, truth.shape))


def test_another_view_is_refused():
    check_registered(np.ones((48, 64), np.float32), (480, 640))
    with pytest.raises(SourceError, match='of 64x36 is not registered to a picture of 640x480'):
        check_registered(np.ones((36, 64), np.float32), (480, 640))


@pytest.fixture(scope='module')
def jrn():
    return Perception.load('jrn', 'cat1', device='cpu', height=96, width=128,
                           depth_source='sensor')


def room_rgb(room):
    return room(0).render(height=96, width=128)


def test_the_jrn_gets_what_the_sensor_measured(jrn, room):
    frame = room_rgb(room)
    measured = frame.depth.copy()
    measured[:, :64] = NAN
    prediction = jrn(frame.rgb, measured=measured)
    known = shrink(measured, (24, 32))
    given = prediction.depth_scale * prediction.inputs._maps.depth[0]
    np.testing.assert_allclose(given[known.validity > 0], known.depth[known.validity > 0],
                               rtol=1e-5)
    network = Perception.load('jrn', 'cat1', device='cpu', height=96, width=128)(frame.rgb)
    blind = jrn(frame.rgb)
    np.testing.assert_allclose(blind.inputs.depth, network.inputs.depth, rtol=1e-5)
    np.testing.assert_allclose(blind.depth, network.depth, rtol=1e-4)
    right = np.s_[:, 70:]
    assert (np.abs(prediction.depth - frame.depth)[right].mean()
            < 0.5 * np.abs(network.depth - frame.depth)[right].mean())


def test_measured_metres_stay_metres_under_every_focal_length(jrn, room):
    frame = room_rgb(room)
    for focal_length in (None, (60.0, 60.0), (240.0, 240.0)):
        prediction = jrn(frame.rgb, measured=frame.depth, focal_length=focal_length)
        assert np.median(np.abs(prediction.inputs.depth - frame.depth)) < 0.05


def test_a_stream_hands_on_what_frames_measured(jrn, room):
    frame = room_rgb(room)
    frames = [Frame(frame.rgb, measured=frame.depth), Frame(frame.rgb),
              Frame(frame.rgb, measured=2 * frame.depth)]
    found = [step.prediction.inputs.depth.mean() for step in
             stream(jrn, frames, lambda frame: frame, batch=3)]
    expected = [jrn(f.rgb, measured=f.measured).inputs.depth.mean() for f in frames]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found[2] == pytest.approx(2 * found[0], rel=0.01)


def test_inputs_have_to_be_given(jrn):
    picture = np.zeros((96, 128, 3), np.uint8)
    with pytest.raises(ValueError, match='the inputs of the sources are missing'):
        jrn.infer(picture[None])


def test_shapes_other_than_a_map_are_refused(jrn):
    with pytest.raises(SourceError, match=r'measured depth is \(H, W\), got \(96, 128, 1\)'):
        jrn(np.zeros((96, 128, 3), np.uint8), measured=np.ones((96, 128, 1), np.float32))
    assert isinstance(shrink(np.ones((4, 4), np.float32), (2, 2)), Measured)
