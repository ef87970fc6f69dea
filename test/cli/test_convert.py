# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Other people's checkpoints, made here under the names and in the shapes they publish."""

from collections import OrderedDict
import importlib.util
import json
from pathlib import Path

from jrn_perception import weights
from jrn_perception.cli.convert import main
from jrn_perception.networks.encoders.mobilenet import MobileNetV2
from jrn_perception.perception import Perception
import numpy as np
import pytest
from safetensors.torch import load_file
import torch
from torch import nn

_PATH = Path(__file__).parent.parent / 'networks' / 'test_hydranet_published.py'
_SPEC = importlib.util.spec_from_file_location('published_hydranet', _PATH)
reference = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(reference)


class TorchvisionEncoder(nn.Module):
    """torchvision's mobilenet_v2 under the names of its checkpoint, written anew."""

    def __init__(self):
        super().__init__()
        conv = reference.conv_bn
        layers, channels = [conv(3, 32, 3, stride=2)], 32
        for factor, outputs, count, stride in (
                (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                (6, 160, 3, 2), (6, 320, 1, 1)):
            for index in range(count):
                hidden, block = channels * factor, nn.Module()
                block.residual = index > 0
                expand = [conv(channels, hidden, 1)] if factor > 1 else []
                block.conv = nn.Sequential(
                    *expand, conv(hidden, hidden, 3, 1 if index else stride, hidden),
                    *conv(hidden, outputs, 1, activation=False))
                layers.append(block)
                channels = outputs
        self.features = nn.Sequential(*layers, conv(320, 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(), nn.Linear(1280, 1000))

    def pyramid(self, x):
        outputs = []
        for index, layer in enumerate(self.features[:18]):
            y = layer(x) if index == 0 else layer.conv(x)
            x = x + y if index and layer.residual else y
            outputs.append(x)
        return [outputs[index] for index in (3, 6, 10, 13, 16, 17)]


def randomise(network):
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity='relu')
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.3, 0.3)
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 2)
    return network.eval()


def convert(capsys, state, tmp_path, *arguments, name='out/net.safetensors'):
    """Save, convert, and return (exit code, output file, what was printed)."""
    path = tmp_path / 'their.ckpt'
    torch.save(state, path)
    code = main([str(path), str(tmp_path / name), *arguments])
    printed = capsys.readouterr()
    text = printed.out if code == 0 else printed.err
    assert len(text.splitlines()) == 1
    return code, tmp_path / name, text


@pytest.mark.parametrize('variant, classes, normals, entries', reference.VARIANTS)
def test_hydranet(tmp_path, capsys, variant, classes, normals, entries):
    # Rounded, or the half precision of the file would hide what else differs.
    theirs = reference.published(classes, normals).half().float()
    code, path, text = convert(capsys, {'state_dict': theirs.state_dict()}, tmp_path)
    assert code == 0
    assert f'hydranet {variant}, {classes} classes' in text
    card = weights.read_card(path)
    assert (card.architecture, card.variant, card.options) == (
        'hydranet', variant, {'depth_activation': 'abs'})
    assert 'academic' in card.licence
    assert card.training['converted']['sha256'] == weights.sha256(tmp_path / 'their.ckpt')
    perception = Perception.load('hydranet', variant, weights_file=str(path), height=96, width=128,
                                 backend='torch')
    rgb = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    image = perception.backend.normalise(perception.preprocess(rgb)[None])
    maps = perception.infer(perception.preprocess(rgb)[None])
    with torch.inference_mode():
        semantics, depth, *_ = theirs(image)
    # Batch normalisations are folded into convolutions.
    np.testing.assert_allclose(maps.semantics, semantics.permute(0, 2, 3, 1), atol=1e-3, rtol=1e-3)
    np.testing.assert_allclose(maps.depth, depth[:, 0].abs(), atol=1e-3, rtol=1e-3)


def test_hydranet_of_several_gpus_and_of_an_old_torch(tmp_path, capsys):
    state = reference.published(6).state_dict()
    old = OrderedDict((f'module.{key}', value) for key, value in state.items()
                      if not key.endswith('num_batches_tracked'))
    code, path, _ = convert(capsys, old, tmp_path, '--variant', 'kitti6')
    assert code == 0
    weights.load('hydranet', 'kitti6', str(path))


def test_torchvision_gives_an_encoder_to_train_from(tmp_path, capsys):
    theirs = randomise(TorchvisionEncoder())
    code, path, text = convert(capsys, theirs.state_dict(), tmp_path)
    assert code == 0
    assert 'no network to run' in text
    ours = MobileNetV2().eval()
    ours.load_state_dict(load_file(path))
    image = torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        for ours_level, theirs_level in zip(ours(image), theirs.pyramid(image)):
            torch.testing.assert_close(ours_level, theirs_level, atol=1e-4, rtol=1e-4)
    card = json.loads(path.with_suffix('.json').read_text())
    assert card['sha256'] == weights.sha256(path)
    # Nobody runs it by mistake.
    with pytest.raises(weights.WeightsError, match="card format 'encoder-1'"):
        weights.load('hydranet', 'nyu40', str(path))


class Evil:
    """What a pickle may do."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), 'w'))


def test_nothing_is_executed(tmp_path, capsys):
    state = reference.published(6).state_dict()
    victim = tmp_path / 'victim'
    code, path, text = convert(capsys, {'state_dict': state, 'epoch': Evil(victim)}, tmp_path)
    assert code == 1
    assert 'no checkpoint of PyTorch that holds nothing but tensors' in text
    assert not victim.exists()
    assert not path.exists()


def broken(change):
    state = reference.published(6).state_dict()
    change(state)
    return state


@pytest.mark.parametrize('change, reason', [
    (lambda s: s.pop('conv8.weight'), 'lacks decoder.projections.5.weight'),
    (lambda s: s.update({'segm.bias': torch.zeros(7)}),
     'a HydraNet of 7 classes without normals is none of nyu40, '),
    (lambda s: s.update({'conv8.weight': torch.zeros(1)}),
     'decoder.projections.5.weight is (1,), expected (256, 320, 1, 1)'),
    (lambda s: s.update({'extra.weight': torch.zeros(1)}),
     "'extra.weight' is no key of a published HydraNet checkpoint"),
    (lambda s: s['conv8.weight'].fill_(float('nan')), 'damaged, conv8.weight is not finite'),
    (lambda s: s['conv8.weight'].fill_(1e6),
     'decoder.projections.5.weight has values beyond half precision'),
    (lambda s: s.pop('layer1.0.weight'), "nor torchvision's mobilenet_v2"),
])
def test_a_damaged_hydranet_is_refused(tmp_path, capsys, change, reason):
    code, path, text = convert(capsys, {'state_dict': broken(change)}, tmp_path)
    assert code == 1
    assert text.startswith(f'jrn_convert: {tmp_path / "their.ckpt"}: ')
    assert reason in text
    assert not path.exists()


@pytest.mark.parametrize('content, reason', [
    ({'fc.weight': torch.zeros(2)}, 'the first of its 1 keys is fc.weight'),
    (torch.zeros(3), 'holds no state_dict'),
    ({}, 'holds no state_dict'),
    ({'state_dict': {'a': 1}}, 'holds no state_dict'),
])
def test_other_files_are_refused(tmp_path, capsys, content, reason):
    code, path, text = convert(capsys, content, tmp_path)
    assert code == 1
    assert reason in text
    assert not path.exists()


def test_arguments_that_contradict_the_file(tmp_path, capsys):
    state = reference.published(6).state_dict()
    code, _, text = convert(capsys, state, tmp_path, '--variant', 'nyu40')
    assert code == 1
    assert "is variant 'kitti6', expected 'nyu40'" in text
    code, path, text = convert(capsys, state, tmp_path, name='net.pth')
    assert code == 1
    assert 'the output is a file NAME.safetensors' in text
    assert not path.exists()
    encoder = TorchvisionEncoder().state_dict()
    code, _, text = convert(capsys, encoder, tmp_path, '--variant', 'nyu40')
    assert code == 1
    assert 'a MobileNet-v2, which has no variants' in text
    encoder.pop('features.3.conv.2.weight')
    code, _, text = convert(capsys, encoder, tmp_path)
    assert code == 1
    assert 'a MobileNet-v2 that lacks features.3.conv.2.weight' in text


@pytest.mark.parametrize('data', [None, b'', b'no checkpoint', b'PK\x03\x04 no zip'])
def test_no_checkpoint_at_all(tmp_path, capsys, data):
    path = tmp_path / 'their.pth'
    if data is not None:
        path.write_bytes(data)
    assert main([str(path), str(tmp_path / 'net.safetensors')]) == 1
    text = capsys.readouterr().err
    assert text.startswith(f'jrn_convert: {path}: ')
    assert len(text.splitlines()) == 1
