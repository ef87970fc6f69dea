# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Every network of the table: golden sizes, output shapes, and that it looks at its input."""

from typing import NamedTuple

from jrn_perception import labels, networks
from jrn_perception.networks.interface import Maps
from jrn_perception.networks.jrn import ModularNetwork
from jrn_perception.networks.layers import resize
import pytest
import torch
from torch.nn import functional


class Golden(NamedTuple):
    """Parameters, entries of the state dict, and the output's channels by task."""

    parameters: int
    entries: int
    channels: dict


GOLDEN = {
    'jrn_sum60': Golden(532_206, 39, {'depth': 1, 'semantics': 5}),
    'jrn_cat60': Golden(564_606, 39, {'depth': 1, 'semantics': 5}),
    'jrn_cat10': Golden(29_406, 39, {'depth': 1, 'semantics': 5}),
    'jrn_cat5': Golden(13_011, 39, {'depth': 1, 'semantics': 5}),
    'jrn_cat1': Golden(4_755, 39, {'depth': 1, 'semantics': 5}),
    'hydranet_nyu40': Golden(3_070_057, 343, {'depth': 1, 'semantics': 40}),
    'hydranet_nyu40_normals': Golden(
        3_077_228, 346, {'depth': 1, 'semantics': 40, 'normals': 3}),
    'hydranet_nyu40_resnet50': Golden(25_570_153, 347, {'depth': 1, 'semantics': 40}),
    'hydranet_kitti6': Golden(2_991_687, 343, {'depth': 1, 'semantics': 6}),
    'hydranet_nyu40_kitti6': Golden(3_083_887, 343, {'depth': 1, 'semantics': 46}),
    'hydranet_custom': Golden(2_980_162, 343, {'depth': 1, 'semantics': 1}),
    'depth_mobilenetv2': Golden(2_977_601, 340, {'depth': 1}),
    'depth_multiscale': Golden(217_298_676, 49, {'depth': 1}),
    'semantics_mobilenetv2': Golden(3_067_496, 340, {'semantics': 40}),
    'semantics_fcn16s': Golden(136_108_944, 36, {'semantics': 40}),
}
SPECS = {spec.name: spec for variants in networks.ARCHITECTURES.values()
         for spec in variants.values()}
# VGG-16 with its fully connected layers takes half a gigabyte and a second: shapes only.
LARGE = {'depth_multiscale', 'semantics_fcn16s'}
every = pytest.mark.parametrize('name', SPECS)
every_small = pytest.mark.parametrize('name', [name for name in SPECS if name not in LARGE])


def run(spec, network, image):
    """Return the maps for a picture; a JRN gets inputs that are made of it."""
    if not spec.inputs:
        return network(image)
    size = tuple(image.shape[-2:])
    small = functional.avg_pool2d(image, 4, ceil_mode=True)
    mixing = torch.linspace(-2, 2, 15, device=image.device).view(5, 3, 1, 1)
    probabilities = functional.conv2d(small, mixing).softmax(1)
    return network(2 + small[:, :1].abs(), probabilities, size)


def output_size(spec, height, width):
    if spec.name == 'depth_multiscale':
        return 109, 147
    stride = {'jrn': 2, 'semantics_fcn16s': 1}.get(
        spec.architecture if spec.inputs else spec.name, 4)
    return -(-height // stride), -(-width // stride)


def predicted(maps):
    return {name: value for name, value in zip(Maps._fields, maps) if value is not None}


@pytest.fixture(scope='module')
def built():
    """Return a function that builds a network once, in eval mode."""
    made = {}

    def build(name):
        if name not in made:
            torch.manual_seed(0)
            made[name] = SPECS[name].build().eval()
        return made[name]
    return build


def pictures(count, height=66, width=98, seed=0):
    return torch.randn(count, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_every_network_has_golden_numbers():
    assert set(GOLDEN) == set(SPECS)


@every
def test_golden_parameters_and_state(name):
    spec = SPECS[name]
    with torch.device('meta'):
        network = spec.build()
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert parameters == spec.parameters == GOLDEN[name].parameters
    assert len(network.state_dict()) == GOLDEN[name].entries


@every
@pytest.mark.parametrize('height, width', [(128, 160), (129, 163), (157, 191)])
def test_output_shapes(name, height, width):
    spec = SPECS[name]
    with torch.device('meta'):
        maps = run(spec, spec.build().eval(), torch.empty(2, 3, height, width))
    size = output_size(spec, height, width)
    assert {task: tuple(value.shape) for task, value in predicted(maps).items()} == {
        task: (2, channels, *size) for task, channels in GOLDEN[name].channels.items()}


@every
def test_the_label_set_is_that_of_the_output(name):
    classes = GOLDEN[name].channels.get('semantics')
    assert (len(SPECS[name].labels) if SPECS[name].labels else None) == classes


@every
def test_the_state_is_the_same_for_each_build(name):
    with torch.device('meta'):
        first, second = (SPECS[name].build().state_dict() for _ in range(2))
    assert {k: v.shape for k, v in first.items()} == {k: v.shape for k, v in second.items()}


@every_small
def test_each_picture_of_a_batch_is_on_its_own(name, built):
    spec, network = SPECS[name], built(name)
    batch = pictures(2)
    with torch.inference_mode():
        together = predicted(run(spec, network, batch))
        alone = [predicted(run(spec, network, picture[None])) for picture in batch]
    for task, value in together.items():
        assert value.isfinite().all()
        joined = torch.cat([maps[task] for maps in alone])
        torch.testing.assert_close(value, joined, atol=1e-4 * value.abs().max().item(), rtol=1e-4)


@every_small
def test_different_pictures_give_different_outputs(name, built):
    spec, network = SPECS[name], built(name)
    with torch.inference_mode():
        for value in predicted(run(spec, network, pictures(2))).values():
            difference = (value[0] - value[1]).abs()
            # Everywhere, not in a corner: an output map that is mostly constant would fail.
            assert (difference > 1e-4).float().mean() > 0.9


@every_small
def test_what_is_seen_comes_out_where_it_was_seen(name, built):
    """A change of one corner must change that corner's output more than the opposite one's."""
    spec, network = SPECS[name], built(name)
    image = pictures(1, 256, 256)
    other = image.clone()
    other[..., :24, :24] = pictures(1, 24, 24, seed=1)
    with torch.inference_mode():
        pairs = zip(predicted(run(spec, network, image)).values(),
                    predicted(run(spec, network, other)).values())
        for before, after in pairs:
            difference = resize((before - after).abs().sum(1, keepdim=True), (8, 8))[0, 0]
            assert difference.argmax() == 0
            assert difference[-1, -1] < 0.1 * difference[0, 0]


@pytest.mark.parametrize('architecture, variant, name', [
    ('jrn', '', 'jrn_sum60'), ('jrn', 'cat1', 'jrn_cat1'), ('hydranet', '', 'hydranet_nyu40'),
    ('depth', '', 'depth_mobilenetv2'), ('semantics', 'fcn16s', 'semantics_fcn16s')])
def test_find(architecture, variant, name):
    assert networks.find(architecture, variant).name == name


@pytest.mark.parametrize('architecture, variant, message', [
    ('resnet', '', "unknown architecture 'resnet': choose from jrn, hydranet, depth, semantics"),
    ('', '', "unknown architecture ''"),
    ('jrn', 'cat7', "unknown variant 'cat7' of jrn: choose from sum60, cat60, cat10, cat5, cat1"),
])
def test_what_is_not_in_the_table_is_refused_with_the_choices(architecture, variant, message):
    with pytest.raises(ValueError, match=message):
        networks.find(architecture, variant)


def test_names_are_unique_and_joint_networks_predict_both():
    assert len(SPECS) == sum(len(v) for v in networks.ARCHITECTURES.values())
    for architecture in networks.JOINT:
        for spec in networks.ARCHITECTURES[architecture].values():
            assert {'depth', 'semantics'} <= set(GOLDEN[spec.name].channels)
    assert set(networks.ARCHITECTURES) - set(networks.JOINT) == {'depth', 'semantics'}


@pytest.mark.parametrize('variant', networks.ARCHITECTURES['jrn'])
def test_the_jrn_can_stand_behind_the_networks_that_it_names(variant):
    spec = networks.find('jrn', variant)
    depth, semantics = (networks.find(*names) for names in spec.inputs)
    fold = torch.from_numpy(labels.fold_matrix(semantics.labels, spec.labels))
    with torch.device('meta'):
        modular = ModularNetwork(
            depth.build(), semantics.build(), spec.build(), fold.to('meta')).eval()
        maps = modular(torch.empty(1, 3, 129, 161))
    assert maps.depth.shape == (1, 1, 65, 81)
    assert maps.semantics.shape == (1, 5, 65, 81)
    assert maps.inputs.depth.shape == (1, 1, 33, 41)
    assert maps.inputs.semantics.shape == (1, 5, 33, 41)
