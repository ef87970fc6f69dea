# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""HydraNet as a whole: sizes, heads, cost. Parity with the authors' is tested next door."""

from jrn_perception.networks.decoders.refinenet import Decoder
from jrn_perception.networks.encoders import ENCODERS
from jrn_perception.networks.hydranet import HydraNet
import pytest
import torch
from torch import nn

HEADS = {'semantics': 40, 'depth': 1}


@pytest.fixture(scope='module')
def network():
    torch.manual_seed(0)
    return HydraNet(HEADS).eval()


@pytest.fixture(scope='module')
def image():
    return torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))


def multiply_adds(network, image):
    """Return the multiply-adds of all convolutions, from the shapes that pass through."""
    total = 0

    def add(layer, _inputs, output):
        nonlocal total
        total += layer.weight[0].numel() * output[0].numel()

    handles = [module.register_forward_hook(add) for module in network.modules()
               if isinstance(module, nn.Conv2d)]
    network(image)
    for handle in handles:
        handle.remove()
    return total


@pytest.mark.parametrize('heads, size, giga', [
    ({'semantics': 40, 'depth': 1}, (480, 640), 5.940),
    ({'semantics': 40, 'depth': 1}, (350, 1200), 8.174),
    ({'semantics': 6, 'depth': 1}, (350, 1200), 6.106),
    ({'semantics': 40, 'depth': 1, 'normals': 3}, (480, 640), 6.078),
])
def test_multiply_adds_of_the_published_network(heads, size, giga):
    with torch.device('meta'):
        assert round(multiply_adds(HydraNet(heads).eval(), torch.empty(1, 3, *size)) / 1e9,
                     3) == giga


def test_multiply_adds_at_encoder_stride_16():
    with torch.device('meta'):
        network, image = HydraNet(HEADS, encoder_stride=16).eval(), torch.empty(1, 3, 480, 640)
        assert round(multiply_adds(network, image) / 1e9, 3) == 7.424
        assert round(multiply_adds(network.encoder, image) / 1e9, 3) == 2.868
        assert round(multiply_adds(HydraNet(HEADS).eval().encoder, image) / 1e9, 3) == 1.789


def test_the_encoder_stride_changes_neither_weights_nor_output_size(network, image):
    other = HydraNet(HEADS, encoder_stride=16).eval()
    other.load_state_dict(network.state_dict())
    assert other.output_stride == network.output_stride == 4
    assert other.decoder.levels == network.decoder.levels == ((5, 4), (3, 2), (1,), (0,))
    with torch.inference_mode():
        found, before = other(image), network(image)
    assert found.depth.shape == before.depth.shape and found.semantics.shape == (1, 40, 16, 24)
    assert not torch.equal(found.depth, before.depth)


def test_resnet_50_has_one_stride():
    with pytest.raises(ValueError, match='encoder stride 16: ResNet-50 has only 32'):
        HydraNet(HEADS, encoder='resnet50', encoder_stride=16)


@pytest.mark.parametrize('size, expected', [((468, 625), (117, 157)), ((350, 1200), (88, 300))])
def test_published_output_sizes(size, expected):
    with torch.device('meta'):
        maps = HydraNet(HEADS).eval()(torch.empty(1, 3, *size))
    assert maps.semantics.shape == (1, 40, *expected)
    assert maps.depth.shape == (1, 1, *expected)


@pytest.mark.parametrize('height, width', [(64, 96), (65, 97), (62, 95)])
def test_maps_of_resnet_50_have_a_quarter_of_the_size(height, width):
    with torch.device('meta'):
        maps = HydraNet(HEADS, encoder='resnet50').eval()(torch.empty(1, 3, height, width))
    expected = -(-height // 4), -(-width // 4)
    assert maps.semantics.shape == (1, 40, *expected)
    assert maps.depth.shape == (1, 1, *expected)


def test_blocks_have_the_published_sizes(network):
    def count(module):
        return sum(parameter.numel() for parameter in module.parameters())
    decoder = network.decoder
    assert [count(p) for p in decoder.projections] == [
        6_144, 8_192, 16_384, 24_576, 40_960, 81_920]
    assert [count(p) for p in decoder.pooling] == [262_144, 262_144, 262_144, 1_024]
    assert [count(p) for p in decoder.adaptions] == [65_536] * 3
    assert count(network.heads['depth']) == 2_561
    assert count(network.heads['semantics']) == 92_456


@pytest.mark.parametrize('heads', [
    {'semantics': 7}, {'depth': 1}, {'normals': 3}, {'depth': 1, 'normals': 3}])
def test_a_network_returns_the_heads_it_has(heads, image):
    with torch.inference_mode():
        maps = HydraNet(heads).eval()(image)
    found = {name: getattr(maps, name).shape[1] for name in maps._fields
             if getattr(maps, name) is not None}
    assert found == heads


@pytest.mark.parametrize('heads, message', [
    ({}, 'none; choose from semantics, depth'), ({'pose': 6}, "'pose'.*choose from")])
def test_unknown_heads_are_refused(heads, message):
    with pytest.raises(ValueError, match=message):
        HydraNet(heads)


def test_an_unknown_depth_activation_is_refused():
    with pytest.raises(ValueError, match="'exp': choose from abs, softplus"):
        HydraNet(HEADS, 'exp')


def test_an_unknown_encoder_is_refused():
    with pytest.raises(ValueError, match="encoder 'vgg16': choose from mobilenetv2, resnet50"):
        HydraNet(HEADS, encoder='vgg16')


@pytest.mark.parametrize('activation', ['abs', 'softplus'])
def test_depth_is_never_negative(activation, image):
    torch.manual_seed(0)
    network = HydraNet({'depth': 1}, activation).eval()
    nn.init.constant_(network.heads['depth'].predict.bias, -0.05)
    nn.init.normal_(network.heads['depth'].predict.weight, std=0.1)
    with torch.inference_mode():
        raw = network.heads['depth'](network.decoder(network.encoder(image)))
        depth = network(image).depth
    assert (raw < 0).any() and (raw > 0).any()
    assert (depth >= 0).all()
    expected = raw.abs() if activation == 'abs' else (1 + raw.exp()).log()
    torch.testing.assert_close(depth, expected, atol=1e-4, rtol=1e-4)


def test_heads_do_not_share_what_is_theirs(network, image):
    other = HydraNet(HEADS).eval()
    other.load_state_dict(network.state_dict())
    nn.init.normal_(other.heads['depth'].predict.weight, std=0.5)
    with torch.inference_mode():
        before, after = network(image), other(image)
    assert torch.equal(before.semantics, after.semantics)
    assert (before.depth - after.depth).abs().max() > 0.1


def test_activations_of_an_untrained_network_neither_vanish_nor_explode(network):
    image = torch.randn(2, 3, 96, 128, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        features = network.decoder(network.encoder(image))
        maps = network(image)
    assert 0.01 < features.std() < 100
    assert 0.1 < maps.depth.min() and maps.depth.max() < 20
    assert maps.semantics.std() > 1e-3


@pytest.mark.parametrize('encoder', ENCODERS)
def test_gradients_reach_every_parameter(image, encoder):
    torch.manual_seed(0)
    network = HydraNet({**HEADS, 'normals': 3}, encoder=encoder)
    maps = network(torch.cat((image, image.flip(3))))
    (maps.depth.square().sum() + maps.semantics.square().sum()
     + maps.normals.square().sum()).backward()
    without = [name for name, parameter in network.named_parameters()
               if parameter.grad is None or not parameter.grad.count_nonzero()]
    assert without == []


@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('encoder, coarse', [
    ('mobilenetv2', {2, 3, 4, 5}), ('resnet50', {2, 3})])
def test_dropout_takes_from_the_two_coarsest_levels_in_training(encoder, coarse, training):
    torch.manual_seed(0)
    kind, seen = ENCODERS[encoder], {}
    decoder = Decoder(kind.channels, kind.strides, dropout=0.25).train(training)
    for index, projection in enumerate(decoder.projections):
        projection.register_forward_pre_hook(
            lambda _, inputs, index=index: seen.update({index: inputs[0]}))
    decoder([torch.ones(1, channels, 8, 8) for channels in kind.channels])
    for index, values in seen.items():
        lost = (values == 0).float().mean().item()
        assert lost == (pytest.approx(0.25, abs=0.05) if training and index in coarse else 0)
    assert set(seen) == set(range(len(kind.channels)))


@pytest.mark.parametrize('dropout', [0., 0.5])
def test_a_network_in_training_is_its_own_equal_unless_it_has_dropout(image, dropout):
    torch.manual_seed(0)
    network = HydraNet(HEADS, dropout=dropout).train()
    batch = torch.cat((image, image.flip(3)))
    assert torch.equal(network(batch).depth, network(batch).depth) == (not dropout)


def test_metres_keep_their_precision_under_autocast(network, image):
    with torch.inference_mode():
        with torch.autocast('cpu', torch.bfloat16):
            low = network(image)
        full = network(image)
    assert low.semantics.dtype == torch.bfloat16
    assert low.depth.dtype == torch.float32
    torch.testing.assert_close(low.depth, full.depth, atol=0.1, rtol=0.05)


# --- calibration --------------------------------------------------------------------------------

@pytest.mark.parametrize('encoder', ['mobilenetv2', 'resnet50'])
def test_a_calibrated_decoder_hears_every_level_alike(encoder):
    torch.manual_seed(0)
    network = HydraNet({'depth': 1}, encoder=encoder, dropout=0.5).train()
    # Statistics of batch normalisation that make the levels as unlike as ImageNet's do.
    for index, stage in enumerate(network.encoder.stages):
        bn = [m for m in stage.modules() if isinstance(m, torch.nn.BatchNorm2d)][-1]
        torch.nn.init.constant_(bn.weight, 2. ** (index % 4))
    image = torch.randn(2, 3, 64, 96)
    network.calibrate(image)
    assert network.training
    network.eval()
    decoder, below = network.decoder, None
    with torch.no_grad():
        features = network.encoder(image)
        for level, members in enumerate(decoder.levels):
            for index in members:
                spread = decoder.projections[index](features[index]).std().item()
                assert spread == pytest.approx(1, rel=1e-4)
            if below is not None:
                spread = decoder.adaptions[level - 1](below).std().item()
                assert spread == pytest.approx(2, rel=1e-4)
            below = decoder._refine(level, features, below)
        assert torch.equal(below, decoder(features))


def test_calibration_leaves_everything_but_the_decoders_scales():
    torch.manual_seed(0)
    network = HydraNet({'depth': 1})
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.calibrate(torch.randn(2, 3, 64, 96))
    for name, value in network.state_dict().items():
        if name.startswith(('decoder.projections', 'decoder.adaptions')):
            ratio = value / before[name]
            assert ratio.std() < 1e-4 and abs(ratio.mean() - 1) > 1e-3, name
        else:
            assert torch.equal(value, before[name]), name
