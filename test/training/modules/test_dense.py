# Copyright 2026 The jrn_perception developers
# SPDX-License-Identifier: Apache-2.0

"""One step of training: mixed annotations, a teacher, frequencies; what is trained at all."""

from dataclasses import replace
import math
from types import SimpleNamespace

from jrn_perception.networks.interface import Maps
from jrn_perception.training.modules.losses import cross_entropy, inverse_huber, soft_cross_entropy
import pytest
from tiny import batch_of, CLASSES, frame, MIXED, RECIPE, Tiny
import torch
from torch import nn

module = pytest.importorskip('jrn_perception.training.modules.dense',
                             reason="needs pip install '.[train]'")
DenseModule, Teacher = module.DenseModule, module.Teacher
rate_at, WARM_UP = module.rate_at, module.WARM_UP


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


@pytest.mark.parametrize('epoch, share', [(0, 0.), (2, 0.), (3, 0.7), (9, 0.7)])
def test_views_are_mixed_once_the_recipe_says_so(monkeypatch, epoch, share):
    other = batch_of(frame(5), frame(6), frame(7))
    expected = step(DenseModule(Tiny(), RECIPE, CLASSES), other)
    given = []

    def mixed(image, depth, labels, share):
        given.append(share)
        return other['image'].float() / 255, other['depth'], other['labels']

    monkeypatch.setattr(module, 'affine_mix', mixed)
    monkeypatch.setattr(DenseModule, 'current_epoch', epoch)
    made = DenseModule(Tiny(), replace(RECIPE, mix_share=0.7, mix_after=3), CLASSES)
    # What the mixing makes of a batch is what is learnt from.
    assert step(made, batch_of(*MIXED[:3])) == pytest.approx(expected, rel=1e-6)
    assert given == [share]


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


def test_every_parameter_is_trained_once_at_its_rate():
    module = DenseModule(Tiny(), RECIPE, CLASSES)
    module.trainer = SimpleNamespace(estimated_stepping_batches=1000)
    configured = module.configure_optimizers()
    groups = configured['optimizer'].param_groups
    schedule = configured['lr_scheduler']['scheduler']
    for step in (0, 500, 900):
        schedule.last_epoch = step
        assert schedule.get_lr() == [rate * rate_at(step, 1000) for rate in (1e-2, 2e-2)]
    assert [sum(p.numel() for p in g['params']) for g in groups] == [
        sum(p.numel() for p in part.parameters())
        for part in (module.network.encoder, module.network.heads)]
    assert configured['lr_scheduler']['interval'] == 'step'


# --- class frequencies --------------------------------------------------------------------------

FREQUENCIES = torch.tensor((0.7, 0.1, 0.15, 0.05))


@pytest.mark.parametrize('exponent', [0., 0.5])
def test_what_is_common_is_taken_off_the_networks_hands(exponent):
    recipe = replace(RECIPE, logit_adjustment=exponent)
    module = DenseModule(Tiny(tasks=('semantics',)), recipe, CLASSES, frequencies=FREQUENCIES)
    batch = batch_of(*MIXED)
    adjusted = module(batch['image'].float() / 255).semantics.clone()
    for index, frequency in enumerate(FREQUENCIES):
        adjusted[:, index] += exponent * math.log(frequency)
    expected = cross_entropy(adjusted, batch['labels']).item()
    assert step(module, batch) == pytest.approx(expected, rel=1e-5)


def test_without_frequencies_classes_are_as_common():
    batch = batch_of(*MIXED)
    losses = [step(DenseModule(Tiny(tasks=('semantics',)), RECIPE, CLASSES, frequencies=f), batch)
              for f in (None, torch.full((CLASSES,), 0.25))]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_validation_takes_the_network_as_it_is():
    batch, found = batch_of(*MIXED), []
    for frequencies in (None, torch.tensor((1e-30, 1., 1., 1.))):
        module = DenseModule(Tiny(), replace(RECIPE, logit_adjustment=1.), CLASSES,
                             frequencies=frequencies)
        module.validation_step(batch, 0)
        found.append(module.mean_iou.compute().item())
    assert found[0] == found[1]


# --- teacher ------------------------------------------------------------------------------------

class Sure(nn.Module):
    """Says 2 m and the same class probabilities of each picture, at a quarter of its size."""

    metres = 2.
    probabilities = torch.tensor((0.4, 0.3, 0.2, 0.1))

    def forward(self, image):
        size = (len(image), 1, image.shape[2] // 4, image.shape[3] // 4)
        logits = self.probabilities.log().view(1, -1, 1, 1).expand(-1, -1, *size[2:])
        return Maps(torch.full(size, self.metres), logits.repeat(len(image), 1, 1, 1))


def taught(teacher, tasks=('depth', 'semantics'), **changes):
    """Return a module, the batch of mixed annotations, and what the network says of it."""
    module = DenseModule(Tiny(tasks=tasks), replace(RECIPE, **changes), CLASSES, teacher)
    batch = batch_of(*MIXED)
    with torch.no_grad():
        return module, batch, module(batch['image'].float() / 255)


@pytest.mark.parametrize('scale', [1., 1.5])
def test_a_teachers_depth_is_the_target_where_none_is_annotated(scale):
    module, batch, maps = taught(Teacher(Sure(), scale), ('depth',), depth_weight=1.)
    missing = batch['depth'].isnan()
    assert 0 < missing.float().mean() < 1
    target = batch['depth'].clone()
    target[missing] = 2 * scale
    expected = inverse_huber(maps.depth, target).item()
    assert step(module, batch) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize('weight', [0., 0.3, 1.])
def test_a_teachers_probabilities_have_their_share_of_the_loss(weight):
    module, batch, maps = taught(Teacher(Sure()), ('semantics',), soft_weight=weight)
    soft = soft_cross_entropy(maps.semantics, Sure.probabilities.view(1, -1, 1, 1).expand(
        maps.semantics.shape))
    hard = cross_entropy(maps.semantics, batch['labels'])
    assert step(module, batch) == pytest.approx(
        (weight * soft + (1 - weight) * hard).item(), rel=1e-5)


def test_a_teachers_probabilities_are_not_adjusted_for_frequencies():
    recipe = replace(RECIPE, soft_weight=1., logit_adjustment=1.)
    losses = [step(DenseModule(Tiny(tasks=('semantics',)), recipe, CLASSES, Teacher(Sure()), f),
                   batch_of(*MIXED)) for f in (None, FREQUENCIES)]
    assert losses[0] == losses[1]


def test_a_teacher_without_a_task_says_nothing_about_it():
    with_teacher, batch, _ = taught(Teacher(Tiny(1, ('depth',))), ('semantics',))
    without, _, _ = taught(None, ('semantics',))
    assert step(with_teacher, batch) == step(without, batch)


def test_a_teacher_sees_the_view_that_the_network_sees():
    teacher, seen = Tiny(1), []
    module, batch, _ = taught(Teacher(teacher), colour_jitter=0.5)
    for network in (teacher, module.network):
        network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    torch.manual_seed(0)
    step(module, batch)
    assert len(seen) == 2 and torch.equal(*seen)


def test_a_teacher_speaks_in_full_precision_at_the_size_it_is_asked_for():
    class Half(Sure):

        def forward(self, image):
            maps = super().forward(image)
            return Maps(maps.depth.bfloat16(), maps.semantics.bfloat16())
    maps = Teacher(Half())(torch.zeros(2, 3, 16, 24), (8, 12))
    assert (maps.depth.shape, maps.semantics.shape) == ((2, 1, 8, 12), (2, CLASSES, 8, 12))
    assert maps.depth.dtype == maps.semantics.dtype == torch.float32
    torch.testing.assert_close(maps.semantics.sum(1), torch.ones(2, 8, 12))


def test_a_teacher_takes_no_gradient():
    teacher = Teacher(Tiny(1))
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    teacher.requires_grad_()
    maps = teacher(torch.zeros(1, 3, 16, 24), (16, 24))
    assert not maps.depth.requires_grad and not maps.semantics.requires_grad


def test_a_teacher_does_not_train_when_the_network_does():
    teacher = Teacher(nn.Sequential(Tiny(1), nn.Dropout()).train())
    module, _, _ = taught(teacher)
    module.train()
    assert module.network.training
    assert not any(part.training for part in teacher.network.modules())


def test_a_teacher_is_no_part_of_what_is_trained_and_kept():
    teacher = Teacher(Tiny(1))
    module, without = taught(teacher)[0], taught(None)[0]
    assert list(module.state_dict()) == list(without.state_dict())
    module.trainer = SimpleNamespace(estimated_stepping_batches=10)
    groups = module.configure_optimizers()['optimizer'].param_groups
    trained = {id(parameter) for group in groups for parameter in group['params']}
    assert trained == {id(parameter) for parameter in module.network.parameters()}
    assert not trained & {id(parameter) for parameter in teacher.parameters()}


# --- the learning rate ---------------------------------------------------------------------------

def test_the_rate_rises_stays_and_falls():
    steps = 1000
    rates = [rate_at(step, steps) for step in range(steps)]
    assert rates[0] == 0.01 and rates[49] == 0.5
    assert set(rates[WARM_UP - 1:801]) == {1.}
    assert rates[900] == pytest.approx(0.5) and rates[999] == pytest.approx(0.005)
    assert rates[800:] == sorted(rates[800:], reverse=True)


def test_the_rate_does_not_depend_on_what_is_to_come():
    short, long = ([rate_at(step, steps) for step in range(801)] for steps in (1000, 5000))
    assert short == long


def test_a_run_of_a_step_has_a_rate():
    assert 0 < rate_at(0, 1) <= 1
