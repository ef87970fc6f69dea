# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""ResNet-50: sizes of the published network, and Keras's ImageNet weights in it."""

import re

from jrn_perception.networks.conversion import convert_keras
from jrn_perception.networks.encoders.resnet import ResNet50
from jrn_perception.networks.interface import MEAN, STD
import pytest
import torch
from torch.nn import functional

# Stage, its blocks, the width inside of them.
STAGES = (('2', 'abc', 64), ('3', 'abcd', 128), ('4', 'abcdef', 256), ('5', 'abc', 512))
# Blue, green and red that Keras takes off a picture, and that its zeros stand for.
CAFFE_MEAN = torch.tensor((103.939, 116.779, 123.68)).view(3, 1, 1)
# Blue, green and red that zeros stand for in our input.
OUR_MEAN = 255 * torch.tensor(MEAN[::-1]).view(3, 1, 1)


@pytest.fixture(scope='module')
def weights():
    """Return random weights of Keras's ResNet50 by their names, kernels as (h, w, in, out)."""
    generator = torch.Generator().manual_seed(0)
    made = {}

    def uniform(low, high, count):
        return low + (high - low) * torch.rand(count, generator=generator)

    def layer(convolution, bn, size, inputs, outputs, deviation=1.):
        spread = deviation * (2 / (size ** 2 * inputs)) ** 0.5
        made[f'{convolution}/kernel'] = spread * torch.randn(
            size, size, inputs, outputs, generator=generator)
        for name, low, high in ((f'{convolution}/bias', -0.5, 0.5), (f'{bn}/gamma', 0.5, 1.5),
                                (f'{bn}/beta', -0.5, 0.5), (f'{bn}/moving_mean', -0.5, 0.5),
                                (f'{bn}/moving_variance', 0.5, 2)):
            made[name] = uniform(low, high, outputs)

    # Grey levels come in, numbers around 1 go out.
    layer('conv1', 'bn_conv1', 7, 3, 64, deviation=1 / 70)
    inputs = 64
    for stage, blocks, width in STAGES:
        for block in blocks:
            names = [(f'res{stage}{block}_branch{part}', f'bn{stage}{block}_branch{part}')
                     for part in ('2a', '2b', '2c', '1')]
            layer(*names[0], 1, inputs, width)
            layer(*names[1], 3, width, width)
            layer(*names[2], 1, width, 4 * width)
            if block == 'a':
                layer(*names[3], 1, inputs, 4 * width)
            inputs = 4 * width
    return made


@pytest.fixture(scope='module')
def picture():
    """Return RGB in 0..255 of an odd size."""
    return 255 * torch.rand(1, 3, 65, 97, generator=torch.Generator().manual_seed(1))


def reference(weights, picture, around):
    """
    Return the outputs of Keras's four stages, on BGR less its mean and biases as they are.

    ``around`` is the colour that stands around the picture.
    """
    def layer(x, convolution, bn, stride=1, padding=0):
        x = functional.conv2d(x, weights[f'{convolution}/kernel'].permute(3, 2, 0, 1),
                              weights[f'{convolution}/bias'], stride, padding)
        mean, variance, gamma, beta = (weights[f'{bn}/{name}'].view(-1, 1, 1) for name in (
            'moving_mean', 'moving_variance', 'gamma', 'beta'))
        return gamma * (x - mean) / (variance + 1e-5).sqrt() + beta

    height, width = picture.shape[-2:]
    framed = around.repeat(1, 1, height + 6, width + 6)
    framed[..., 3:-3, 3:-3] = picture.flip(1)
    x = layer(framed - CAFFE_MEAN, 'conv1', 'bn_conv1', stride=2).relu()
    x = functional.max_pool2d(functional.pad(x, (1, 1, 1, 1)), 3, stride=2)
    outputs = []
    for stage, blocks, _ in STAGES:
        for block in blocks:
            stride = 2 if block == 'a' and stage != '2' else 1
            names = [(f'res{stage}{block}_branch{part}', f'bn{stage}{block}_branch{part}')
                     for part in ('2a', '2b', '2c', '1')]
            y = layer(x, *names[0], stride).relu()
            y = layer(y, *names[1], padding=1).relu()
            y = layer(y, *names[2])
            x = (y + (layer(x, *names[3], stride) if block == 'a' else x)).relu()
        outputs.append(x)
    return outputs


def largest_difference(weights, picture, around):
    """Return the largest difference of any stage, in standard deviations of its output."""
    encoder = ResNet50().eval()
    encoder.load_state_dict(convert_keras(weights))
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    with torch.inference_mode():
        pairs = list(zip(reference(weights, picture, around),
                         encoder((picture / 255 - mean) / std)))
    assert len(pairs) == 4
    return max(((theirs - ours).abs().max() / theirs.std()).item() for theirs, ours in pairs)


def test_the_size_of_the_published_network_without_its_classifier():
    with torch.device('meta'):
        encoder = ResNet50()
    # 25,557,032 with 2048 x 1000 weights and 1000 biases of the classifier.
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 23_508_032


@pytest.mark.parametrize('height, width', [(64, 96), (65, 97), (33, 47)])
def test_channels_and_strides(height, width):
    with torch.device('meta'):
        features = ResNet50().eval()(torch.empty(1, 3, height, width))
    expected = [(channels, -(-height // stride), -(-width // stride))
                for channels, stride in ((256, 4), (512, 8), (1024, 16), (2048, 32))]
    assert [tuple(f.shape[1:]) for f in features] == expected
    assert ResNet50.channels == tuple(channels for channels, _, _ in expected)


def test_converted_weights_give_what_keras_gives(weights, picture):
    # What float32 loses in 53 layers; with an eps of 1e-3 it would be 0.1.
    assert largest_difference(weights, picture, OUR_MEAN) < 1e-4


def test_the_border_that_keras_sees_makes_hardly_a_difference(weights, picture):
    # Zeros around the picture are CAFFE_MEAN to Keras and OUR_MEAN to us.
    assert (CAFFE_MEAN - OUR_MEAN).abs().max() < 0.5, 'grey levels of 255'
    assert 1e-4 < largest_difference(weights, picture, CAFFE_MEAN) < 0.05


def test_converted_weights_are_numbers_to_half_precision(weights):
    # Grey levels have a variance of thousands, and filters add a few of them up.
    large = {**weights, 'conv1/kernel': 70 * weights['conv1/kernel'],
             'bn_conv1/moving_variance': torch.full((64,), 2e6)}
    assert not large['bn_conv1/moving_variance'].half().isfinite().any()
    for name, value in convert_keras(large).items():
        assert value.half().isfinite().all(), name


@pytest.mark.parametrize('key', [
    'conv1/bias', 'bn_conv1/gamma', 'res3d_branch2b/kernel', 'bn5a_branch1/moving_variance'])
def test_a_weight_that_is_missing_is_named(weights, key):
    rest = {name: value for name, value in weights.items() if name != key}
    with pytest.raises(KeyError, match=re.escape(key)):
        convert_keras(rest)
