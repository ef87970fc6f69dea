# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""``jrn_train`` from an encoder in TensorFlow Lite, and with the encoder's stride 16."""

import subprocess
import sys

from jrn_perception import weights
from jrn_perception.networks.layers import lack_statistics
from jrn_perception.training.recipes import ENCODER_STARTS
import pytest
import torch
from train_runs import perceive, refused, SMALL, tensors, train

pytest.importorskip('jrn_perception.training.pipeline', reason="needs pip install '.[train]'")


@pytest.fixture(scope='module')
def graph(tmp_path_factory):
    """Return a TensorFlow Lite file of a MobileNet-v2."""
    pytest.importorskip('tflite', reason="needs pip install '.[train]'")
    import tflite_graphs
    path = tmp_path_factory.mktemp('tflite') / 'theirs.tflite'
    path.write_bytes(tflite_graphs.graph(tflite_graphs.mobilenet('int8')))
    return path


def encoder_of(state):
    return {name.removeprefix('encoder.'): value.float() for name, value in state.items()
            if name.startswith('encoder.')}


def test_hydranet_from_ade20k_at_stride_16(frames, graph, tmp_path):
    assert train('hydranet', frames, tmp_path, *SMALL, '--start', 'ade20k', '--encoder',
                 str(graph), '--encoder-stride', '16') == 0
    path = tmp_path / 'hydranet_nyu40.safetensors'
    card = weights.check(path)
    assert card.options == {'encoder_stride': 16}
    assert card.training['recipe']['encoder_stride'] == 16
    assert card.training['start'] == {'sha256': weights.sha256(graph)}
    perception, prediction = perceive(path, 'hydranet')
    assert prediction.depth.shape == prediction.labels.shape == (60, 80)
    assert perception.backend.network.encoder.strides == (4, 8, 16, 16, 16, 16)
    # Two steps away from the graph's filters, with statistics.
    from jrn_perception.weights.convert import read_tflite
    found, expected = encoder_of(tensors(path)), read_tflite(graph)
    assert not lack_statistics(found)
    for name in ('stem.conv.weight', 'stages.6.0.project.conv.weight'):
        pair = torch.stack((found[name].flatten(), expected[name].flatten()))
        assert torch.corrcoef(pair)[0, 1] > 0.95


def test_a_single_task_network_at_stride_16(hydranet, frames, tmp_path):
    path = hydranet / 'hydranet_nyu40.safetensors'
    assert train('depth', frames, tmp_path, *SMALL, '--start', str(path),
                 '--set', 'encoder_stride=16') == 0
    path = tmp_path / 'depth_mobilenetv2.safetensors'
    assert weights.check(path).options == {'encoder_stride': 16}
    perceive(path, 'depth')


def test_other_strides_and_encoders_are_refused(frames, graph, hydranet, tmp_path, capsys):
    arguments = '--data', frames, '--output', tmp_path, *SMALL
    refused(capsys, 'encoder stride 8: choose 16 or 32', 'hydranet', *arguments,
            '--encoder-stride', '8')
    refused(capsys, 'encoder stride 16: ResNet-50 has only 32', 'teacher', *arguments,
            '--encoder-stride', '16')
    refused(capsys, '--encoder-stride: semantics_fcn16s has no encoder with a choice of strides',
            'semantics', *arguments, '--encoder-stride', '16', '--network',
            '["semantics", "fcn16s"]')
    refused(capsys, f'{graph}: its batch norms have no statistics; --start ade20k', 'hydranet',
            *arguments, '--encoder', graph)
    refused(capsys, '--encoder: this recipe starts from', 'depth', *arguments, '--encoder', graph)


def test_a_damaged_graph_is_one_line(frames, graph, tmp_path, capsys):
    path = tmp_path / 'damaged.tflite'
    path.write_bytes(graph.read_bytes()[:5000])
    refused(capsys, f'{path}: damaged, or no graph of plain convolutions', 'hydranet', '--data',
            frames, '--output', tmp_path, *SMALL, '--start', 'ade20k', '--encoder', path)


def test_the_missing_package_is_one_line(frames, graph, tmp_path):
    program = ('import sys; sys.modules["tflite"] = None; '
               'from jrn_perception.cli.train import main; sys.exit(main())')
    done = subprocess.run(
        [sys.executable, '-c', program, 'hydranet', '--data', str(frames), '--output',
         str(tmp_path), *SMALL, '--start', 'ade20k', '--encoder', str(graph)],
        capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "jrn_train: tflite is missing: pip install '.[train]'")


def test_an_encoders_start_has_seen_no_frames(frames, graph, tmp_path):
    assert ENCODER_STARTS == ('imagenet', 'ade20k')
    assert train('hydranet', frames, tmp_path, *SMALL, '--start', 'ade20k', '--encoder',
                 str(graph), '--hold-out', '1/2') == 0
    training = weights.check(tmp_path / 'hydranet_nyu40.safetensors').training
    assert (training['hold_out'], training['frames']) == ('1/2', 2)
