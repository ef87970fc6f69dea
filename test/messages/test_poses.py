# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Poses from numbers, texts and transforms."""

import math
from types import SimpleNamespace

from jrn_perception.messages import poses
import numpy as np
import pytest

# A lidar on top of the camera: its x is the camera's z, its y the camera's -x, its z the -y.
OPTICAL = '0 -0.2 0.05 0.5 -0.5 0.5 0.5'


def test_a_lidar_point_in_the_cameras_optical_frame():
    pose = poses.from_text(OPTICAL)
    np.testing.assert_allclose(pose.apply(np.array([(3.0, 1.0, 0.5), (0, 0, 0)])),
                               [(-1.0, -0.7, 3.05), (0, -0.2, 0.05)], atol=1e-12)


def test_texts_transforms_and_quaternions_of_any_length():
    half = math.sqrt(0.5)
    turn = poses.from_numbers((1, 2, 3, 0, 0, 5 * half, 5 * half))
    np.testing.assert_allclose(turn.apply(np.array([(1.0, 0, 0)])), [(1, 3, 3)], atol=1e-12)
    transform = SimpleNamespace(
        translation=SimpleNamespace(x=1.0, y=2.0, z=3.0),
        rotation=SimpleNamespace(x=0.0, y=0.0, z=half, w=half))
    text = f'1, 2, 3, 0, 0, {half} {half}'
    for other in (poses.from_transform(transform), poses.from_text(text)):
        np.testing.assert_allclose(other.rotation, turn.rotation, atol=1e-12)
        np.testing.assert_array_equal(other.translation, turn.translation)


@pytest.mark.parametrize('text', ['', '1 2 3', '0 0 0 0 0 0 0', '0 0 0 0 0 0 nan', 'a b c d e f g',
                                  '0 0 0 0 0 0 1 0'])
def test_what_is_no_pose_is_refused(text):
    with pytest.raises(ValueError, match='expected seven numbers x y z qx qy qz qw, got'):
        poses.from_text(text)
