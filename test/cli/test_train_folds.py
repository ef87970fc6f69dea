# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""A jrn of ``jrn_train`` that learns from networks that have not seen the frames."""

from dataclasses import replace
import shutil

from jrn_perception import weights
import pytest
import torch
from train_runs import refused, SMALL, tensors, TINY, train

pytest.importorskip('jrn_perception.training.pipeline', reason="needs pip install '.[train]'")


@pytest.fixture(scope='module')
def folds(frames, hydranet, tmp_path_factory):
    """Return the folders of two hydranets, each of which has not seen one half of the frames."""
    folders = [tmp_path_factory.mktemp('fold') for _ in range(2)]
    network, card = weights.load_file(hydranet / 'hydranet_nyu40.safetensors')
    for part, folder in enumerate(folders, 1):
        begin = folder / 'begin.safetensors'
        weights.save(network, replace(card, training={'hold_out': f'{part}/2'}), begin)
        assert train('hydranet', frames, folder, *SMALL, '--set', f'start={begin}',
                     '--hold-out', f'{part}/2') == 0
    return folders


def test_a_card_tells_how_the_weights_came_to_be_that_training_started_from(
        frames, folds, tmp_path):
    assert train('depth', frames, tmp_path, *SMALL, '--set',
                 f'start={folds[1] / "hydranet_nyu40.safetensors"}') == 0
    begun = weights.check(tmp_path / 'depth_mobilenetv2.safetensors').training['start']
    assert begun['training']['hold_out'] == '2/2'
    assert begun['training']['recipe']['network'] == ['hydranet', 'nyu40']


def test_what_was_held_out_is_in_the_card(folds):
    for part, folder in enumerate(folds, 1):
        training = weights.check(folder / 'hydranet_nyu40.safetensors').training
        assert (training['hold_out'], training['frames']) == (f'{part}/2', 2)


def test_a_jrn_may_learn_from_networks_that_have_not_seen_the_frames(
        trained, frames, folds, tmp_path, monkeypatch, capsys):
    from jrn_perception.training.modules import refine
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / 'jrn_cat1')
    asked = []
    original = refine.predict_inputs
    monkeypatch.setattr(refine, 'predict_inputs', lambda network, data, recipe, **arguments: (
        asked.append((network, [frame.name for frame in data], recipe.colour_jitter)),
        original(network, data, recipe, **arguments))[1])
    arguments = *TINY, '--variant', 'cat1', '--fold', str(folds[0]), '--fold', str(folds[1])
    assert train('jrn', frames, tmp_path, *arguments) == 0
    # Of what is not new to a network nothing is learnt; what is new need not look it.
    assert [told[1:] for told in asked[:2]] == [(['0000', '0001'], 0), (['0002', '0003'], 0)]
    assert [names for _, names, _ in asked[2:]] == [['0004', '0005']]
    for (network, *_), folder in zip(asked, folds):
        head = network.depth.state_dict()['heads.depth.predict.bias']
        assert torch.equal(
            head, tensors(folder / 'hydranet_nyu40.safetensors')['heads.depth.predict.bias'])
    name = 'jrn_cat1.safetensors'
    assert weights.sha256(tmp_path / name) != weights.sha256(trained / name)
    # At inference it refines the outputs of the networks that have seen all frames.
    card = weights.check(tmp_path / name)
    assert card.inputs == weights.check(trained / name).inputs
    assert card.training['folds'] == [
        [f'{part}/2', weights.sha256(folder / 'hydranet_nyu40.safetensors')]
        for part, folder in enumerate(folds, 1)]
    assert card.training['recipe']['colour_jitter'] == 0
    assert weights.check(trained / name).training['recipe']['colour_jitter'] == 0.5
    assert train('jrn', frames, tmp_path, *TINY, '--variant', 'cat1') == 1
    assert 'made from other files' in capsys.readouterr().err


def test_a_fold_of_other_frames_is_no_fold(trained, frames, folds, tmp_path, capsys):
    network, card = weights.load_file(folds[0] / 'hydranet_nyu40.safetensors')
    for name, value in (('fit', 'train'), ('reader', 'scannet'), ('frames', 3)):
        weights.save(network, replace(card, training=card.training | {name: value}),
                     tmp_path / 'hydranet_nyu40.safetensors')
        refused(capsys, 'the part that it should have seen is', 'jrn', '--data', frames,
                '--output', trained, *TINY, '--fold', tmp_path)


def test_a_jrn_is_for_the_camera_of_the_network_in_front_of_it(trained, frames, tmp_path):
    for name in ('depth_mobilenetv2', 'semantics_mobilenetv2'):
        network, card = weights.load_file(trained / f'{name}.safetensors')
        weights.save(network, replace(card, focal_length=(40., 50.)),
                     tmp_path / f'{name}.safetensors')
    assert train('jrn', frames, tmp_path, *TINY, '--variant', 'cat1') == 0
    assert tuple(weights.check(tmp_path / 'jrn_cat1.safetensors').focal_length) == (40, 50)


def test_a_network_that_has_seen_all_frames_is_no_fold(trained, frames, hydranet, capsys):
    refused(capsys, 'hydranet_nyu40.safetensors was trained on all frames', 'jrn', '--data',
            frames, '--output', trained, *TINY, '--fold', hydranet)


@pytest.mark.parametrize('text, message', [
    ('half', 'expected K/N, for example 1/2'), ('3/2', 'part 3/2: a number from 1/2 to 2/2'),
    ('0/2', 'part 0/2')])
def test_what_cannot_be_held_out_says_why(frames, hydranet, capsys, text, message):
    refused(capsys, message, 'depth', '--data', frames, '--output', hydranet, '--hold-out', text)
