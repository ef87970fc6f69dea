# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Frames that the tests of recordings share."""

from dataclasses import replace

from jrn_perception.rooms.scenes import Scene
import numpy as np
import pytest


@pytest.fixture(scope='module')
def frames():
    """Return a short walk with holes in the ground truth, its depth whole millimetres."""
    from bags import COUNT  # Needs rosbags, which not all tests of this folder do.
    scene, found = Scene(3), []
    for index in range(COUNT):
        frame = scene.render(index / 10, 96, 128)
        depth = np.rint(frame.depth * 1000).astype(np.float32) / 1000
        depth[:9, :9] = np.nan
        labels = frame.labels.copy()
        labels[-9:] = 255
        found.append(replace(frame, depth=depth, labels=labels))
    return found
