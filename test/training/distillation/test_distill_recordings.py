# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Recordings become a data set: their own depth and labels, and a teacher's for the others."""

from dataclasses import replace
from functools import partial
import json

from jrn_perception.datasets.folder import Folder
from jrn_perception.evaluation.recordings.annotated import annotated
from jrn_perception.evaluation.recordings.session import Request
from jrn_perception.fleet.engine import Engine, Network
from jrn_perception.labels import NYU40, UNLABELLED
from jrn_perception.messages.maps import to_depth, to_labels
from jrn_perception.recordings.reader import Recording
from jrn_perception.sources import sample
from jrn_perception.training.distillation import distill_recordings
from jrn_perception.training.distillation.distill_recordings import (
    annotate_recording,
    join,
    numbers,
    Task,
)
import numpy as np
import pytest

pytest.importorskip('rosbags.rosbag2')

TEACHER = Network('hydranet', '', 'random', device='cpu', height=64, width=96)
DEPTH = Request(depth=sample.DEPTH_TOPIC)
FRAMES = 4


@pytest.fixture(scope='module')
def bags(tmp_path_factory):
    folder = tmp_path_factory.mktemp('bags')
    for seed in range(3):
        sample.write_sample(folder / f'r{seed}', FRAMES, seed, (96, 128))
    return [folder / f'r{seed}' for seed in range(3)]


def task_of(path, output, request=DEPTH, every=1, **changes):
    task = Task(path.name, str(path), TEACHER, partial(annotated, request=request, every=every),
                f'{request!r} {every}', output, 0.)
    return replace(task, **changes)


def recorded(path, topic, decode):
    with Recording(path) as recording:
        return [decode(recording.decode(record)) for record in recording.records([topic])]


def test_depth_is_the_sensors_and_labels_are_the_teachers(bags, tmp_path):
    rows = [annotate_recording(task_of(path, tmp_path)) for path in bags]
    assert [(row.reason, row.left_out, len(row.found.origin)) for row in rows] == [
        ('', 0, FRAMES)] * 3
    joined = join(rows, tmp_path, 0., 0.2)
    result = numbers(joined)
    assert (result.frames, result.labelled_by_teacher, result.measured_by_teacher) == (12, 12, 0)
    frames = Folder(tmp_path, 'all')
    assert frames.labels == NYU40 and len(frames) == 3 * FRAMES
    truths = [truth for path in bags for truth in recorded(path, sample.DEPTH_TOPIC, to_depth)]
    teacher = TEACHER.load()
    for frame, truth in zip(frames, truths):
        np.testing.assert_allclose(frame.depth, truth, atol=6e-4)
        assert frame.labels.shape == truth.shape and (frame.labels != UNLABELLED).all()
    assert frames[0].focal_length == pytest.approx(tuple(np.diag(frames[0].camera_matrix)[:2]))
    with Recording(bags[0]) as recording:
        first = next(recording.frames())
    np.testing.assert_array_equal(
        frames[0].labels, teacher(first.rgb, focal_length=first.focal_length).labels)
    # Whole recordings are held out, so that no scene is in both splits.
    fit, held = Folder(tmp_path, 'fit').names, Folder(tmp_path, 'val').names
    assert fit + held == frames.names and len(held) == FRAMES
    assert {name.partition('/')[0] for name in fit} & {
        name.partition('/')[0] for name in held} == set()
    provenance = json.loads((tmp_path / 'provenance.json').read_text())
    assert provenance['teacher']['architecture'] == 'hydranet'
    assert provenance['origin'][held[0]] == {
        'source': f'{sample.IMAGE_TOPIC}@1700000000.000000000', 'from_teacher': ['labels']}


def test_what_is_done_is_done_once_and_a_copy_counts_once(bags, tmp_path, monkeypatch):
    tasks = [task_of(path, tmp_path) for path in bags[:2]]
    first = [annotate_recording(task) for task in tasks]
    asked = []
    annotate = distill_recordings.annotate
    monkeypatch.setattr(distill_recordings, 'annotate', lambda *arguments: asked.append(
        arguments[4]) or annotate(*arguments))
    again = [annotate_recording(task) for task in tasks]
    assert not asked and [row.skipped for row in again] == [True, True]
    assert [list(row.found.origin) for row in again] == [list(row.found.origin) for row in first]
    assert [row.found.shares for row in again] == [row.found.shares for row in first]
    assert not annotate_recording(task_of(bags[0], tmp_path, every=2)).skipped
    assert not annotate_recording(replace(tasks[0], threshold=0.5)).skipped
    # A process that was killed before its json was written has not finished.
    key = next(iter(first[1].found.origin)).partition('/')[0]
    (tmp_path / 'recordings' / f'{key}.json').unlink()
    assert annotate_recording(tasks[1]) == first[1] and asked[2:] == [f'{key}/']
    join([*again, replace(again[0], name='copy')], tmp_path, 0., 0.5)
    assert len(Folder(tmp_path, 'all')) == 2 * FRAMES
    assert len(Folder(tmp_path, 'fit')) == FRAMES == len(Folder(tmp_path, 'val'))


def test_recorded_labels_are_kept_and_every_nth_picture_is_taken(bags, tmp_path):
    request = Request(depth=sample.DEPTH_TOPIC, labels=sample.LABEL_TOPIC)
    row = annotate_recording(task_of(bags[0], tmp_path, request, every=3))
    join([row], tmp_path, 0., 0.)
    frames = Folder(tmp_path, 'all')
    assert len(frames) == 2 and not (tmp_path / 'val.txt').exists()
    truths = recorded(bags[0], sample.LABEL_TOPIC, to_labels)
    for frame, truth in zip(frames, truths[::3]):
        np.testing.assert_array_equal(frame.labels, truth)
    assert numbers([row]).labelled_by_teacher == 0


def test_the_end_of_a_single_recording_is_held_out(bags, tmp_path):
    row = annotate_recording(task_of(bags[0], tmp_path))
    join([row], tmp_path, 0., 0.3)
    assert Folder(tmp_path, 'val').names == list(row.found.origin)[2:]
    with pytest.raises(ValueError, match='4 frames are too few'):
        join([row], tmp_path, 0., 0.9)
    with pytest.raises(ValueError, match='validation share 1'):
        join([row], tmp_path, 0., 1)


def test_one_faulty_recording_does_not_end_the_rest(bags, tmp_path):
    damaged, zoomed = tmp_path / 'damaged.mcap', tmp_path / 'zoomed'
    damaged.write_bytes(b'nothing')
    sample.write_sample(zoomed, 2, size=(120, 160))
    late = Request(depth=sample.DEPTH_TOPIC, tolerance_s=0.)
    rows = [annotate_recording(task_of(path, tmp_path / 'out', late))
            for path in (damaged, bags[0], zoomed, tmp_path / 'nowhere')]
    joined = join(rows, tmp_path / 'out', 0., 0.)
    assert [row.found is not None for row in joined] == [False, True, False, False]
    assert f'{damaged}: damaged or no rosbag2 recording' in joined[0].reason
    assert joined[2].reason.startswith('focal length (') and ' in r0: ' in joined[2].reason
    assert 'nowhere: no such file or folder' in joined[3].reason
    assert len(Folder(tmp_path / 'out', 'all')) == FRAMES
    with pytest.raises(ValueError, match='none of 1 recordings has frames, the first: damaged'):
        join(rows[:1], tmp_path / 'out', 0., 0.)


def test_a_teacher_that_cannot_be_loaded_ends_the_fleet(bags, tmp_path):
    task = task_of(bags[0], tmp_path, teacher=replace(TEACHER, weights_file='/nowhere'))
    with pytest.raises(ValueError, match='/nowhere: no such weights file'):
        distill_recordings.distil_recordings([task], Engine(1))


def test_settings_that_cannot_be(bags, tmp_path):
    row = annotate_recording(task_of(bags[0], tmp_path, every=0))
    assert row.reason == 'every 0: at least 1'
    row = annotate_recording(task_of(bags[0], tmp_path, threshold=2.))
    assert row.reason == 'threshold 2.0: a confidence between 0 and 1'
    assert not (tmp_path / 'recordings').exists()
