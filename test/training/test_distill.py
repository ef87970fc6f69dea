# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Missing annotations come from the teacher, given ones stay as they are."""

from dataclasses import replace
import json

from jrn_perception.cli.distill import main
from jrn_perception.data.nyuv2 import NYUv2
from jrn_perception.data.scenes import Scene
from jrn_perception.labels import UNLABELLED
from jrn_perception.perception import Perception
from jrn_perception.training.distill import distil, PROVENANCE
import numpy as np
import pytest


@pytest.fixture(scope='module')
def teacher():
    """Return a network that knows nothing, but says it."""
    return Perception.load('hydranet', weights_file='random', device='cpu', height=64, width=96)


@pytest.fixture(scope='module')
def frame():
    """Return a small frame with both annotations."""
    return Scene(0).render(height=60, width=80)


def test_what_a_frame_has_is_kept_and_what_it_lacks_is_the_teachers(teacher, frame, tmp_path):
    frames = [frame, replace(frame, labels=None), replace(frame, depth=None)]
    result = distil(teacher, frames, tmp_path, threshold=0.)
    assert (result.frames, result.labelled_by_teacher, result.measured_by_teacher) == (3, 1, 1)
    both, depth_only, labels_only = NYUv2(tmp_path, 'all')
    prediction = teacher(frame.rgb)
    for written in (both, depth_only):
        np.testing.assert_allclose(written.depth, frame.depth, atol=6e-4)
    for written in (both, labels_only):
        np.testing.assert_array_equal(written.labels, frame.labels)
    np.testing.assert_array_equal(depth_only.labels, prediction.labels)
    low, high = teacher.card.depth_range
    inside = (prediction.depth >= low) & (prediction.depth <= high)
    np.testing.assert_array_equal(np.isfinite(labels_only.depth), inside)
    np.testing.assert_allclose(labels_only.depth[inside], prediction.depth[inside], atol=6e-4)


def test_an_unsure_teacher_leaves_pixels_unlabelled(teacher, frame, tmp_path):
    confidence = teacher(frame.rgb).confidence
    threshold = float(np.median(confidence))
    distil(teacher, [replace(frame, labels=None)], tmp_path, threshold)
    written = NYUv2(tmp_path, 'all')[0].labels
    np.testing.assert_array_equal(written == UNLABELLED, confidence < threshold)


def test_provenance_names_the_teacher_and_what_it_wrote(teacher, frame, tmp_path):
    distil(teacher, [frame, replace(frame, labels=None)], tmp_path, 0.25)
    content = json.loads((tmp_path / PROVENANCE).read_text())
    assert content['teacher'] == {'architecture': 'hydranet', 'variant': 'nyu40',
                                  'sha256': teacher.card.sha256}
    assert content['threshold'] == 0.25
    assert content['origin'] == {'000000': {'source': frame.name, 'from_teacher': []},
                                 '000001': {'source': frame.name, 'from_teacher': ['labels']}}


def test_distilled_frames_are_never_mixed_with_others(teacher, frame, tmp_path):
    distil(teacher, [frame], tmp_path, 0.5)
    with pytest.raises(ValueError, match='holds distilled frames already'):
        distil(teacher, [frame], tmp_path, 0.5)


def test_a_teacher_without_the_missing_task_is_refused(frame, tmp_path):
    blind = Perception.load('depth', weights_file='random', device='cpu', height=64, width=96)
    with pytest.raises(ValueError, match='lacks labels, which this teacher does not predict'):
        distil(blind, [replace(frame, labels=None)], tmp_path, 0.5)


def test_the_teachers_classes_must_be_those_of_the_layout(frame, tmp_path):
    other = Perception.load('hydranet', 'kitti6', weights_file='random', device='cpu', height=64,
                            width=96)
    with pytest.raises(ValueError, match='labels kitti6, not nyu40'):
        distil(other, [replace(frame, labels=None)], tmp_path, 0.5)


def test_the_command_says_what_is_wrong_in_one_line(tmp_path, capsys):
    assert main(['nyuv2', str(tmp_path / 'nowhere'), str(tmp_path / 'out')]) == 1
    assert capsys.readouterr().err.startswith('jrn_distill: ')
