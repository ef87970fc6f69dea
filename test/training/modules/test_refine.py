# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""The JRN's training: kept predictions, their ground truth, Eq. 1 on them."""

from dataclasses import replace

from jrn_perception import labels, networks
from jrn_perception.frame import Frame
from jrn_perception.networks.interface import Maps
from jrn_perception.networks.jrn import ModularNetwork
from jrn_perception.networks.layers import resize
from jrn_perception.training.modules.losses import jrn_loss
from jrn_perception.training.recipes import RefineRecipe
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import ConcatDataset, DataLoader, TensorDataset

NEEDS = "needs pip install '.[train]'"
refine = pytest.importorskip('jrn_perception.training.modules.refine', reason=NEEDS)
run = pytest.importorskip('jrn_perception.training.run', reason=NEEDS)
RefineModule = refine.RefineModule

SIZE = (48, 64)
TABLE = labels.NYU40_TO_NYU5
RECIPE = RefineRecipe(epochs=1, views=2, batch_size=2, input_size=SIZE)


class Depth(nn.Module):
    """Depth that tells the mean of the picture around a pixel."""

    def forward(self, image):
        return Maps(2.5 + nn.functional.avg_pool2d(image, 4).mean(1, keepdim=True))


class Semantics(nn.Module):
    """Forty logits that depend on the picture."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(2 * torch.randn(40, 3, 1, 1, generator=generator))

    def forward(self, image):
        small = nn.functional.avg_pool2d(image, 4)
        return Maps(semantics=nn.functional.conv2d(small, self.weight))


@pytest.fixture(scope='module')
def modular():
    fold = torch.from_numpy(labels.fold_matrix(labels.NYU40, labels.NYU5))
    return ModularNetwork(Depth(), Semantics(), networks.find('jrn', 'cat1').build(), fold).eval()


def frame(seed=0):
    """Return a frame of twice the input's size, a third of it without annotation."""
    generator = np.random.default_rng(seed)
    height, width = 2 * SIZE[0], 2 * SIZE[1]

    def blocks(*choices):
        coarse = generator.choice(choices, (height // 16, width // 16))
        return coarse.repeat(16, 0).repeat(16, 1)
    rgb = np.stack([blocks(10, 90, 170, 250) for _ in range(3)], 2).astype(np.uint8)
    return Frame(rgb, depth=blocks(1.5, 2.5, np.nan).astype(np.float32),
                 labels=blocks(0, 1, 21, 5, 255).astype(np.uint8))


FRAMES = [frame(i) for i in range(5)]


def kept(modular, augment=False, recipe=RECIPE, frames=None, **arguments):
    return refine.predict_inputs(modular, frames or FRAMES, recipe, TABLE, augment, **arguments)


def equal(first, second):
    return all(torch.equal(a.nan_to_num(-1), b.nan_to_num(-1))
               for a, b in zip(first.tensors, second.tensors))


# --- kept predictions ---------------------------------------------------------------------------

def test_what_is_kept(modular):
    for augment, count in ((False, 5), (True, 10)):
        depth, probabilities, target, classes = kept(modular, augment).tensors
        assert (depth.shape, depth.dtype) == ((count, 1, 12, 16), torch.float16)
        assert (probabilities.shape, probabilities.dtype) == ((count, 5, 12, 16), torch.float16)
        assert (target.shape, target.dtype) == ((count, 24, 32), torch.float16)
        assert (classes.shape, classes.dtype) == ((count, 24, 32), torch.uint8)
        torch.testing.assert_close(probabilities.float().sum(1), torch.ones(count, 12, 16),
                                   atol=2e-3, rtol=0)
        assert set(classes.unique().tolist()) == {0, 1, 2, 3, 255}


@pytest.mark.parametrize('augment', [False, True])
def test_true_depth_is_that_of_the_networks_camera(modular, augment):
    camera = np.diag((80., 80., 1.))
    frames = [replace(one, camera_matrix=camera) for one in FRAMES]
    targets = [kept(modular, augment, frames=frames, focal_length=focal_length).tensors[2]
               for focal_length in (None, (20., 20.))]
    # 40 pixels at the size of the input, twice that of the network.
    torch.testing.assert_close(targets[0] / 2, targets[1], equal_nan=True)


def test_without_augmentation_the_networks_see_what_they_see_at_inference(modular):
    depth, probabilities, _, _ = kept(modular, frames=FRAMES[:1]).tensors
    # Blocks of 16 pixels, shrunk by two: away from their edges nothing is mixed.
    rgb = torch.from_numpy(FRAMES[0].rgb).permute(2, 0, 1)[None, :, ::2, ::2] / 255
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (
        (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        expected = modular.predict_inputs((rgb - mean) / std)
    difference = (depth[0, 0].float() - expected.depth[0, 0]).abs()
    assert difference.median() < 0.02
    assert (probabilities.float() - expected.semantics.exp()).abs().median() < 0.02


def test_ground_truth_is_mapped_and_never_mixed(modular):
    _, _, target, classes = kept(modular, frames=FRAMES[:1]).tensors
    truth = FRAMES[0]
    # Half the input's size is a quarter of the frame's; the middle of blocks of 4 is unambiguous.
    middle = slice(1, None, 4), slice(1, None, 4)
    expected = truth.depth[8::16, 8::16]
    np.testing.assert_allclose(target[0].float().numpy()[middle], expected)
    np.testing.assert_array_equal(classes[0].numpy()[middle],
                                  labels.map_labels(truth.labels[8::16, 8::16], TABLE))
    known = target[target.isfinite()]
    assert set(known.unique().tolist()) == {1.5, 2.5}


def test_views_differ_in_depth_by_their_zoom(modular):
    depth, _, target, _ = kept(modular, augment=True).tensors
    assert not torch.equal(depth[:5], depth[5:])
    zooms = 1.5 / target[target.isfinite() & (target < 2)].float()
    assert zooms.min() < 0.95 and zooms.max() > 1.05
    assert 0.79 < zooms.min() and zooms.max() < 1.26


def test_predictions_are_those_of_the_seed(modular):
    torch.manual_seed(11)
    first = kept(modular, augment=True)
    torch.manual_seed(12)
    assert equal(first, kept(modular, augment=True))
    assert not equal(first, kept(modular, augment=True, recipe=replace(RECIPE, seed=1)))


def test_depth_is_trusted_inside_the_region(modular):
    region = slice(0, 48), slice(64, 128)
    _, _, target, classes = kept(modular, frames=FRAMES[:1], region=region).tensors
    _, _, everywhere, all_classes = kept(modular, frames=FRAMES[:1]).tensors
    assert target[0, 12:].isnan().all() and target[0, :, :16].isnan().all()
    assert torch.equal(target[0, :12, 16:].isfinite(), everywhere[0, :12, 16:].isfinite())
    assert torch.equal(classes, all_classes)


def test_statistics_are_those_of_the_inputs(modular):
    inputs = kept(modular)
    network = networks.find('jrn', 'cat5').build()
    refine.set_statistics(network, inputs)
    depth, probabilities = (tensor.float() for tensor in inputs.tensors[:2])
    assert network.depth_mean.item() == pytest.approx(depth.mean().item(), rel=1e-4)
    assert network.depth_std.item() == pytest.approx(depth.std().item(), rel=1e-4)
    assert network.class_mean.tolist() == pytest.approx(
        [probabilities[:, k].mean().item() for k in range(5)], rel=1e-3)
    assert network.class_mean.sum().item() == pytest.approx(1, abs=1e-3)
    assert 'depth_mean' in network.state_dict(), 'they travel with the weights'


def test_what_a_network_errs_by_on_average_is_taken_off(modular):
    given = kept(modular)
    scaled = refine.calibrated(given)
    known = given.tensors[2].isfinite()
    means = [resize(samples.tensors[0].float(), known.shape[-2:])[:, 0][known].mean().item()
             for samples in (given, scaled)]
    truth = given.tensors[2][known].float().mean().item()
    assert means[0] != pytest.approx(truth, rel=0.1)
    assert means[1] == pytest.approx(truth, rel=1e-3)
    # One factor for all: nearer stays nearer, frame by frame and within one.
    factors = scaled.tensors[0].float() / given.tensors[0].float()
    torch.testing.assert_close(factors, torch.full_like(factors, truth / means[0]), rtol=2e-3,
                               atol=0)
    for before, after in zip(given.tensors[1:], scaled.tensors[1:]):
        assert before is after


def test_without_a_true_depth_predictions_stay_as_they_are(modular):
    blank = [replace(one, depth=np.full_like(one.depth, np.nan)) for one in FRAMES]
    given = kept(modular, frames=blank)
    assert equal(given, refine.calibrated(given))


def test_samples_of_several_networks_are_joined(modular):
    parts = kept(modular, frames=FRAMES[:2]), kept(modular, frames=FRAMES[2:])
    assert equal(refine.join(parts), kept(modular))


# --- corrupted inputs ---------------------------------------------------------------------------

def test_a_corrupted_input_is_of_the_same_kind():
    torch.manual_seed(0)
    depth = torch.full((64, 1, 24, 32), 3.)
    probabilities = torch.rand(64, 5, 24, 32).softmax(1)
    worse, unsure = refine.corrupt(depth, probabilities, 1.)
    assert (worse.shape, unsure.shape) == (depth.shape, probabilities.shape)
    torch.testing.assert_close(unsure.sum(1), torch.ones(64, 24, 32))
    moved = (worse / depth).log()
    assert moved.std().item() == pytest.approx(0.17, abs=0.03)
    assert abs(moved.mean().item()) < 0.03
    # Smooth: neighbours err alike; each frame in its own way.
    assert (moved[..., 1:] - moved[..., :-1]).std() < 0.5 * moved.std()
    assert moved.mean(dim=(1, 2, 3)).std() > 0.05
    logits = unsure.log() - probabilities.log()
    spread = (logits - logits.mean(1, keepdim=True)).std(1).mean()
    assert 1 < spread < 2


def test_a_corruption_of_nothing_changes_nothing():
    depth, probabilities = 1 + torch.rand(2, 1, 6, 8), torch.rand(2, 5, 6, 8).softmax(1)
    worse, unsure = refine.corrupt(depth, probabilities, 0.)
    torch.testing.assert_close(worse, depth)
    torch.testing.assert_close(unsure, probabilities)


def test_corruption_is_for_training_only(modular):
    batch = batch_of(kept(modular))
    clean, corrupted = (RefineModule(build(), replace(RECIPE, corruption=strength))
                        for strength in (0., 1.))
    assert clean.training_step(batch, 0) != corrupted.training_step(batch, 0)
    for module in (clean, corrupted):
        module.validation_step(batch, 0)
    assert clean.rms.compute() == corrupted.rms.compute()


# --- training -----------------------------------------------------------------------------------

def build(seed=0):
    torch.manual_seed(seed)
    return networks.find('jrn', 'cat5').build(residual=True, output_stride=4)


def train_refinement(network, recipe, fit, val, output, origin=()):
    return run.train(RefineModule(network, recipe),
                     run.Run([fit], val, output, origin=dict(origin)))


def batch_of(dataset):
    return next(iter(DataLoader(dataset, batch_size=len(dataset))))


@pytest.mark.parametrize('power', [0., 1.])
def test_a_step_is_equation_1_at_the_ground_truths_size(modular, power):
    module = RefineModule(build(), replace(RECIPE, depth_power=power))
    batch = batch_of(kept(modular))
    loss = module.training_step(batch, 0)
    maps = module.network(batch[0].float(), batch[1].float(), SIZE)
    expected = jrn_loss(resize(maps.depth, (24, 32)), resize(maps.semantics, (24, 32)),
                        batch[2].float(), batch[3].long(), power)
    assert expected > 0.1
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    loss.backward()
    assert all(p.grad.isfinite().all() for p in module.network.parameters())


def test_a_batch_without_annotation_teaches_nothing(modular):
    module = RefineModule(build(), RECIPE)
    depth, probabilities, target, classes = batch_of(kept(modular))
    loss = module.training_step((depth, probabilities, torch.full_like(target, torch.nan),
                                 torch.full_like(classes, 255)), 0)
    loss.backward()
    assert loss.item() == 0
    assert not any(p.grad.any() for p in module.network.parameters())


def test_validation_measures_what_is_annotated(modular):
    module = RefineModule(build(), RECIPE)
    batch = batch_of(kept(modular))
    module.validation_step(batch, 0)
    # An untrained residual network says what its inputs say.
    found = resize(batch[0].float(), (24, 32))[:, 0]
    valid = batch[2].isfinite()
    rms = (found - batch[2].float())[valid].square().mean().sqrt()
    assert module.rms.compute().item() == pytest.approx(rms.item(), rel=1e-4)
    assert 0 <= module.mean_iou.compute() < 1


def biased():
    """Return inputs that are half a metre too far, and never sure of the class they name."""
    generator = torch.Generator().manual_seed(0)
    truth = 1 + 3 * torch.rand(8, 1, 3, 4, generator=generator)
    depth = resize(truth, (12, 16))
    classes = torch.randint(5, (8, 3, 4), generator=generator)
    classes = classes.repeat_interleave(8, 1).repeat_interleave(8, 2)
    probabilities = nn.functional.one_hot(classes[:, 1::2, 1::2], 5).movedim(-1, 1) * 0.3 + 0.14
    return TensorDataset((depth + 0.5).half(), probabilities.half(), resize(
        truth, (24, 32))[:, 0].half(), classes.to(torch.uint8))


def test_training_mends_what_is_wrong_everywhere(tmp_path):
    recipe = replace(RECIPE, epochs=2, batch_size=4, rate=2e-2, ema_decay=0.5)
    data = biased()
    network = train_refinement(build(), recipe, ConcatDataset([data] * 10), data, tmp_path)
    depth, probabilities, target, classes = batch_of(data)
    with torch.inference_mode():
        maps = network(depth.float(), probabilities.float(), SIZE)
    before = (depth - resize(target[:, None].float(), (12, 16))).abs().mean()
    after = (maps.depth - resize(target[:, None].float(), (12, 16))).abs().mean()
    assert before > 0.45 and after < 0.25
    right = maps.semantics.softmax(1).gather(1, classes[:, None, 1::2, 1::2].long()).mean()
    assert right > 0.455, 'the inputs give the right class 0.44'


def test_the_same_seed_gives_the_same_weights(tmp_path):
    data = biased()
    states = [train_refinement(build(), RECIPE, data, data, tmp_path / name).state_dict()
              for name in 'ab']
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert not all(torch.equal(value, build().state_dict()[name])
                   for name, value in states[0].items())


def test_predictions_of_other_networks_are_not_gone_on_with(tmp_path):
    data = biased()
    train_refinement(build(), RECIPE, data, data, tmp_path, {'depth': ('a', '1')})
    train_refinement(build(), RECIPE, data, data, tmp_path, {'depth': ('a', '1')})
    with pytest.raises(ValueError, match='made from other files'):
        train_refinement(build(), RECIPE, data, data, tmp_path, {'depth': ('a', '2')})
