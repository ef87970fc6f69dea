# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""FCN-16s: layer arithmetic, geometry, input conversion, gradients."""

import math

from jrn_perception.networks.external.fcn import bilinear_kernel, FCN16s
import pytest
import torch

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)

# Weights and biases of VGG-16's convolutions, (inputs, outputs) of 3x3 kernels.
VGG16 = sum(9 * i * o + o for i, o in (
    (3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256),
    (256, 512), (512, 512), (512, 512), (512, 512), (512, 512), (512, 512)))


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return FCN16s(5).eval()


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


def test_vgg16_arithmetic_is_the_published_number():
    assert VGG16 == 14_714_688


@pytest.mark.parametrize('classes, total, trainable', [
    (5, 134_309_594, 134_283_594),
    (21, 134_815_994, 134_357_354),
    (40, 136_108_944, 134_444_944),
])
def test_parameter_counts(classes, total, trainable):
    learned = (
        VGG16 + (7 * 7 * 512 * 4096 + 4096) + (4096 * 4096 + 4096)
        + (4096 + 1) * classes + (512 + 1) * classes)
    frozen = (4 * 4 + 32 * 32) * classes ** 2
    assert (learned + frozen, learned) == (total, trainable)
    with torch.device('meta'):
        parameters = list(FCN16s(classes).parameters())
    assert sum(p.numel() for p in parameters) == total
    assert sum(p.numel() for p in parameters if p.requires_grad) == trainable


def test_state_dict_has_the_names_of_the_converted_caffe_weights():
    with torch.device('meta'):
        names = set(FCN16s(21).state_dict())
    convolutions = [f'conv{stage}_{index}' for stage, depth in enumerate((2, 2, 3, 3, 3), start=1)
                    for index in range(1, depth + 1)]
    layers = [*convolutions, 'fc6', 'fc7', 'score_fr', 'score_pool4']
    expected = {f'{layer}.{kind}' for layer in layers for kind in ('weight', 'bias')}
    assert names == expected | {'upscore2.weight', 'upscore16.weight'}


@pytest.mark.parametrize('size', [(32, 32), (33, 47), (97, 131), (480, 640), (481, 641)])
def test_logits_have_the_size_of_the_image(size):
    with torch.device('meta'):
        maps = FCN16s(40)(torch.zeros(2, 3, *size))
    assert maps.semantics.shape == (2, 40, *size)
    assert maps.depth is None and maps.normals is None


def test_real_forward_on_an_odd_size(network):
    with torch.inference_mode():
        semantics = network(torch.randn(1, 3, 97, 131)).semantics
    assert semantics.shape == (1, 5, 97, 131)
    assert torch.isfinite(semantics).all()
    assert semantics.std() > 0


@pytest.mark.parametrize('size, stride', [(4, 2), (32, 16), (7, 4)])
def test_bilinear_kernel_reproduces_a_ramp(size, stride):
    ramp = torch.arange(6.).expand(1, 1, 6, 6)
    up = torch.nn.functional.conv_transpose2d(ramp, bilinear_kernel(size)[None, None],
                                              stride=stride)
    position = (torch.arange(up.shape[3]) - (size - 1) / 2) / stride
    inside = (position >= 0) & (position <= 5)
    assert inside.sum() > 5 * stride - 2
    row = up[0, 0, up.shape[2] // 2]
    torch.testing.assert_close(row[inside], position[inside])


def test_both_scores_are_aligned_with_the_pixels(network):
    # Pixel coordinates of the score cells, from the padding of 100 and the strides alone:
    # pool4 cell q covers 16 q + 7.5 of the padded picture, fc7 cell q (7x7 on pool5) 32 q + 111.5;
    # the padded picture starts at pixel -99. Cells that hold their own coordinate, twice, have to
    # give twice the pixel's coordinate. 10 row + column stands for both coordinates.
    size = 300
    pool4 = torch.arange(math.ceil((size + 198) / 16)) * 16 + 7.5 - 99
    fc7 = torch.arange(math.ceil((size + 198) / 32) - 6) * 32 + 111.5 - 99

    def plane(position):
        return (10 * position[:, None] + position).expand(1, 5, -1, -1)

    with torch.inference_mode():
        fused = network.fuse(plane(fc7), plane(pool4), (size, size))
    inside = slice(24, 276)
    expected = 2 * plane(torch.arange(300.)[inside])
    torch.testing.assert_close(fused[:, :, inside, inside], expected, rtol=0, atol=1e-2)


def test_caffe_pixels_are_bgr_0_to_255_less_the_mean(network):
    pixel = torch.tensor([200., 17., 99.]).view(1, 3, 1, 1)
    caffe = network.to_caffe((pixel / 255 - MEAN) / STD).flatten()
    expected = torch.tensor([99 - 104.00699, 17 - 116.66877, 200 - 122.67892])
    torch.testing.assert_close(caffe, expected, rtol=0, atol=2e-5)


def test_another_mean_is_subtracted_and_is_not_in_the_state_dict():
    mean = (116.190, 97.203, 92.318)
    with torch.device('meta'):
        network = FCN16s(2, mean_bgr=mean)
    assert not any(name.startswith('pixels') for name in network.state_dict())
    pixels = type(network.pixels)(mean[::-1])
    black = pixels((0 - MEAN) / STD).flip(1).flatten()
    torch.testing.assert_close(black, -torch.tensor(mean), rtol=0, atol=2e-5)


def test_gradients_reach_all_but_the_frozen_deconvolutions(network):
    loss = network(torch.randn(1, 3, 32, 40)).semantics.square().mean()
    reached = parameters_with_gradient(network, loss)
    everything = {name for name, _ in network.named_parameters()}
    assert everything - reached == {'upscore2.weight', 'upscore16.weight'}


def test_dropout_is_on_in_training(network):
    image = torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        predicted = network(image).semantics
        network.train()
        try:
            dropped = network(image).semantics
        finally:
            network.eval()
    assert not torch.equal(predicted, dropped)


@pytest.mark.parametrize('image, message', [
    (torch.zeros(1, 3, 31, 640), r'at least 32x32 .* got 31x640: resize'),
    (torch.zeros(1, 3, 480, 8), r'at least 32x32 .* got 480x8: resize'),
    (torch.zeros(3, 64, 64), r'\(B, 3, H, W\); it got torch.float32 \(3, 64, 64\)'),
    (torch.zeros(1, 4, 64, 64), r'\(1, 4, 64, 64\)'),
    (torch.zeros(1, 3, 64, 64, dtype=torch.uint8), r'normalised RGB.*uint8'),
])
def test_unusable_images_are_refused(network, image, message):
    with pytest.raises(ValueError, match=message):
        network(image)
