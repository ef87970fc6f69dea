# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_train symbiosis``: few labels, unlabelled frames and video, on tiny data."""

import json

import cv2
from jrn_perception import weights
from jrn_perception.datasets.label_fractions import FRACTIONS, labelled_names
from jrn_perception.rooms.scenes import Scene
from jrn_perception.sources.sample import write_sample
import numpy as np
import pytest
from train_runs import perceive, refused, SMALL, train, write_frame

pytest.importorskip('lightning', reason="needs pip install '.[train]'")

START = 'start={}'


@pytest.fixture(scope='module')
def begin(hydranet):
    return '--set', START.format(hydranet / 'hydranet_nyu40.safetensors')


@pytest.fixture(scope='module')
def depth_only(tmp_path_factory):
    """Return frames with depth alone, as NYU-Depth v2's raw recordings."""
    root = tmp_path_factory.mktemp('depth_only')
    (root / 'kitchen_0001').mkdir()
    for index in range(3):
        frame = Scene(index).render(0, 60, 80)
        cv2.imwrite(str(root / 'kitchen_0001' / f'{index}.jpg'), frame.rgb)
        cv2.imwrite(str(root / 'kitchen_0001' / f'{index}.png'),
                    (frame.depth * 25.5).clip(0, 255).astype(np.uint8))
    return root


def test_few_labels_and_unlabelled_frames(frames, depth_only, begin, tmp_path):
    assert train('symbiosis', frames, tmp_path, *SMALL, *begin, '--labels', '1/2', '--unlabelled',
                 f'nyuv2_depth_only={depth_only}', '--confidence', '0', '--ramp-up', '0') == 0
    path = tmp_path / 'symbiosis_nyu40.safetensors'
    card = weights.check(path)
    assert card.training['frames'] == 2
    assert card.training['labels'] == '1/2'
    assert card.training['unlabelled'] == [f'nyuv2_depth_only={depth_only.name}@all']
    assert set(card.training['gammas']) == {'depth_to_semantics', 'semantics_to_depth'}
    assert card.training['gammas']['depth_to_semantics'] != 0
    assert 'mean_iou' in card.metrics['output'] and 'inputs' not in card.metrics
    perception, prediction = perceive(path, 'symbiosis')
    assert perception.can_mute and prediction.depth.shape == (60, 80)
    rows = (tmp_path / 'symbiosis' / 'log' / 'version_0' / 'metrics.csv').read_text()
    assert (tmp_path / 'symbiosis' / 'last.ckpt').exists() and 'val/mean_iou' in rows


def test_a_finished_run_is_taken_again_and_other_labels_are_another_run(
        frames, begin, tmp_path, capsys):
    arguments = ('symbiosis', frames, tmp_path, *SMALL, *begin, '--labels')
    assert train(*arguments, '1/2') == 0
    first = weights.check(tmp_path / 'symbiosis_nyu40.safetensors')
    assert train(*arguments, '1/2') == 0
    assert weights.check(tmp_path / 'symbiosis_nyu40.safetensors').sha256 == first.sha256
    refused(capsys, 'is of a run with another recipe', arguments[0], '--data', frames, '--output',
            tmp_path, *SMALL, *begin, '--labels', '1/4')


def test_without_attention_and_unlabelled_frames_it_is_a_supervised_hydranet(
        frames, begin, tmp_path):
    off = [word for name in ('attention-rate', 'consistency-weight', 'unlabelled-depth')
           for word in (f'--{name}', '0')]
    assert train('symbiosis', frames, tmp_path, *SMALL, *begin, '--labels', '1/2', *off) == 0
    card = weights.check(tmp_path / 'symbiosis_nyu40.safetensors')
    assert set(card.training['gammas'].values()) == {0.0}


def test_depth_learns_from_a_recording(frames, begin, tmp_path):
    write_sample(tmp_path / 'walk', 4, size=(60, 80))
    assert train('symbiosis', frames, tmp_path / 'out', *SMALL, *begin, '--video',
                 tmp_path / 'walk', '--video-weight', '1', '--rotation', '0') == 0
    card = weights.check(tmp_path / 'out' / 'symbiosis_nyu40.safetensors')
    assert card.training['video'] == ['walk']


def test_a_video_of_ones_own_folder_with_known_poses(begin, tmp_path):
    write_folder(tmp_path / 'own')
    assert train('symbiosis', tmp_path / 'own', tmp_path / 'out', *SMALL, *begin, '--reader',
                 'folder', '--labels', '1/2', '--video-weight', '1', '--rotation', '0') == 0
    card = weights.check(tmp_path / 'out' / 'symbiosis_custom.safetensors')
    assert card.classes == ('ground', 'rest')


def write_folder(root):
    """Write a walk through a drawn room as a folder of one's own, with poses."""
    scene = Scene(3)
    for part in ('rgb', 'depth_mm', 'labels', 'poses'):
        (root / part).mkdir(parents=True)
    for index in range(4):
        frame, name = scene.render(index / 10, 60, 80), f'walk{index:03d}'
        cv2.imwrite(str(root / 'rgb' / f'{name}.png'), frame.rgb[..., ::-1])
        cv2.imwrite(str(root / 'depth_mm' / f'{name}.png'),
                    (frame.depth * 1000).astype(np.uint16))
        cv2.imwrite(str(root / 'labels' / f'{name}.png'), 2 - (frame.labels == 1).astype(np.uint8))
        np.savetxt(root / 'poses' / f'{name}.txt', frame.pose)
    for split, names in (('fit', range(4)), ('val', range(1))):
        (root / f'{split}.txt').write_text('\n'.join(f'walk{index:03d}' for index in names))
    (root / 'dataset.json').write_text(json.dumps({
        'classes': ['ground', 'rest'], 'focal_length': list(Scene(3).render(0, 60, 80)
                                                            .focal_length)}))


@pytest.mark.parametrize('arguments, message', [
    (('symbiosis', '--labels', '8'), '--labels 8: expected 1/N, for example 1/8, or a file'),
    (('symbiosis', '--unlabelled', 'nyuv2'), '--unlabelled nyuv2: expected READER=FOLDER'),
    (('symbiosis', '--video', 'nowhere', '--video-weight', '1', '--rotation', '0'),
     'nowhere: no such file or folder'),
    (('symbiosis', '--video', 'scenes:1'), '--video scenes:1: has no end'),
    (('symbiosis', '--labels', '1/2', '--video-weight', '1'),
     '--rotation: the views of a video are not turned'),
    (('symbiosis', '--extra', 'nyuv2=x@fit'), '--extra: has no use for symbiosis'),
    (('hydranet', '--labels', '1/2'), '--labels: has no use for hydranet'),
    (('jrn', '--video', 'x'), '--video: has no use for jrn')])
def test_what_has_no_effect_or_meaning_is_refused(frames, begin, tmp_path, capsys, arguments,
                                                  message):
    network, *rest = arguments
    small = SMALL if network != 'jrn' else ()
    start = begin if network != 'jrn' else ()
    refused(capsys, message, network, '--data', frames, '--output', tmp_path, *small, *start,
            *rest)


def test_names_in_a_file_choose_the_labelled_frames(frames, begin, tmp_path, capsys):
    (tmp_path / 'mine.txt').write_text('0001\n')
    (tmp_path / 'other.txt').write_text('0099\n')
    arguments = ['--set', 'batch_size=1', '--labels']
    assert train('symbiosis', frames, tmp_path, *SMALL, *begin, *arguments,
                 tmp_path / 'mine.txt') == 0
    card = weights.check(tmp_path / 'symbiosis_nyu40.safetensors')
    assert (card.training['labels'], card.training['frames']) == ('mine.txt', 1)
    refused(capsys, 'names 1 frames that are not in --fit, 0099 among them', 'symbiosis', '--data',
            frames, '--output', tmp_path / 'other', *SMALL, *begin, *arguments,
            tmp_path / 'other.txt')


def test_the_lists_of_the_package_are_used_for_the_split_they_are_for(tmp_path):
    from jrn_perception.datasets.registry import open_dataset
    from jrn_perception.training.recipes import RECIPES, Settings
    from jrn_perception.training.unlabelled.labelled import with_labels
    names = sorted({*labelled_names('1/2'), '9998', '9999'})
    write_frame(tmp_path, names[0], 0)
    (tmp_path / 'fit.txt').write_text('\n'.join(names))
    frames = open_dataset('nyuv2', tmp_path, 'fit')
    for fraction in FRACTIONS:
        parts = with_labels(frames, Settings('symbiosis', RECIPES['symbiosis'], tmp_path,
                                             labels=fraction))
        assert [names[index] for index in parts.seen.indices] == labelled_names(fraction)
        assert len(parts.unseen) == len(names) - len(parts.seen)
