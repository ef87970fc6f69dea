# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A prediction whose depth was measured."""

from jrn_perception.perception import Perception, SetUp
import numpy as np
import pytest


@pytest.mark.parametrize('read_before', [False, True])
def test_limits_and_influence_follow_the_factor_and_all_else_stays(read_before):
    perception = Perception.load('jrn', 'cat1', weights_file='random', height=64, width=96)
    rgb = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    maps = perception.infer(perception.preprocess(rgb)[None], SetUp(influence=True))
    plain, fresh = (perception.postprocess(maps, rgb.shape[:2]) for _ in range(2))
    names = ('depth', 'influence_depth', 'mean_influence', 'inputs', 'labels', 'confidence')
    if read_before:
        for name in names:
            getattr(fresh, name)
    depth = np.full((48, 64), 3.0, np.float32)
    found = fresh.with_depth(depth, 2.0)
    np.testing.assert_array_equal(found.depth, depth)
    assert found.depth_limits() == pytest.approx([2 * limit for limit in plain.depth_limits()])
    np.testing.assert_allclose(found.influence_depth, 2 * plain.influence_depth, rtol=1e-6)
    assert found.mean_influence == pytest.approx(
        (2 * plain.mean_influence[0], plain.mean_influence[1]), rel=1e-6)
    np.testing.assert_allclose(found.inputs.depth, 2 * plain.inputs.depth, rtol=1e-6)
    np.testing.assert_array_equal(found.labels, plain.labels)
    np.testing.assert_array_equal(found.confidence, plain.confidence)
    # The plain prediction stays.
    np.testing.assert_array_equal(fresh.depth, plain.depth)
    assert fresh.depth_scale == plain.depth_scale
