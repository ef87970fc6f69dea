# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Our HydraNet against the authors' network, written anew from its description, same weights."""

from jrn_perception import networks
from jrn_perception.networks.conversion import convert_published
from jrn_perception.networks.hydranet import HydraNet
import pytest
import torch
from torch import nn
from torch.nn import functional


def conv_bn(inputs, outputs, kernel, stride=1, groups=1, activation=True):
    layers = [nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
              nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *[nn.ReLU6()] * activation)


class Block(nn.Module):
    """The encoder's block, with an expansion even where its factor is 1."""

    def __init__(self, inputs, outputs, factor, stride):
        super().__init__()
        self.residual = inputs == outputs and stride == 1
        hidden = factor * inputs
        self.output = nn.Sequential(
            conv_bn(inputs, hidden, 1), conv_bn(hidden, hidden, 3, stride, hidden),
            conv_bn(hidden, outputs, 1, activation=False))

    def forward(self, x):
        return x + self.output(x) if self.residual else self.output(x)


class Pooling(nn.Module):
    """Chained residual pooling: pool, convolve, add; four times."""

    def __init__(self, groups):
        super().__init__()
        for stage in range(1, 5):
            setattr(self, f'{stage}_outvar_dimred',
                    nn.Conv2d(256, 256, 1, groups=groups, bias=False))

    def forward(self, x):
        top = x
        for stage in range(1, 5):
            top = getattr(self, f'{stage}_outvar_dimred')(functional.max_pool2d(top, 5, 1, 2))
            x = x + top
        return x


class Published(nn.Module):
    """The authors' network under the names of their checkpoints (ICRA 2019, Fig. 1)."""

    def __init__(self, classes, normals=False):
        super().__init__()
        self.layer1 = conv_bn(3, 32, 3, stride=2)
        channels = 32
        for index, (factor, outputs, count, stride) in enumerate((
                (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                (6, 160, 3, 2), (6, 320, 1, 1)), start=2):
            blocks = [Block(channels if i == 0 else outputs, outputs, factor,
                            stride if i == 0 else 1) for i in range(count)]
            setattr(self, f'layer{index}', nn.Sequential(*blocks))
            channels = outputs
        for index, inputs in zip(range(8, 2, -1), (320, 160, 96, 64, 32, 24)):
            setattr(self, f'conv{index}', nn.Conv2d(inputs, 256, 1, bias=False))
        for index in range(4, 0, -1):
            setattr(self, f'crp{index}', nn.Sequential(Pooling(256 if index == 1 else 1)))
            if index > 1:
                setattr(self, f'conv_adapt{index}', nn.Conv2d(256, 256, 1, bias=False))
        self.heads = {'segm': classes, 'depth': 1} | ({'normal': 3} if normals else {})
        for name, outputs in self.heads.items():
            setattr(self, f'pre_{name}', nn.Conv2d(256, 256, 1, groups=256, bias=False))
            setattr(self, name, nn.Conv2d(256, outputs, 3, padding=1))

    def forward(self, image):
        features = {}
        x = self.layer1(image)
        for index in range(2, 9):
            x = features[index] = getattr(self, f'layer{index}')(x)
        level = functional.relu6(self.conv8(features[8]) + self.conv7(features[7]))
        level = self.up(self.conv_adapt4(self.crp4(level)), features[6])
        level = functional.relu6(self.conv5(features[5]) + self.conv6(features[6]) + level)
        level = self.up(self.conv_adapt3(self.crp3(level)), features[4])
        level = functional.relu6(self.conv4(features[4]) + level)
        level = self.up(self.conv_adapt2(self.crp2(level)), features[3])
        level = self.crp1(functional.relu6(self.conv3(features[3]) + level))
        return [getattr(self, name)(functional.relu6(getattr(self, f'pre_{name}')(level)))
                for name in self.heads]

    @staticmethod
    def up(x, like):
        return functional.interpolate(x, like.shape[2:], mode='bilinear', align_corners=False)


def published(classes, normals=False, seed=0):
    """Return the network with weights whose activations neither vanish nor explode."""
    generator = torch.Generator().manual_seed(seed)
    network = Published(classes, normals).eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            fan_in = module.weight[0].numel()
            module.weight.data.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
            if module.bias is not None:
                module.bias.data.normal_(0, 0.5, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            for values, low, high in ((module.weight, 0.5, 1.5), (module.bias, -0.3, 0.3),
                                      (module.running_mean, -0.3, 0.3),
                                      (module.running_var, 0.5, 2)):
                values.data.uniform_(low, high, generator=generator)
    for index in range(1, 5):
        for weight in getattr(network, f'crp{index}').parameters():
            weight.data *= 0.3
    return network


VARIANTS = [('nyu40', 40, False, 343), ('nyu40_normals', 40, True, 346),
            ('kitti6', 6, False, 343), ('nyu40_kitti6', 46, False, 343)]


@pytest.mark.parametrize('variant, classes, normals, entries', VARIANTS)
def test_the_reference_is_the_published_network(variant, classes, normals, entries):
    network = published(classes, normals)
    assert len(network.state_dict()) == entries
    assert sum(p.numel() for p in network.parameters()) == networks.find(
        'hydranet', variant).parameters


@pytest.mark.parametrize('size', [(96, 128), (93, 117)])
@pytest.mark.parametrize('variant, classes, normals, entries', VARIANTS)
def test_same_weights_same_outputs(variant, classes, normals, entries, size):
    reference = published(classes, normals)
    ours = networks.find('hydranet', variant).build(depth_activation='abs').eval()
    ours.load_state_dict(convert_published(reference.state_dict()))
    image = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        semantics, depth, *rest = reference(image)
        maps = ours(image)
    assert semantics.std() > 0.1
    assert (depth < 0).any()
    torch.testing.assert_close(maps.semantics, semantics, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(maps.depth, depth.abs(), atol=1e-4, rtol=1e-4)
    if normals:
        torch.testing.assert_close(maps.normals, rest[0], atol=1e-4, rtol=1e-4)


def test_a_foreign_key_is_refused():
    state = published(6).state_dict()
    with pytest.raises(KeyError, match='layer9.0.weight'):
        convert_published({**state, 'layer9.0.weight': torch.zeros(1)})


def test_the_sign_of_depth_is_an_option_of_the_network():
    state = convert_published(published(6).state_dict())
    image = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    outputs = []
    for activation in ('abs', 'softplus'):
        network = HydraNet({'semantics': 6, 'depth': 1}, activation).eval()
        network.load_state_dict(state)
        with torch.inference_mode():
            outputs.append(network(image).depth)
    assert (outputs[0] - outputs[1]).abs().max() > 0.01
