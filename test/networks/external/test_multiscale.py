# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Eigen and Fergus's network: layer arithmetic, geometry, units, gradients."""

import math

from jrn_perception.networks.external.multiscale import MultiScaleDepth, VIEW_SCALE
import pytest
import torch

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)

VGG16 = 14_714_688


def convolution(inputs, outputs, size):
    return inputs * outputs * size ** 2 + outputs


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return MultiScaleDepth(normals=True).eval()


def parameters_with_gradient(network, loss):
    """Return the names of the parameters that got one, each freed at once to save memory."""
    reached = set()
    handles = []
    for name, parameter in network.named_parameters():
        def record(parameter, name=name):
            if parameter.grad.count_nonzero():
                reached.add(name)
            parameter.grad = None
        if parameter.requires_grad:
            handles.append(parameter.register_post_accumulate_grad_hook(record))
    loss.backward()
    for handle in handles:
        handle.remove()
    return reached


@pytest.mark.parametrize('normals, total', [(False, 217_298_676), (True, 217_973_470)])
def test_parameter_counts(normals, total):
    # 228x304, two 3x3 convolutions without padding, five halvings: 7x9 cells of 512 channels.
    scale1 = VGG16 + (512 * 7 * 9 * 4096 + 4096) + (4096 + 1) * 64 * 14 * 19
    channels = (1, 3) if normals else (1,)
    scale2 = convolution(3, 96, 9) + 55 * 74 + sum(
        convolution(64 + 96, 64, 5) + 2 * convolution(64, 64, 5) + convolution(64, c, 5)
        for c in channels)
    scale3 = convolution(3, 64 - sum(channels), 9) + sum(
        2 * convolution(64, 64, 5) + convolution(64, c, 5) for c in channels)
    assert scale1 + scale2 + scale3 == total
    with torch.device('meta'):
        network = MultiScaleDepth(normals=normals)
    assert sum(p.numel() for p in network.parameters()) == total
    assert all(p.requires_grad for p in network.parameters())


def test_state_dict_has_the_names_of_the_release_and_no_constants():
    with torch.device('meta'):
        names = {name.split('.')[0] for name in MultiScaleDepth(normals=True).state_dict()}
    vgg = {f'imnet_conv{stage}_{index}' for stage, depth in enumerate((2, 2, 3, 3, 3), start=1)
           for index in range(1, depth + 1)}
    stacks = {f'{task}_conv_s{scale}_{index}' for task in ('depths', 'normals')
              for scale, last in ((2, 5), (3, 4)) for index in range(2, last + 1)}
    assert names == vgg | stacks | {'full1', 'full2', 'conv_s2_1', 'conv_s3_1', 'depths_bias'}


@pytest.mark.parametrize('size', [(109, 147), (111, 200), (480, 640), (481, 641), (720, 1280)])
def test_the_maps_have_one_size_for_every_image(size):
    with torch.device('meta'):
        maps = MultiScaleDepth()(torch.zeros(2, 3, *size))
    assert maps.depth.shape == (2, 1, 109, 147)
    assert maps.normals is None and maps.semantics is None


def test_an_untrained_network_predicts_metres_about_the_mean_of_nyuv2(network):
    with torch.inference_mode():
        maps = network(torch.randn(1, 3, 481, 641))
    assert maps.depth.shape == (1, 1, 109, 147)
    assert (maps.depth > 0).all()
    assert 1 < maps.depth.median() < 5
    length = maps.normals.norm(dim=1)
    assert maps.normals.shape == (1, 3, 109, 147) and (length < 1).all()


def test_the_output_is_log_depth_in_units_of_its_deviation(network):
    layer = network.depths_conv_s3_4
    weight, bias = layer.weight.data.clone(), layer.bias.data.clone()
    image = torch.randn(1, 3, 120, 160)
    try:
        layer.weight.data.zero_()
        layer.bias.data.fill_(math.log(3.) / 0.45723134)
        with torch.inference_mode():
            depth = network(image).depth
    finally:
        layer.weight.data.copy_(weight)
        layer.bias.data.copy_(bias)
    # 640x480 halved is what they trained with; here 218x294 pixels show the same view.
    expected = 3 * math.sqrt(218 / 240 * 294 / 320)
    torch.testing.assert_close(depth, torch.full_like(depth, expected))
    assert VIEW_SCALE == pytest.approx(0.9135, abs=1e-4)


def test_scale1_is_upsampled_bilinearly(network):
    ramp = (10. * torch.arange(14.)[:, None] + torch.arange(19.)).expand(2, 64, 14, 19)
    up = network.upsample(ramp)
    assert up.shape == (2, 64, 55, 74)
    rows = ((torch.arange(55) - 1) / 4)[1:54]
    columns = ((torch.arange(74) - 1) / 4)[1:74]
    expected = (10 * rows[:, None] + columns).expand(2, 64, -1, -1)
    torch.testing.assert_close(up[:, :, 1:54, 1:74], expected)


@pytest.mark.parametrize('height, width', [(480, 640), (481, 641), (720, 1280), (120, 160)])
def test_the_maps_cover_the_whole_image(network, height, width):
    rows = torch.arange(height) + 0.5
    columns = torch.arange(width) + 0.5
    image = torch.stack((
        rows[:, None].expand(-1, width), columns.expand(height, -1), torch.ones(height, width)))
    native = network.to_native(image[None])
    assert native.shape == (1, 3, 228, 304)
    # A map pixel looks at native pixel 2 r + 5, which has to show the centre of its own area.
    seen = native[0, :, 5:5 + 2 * 109:2, 5:5 + 2 * 147:2]
    assert seen.shape == (3, 109, 147)
    expected_rows = (torch.arange(109) + 0.5) * height / 109
    expected_columns = (torch.arange(147) + 0.5) * width / 147
    inside = slice(2, -2)
    torch.testing.assert_close(
        seen[0, inside, 70], expected_rows[inside], rtol=0, atol=0.02 * height / 109)
    torch.testing.assert_close(
        seen[1, 50, inside], expected_columns[inside], rtol=0, atol=0.02 * width / 147)
    torch.testing.assert_close(seen[2], torch.ones(109, 147))


def test_a_fine_feature_looks_where_the_authors_say(network):
    # They give rows 11 to 227 and columns 13 to 305 of 240x320 for their crop at (6, 8).
    image = torch.zeros(1, 3, 228, 304, requires_grad=True)
    fine = torch.nn.functional.avg_pool2d(network.conv_s3_1(image), 3, stride=1)
    assert fine.shape[2:] == (109, 147)
    for (row, column), centre in (((1, 1), (13, 15)), ((107, 145), (225, 303))):
        gradient, = torch.autograd.grad(fine[0, 0, row, column], image, retain_graph=True)
        seen = gradient[0].abs().sum(0).nonzero().float()
        middle = (seen.amin(0) + seen.amax(0)) / 2
        assert (middle + torch.tensor([6., 8.])).tolist() == list(centre)


def test_the_two_input_scales_are_exact(network):
    pixel = torch.tensor([200., 17., 99.]).view(1, 3, 1, 1)
    normalised = (pixel / 255 - MEAN) / STD
    torch.testing.assert_close(
        network.vgg_pixels(normalised).flatten(),
        torch.tensor([200 - 123.68, 17 - 116.779, 99 - 103.939]), rtol=0, atol=2e-5)
    torch.testing.assert_close(
        network.image_pixels(normalised), (pixel - 109.31410628) / 76.18328376,
        rtol=0, atol=1e-6)


def test_gradients_reach_every_parameter(network):
    maps = network(torch.randn(1, 3, 120, 160))
    reached = parameters_with_gradient(
        network, maps.depth.square().mean() + maps.normals[:, 0].mean())
    assert reached == {name for name, _ in network.named_parameters()}


@pytest.mark.parametrize('image, message', [
    (torch.zeros(1, 3, 108, 640), r'at least 109x147 .* got 108x640: resize'),
    (torch.zeros(1, 3, 480, 146), r'at least 109x147 .* got 480x146: resize'),
    (torch.zeros(1, 1, 480, 640), r'\(1, 1, 480, 640\)'),
])
def test_unusable_images_are_refused(network, image, message):
    with pytest.raises(ValueError, match=message):
        network(image)


def test_the_native_entry_takes_the_native_size_only(network):
    with pytest.raises(ValueError, match=r'228x304 .* got \(240, 320\): call the network'):
        network.forward_native(torch.zeros(1, 3, 240, 320))
