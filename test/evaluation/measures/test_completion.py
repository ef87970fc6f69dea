# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The errors in the holes of a depth camera."""

from dataclasses import replace

from jrn_perception.evaluation.measures.completion import Completion, NEAREST, SMOOTH
from jrn_perception.frame import Frame
from jrn_perception.perception import ArrayMaps, Prediction
import numpy as np
import pytest

NAN = np.float32(np.nan)


def prediction(output, smooth):
    """Return a prediction whose depth and whose inputs' depth have one value each."""
    logits = np.zeros((1, 4, 6, 5), np.float32)
    given = ArrayMaps(np.full((1, 4, 6), smooth, np.float32), logits)
    return Prediction(ArrayMaps(np.full((1, 4, 6), output, np.float32), logits, inputs=given),
                      (8, 12), None)


def frame(name='a'):
    depth = np.full((8, 12), 2, np.float32)
    measured = depth.copy()
    measured[:, 6:] = 0
    measured[:, 5] = 3
    depth[0] = NAN
    return Frame(np.zeros((8, 12, 3), np.uint8), name, depth=depth, measured=measured)


def test_only_holes_count():
    completion = Completion()
    completion.add(frame(), prediction(2.5, 2.2), (0.1, 10.0))
    found = completion.summary()
    assert float(found['output']['rms'].value) == pytest.approx(0.5)
    assert float(found[SMOOTH]['rms'].value) == pytest.approx(0.2)
    assert float(found[NEAREST]['rms'].value) == pytest.approx(1)
    assert float(found[NEAREST]['rel'].value) == pytest.approx(0.5)
    assert float(found[f'output minus {NEAREST}']['rms'].value) == pytest.approx(-0.5)
    assert completion.output.depth[..., 0].sum() == 7 * 6


def test_images_without_a_measurement_or_without_holes_do_not_count():
    completion = Completion()
    for change in ({'measured': None}, {'measured': np.full((8, 12), NAN)}, {'depth': None},
                   {'measured': np.full((8, 12), 2, np.float32)}):
        one = frame()
        completion.add(Frame(one.rgb, depth=change.get('depth', one.depth),
                             measured=change.get('measured', one.measured)),
                       prediction(2, 2), (0.1, 10.0))
    assert completion.summary() == {}


def test_the_crop_counts_and_a_coarse_sensor_is_enlarged():
    completion = Completion((slice(2, 6), slice(0, 9)))
    one = frame()
    coarse = Frame(one.rgb, 'b', depth=one.depth, measured=one.measured[::2, ::2])
    completion.add(coarse, prediction(2.5, 2.2), (0.1, 10.0))
    assert completion.output.depth[..., 0].sum() == 4 * 3


def test_a_jrn_behind_a_simulated_sensor(room):
    from jrn_perception.datasets.sensor import WithSensor
    from jrn_perception.evaluation.measures.comparison import evaluate, Protocol
    from jrn_perception.labels import NYU40
    from jrn_perception.perception import Perception

    class Rooms(list):
        labels = NYU40
    frames = WithSensor(Rooms(room(seed).render(height=96, width=128) for seed in range(2)))
    jrn = Perception.load('jrn', 'cat1', device='cpu', height=96, width=128,
                          depth_source='sensor')
    found = evaluate(jrn, frames)
    summary = found.completion.summary()
    assert set(summary) == {'output', SMOOTH, NEAREST, f'output minus {SMOOTH}',
                            f'output minus {NEAREST}'}
    assert 0 < summary[SMOOTH]['rms'].value < 3
    # In the holes, as everywhere, the limits of depth follow the camera.
    scale = jrn.depth_scale((96, 128), frames[0].focal_length)
    assert abs(scale - 1) > 0.05
    jrn.card = replace(jrn.card, depth_range=(0.1, 1.5))
    protocol = Protocol(clamp=(scale * 0.1, scale * 1.5))
    np.testing.assert_array_equal(evaluate(jrn, frames).completion.output.depth,
                                  evaluate(jrn, frames, protocol).completion.output.depth)
