# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The readers of larger data sets as ``jrn_train --extra`` and ``jrn_evaluate`` use them."""

import importlib.util

import cv2
from jrn_perception import labels
from jrn_perception.cli.evaluate import main
import numpy as np
import pytest

if importlib.util.find_spec('scipy') is None or importlib.util.find_spec('h5py') is None:
    pytest.skip("needs h5py and scipy: pip install '.[evaluate]'", allow_module_level=True)

from test_ade20k import IDS, SCENES
from test_nyuv2_raw import write_scene
from test_sunrgbd import FRAMES, write_frame, write_toolbox


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / 'raw'
    folder.mkdir()
    for scene in ('bedroom_0001', 'kitchen_0004'):
        write_scene(folder / scene)
    (folder / 'held_out.txt').write_text('kitchen_0004\n')
    return folder


@pytest.fixture
def sun(tmp_path):
    for name in FRAMES:
        write_frame(tmp_path / 'sun' / 'SUNRGBD' / name, name)
    write_toolbox(tmp_path / 'sun')
    return tmp_path / 'sun'


@pytest.fixture
def ade(tmp_path):
    root = tmp_path / 'ade'
    for folder in ('images', 'annotations'):
        (root / folder / 'training').mkdir(parents=True)
    for n in (1, 2, 3):
        cv2.imwrite(str(root / f'images/training/ADE_train_{n:08d}.jpg'),
                    np.full((20, 30, 3), 90, np.uint8))
        cv2.imwrite(str(root / f'annotations/training/ADE_train_{n:08d}.png'), IDS)
    (root / 'sceneCategories.txt').write_text(SCENES)
    return root


def test_they_train_beside_the_annotated_frames(raw, sun, ade):
    pipeline = pytest.importorskip('jrn_perception.training.pipeline',
                                   reason="needs pip install '.[train]'")
    from jrn_perception.training.recipes import RECIPES, Settings
    from jrn_perception.training.views import Augmentation, Views
    settings = Settings(
        'hydranet', RECIPES['hydranet'], reader='sunrgbd', data=sun, fit='train', val='test',
        crop='none', extra=(f'nyuv2_raw={raw}@not-held_out/2', f'sunrgbd={sun}@test',
                            f'ade20k={ade}@training-indoor'))
    frames = pipeline.TrainingFrames(settings)
    assert [len(extra) for extra in frames.extra] == [2, 2, 2]
    assert [extra.labels for extra in frames.extra] == [None, labels.NYU40, labels.NYU40]
    for extra, has_depth, has_labels in zip(frames.extra, (1, 1, 0), (0, 1, 1)):
        view = Views(extra, (48, 64), Augmentation((40, 40)), cache=False)[0]
        assert view['image'].shape == (3, 40, 40)
        assert view['depth'].isfinite().any() == bool(has_depth)
        assert (view['labels'] != 255).any() == bool(has_labels)
    with pytest.raises(ValueError, match='is labelled in sunrgbd37'):
        pipeline.TrainingFrames(Settings(
            'hydranet', RECIPES['hydranet'], reader='sunrgbd', data=sun, fit='train', val='test',
            extra=(f'sunrgbd37={sun}@train',)))


@pytest.mark.parametrize('reader, split, network, expected', [
    ('nyuv2_raw', 'not-held_out/2', ('hydranet',), '2 frames, 0 damaged'),
    ('sunrgbd', 'test', ('hydranet',), '2 frames, 0 damaged, labels nyu40'),
    ('sunrgbd37', 'test+nyu', ('hydranet',), '2 frames, 0 damaged, labels sunrgbd37'),
    ('sunrgbd37', 'train+nyu', ('jrn', '--variant', 'cat1'),
     '3 frames, 0 damaged, labels nyu5'),
    ('ade20k', 'training-indoor', ('hydranet',), '2 frames, 0 damaged, labels nyu40')])
def test_networks_are_measured_on_them(raw, sun, ade, capsys, reader, split, network, expected):
    pytest.importorskip('rich', reason="rich is missing: pip install '.[evaluate]'")
    folder = {'nyuv2_raw': raw, 'ade20k': ade}.get(reader, sun)
    assert main(['dataset', '--architecture', *network, '--weights', 'random', '--height', '64',
                 '--device', 'cpu', '--reader', reader, '--data', str(folder),
                 '--split', split]) == 0
    assert expected in ' '.join(capsys.readouterr().out.split())
