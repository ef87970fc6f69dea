# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The influence test, live: maps for whoever subscribes, numbers in the diagnostics."""

from jrn_perception import weights
from jrn_perception.perception import Perception, SetUp
import numpy as np
import pytest
import torch

pytest.importorskip('rclpy', reason="needs ROS 2 (pip install '.[ros]')")


def test_the_maps_are_those_of_the_library(robot, tools):
    robot.start(architecture='jrn', variant='cat10', mute_value='mean')
    robot.camera()
    inboxes = [robot.listen(f'influence/{task}') for task in ('depth', 'semantics')]
    rgb = tools.picture(seed=3)
    answers = [tools.array_of(message) for message in robot.ask(rgb, *inboxes)]
    library = Perception.load('jrn', 'cat10', weights_file='random', height=64, width=96)
    maps = library.infer(library.preprocess(rgb)[None], SetUp('none', 'mean', influence=True))
    expected = library.postprocess(maps, rgb.shape[:2])
    np.testing.assert_array_equal(answers[0], expected.influence_depth)
    np.testing.assert_array_equal(answers[1], expected.influence_semantics)
    status = robot.status(lambda status: status.values['influence_semantics'] != 'nan')
    depth, semantics = expected.mean_influence
    assert float(status.values['influence_depth_m']) == pytest.approx(depth, rel=1e-2)
    assert float(status.values['influence_semantics']) == pytest.approx(semantics, rel=1e-2)


@pytest.mark.parametrize('mute', ['none', 'depth'])
def test_depth_and_semantics_beside_it_stay_what_they_were(robot, tools, mute):
    robot.start(architecture='jrn', variant='cat10', mute=mute)
    robot.camera()
    inbox, rgb = robot.listen('confidence'), tools.picture(seed=3)
    before = tools.array_of(robot.ask(rgb, inbox))
    influence = robot.listen('influence/depth')
    after, _ = robot.ask(rgb, inbox, influence)
    np.testing.assert_allclose(tools.array_of(after), before, atol=1e-5)


def test_without_a_subscriber_only_one_setup_runs(robot, tools, monkeypatch):
    asked = []
    original = Perception.infer
    monkeypatch.setattr(Perception, 'infer', lambda self, pictures, set_up, *inputs: (
        asked.append(set_up), original(self, pictures, set_up, *inputs))[1])
    robot.start(architecture='jrn', variant='cat10', lazy=False)
    robot.camera()
    robot.ask(tools.picture(), robot.listen('depth'))
    assert asked[-1].influence is False
    robot.ask(tools.picture(), robot.listen('influence/semantics'))
    assert asked[-1].influence is True


def test_a_network_without_modalities_publishes_none(robot, tools):
    robot.start(architecture='hydranet')
    robot.camera()
    depth, influence = robot.listen('depth'), robot.listen('influence/depth')
    for _ in range(3):
        robot.ask(tools.picture(), depth)
    assert not influence
    assert robot.status().values['influence_depth_m'] == 'nan'


def test_the_attention_of_a_symbiosis_network_is_muted_and_shown(robot, tools, tmp_path):
    loaded = weights.load('symbiosis', weights='random')
    with torch.no_grad():
        for gamma in loaded.network.attention.gammas.values():
            gamma.fill_(5.0)
    file = tmp_path / 'mine.safetensors'
    weights.save(loaded.network, loaded.card, file)
    robot.start(architecture='symbiosis', weights=str(file), mute='semantics')
    robot.camera()
    depth, influence = robot.listen('depth'), robot.listen('influence/depth')
    rgb = tools.picture(seed=3)
    answers = [tools.array_of(message) for message in robot.ask(rgb, depth, influence)]
    library = Perception.load('symbiosis', weights_file=str(file), height=64, width=96,
                              backend='torch')
    maps = library.infer(library.preprocess(rgb)[None],
                         SetUp('semantics', 'zero', influence=True))
    expected = library.postprocess(maps, rgb.shape[:2])
    np.testing.assert_array_equal(answers[1], expected.influence_depth)
    assert np.abs(expected.influence_depth).max() > 0
    np.testing.assert_allclose(answers[0], library(rgb, mute='semantics').depth, atol=1e-5)
