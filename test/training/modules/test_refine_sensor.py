# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The JRN's training at 40 classes and behind a simulated depth camera."""

from dataclasses import replace

from jrn_perception import labels, networks, weights
from jrn_perception.evaluation.measures.completion import SMOOTH
from jrn_perception.networks.geometry import geometry
from jrn_perception.perception import Perception
import numpy as np
import pytest
from test_refine import FRAMES, modular, RECIPE  # noqa: F401 a fixture
import torch

NEEDS = "needs pip install '.[train]'"
refine = pytest.importorskip('jrn_perception.training.modules.refine', reason=NEEDS)
pipeline = pytest.importorskip('jrn_perception.training.pipeline', reason=NEEDS)
SENSOR = replace(RECIPE, depth_input='sensor', blind=0.0,
                 options={'output_stride': 4, 'residual': True, 'validity': True})


def kept(network, recipe, augment=False):
    return refine.predict_inputs(network, FRAMES, recipe, labels.NYU40_TO_NYU5, augment)


def test_the_sensor_measures_what_it_sees_and_the_network_fills_the_rest(modular):  # noqa: F811
    plain, sensor = kept(modular, RECIPE).tensors, kept(modular, SENSOR).tensors
    assert len(plain) == 4 and len(sensor) == 5
    depth, validity = sensor[0].float(), sensor[4].float()
    assert validity.shape == depth.shape and 0.1 < (validity > 0).float().mean() < 0.9
    target = torch.nn.functional.interpolate(
        sensor[2][:, None].float(), depth.shape[-2:], mode='nearest')
    # Fully measured pixels away from edges: the truth, but for noise and steps.
    sure = (validity == 1) & target.isfinite()
    assert ((depth - target)[sure].abs() < 0.4).float().mean() > 0.9
    assert depth.isfinite().all()
    blind = kept(modular, replace(SENSOR, blind=1.0), augment=True).tensors
    assert not blind[4].any()
    torch.testing.assert_close(blind[0], kept(modular, RECIPE, augment=True).tensors[0])


def test_errors_of_a_network_do_not_touch_what_was_measured(modular):  # noqa: F811
    network = networks.find('jrn', 'cat1').build(**SENSOR.options)
    seen = []
    network.register_forward_pre_hook(
        lambda _, arguments, options: seen.append((arguments, options)), with_kwargs=True)
    module = refine.RefineModule(network, replace(SENSOR, corruption=1.0))
    batch = kept(modular, SENSOR)[:2]
    module._refine(batch, corruption=1.0)
    (given, *_), options = seen[0]
    measured = batch[4] > 0
    assert torch.equal(given[measured], batch[0].float()[measured])
    assert not torch.equal(given[~measured], batch[0].float()[~measured])
    assert torch.equal(options['validity'], batch[4].float())


def test_the_loss_adds_the_prior_to_the_logits(modular, monkeypatch):  # noqa: F811
    samples = kept(modular, RECIPE)
    shares = refine.frequencies(samples, 5)
    ids = samples.tensors[3]
    assert shares[0].item() == pytest.approx(
        (ids == 0).sum().item() / (ids != 255).sum().item())
    assert shares[4] == pytest.approx(1e-5)
    network = networks.find('jrn', 'cat1').build(output_stride=4, residual=True)
    seen = []
    monkeypatch.setattr(refine, 'jrn_loss', lambda depth, logits, *_: seen.append(logits)
                        or logits.mean())
    for prior in (None, 0.3 * shares.log()):
        module = refine.RefineModule(network, RECIPE, prior)
        monkeypatch.setattr(module, 'log', lambda *_, **__: None)
        module.training_step(samples[:2], 0)
    torch.testing.assert_close(
        seen[1] - seen[0], (0.3 * shares.log()).view(1, 5, 1, 1).expand_as(seen[0]))


def test_muted_depth_is_not_measured():
    network = networks.find('jrn', 'cat1').build(validity=True, geometry=True).eval()
    torch.manual_seed(0)
    depth, probabilities = torch.rand(1, 1, 12, 16) + 1, torch.rand(1, 5, 12, 16).softmax(1)
    ones = torch.ones_like(depth)
    with torch.inference_mode():
        seen, unseen = (network(depth, probabilities, (48, 64), validity=validity).depth
                        for validity in (ones, None))
        muted = [network(depth, probabilities, (48, 64), 'depth', 'mean', validity).depth
                 for validity in (ones, None)]
    assert torch.equal(*muted)
    assert seen.shape == unseen.shape == (1, 1, 24, 32)


def test_geometry_of_a_room():
    """A floor 1.5 m below a camera that looks 20 degrees down, and a wall 4 m ahead."""
    height, width, focal = 48, 64, 50.0
    x = (np.arange(width) + 0.5 - width / 2) / focal
    y = (np.arange(height) + 0.5 - height / 2) / focal
    tilt = np.radians(20)
    # Rays in the room's axes: y down, z forward.
    down = (y * np.cos(tilt) + np.sin(tilt))[:, None] + 0 * x
    ahead = (np.cos(tilt) - y * np.sin(tilt))[:, None] + 0 * x
    floor = np.where(down > 1e-3, 1.5 / np.maximum(down, 1e-3), np.inf)
    depth = np.minimum(floor, 4 / ahead).astype(np.float32)
    is_floor = floor < 4 / ahead
    found = geometry(torch.from_numpy(depth)[None, None], torch.tensor((focal, focal)),
                     (height, width))[0].numpy()
    assert found.shape == (4, height, width)
    np.testing.assert_allclose(np.linalg.norm(found[:3], axis=0), 1, atol=1e-4)
    inner = np.s_[2:-2, 2:-2]
    on_floor, on_wall = is_floor[inner], ~is_floor[inner]
    heights = found[3][inner]
    assert np.median(np.abs(heights[on_floor])) < 0.1
    true = 1.5 - (depth * down)[inner]
    assert np.median(np.abs(heights - true)[on_wall]) < 0.1
    up = np.array((0, -np.cos(tilt), -np.sin(tilt)))
    cosine = np.tensordot(up, found[:3], 1)[inner]
    assert np.median(cosine[on_floor]) > 0.99 and np.median(np.abs(cosine[on_wall])) < 0.05
    assert not geometry(torch.zeros(1, 1, 6, 8), torch.tensor((50., 50.)), (6, 8)).any()


def test_the_adjustment_of_a_mean_of_networks(tmp_path):
    card = weights.read_card(weights.SHIPPED / 'semantics_mobilenetv2.safetensors')
    assert pipeline.adjustment_of(card.training, tmp_path) == 0.3
    with pytest.raises(ValueError, match='does not tell the logit adjustment'):
        pipeline.adjustment_of({'averaged': []}, tmp_path)


def test_weights_of_a_sensor_are_measured_behind_one(tmp_path, room, told):
    from jrn_perception.training.results import measure

    class Rooms(list):
        labels = labels.NYU40
    frames = Rooms(room(seed).render(height=96, width=128) for seed in range(2))
    spec = networks.find('jrn', 'cat1')
    network = spec.build(output_stride=4, residual=True, validity=True)
    inputs = {}
    for task, variant in spec.inputs:
        name = f'{networks.find(task, variant).name}.safetensors'
        for path in (weights.SHIPPED / name, (weights.SHIPPED / name).with_suffix('.json')):
            (tmp_path / path.name).write_bytes(path.read_bytes())
        inputs[task] = name, weights.sha256(tmp_path / name)
    card = weights.Card.of(spec, spec.labels, inputs=inputs, sources={'depth': 'sensor'},
                           options={'output_stride': 4, 'residual': True, 'validity': True})
    path = tmp_path / 'jrn_cat1.safetensors'
    card = weights.save(network, card, path)
    found = measure(path, card, frames, None)
    assert {'output', 'inputs', 'holes', f'holes, {SMOOTH}'} <= set(found)
    # Before any training the JRN gives back what it gets.
    assert found['holes']['rms'] == pytest.approx(found[f'holes, {SMOOTH}']['rms'], rel=0.05)
    log = told('jrn_perception.perception.loading')
    auto = Perception.load('jrn', 'cat1', weights_file=str(path), device='cpu')
    # No export is begun in vain.
    assert auto.backend.name == 'torch' and not log
    jrn = Perception.load('jrn', 'cat1', weights_file=str(path), device='cpu', backend='torch')
    assert jrn.card.sources == {}, 'it runs on its own networks'
    assert jrn.warnings == ('the weights learned from the depth source sensor, depth_source is '
                            'network',)
