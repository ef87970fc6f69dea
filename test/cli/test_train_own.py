# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_train`` on frames, classes and a camera of one's own."""

import json
import shutil

import cv2
from jrn_perception import weights
from jrn_perception.cli.train import main
import pytest
import torch
from train_runs import perceive, refused, SMALL, tensors, train

pytest.importorskip('jrn_perception.training.pipeline', reason="needs pip install '.[train]'")

OWN = ('floor', 'pallet', 'person')


@pytest.fixture(scope='module')
def own_frames(frames, tmp_path_factory):
    """Return four frames of one's own, three classes; one has depth alone, one labels alone."""
    root = tmp_path_factory.mktemp('own')
    shutil.copytree(frames / 'rgb', root / 'rgb')
    shutil.copytree(frames / 'depth_mm', root / 'depth_mm')
    (root / 'labels').mkdir()
    for index in range(6):
        ids = cv2.imread(str(frames / f'label40/{index:04d}.png'), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(root / f'labels/{index:04d}.png'), ids % 4)
    (root / 'labels/0001.png').unlink()
    (root / 'depth_mm/0002.png').unlink()
    (root / 'dataset.json').write_text(json.dumps(
        {'classes': OWN, 'focal_length': [700, 710], 'depth_range': [0.2, 30]}))
    for split in ('fit', 'val'):
        shutil.copy(frames / f'{split}.txt', root)
    return root


@pytest.fixture(scope='module')
def own_weights(own_frames, tmp_path_factory):
    output = tmp_path_factory.mktemp('own_runs')
    assert train('hydranet', own_frames, output, '--reader', 'folder', *SMALL,
                 '--set', 'start=shipped') == 0
    return output / 'hydranet_custom.safetensors'


def test_classes_of_ones_own_from_the_shipped_weights(own_weights):
    path = own_weights
    card = weights.check(path)
    assert card.label_set.names == OWN
    # 96 of 640 pixels across, 64 of 480 down.
    assert card.focal_length == (105., pytest.approx(94.667))
    assert card.depth_range == (0.2, 30)
    assert card.training['recipe']['network'] == ['hydranet', 'custom']
    assert {'mean_iou', 'rms'} <= set(card.metrics['output'])
    perception, prediction = perceive(path, 'hydranet', 'custom')
    assert perception.label_set.names == OWN
    assert prediction.labels.max() < 3
    # Two steps away from the shipped weights, in all but the head that they have no place for.
    found, shipped = tensors(path), tensors(weights.resolve('', 'hydranet'))
    for name in ('encoder.stem.conv.weight', 'heads.depth.predict.weight'):
        pair = torch.stack((found[name].flatten(), shipped[name].flatten()))
        assert torch.corrcoef(pair)[0, 1] > 0.95
    assert len(found['heads.semantics.predict.bias']) == 3


def test_classes_of_ones_own_at_encoder_stride_16(own_frames, tmp_path):
    assert train('hydranet', own_frames, tmp_path, '--reader', 'folder', *SMALL,
                 '--set', 'start=shipped', '--encoder-stride', '16') == 0
    path = tmp_path / 'hydranet_custom.safetensors'
    assert weights.check(path).options == {'classes': 3, 'encoder_stride': 16}
    perception, _ = perceive(path, 'hydranet', 'custom')
    assert perception.backend.network.encoder.strides[-1] == 16


def test_the_evaluator_reads_what_was_trained_on(own_frames, own_weights, tmp_path):
    from jrn_perception.cli.evaluate import main as evaluate
    output = tmp_path / 'found.json'
    assert evaluate(['dataset', '--architecture', 'hydranet', '--variant', 'custom', '--weights',
                     str(own_weights), '--backend', 'torch', '--reader', 'folder',
                     '--data', str(own_frames), '--json', str(output)]) == 0
    found = json.loads(output.read_text())
    assert list(found['output']['classes']) == list(OWN)


@pytest.mark.parametrize('network', ['teacher', 'semantics', 'jrn'])
def test_classes_of_ones_own_are_for_the_hydranet(own_frames, tmp_path, capsys, network):
    refused(capsys, f"hydranet alone learns classes of one's own, {network} is for", network,
            '--data', own_frames, '--output', tmp_path, '--reader', 'folder')


def test_the_help_tells_how_frames_are_laid_out(capsys):
    with pytest.raises(SystemExit):
        main(['--help'])
    assert 'rgb/NAME.jpg or .png, depth_mm/NAME.png, labels/NAME.png' in capsys.readouterr().out
