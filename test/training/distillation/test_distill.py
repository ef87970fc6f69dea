# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Missing annotations come from the teacher, given ones stay as they are."""

from dataclasses import replace
import json

from jrn_perception import weights
from jrn_perception.cli.distill import main
from jrn_perception.datasets.folder import Folder
from jrn_perception.labels import custom, UNLABELLED
from jrn_perception.perception import Perception
from jrn_perception.rooms.scenes import Scene
from jrn_perception.training.distillation.distill import distil, PROVENANCE
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
    both, depth_only, labels_only = Folder(tmp_path, 'all')
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
    written = Folder(tmp_path, 'all')[0].labels
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
    with pytest.raises(ValueError, match="nyu40 or classes of one's own, not kitti6"):
        distil(other, [replace(frame, labels=None)], tmp_path, 0.5)


def test_classes_of_another_set_are_not_written_as_the_teachers(teacher, frame, tmp_path):
    # Also where labels are what the frames have.
    with pytest.raises(ValueError, match='the teacher labels nyu40, the frames are labelled in '
                                         'custom'):
        distil(teacher, [replace(frame, depth=None)], tmp_path, 0.5, custom(['pallet']))


def test_classes_of_ones_own_keep_their_names(frame, tmp_path):
    depth = Perception.load('depth', weights_file='random', device='cpu', height=64, width=96)
    own = custom(('floor', 'pallet'))
    frame = replace(frame, depth=None, labels=frame.labels % 2)
    distil(depth, [frame], tmp_path, 0.5, own)
    written = Folder(tmp_path, 'all')
    assert written.labels == own
    np.testing.assert_array_equal(written[0].labels, frame.labels)


def test_depth_is_right_for_the_camera_and_the_camera_is_told(teacher, frame, tmp_path):
    card = replace(teacher.card, focal_length=(100., 100.))
    teacher = Perception(weights.Loaded(teacher.backend.network, card, ''), 'cpu', height=64,
                         width=96)
    distil(teacher, [replace(frame, depth=None)], tmp_path, 0.5)
    written = Folder(tmp_path, 'all')[0]
    assert written.focal_length == pytest.approx(frame.focal_length)
    expected = teacher(frame.rgb, focal_length=frame.focal_length)
    assert expected.depth_scale != 1
    low, high = (expected.depth_scale * limit for limit in card.depth_range)
    inside = (expected.depth >= low) & (expected.depth <= high)
    assert inside.any()
    np.testing.assert_array_equal(np.isfinite(written.depth), inside)
    np.testing.assert_allclose(written.depth[inside], expected.depth[inside], atol=6e-4)


def test_a_folder_holds_the_frames_of_one_camera(teacher, frame, tmp_path):
    other = replace(frame, name='other', camera_matrix=2 * frame.camera_matrix)
    with pytest.raises(ValueError, match='frame other is of another camera'):
        distil(teacher, [frame, other], tmp_path, 0.5)


def test_what_is_measured_on_is_not_distilled_unasked(teacher, frame, tmp_path, capsys):
    source = tmp_path / 'source'
    distil(teacher, [frame], source, 0.5, depth_range=(0.3, 20.))
    (source / 'val.txt').write_text('000000')
    arguments = ['folder', str(source), str(tmp_path / 'out'), '--weights', 'random', '--device',
                 'cpu']
    assert main(arguments) == 1
    assert capsys.readouterr().err == (f'jrn_distill: {source}: name the split to learn from; '
                                       'folder has the text files in the folder\n')
    assert main([*arguments, '--split', 'all']) == 0
    assert Folder(tmp_path / 'out', 'all').depth_range == (0.3, 20)


def test_the_command_says_what_is_wrong_in_one_line(tmp_path, capsys):
    assert main(['nyuv2', str(tmp_path / 'nowhere'), str(tmp_path / 'out')]) == 1
    assert capsys.readouterr().err.startswith('jrn_distill: ')
