# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The symbiosis network as all others: muted, exported, measured."""

from importlib.util import find_spec
import json

import cv2
from jrn_perception import weights
from jrn_perception.cli import predict
from jrn_perception.cli.evaluate import main
from jrn_perception.perception import Perception, SetUp
from jrn_perception.rooms.scenes import Scene
import numpy as np
import pytest
from small_networks import picture
import torch

SIZE = {'height': 64, 'width': 96}


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    """Return weights of a symbiosis network whose tasks listen to each other."""
    loaded = weights.load('symbiosis', weights='random')
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in loaded.network.named_parameters():
            if name.endswith('predict.weight'):
                parameter.normal_(0, 0.2, generator=generator)
        loaded.network.attention.gammas['semantics'].fill_(0.5)
        loaded.network.attention.gammas['depth'].fill_(0.25)
    file = tmp_path_factory.mktemp('weights') / 'symbiosis_nyu40.safetensors'
    weights.save(loaded.network, loaded.card, file)
    return file


@pytest.fixture(scope='module')
def perception(path):
    return Perception.load('symbiosis', weights_file=str(path), device='cpu', backend='torch',
                           **SIZE)


def test_it_mutes_but_refines_nothing(perception):
    assert perception.can_mute and not perception.refines
    rgb = picture()
    whole, without = perception(rgb), perception(rgb, mute='depth')
    assert whole.inputs is None
    np.testing.assert_array_equal(without.depth, whole.depth)
    maps = [perception.infer(perception.preprocess(rgb)[None], SetUp(mute))
            for mute in ('none', 'depth', 'semantics')]
    assert np.abs(maps[0].semantics - maps[1].semantics).max() > 1e-3
    assert np.abs(maps[0].depth - maps[2].depth).max() > 1e-3


def test_influence_has_the_size_of_the_picture(perception):
    rgb = picture()
    maps = perception.infer(perception.preprocess(rgb)[None], SetUp(influence=True))
    prediction = perception.postprocess(maps, rgb.shape[:2])
    assert prediction.influence_depth.shape == rgb.shape[:2]
    assert np.abs(prediction.influence_semantics).max() > 1e-3


@pytest.mark.parametrize('runtime', ['onnxruntime', 'openvino'])
def test_an_exported_network_computes_the_same(path, perception, runtime, tmp_path, monkeypatch):
    pytest.importorskip(runtime, reason=f'{runtime} is not installed')
    pytest.importorskip('onnxscript', reason='onnxscript is not installed')
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
    exported = Perception.load('symbiosis', weights_file=str(path), backend=runtime, **SIZE)
    for size in ((64, 96), (96, 160)):
        pictures = np.stack([Scene(seed).render(height=size[0], width=size[1]).rgb
                             for seed in range(2)])
        found, expected = exported.infer(pictures), perception.infer(pictures)
        np.testing.assert_allclose(found.depth, expected.depth, atol=1e-3)
        np.testing.assert_allclose(found.semantics, expected.semantics, atol=2e-3)
    assert not exported.can_mute
    with pytest.raises(ValueError, match='exported symbiosis cannot be muted; choose the backend'):
        exported(picture(), mute='depth')
    if find_spec('rclpy'):  # A node refuses it at start, not at each picture.
        from jrn_perception.ros.network import configuration
        from jrn_perception.ros.parameters import settings as parameters
        values = {row.name: row.default for row in parameters.PARAMETERS} | {
            'architecture': 'symbiosis', 'weights': str(path), 'backend': runtime,
            'mute': 'depth', 'inference_height': 64, 'inference_width': 96}
        settings = parameters.check_together(parameters.Settings(**values))
        with pytest.raises(ValueError, match='mute: an exported symbiosis cannot be muted'):
            configuration.load(settings)


def test_the_influence_command_measures_it_and_shows_the_gammas(path, tmp_path, capsys):
    pytest.importorskip('matplotlib', reason='matplotlib is not installed')
    assert main(['influence', '--architecture', 'symbiosis', '--weights', str(path.parent),
                 '--reader', 'scenes', '--limit', '2', '--height', '64', '--width', '96',
                 '--output', str(tmp_path)]) == 0
    document = json.loads((tmp_path / 'influence.json').read_text())
    item, = document['variants'].values()
    assert list(document['variants']) == ['nyu40']
    assert (item['computation'], item['paper']) == ('attention', None)
    assert item['network']['gammas'] == {'depth_to_semantics': 0.5, 'semantics_to_depth': 0.25}
    assert item['semantics_to_depth']['zero']['total']['value'] != 0
    shown = 'nyu40: learnt gammas: depth to semantics +0.5000, semantics to depth +0.2500'
    assert shown in capsys.readouterr().out
    assert shown in (tmp_path / 'influence.md').read_text()
    assert (tmp_path / 'depth_to_semantics.png').stat().st_size > 1000


def test_a_command_that_mutes_takes_torch_by_itself(path, tmp_path):
    file = tmp_path / 'room.png'
    cv2.imwrite(str(file), picture(64, 96))
    network = ('--architecture', 'symbiosis', '--weights', str(path), '--height', '64', '--width',
               '96', '--device', 'cpu')
    found = {}
    for name, options in (('whole', ('--backend', 'torch')), ('muted', ('--mute', 'semantics'))):
        assert predict.main([str(file), *network, *options, '--raw', '--output',
                             str(tmp_path / name)]) == 0
        found[name] = {part: cv2.imread(str(tmp_path / name / f'room_{part}.png'),
                                        cv2.IMREAD_UNCHANGED) for part in ('depth', 'labels')}
    np.testing.assert_array_equal(found['muted']['labels'], found['whole']['labels'])
    assert (found['muted']['depth'] != found['whole']['depth']).any()


def test_the_gammas_are_in_the_document_of_a_data_set(path, tmp_path, capsys):
    file = tmp_path / 'out.json'
    assert main(['dataset', '--architecture', 'symbiosis', '--weights', str(path), '--reader',
                 'scenes', '--limit', '1', '--height', '64', '--width', '96', '--backend', 'torch',
                 '--json', str(file)]) == 0
    document = json.loads(file.read_text())
    assert document['network']['gammas']['depth_to_semantics'] == 0.5
    assert 'inputs' not in document
    assert 'learnt gammas: depth to semantics +0.5000' in capsys.readouterr().out
