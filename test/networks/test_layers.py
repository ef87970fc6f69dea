# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The blocks that more than one network uses, against torch's own operations."""

from jrn_perception.networks.encoders.mobilenet import MobileNetV2
from jrn_perception.networks.layers import (
    ChainedResidualPooling,
    ChannelScale,
    convolve_exactly,
    fold_batch_norms,
    max_pool_5x5,
    resize,
)
import pytest
import torch
from torch import nn
from torch.nn import functional


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_resize_aligns_pixel_areas():
    line = torch.tensor([0., 1.]).view(1, 1, 1, 2)
    # Pixel centres of four lie at -0.25, 0.25, 0.75, 1.25 of two; aligned corners would give 1/3.
    assert resize(line, (1, 4)).flatten().tolist() == [0., 0.25, 0.75, 1.]


def test_resize_to_the_same_size_is_the_same_tensor():
    x = torch.rand(1, 2, 3, 5)
    assert resize(x, (3, 5)) is x


@pytest.mark.parametrize('size', [(1, 1), (2, 7), (5, 5), (13, 8)])
def test_separable_pooling_is_the_square_window(size, generator):
    # All negative: a border padded with zeros would show.
    x = torch.rand(2, 3, *size, generator=generator) - 2
    assert torch.equal(max_pool_5x5(x), functional.max_pool2d(x, 5, 1, 2))


def test_pooling_has_the_gradient_of_the_square_window(generator):
    # Many equal maxima: two 1-D maxima would send the gradient to other pixels.
    x = torch.randint(3, (1, 2, 11, 12), generator=generator).float()
    weight = torch.rand(x.shape, generator=generator)
    gradients = []
    for pool in (max_pool_5x5, lambda x: functional.max_pool2d(x, 5, 1, 2)):
        leaf = x.clone().requires_grad_()
        (weight * pool(leaf)).sum().backward()
        gradients.append(leaf.grad)
    assert torch.equal(*gradients)
    assert gradients[0].count_nonzero() > 0


def test_both_branches_of_pooling_agree(generator):
    x = torch.randn(1, 2, 9, 9, generator=generator)
    assert torch.equal(max_pool_5x5(x), max_pool_5x5(x.clone().requires_grad_()).detach())


def test_chained_residual_pooling_by_hand():
    block = ChainedResidualPooling(1, stages=2)
    for factor, projection in zip((3., 5.), block.projections):
        nn.init.constant_(projection.weight, factor)
    x = torch.zeros(1, 1, 1, 9)
    x[..., 4] = 1
    # First stage: 3 within two pixels; second: 5 times that within four; each is added to x.
    expected = [15., 15., 18., 18., 19., 18., 18., 15., 15.]
    assert block(x).flatten().tolist() == expected


def test_depthwise_pooling_has_a_scale_per_channel():
    block = ChainedResidualPooling(8, depthwise=True)
    assert [p.weight.shape for p in block.projections] == [(8, 1, 1, 1)] * 4
    assert all(p.bias is None for p in block.projections)


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_a_channel_scale_is_the_depthwise_convolution(layout, generator):
    scale = ChannelScale(6)
    x = torch.randn(2, 6, 4, 5, generator=generator).contiguous(memory_format=layout)
    weight, results = torch.randn(x.shape, generator=generator), []
    for layer in (scale, lambda x: functional.conv2d(x, scale.weight, groups=6)):
        leaf = x.clone().requires_grad_()
        y = layer(leaf)
        gradients = torch.autograd.grad((weight * y).sum(), (leaf, scale.weight))
        results.append((y.detach(), *gradients))
    assert results[0][0].is_contiguous(memory_format=layout)
    for ours, theirs in zip(*results):
        torch.testing.assert_close(ours, theirs)


def test_a_channel_scale_keeps_the_precision_of_autocast():
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        assert ChannelScale(3)(torch.rand(1, 3, 2, 2).bfloat16()).dtype == torch.bfloat16


def test_folding_batch_norms_changes_rounding_only(generator):
    network = MobileNetV2().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values, low, high in ((module.weight, 0.5, 1.5), (module.bias, -0.5, 0.5),
                                      (module.running_mean, -0.5, 0.5),
                                      (module.running_var, 0.5, 2)):
                values.data.uniform_(low, high, generator=generator)
    image = torch.randn(1, 3, 64, 96, generator=generator)
    with torch.inference_mode():
        before = network(image)
        assert fold_batch_norms(network) is network
        after = network(image)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    for old, new in zip(before, after):
        assert old.std() > 0.01
        torch.testing.assert_close(new, old, atol=1e-5 * old.abs().max().item(), rtol=1e-4)


def test_folding_a_network_in_training_is_refused():
    with pytest.raises(AssertionError):
        fold_batch_norms(MobileNetV2().train())


def test_an_exact_convolution_is_not_rounded_by_autocast():
    torch.manual_seed(0)
    convolution, before = nn.Conv2d(8, 1, 3), nn.Conv2d(3, 8, 1)
    picture = torch.rand(1, 3, 9, 11)
    with torch.no_grad(), torch.autocast('cpu', torch.bfloat16):
        x = before(picture)
        exact, rounded = convolve_exactly(convolution, x), convolution(x)
    assert x.dtype == rounded.dtype == torch.bfloat16 and exact.dtype == torch.float32
    with torch.no_grad():
        torch.testing.assert_close(exact, convolution(x.float()))
    assert not torch.equal(exact, exact.bfloat16().float())
    # Without autocast it is the convolution itself.
    assert torch.equal(convolve_exactly(convolution, before(picture)),
                       convolution(before(picture)))
