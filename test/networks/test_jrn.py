# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The JRN: golden sizes, every option, muting, the residual reading, and the modular pipeline."""

from dataclasses import fields

from jrn_perception import labels, networks
from jrn_perception.networks.interface import Maps, MUTE_VALUES
from jrn_perception.networks.jrn import JointRefinementNetwork, JRNOptions, ModularNetwork
import pytest
import torch
from torch import nn
from torch.nn import functional

SIZE = (96, 128)
VARIANTS = {'sum60': ('sum', 60), 'cat60': ('cat', 60), 'cat10': ('cat', 10), 'cat5': ('cat', 5),
            'cat1': ('cat', 1)}
CHOICES = [(option.name, choice) for option in fields(JRNOptions)
           for choice in option.metadata['choices'][1:]]
MUTED = [(modality, value) for modality in ('depth', 'semantics') for value in MUTE_VALUES]


def smooth(channels, seed, batch=2):
    """Return a smooth random map of 1/4 of the picture with mean 0 and deviation 1."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(batch, channels, 4, 5, generator=generator)
    x = functional.interpolate(coarse, (SIZE[0] // 4, SIZE[1] // 4), mode='bicubic')
    return (x - x.mean()) / x.std()


@pytest.fixture(scope='module')
def inputs():
    """Return depth in metres and class probabilities as single-task networks give them."""
    return (2.7 + 1.3 * smooth(1, 0)).clamp(min=0.3), (3 * smooth(5, 1)).softmax(1)


def build(variant='cat10', seed=0, **options):
    torch.manual_seed(seed)
    network = JointRefinementNetwork(*VARIANTS[variant], options=JRNOptions(**options)).eval()
    # Biases as after training: at 0 some options would only scale what they change.
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if name.endswith('bias'):
            parameter.data.normal_(0, 0.1, generator=generator)
    return network


def untrained(variant='cat10', seed=0, **options):
    torch.manual_seed(seed)
    return JointRefinementNetwork(*VARIANTS[variant], options=JRNOptions(**options)).eval()


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@torch.inference_mode()
def run(network, depth, probabilities, **arguments):
    return network(depth, probabilities, SIZE, **arguments)


# --- sizes --------------------------------------------------------------------------------------

@pytest.mark.parametrize('variant, small_heads, forty_classes', [
    ('cat60', 555_966, 640_241), ('sum60', 523_566, 607_841), ('cat10', 27_966, 57_791),
    ('cat5', 12_291, 36_671), ('cat1', 4_611, 24_635)])
def test_golden_parameters_of_other_heads_and_classes(variant, small_heads, forty_classes):
    fusion, channels = VARIANTS[variant]
    options = JRNOptions(head_kernel=1)
    assert count(JointRefinementNetwork(fusion, channels, options=options)) == small_heads
    assert count(JointRefinementNetwork(fusion, channels, 40)) == forty_classes


@pytest.mark.parametrize('variant, parameters', [
    ('cat10', 429_456), ('cat5', 415_941), ('cat1', 405_129)])
def test_golden_parameters_where_only_the_fusion_is_squeezed(variant, parameters):
    assert count(networks.find('jrn', variant).build(squeeze='fusion')) == parameters


@pytest.mark.parametrize('variant, branch, fuse, heads', [
    ('cat60', 87_700, 291_780, 9_726), ('sum60', 76_900, 291_780, 9_726),
    ('cat10', 6_550, 8_130, 1_626), ('cat5', 3_385, 2_040, 816), ('cat1', 1_501, 84, 168)])
def test_golden_parameters_by_block(variant, branch, fuse, heads):
    network = networks.find('jrn', variant).build()
    assert [count(b) for b in network.branches] == [branch] * 3
    assert count(network.fuse) == fuse
    assert count(network.predict_depth) + count(network.predict_semantics) == heads


@pytest.mark.parametrize('variant, stride, giga', [
    ('cat60', 2, 31.96), ('sum60', 2, 30.87), ('cat10', 2, 1.40), ('cat5', 2, 0.55),
    ('cat1', 2, 0.17), ('sum60', 4, 13.5), ('cat60', 4, 14.6), ('cat10', 4, 0.84)])
def test_multiply_adds(variant, stride, giga):
    total = 0

    def add(layer, _inputs, output):
        nonlocal total
        total += layer.weight[0].numel() * output[0].numel()

    with torch.device('meta'):
        network = networks.find('jrn', variant).build(output_stride=stride).eval()
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(add)
        network(torch.empty(1, 1, 120, 160), torch.empty(1, 5, 120, 160), (480, 640))
    if stride == 4:
        # The reference has the finest branch at 1/2 of the picture and shrinks its output.
        weights = sum(p.numel() for name, p in network.branches[2].named_parameters()
                      if name.endswith('weight'))
        total += weights * (240 * 320 - 120 * 160)
    assert total / 1e9 == pytest.approx(giga, abs=0.05 if giga in (13.5, 14.6) else 0.005)


# --- options ------------------------------------------------------------------------------------

def test_every_option_has_a_default_and_an_alternative():
    assert {name for name, _ in CHOICES} == {option.name for option in fields(JRNOptions)}
    for option in fields(JRNOptions):
        assert option.metadata['choices'][0] == getattr(JRNOptions(), option.name)


@pytest.mark.parametrize('name, choice', CHOICES)
def test_every_option_changes_the_output(name, choice, inputs):
    networks_ = [build(), build(**{name: choice})]
    own, other = (network.state_dict() for network in networks_)
    if {k: v.shape for k, v in own.items()} == {k: v.shape for k, v in other.items()}:
        networks_[1].load_state_dict(own)
    before, after = (run(network, *inputs) for network in networks_)
    if name == 'output_stride':
        assert before.depth.shape[-2:] == (48, 64) and after.depth.shape[-2:] == (24, 32)
        assert before.semantics.shape[-2:] == (48, 64) and after.semantics.shape[-2:] == (24, 32)
        return
    changed = (before.depth - after.depth).abs().max()
    if name != 'depth_activation':
        changed = min(changed, (before.semantics - after.semantics).abs().max())
    assert changed > 1e-3


@pytest.mark.parametrize('option', fields(JRNOptions), ids=lambda option: option.name)
@pytest.mark.parametrize('wrong', ['cubic', 7, None])
def test_a_wrong_choice_is_refused_with_the_choices(option, wrong):
    choices = ', '.join(map(str, option.metadata['choices']))
    with pytest.raises(ValueError, match=f'{option.name}={wrong!r}: choose from {choices}'):
        JRNOptions(**{option.name: wrong})


def test_an_unknown_fusion_is_refused():
    with pytest.raises(ValueError, match="'max': choose from cat, sum"):
        JointRefinementNetwork('max', 10)


def test_the_depth_activation_cuts_what_is_negative(inputs):
    free, cut = build(), build(depth_activation='relu')
    free.predict_depth.bias.data.fill_(0)
    cut.load_state_dict(free.state_dict())
    expected = run(free, *inputs).depth
    assert (expected < 0).any() and (expected > 0).any()
    assert torch.equal(run(cut, *inputs).depth, expected.clamp(min=0))


def test_one_hot_decisions_hide_how_sure_the_semantics_are(inputs):
    depth, probabilities = inputs
    sharper = probabilities.square() / probabilities.square().sum(1, keepdim=True)
    decided, soft = build(semantics_input='one_hot'), build()
    assert torch.equal(run(decided, depth, probabilities).depth,
                       run(decided, depth, sharper).depth)
    assert not torch.equal(run(soft, depth, probabilities).depth, run(soft, depth, sharper).depth)


@pytest.mark.parametrize('value', MUTE_VALUES)
def test_muted_semantics_are_no_decision(inputs, value):
    depth, probabilities = inputs
    decided, soft = build(semantics_input='one_hot'), build()
    muted = [run(network, depth, probabilities, mute='semantics', mute_value=value)
             for network in (decided, soft)]
    assert torch.equal(muted[0].depth, muted[1].depth)


def test_logarithmic_depth_is_finite_for_no_depth(inputs):
    maps = run(build(depth_input='log'), torch.zeros_like(inputs[0]), inputs[1])
    assert maps.depth.isfinite().all() and maps.semantics.isfinite().all()


@pytest.mark.parametrize('downsampling', ['area', 'bilinear'])
def test_shrinking_keeps_the_mean(downsampling, inputs):
    network = build(downsampling=downsampling)
    small = network._shrink(inputs[0], (12, 16))
    assert small.mean().item() == pytest.approx(inputs[0].mean().item(), rel=0.01)
    # A checkerboard vanishes; without antialiasing bilinear sampling would too at exactly 1/2, so
    # a third is taken.
    board = torch.ones(1, 1, 24, 24)
    board[..., ::2, 1::2] = board[..., 1::2, ::2] = -1
    assert network._shrink(board, (8, 8)).abs().max() < 0.35


# --- refinement ---------------------------------------------------------------------------------

@pytest.mark.parametrize('variant', VARIANTS)
def test_each_output_depends_on_both_inputs(variant, inputs):
    network = build(variant)
    before = run(network, *inputs)
    for changed in ((inputs[0] + 0.5, inputs[1]), (inputs[0], inputs[1].flip(1))):
        after = run(network, *changed)
        assert (before.depth - after.depth).abs().max() > 1e-3
        assert (before.semantics - after.semantics).abs().max() > 1e-3


def test_sum_and_concatenation_are_what_their_names_say(inputs):
    for variant in ('sum60', 'cat60'):
        branch = build(variant).branches[0]
        depth = functional.relu(branch.depth(inputs[0]))
        semantics = functional.relu(branch.semantics(inputs[1]))
        x = depth + semantics if variant == 'sum60' else torch.cat((depth, semantics), 1)
        for convolution in branch.convolutions:
            x = convolution(x).relu()
        torch.testing.assert_close(branch(*inputs), x)


@pytest.mark.parametrize('variant', VARIANTS)
@pytest.mark.parametrize('seed', range(8))
def test_no_scale_of_an_untrained_network_is_dead(variant, seed, inputs):
    """A ReLU that is 0 everywhere has no gradient: with one channel that is a branch lost."""
    network = untrained(variant, seed)
    for branch in network.branches:
        assert (branch(*inputs) > 0).float().mean() > 0.01


@pytest.mark.parametrize('variant', VARIANTS)
def test_gradients_reach_every_weight(variant, inputs):
    network = untrained(variant).train()
    maps = network(*inputs, SIZE)
    (maps.depth.square().sum() + maps.semantics.square().sum()).backward()
    without = [name for name, parameter in network.named_parameters()
               if not parameter.grad.count_nonzero()]
    assert without == []


@pytest.mark.parametrize('variant', VARIANTS)
def test_an_untrained_residual_network_returns_its_inputs(variant, inputs):
    depth, probabilities = inputs
    maps = run(untrained(variant, residual=True, output_stride=4), depth, probabilities)
    assert torch.equal(maps.depth, depth)
    torch.testing.assert_close(maps.semantics.softmax(1), probabilities, atol=1e-3, rtol=0)
    assert torch.equal(maps.semantics.argmax(1), probabilities.argmax(1))


def test_an_untrained_residual_network_learns(inputs):
    network = untrained(residual=True).train()
    maps = network(*inputs, SIZE)
    (maps.depth.sum() + maps.semantics[:, 0].sum()).backward()
    assert network.predict_depth.weight.grad.count_nonzero()
    assert network.predict_semantics.weight.grad.count_nonzero()


def test_resolution_of_the_inputs_is_free(inputs):
    network = build()
    expected = run(network, *inputs)
    for factor in (0.5, 2):
        scaled = [functional.interpolate(x, scale_factor=factor, mode='bilinear') for x in inputs]
        maps = run(network, *scaled)
        assert maps.depth.shape == expected.depth.shape
        # The same scene: close, where another one is not.
        assert (maps.depth - expected.depth).abs().mean() < 0.2 * expected.depth.std()


# --- muting -------------------------------------------------------------------------------------

def record(network):
    """Return a dict that fills with what each branch makes of each modality."""
    seen = {}
    for index, branch in enumerate(network.branches):
        for modality in ('depth', 'semantics'):
            getattr(branch, modality).register_forward_hook(
                lambda _layer, _inputs, output, key=(modality, index):
                seen.__setitem__(key, output.clone()))
    return seen


@pytest.mark.parametrize('modality, value', MUTED)
def test_the_other_modality_is_bit_identical(modality, value, inputs):
    network = build()
    seen = record(network)
    run(network, *inputs)
    full = dict(seen)
    run(network, *inputs, mute=modality, mute_value=value)
    assert len(full) == 6
    for (name, scale), output in seen.items():
        same = torch.equal(output, full[name, scale])
        assert same == (name != modality), (name, scale)


@pytest.mark.parametrize('residual', [False, True])
@pytest.mark.parametrize('modality, value', MUTED)
def test_nothing_depends_on_what_is_muted(modality, value, residual, inputs):
    depth, probabilities = inputs
    network = build(residual=residual)
    other = {'depth': (depth.flip(2) + 1, probabilities),
             'semantics': (depth, probabilities.flip(1))}[modality]
    first = run(network, *inputs, mute=modality, mute_value=value)
    second = run(network, *other, mute=modality, mute_value=value)
    assert torch.equal(first.depth, second.depth)
    assert torch.equal(first.semantics, second.semantics)


@pytest.mark.parametrize('modality', ['depth', 'semantics'])
def test_every_mute_value_is_another_one_and_repeatable(modality, inputs):
    network = build()
    network.class_mean.copy_(torch.tensor([0.1, 0.4, 0.05, 0.3, 0.15]))
    outputs = [run(network, *inputs).depth]
    for value in MUTE_VALUES:
        maps = run(network, *inputs, mute=modality, mute_value=value)
        torch.randn(3)
        again = run(network, *inputs, mute=modality, mute_value=value)
        assert torch.equal(maps.depth, again.depth)
        assert torch.equal(maps.semantics, again.semantics)
        outputs.append(maps.depth)
    for index, output in enumerate(outputs):
        for other in outputs[:index]:
            assert (output - other).abs().max() > 1e-3


def test_mute_values_are_what_their_names_say(inputs):
    depth, probabilities = inputs
    network = build()
    network.depth_mean.fill_(3.25)
    network.depth_std.fill_(0.5)
    network.class_mean.copy_(torch.tensor([0.1, 0.4, 0.05, 0.3, 0.15]))

    def muted(modality, value):
        result = network.muted(depth, probabilities, modality, value)
        untouched = result[0 if modality == 'semantics' else 1]
        assert untouched is (depth if modality == 'semantics' else probabilities)
        return result[0 if modality == 'depth' else 1]

    assert muted('depth', 'zero').shape == depth.shape
    assert not muted('depth', 'zero').any() and not muted('semantics', 'zero').any()
    assert torch.equal(muted('depth', 'mean'), torch.full_like(depth, 3.25))
    assert muted('semantics', 'mean')[1, :, 3, 4].tolist() == network.class_mean.tolist()
    noise = muted('depth', 'noise')
    assert noise.mean().item() == pytest.approx(3.25, abs=0.05)
    assert noise.std().item() == pytest.approx(0.5, abs=0.05)
    assert not torch.equal(noise[0], noise[1])
    noise = muted('semantics', 'noise')
    torch.testing.assert_close(noise.sum(1), torch.ones_like(noise[:, 0]))
    assert noise.std() > 0.1
    network.depth_std.fill_(50)
    assert (muted('depth', 'noise') >= 0).all()


def test_muting_leaves_torchs_generator_alone(inputs):
    network = build()
    state = torch.get_rng_state()
    run(network, *inputs, mute='depth', mute_value='noise')
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize('arguments, message', [
    ({'mute': 'colour'}, "mute 'colour': choose from none, depth, semantics"),
    ({'mute': 'depth', 'mute_value': 'one'}, "mute_value 'one': choose from zero, mean, noise"),
    ({'mute_value': 'one'}, "mute_value 'one'")])
def test_what_cannot_be_muted_is_refused(arguments, message, inputs):
    with pytest.raises(ValueError, match=message):
        run(build(), *inputs, **arguments)


# --- modular pipeline ---------------------------------------------------------------------------

class Fixed(nn.Module):
    """A single-task network that always says the same."""

    def __init__(self, **maps):
        super().__init__()
        self.maps = Maps(**maps)

    def forward(self, _image):
        return self.maps


@pytest.fixture(scope='module')
def modular(inputs):
    fold = torch.from_numpy(labels.fold_matrix(labels.NYU40, labels.NYU5))
    logits = 3 * smooth(40, 2)
    return ModularNetwork(Fixed(depth=inputs[0]), Fixed(semantics=logits), build(), fold).eval()


def test_folding_sums_probabilities(modular):
    image = torch.zeros(2, 3, *SIZE)
    with torch.inference_mode():
        folded = modular.predict_inputs(image).semantics.exp()
    fine = modular.semantics.maps.semantics.softmax(1)
    for target in range(5):
        members = [i for i in range(40) if labels.NYU40_TO_NYU5[i] == target]
        torch.testing.assert_close(folded[:, target], fine[:, members].sum(1))
    torch.testing.assert_close(folded.sum(1), torch.ones_like(folded[:, 0]))


def test_the_refined_maps_are_the_jrns_and_the_inputs_go_with_them(modular, inputs):
    image = torch.zeros(2, 3, *SIZE)
    with torch.inference_mode():
        maps = modular(image)
        expected = run(modular.refine, inputs[0], maps.inputs.semantics.exp())
        muted = modular(image, 'depth', 'mean')
        expected_muted = run(modular.refine, inputs[0], maps.inputs.semantics.exp(), mute='depth',
                             mute_value='mean')
    assert torch.equal(maps.inputs.depth, inputs[0])
    assert torch.equal(maps.depth, expected.depth)
    assert torch.equal(maps.semantics, expected.semantics)
    assert torch.equal(muted.depth, expected_muted.depth)
    assert not torch.equal(muted.depth, maps.depth)
    assert torch.equal(muted.inputs.depth, inputs[0]), 'what is reported as input is never muted'


def test_the_fold_is_no_weight(modular):
    assert 'fold' not in modular.state_dict()
    assert 'refine.class_mean' in modular.state_dict()


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_impossible_classes_stay_finite_in_low_precision(dtype, inputs):
    """A sure network says 1e-9 of a class, which float16 cannot hold."""
    fold = torch.from_numpy(labels.fold_matrix(labels.NYU40, labels.NYU5))
    logits = torch.zeros(2, 40, 24, 32)
    logits[:, 3] = 40
    network = ModularNetwork(Fixed(depth=inputs[0]), Fixed(semantics=logits), build(), fold)
    with torch.inference_mode(), torch.autocast('cpu', dtype):
        maps = network(torch.zeros(2, 3, *SIZE))
    assert maps.inputs.semantics.isfinite().all()
    assert maps.depth.isfinite().all() and maps.semantics.isfinite().all()
    assert maps.depth.dtype == maps.semantics.dtype == torch.float32
